"""``trackd copy FROM TO``: folders, databases and running servers, MLflow's own too. The work is in ``transfer``."""

import os
import sys
import time
from contextlib import contextmanager
from typing import Iterator, Mapping, Sequence

from trackd.arguments import Flag, UsageError, flags, flags_help
from trackd.artifacts import Places
from trackd.config import Config, artifact_folder, local_path, store_uri
from trackd.config import words as words_of
from trackd.errors import TrackdError
from trackd.serving import CannotStart, opened
from trackd.transfer.copy import copy
from trackd.transfer.counts import Counts
from trackd.transfer.servers import ServerSide
from trackd.transfer.sides import Target
from trackd.transfer.stores import StoreSide

FLAGS = (
    Flag("--artifacts", "", "Copy artifacts, too."),
    Flag("--all-points", "", "Compare all points of all runs, also of those that have ended and look complete."),
    Flag("--from-artifacts", "URI", "Where the artifacts are that a server of FROM serves. Default: ./mlartifacts."),
    Flag("--to-artifacts", "URI", "Where those are that a server of TO will serve. Default: ./mlartifacts."),
    Flag("--artifact-roots", "URI,URI", "Other places from which artifacts of FROM may be read."),
    Flag("--help", "", "Print this."),
)

_WHAT = """Copy experiments, runs and all that was logged to them. FROM and TO are folders (./mlruns), databases
(sqlite:///mlflow.db) or running servers (http://host:5000), also MLflow's own. Nothing in FROM is changed, nothing in
TO is removed. Repeat it after a break: it goes on where it stopped, and writes nothing twice."""

#: Seconds between two lines of progress where there is no terminal to show it on.
_EVERY = 10.0


def run(words: Sequence[str]) -> int:
    """Copy, show how far it is, end with a table of what was read, written and skipped. 1 if something was refused."""
    given, places = flags(words, FLAGS, 2)
    if "--help" in given:
        print("\n".join(flags_help("trackd copy FROM TO [options]", _WHAT, FLAGS)))
        return 0
    if len(places) != 2:
        raise UsageError("copy takes two places: trackd copy FROM TO")
    if _place(places[0]) == _place(places[1]):
        raise UsageError(f"FROM and TO are the same place, {places[0]}")
    counts = Counts()
    try:
        with _side(places[0], given, True) as source, _side(places[1], given, False) as target:
            try:
                copy(source, target, counts, _Progress().show, "--artifacts" in given, "--all-points" in given)
            finally:
                _end(counts)
    except CannotStart as error:
        return _fail(str(error))
    except TrackdError as error:
        return _fail(error.message.rstrip("."))
    return 1 if counts.refused else 0


@contextmanager
def _side(uri: str, given: Mapping[str, str], is_source: bool) -> Iterator[Target]:
    """One side, closed at the end. A source is only read: a server may be serving it meanwhile."""
    if uri.startswith(("http://", "https://")):
        server = ServerSide(uri)
        try:
            server.check()
            yield server
        finally:
            server.close()
        return
    flag = "--from-artifacts" if is_source else "--to-artifacts"
    try:
        config = Config(
            backend_store_uri=store_uri(uri),
            read_only=is_source,
            # Nobody is told that a run is there before the end, when all of it is brought to the disk.
            sync="1s",
            artifacts_destination=artifact_folder(given.get(flag, "./mlartifacts")),
            artifact_roots=words_of(given.get("--artifact-roots", "")) if is_source else None,
        )
    except ValueError as error:
        raise UsageError(f"{uri!r} {error}") from None
    with opened(config, lambda done, total: None, lambda line: print(f"trackd: {line}", file=sys.stderr)) as store:
        artifacts = "--artifacts" in given
        root = config.default_artifact_root if artifacts and not is_source else None
        yield StoreSide(uri, store, root, Places(config) if artifacts else None)


def _place(uri: str) -> str:
    """What two names of one place have in common."""
    folder = local_path(uri)
    return uri.rstrip("/") if folder is None else os.path.realpath(folder)


class _Progress:
    """One line that changes on a terminal; elsewhere one now and then."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def show(self, line: str) -> None:
        """How far it is."""
        now = time.monotonic()
        if sys.stderr.isatty():
            if now - self._last >= 0.1:
                print(f"\r\033[K{line[:100]}", end="", file=sys.stderr, flush=True)
                self._last = now
        elif now - self._last >= _EVERY:
            print(line, file=sys.stderr, flush=True)
            self._last = now


def _end(counts: Counts) -> None:
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    print("\n".join(counts.table()), flush=True)
    for line in counts.refused:
        print(f"trackd: not copied: {line}", file=sys.stderr, flush=True)


def _fail(sentence: str) -> int:
    print(f"trackd: {sentence}.", file=sys.stderr, flush=True)
    return 1
