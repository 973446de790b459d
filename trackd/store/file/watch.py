"""Background work of a file store: what was written goes to the disk, what others wrote into the index."""

import os
import sqlite3
import threading
import time
from typing import TYPE_CHECKING, Dict, List, Tuple

from trackd.errors import StorageFull, TrackdError
from trackd.store.file import disk, folder, layout, registry
from trackd.store.file import index as index_file

if TYPE_CHECKING:
    from trackd.store.file.store import FileStore

#: Seconds between two rounds: what others write shows within two, what we wrote is on disk within one.
ROUND = 0.7
#: Changes to files wait this many seconds, or for so many of them, before all files are synced and they are forgotten.
#: A sync of the file system makes everybody on it wait; the longer it is put off, the less there is left to do (the
#: system writes by itself after 5 to 30 s). A start after a crash looks at every change again, some 10 us each.
FORGET_AFTER = 20.0
FORGET_CHANGES = 20_000
#: Seconds of each round that may go into looking at files that nobody seems to write to: 3 % of one core.
BUDGET = 0.02
#: The same for the start itself: enough for some thousand files.
START_BUDGET = 0.3
#: The same in the first pass after a start, which makes up for what happened while no server ran.
FIRST_BUDGET = 0.35
#: A run that somebody else wrote to is looked at in every round for this many seconds.
HOT = 120.0
HOT_BUDGET = 0.1
#: Seconds that the maker of a folder has to write its ``meta.yaml`` before the lack of it is reported.
YOUNG = 2.0
#: Versions of a registered model that are looked at, the latest, when MLflow has written to the model.
MOST_SUSPECTS = 300
#: Problems that were seen once; with more than this something is wrong with all of it, and all is looked at again.
MOST_DOUBTS = 10_000


class Watch:
    """Two threads: one brings changes to the disk and forgets them, one looks for other people's writes.

    Looking is cheap where nothing happens: the listing of the root, three ``stat`` per experiment, one per run or
    logged model (``meta.yaml``, which MLflow rewrites when a run begins, ends or is deleted), each against what the
    last round saw.
    All other files are looked at in turn, as many as the budget allows, those of running runs first. A store of some
    hundred runs is seen whole in every round.
    """

    def __init__(self, store: "FileStore") -> None:
        self._store = store
        self._stop = threading.Event()
        self._dirty = threading.Event()
        self._threads: List[threading.Thread] = []
        self._experiments: Dict[str, bool] = {}
        self._seen: Dict[str, int] = {}
        self._hot: Dict[str, float] = {}
        self._young: List[str] = []
        self._patience = 0.0
        self._doubts: Dict[Tuple[str, str], float] = {}
        self._turn: List[str] = []
        self._meta_turn: List[str] = []
        self._model_turn: List[str] = []
        self._first_pass = True

    def start(self) -> None:
        """Begin."""
        work = [self._look_forever] if self._store.read_only else [self._look_forever, self._flush_forever]
        for target in work:
            thread = threading.Thread(target=target, name=f"trackd-{target.__name__}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def catch_up(self) -> None:
        """Look at as many files as the start of a server may take, before the first request."""
        self._experiments = self._store.experiments()
        self._turn = self._check(self._store.folders_by_interest(), START_BUDGET)
        self._first_pass = bool(self._turn)
        self._patience = ROUND / 2

    def stop(self) -> None:
        """End both threads; what is not on disk yet is brought there by ``flush``, which the caller calls last."""
        self._stop.set()
        self._dirty.set()
        for thread in self._threads:
            thread.join()

    def wake(self) -> None:
        """Something was written."""
        if not self._dirty.is_set():
            self._dirty.set()

    # -- what we wrote ------------------------------------------------------------------------------------------------

    def _flush_forever(self) -> None:
        begun = 0.0
        while True:
            # With nothing new to do, only the changes of the last rounds wait to be forgotten.
            self._dirty.wait(FORGET_AFTER if self._store.pending else None)
            if self._stop.wait(ROUND):
                return
            self._dirty.clear()
            try:
                self._sync_index()
                self._store.checkpoint()
                if self._store.pending >= FORGET_CHANGES or time.monotonic() - begun >= FORGET_AFTER:
                    self.flush()
                    begun = time.monotonic()
            except StorageFull:
                # Everything is on the disk; only that cannot be noted yet. The next start would do the changes again.
                self._store.report(self._store.index_path, "cannot be tidied up before there is room on the disk")
                self._dirty.set()
            except Exception as error:
                # After a failed sync nobody can say what is on disk: take nothing more until a restart has read it.
                self._store.fail(error)
                return

    def _sync_index(self) -> None:
        """What was committed is on the disk once the index's log is: it holds the changes to files too."""
        if self._store.sync == "1s":
            disk.sync_file(self._store.index_path + "-wal")

    def flush(self) -> None:
        """Bring all that was acknowledged to the disk, files and index, and forget the changes that are there."""
        self._sync_index()
        applied = self._store.applied_sequence
        if self._store.sync != "off":
            disk.sync_tree(self._store.root)
        self._store.forget(applied)
        self._store.checkpoint()

    # -- what others wrote --------------------------------------------------------------------------------------------

    def _look_forever(self) -> None:
        while not self._stop.wait(ROUND):
            self._store.histories.forget_idle()
            try:
                self.look()
            except (OSError, TrackdError, sqlite3.Error) as error:
                self._store.report(self._store.root, f"could not be looked at: {error}")

    def look(self) -> None:
        """One round."""
        suspects, self._young = self._young, []
        suspects += self._look_at_experiments()
        suspects += self._look_at_models()
        suspects += self._look_at_metas()
        now = time.monotonic()
        self._hot = {key: until for key, until in self._hot.items() if until > now}
        self._check(list(self._hot), HOT_BUDGET)
        for key in suspects:
            self._refresh(key)
        if not self._turn:
            self._turn = self._store.folders_by_interest()
        self._turn = self._check(self._turn, FIRST_BUDGET if self._first_pass else BUDGET)
        if not self._turn:
            self._first_pass = False

    def _look_at_experiments(self) -> List[str]:
        """Experiments and runs that came, went or moved, by the listing of folders that changed."""
        store = self._store
        suspects: List[str] = []
        found = self._experiments = dict(index_file.list_experiments(store.root, self._doubt))
        known = store.experiments()
        suspects += [key for key in known if known[key] != found.get(key)]
        for experiment_id, deleted in found.items():
            if experiment_id not in known:
                suspects.append(experiment_id)
            path = store.experiment_folder(experiment_id, deleted)
            runs = self._changed(experiment_id, path, first=True)
            models = self._changed(experiment_id + "/models", f"{path}/{layout.MODELS}", first=True)
            if runs or models:
                on_disk = {f"{experiment_id}/{name}" for name in index_file.list_members(path, self._doubt)}
                suspects += sorted(on_disk ^ store.known_members(experiment_id))
            if self._changed(experiment_id + "/meta", f"{path}/meta.yaml", first=True):
                suspects.append(experiment_id)
        return suspects

    def _look_at_models(self) -> List[str]:
        """Registered models and versions that came or went, by the listing of folders that changed.

        MLflow rewrites a model's ``meta.yaml`` with nearly every change to one of its versions: then all are looked at.
        """
        store = self._store
        place = f"{store.root}/{layout.MODELS}"
        suspects: List[str] = []
        if self._changed(layout.MODELS, place, first=True):
            found = set(registry.list_models(store.root, self._doubt))
            suspects += sorted(found ^ store.known_models())
        if not self._model_turn:
            self._model_turn = sorted(store.known_models())
        end = time.monotonic() + BUDGET
        rest: List[str] = []
        for position, key in enumerate(self._model_turn):
            path = self._path(key)
            if self._changed(key + "/", path, first=True):
                suspects += sorted(set(registry.list_versions(store.root, key, self._doubt)) ^ store.known_members(key))
            if self._changed(key + "/meta", f"{path}/meta.yaml"):
                suspects += [key, *registry.latest(store.known_members(key), MOST_SUSPECTS)]
            if position % 64 == 63 and time.monotonic() > end:
                rest = self._model_turn[position + 1 :]
                break
        self._model_turn = rest
        return suspects

    def _look_at_metas(self) -> List[str]:
        if not self._meta_turn:
            self._meta_turn = self._store.folders_by_interest()
        suspects = []
        end = time.monotonic() + BUDGET
        rest: List[str] = []
        for position, key in enumerate(self._meta_turn):
            if self._changed(key, f"{self._path(key)}/meta.yaml"):
                suspects.append(key)
            if position % 64 == 63 and time.monotonic() > end:
                rest = self._meta_turn[position + 1 :]
                break
        self._meta_turn = rest
        return suspects

    def _path(self, key: str) -> str:
        """Where a folder was when this round began."""
        experiment_id, slash, run_id = key.partition("/")
        deleted = self._experiments.get(experiment_id, False)
        return self._store.experiment_folder(experiment_id, deleted) + slash + run_id

    def _changed(self, key: str, path: str, first: bool = False) -> bool:
        """Whether a file's time is not what the last round saw; ``first``: the answer where there was none."""
        try:
            mtime = os.stat(path).st_mtime_ns
        except OSError:
            mtime = 0
        before = self._seen.get(key)
        self._seen[key] = mtime
        return first if before is None else before != mtime

    def _check(self, keys: List[str], budget: float) -> List[str]:
        """Look at all files of these folders until the budget is spent; returns those that were not looked at."""
        end = time.monotonic() + budget
        for position, key in enumerate(keys):
            self._refresh(key)
            if time.monotonic() > end:
                return keys[position + 1 :]
        return []

    def _refresh(self, key: str) -> None:
        store = self._store
        if not self._differs(key):
            return
        if self._is_young(key):
            self._young.append(key)
            return
        if not store.refresh({key}):
            return
        # What was doubted of the folder is settled: of another folder of this name, it is not a second time.
        below = self._path(key) + "/"
        self._doubts = {doubt: since for doubt, since in self._doubts.items() if not doubt[0].startswith(below)}
        if "/" in key:
            self._hot[key] = time.monotonic() + HOT

    def _differs(self, key: str) -> bool:
        """Whether the files of a folder differ from what the index knows; may err while a write is under way."""
        known = self._store.known_files(key)
        stats = folder.stat_files(self._path(key), folder.kinds_of(key), self._doubt if known else _silent)
        return known is None or (stats != known and not index_file.same_but_growing(stats, known))

    def _doubt(self, where: str, what: str) -> None:
        """Report what was so in an earlier round already: files are looked at while we and others write."""
        now = time.monotonic()
        if now - self._doubts.setdefault((where, what), now) >= self._patience:
            self._store.report(where, what)
        if len(self._doubts) > MOST_DOUBTS:
            self._doubts.clear()

    def _is_young(self, key: str) -> bool:
        """Whether a folder without ``meta.yaml`` was just made: MLflow writes that file a moment later."""
        path = self._path(key)
        try:
            return not os.path.exists(f"{path}/meta.yaml") and time.time() - os.stat(path).st_mtime < YOUNG
        except OSError:
            return False


def _silent(where: str, what: str) -> None:
    """For a folder that will be read, and reported on, in a moment."""


