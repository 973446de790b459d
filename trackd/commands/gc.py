"""``trackd gc``: what ``mlflow gc`` does, with its flags. The rules are in ``garbage``."""

import os
import sys
import time
from typing import Dict, List, Mapping, Optional, Sequence

from trackd import garbage
from trackd.arguments import Flag, UsageError, flags, flags_help, read
from trackd.artifacts import Places
from trackd.config import Config
from trackd.errors import TrackdError
from trackd.serving import CannotStart, opened

_PLACES = {
    "--backend-store-uri": Flag(
        "--backend-store-uri", "URI", "Where the metadata is. [MLFLOW_BACKEND_STORE_URI] Default: ./mlruns."
    ),
    "--artifacts-destination": Flag(
        "--artifacts-destination", "URI",
        "Where the server keeps the artifacts that it serves. [MLFLOW_ARTIFACTS_DESTINATION] Default: ./mlartifacts.",
    ),
    "--default-artifact-root": Flag(
        "--default-artifact-root", "URI",
        "Where experiments keep artifacts if the server does not serve them. [MLFLOW_DEFAULT_ARTIFACT_ROOT]",
    ),
    "--artifact-roots": Flag("--artifact-roots", "URI,URI", "Other places from which artifacts may be removed."),
}
FLAGS = (
    Flag("--older-than", "TIME", "Only what was deleted at least so long ago: 30d, 8h, 1d2h3m4s."),
    Flag("--run-ids", "ID,ID", "These deleted runs and nothing else that is not named."),
    Flag("--experiment-ids", "ID,ID", "These deleted experiments with all that is in them."),
    Flag("--logged-model-ids", "ID,ID", "These deleted logged models."),
    Flag("--dry-run", "", "Print what would be removed, and how much it is; remove nothing."),
    Flag("--leave-artifacts", "", "Remove also what has artifacts out of reach; these stay where they are."),
    *_PLACES.values(),
    Flag("--tracking-uri", "URI", "Accepted without effect: trackd finds artifacts without asking a server."),
    Flag("--help", "", "Print this."),
)
_WHAT = """Remove deleted runs, logged models and experiments for good, with their artifacts. Without ids: all of them.
What goes, and how much it is, is printed first. Stop the server of a folder before."""
#: Flags of ``mlflow gc`` for what trackd does not have.
_NOT_HERE = ("--jobs", "--job-ids", "--workspace", "--all-workspaces")
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


def run(words: Sequence[str]) -> int:
    """Print what goes and how much it is, then remove it. 1 if something that should go could not."""
    for word in words:
        if word.split("=")[0] in _NOT_HERE:
            raise UsageError(f"{word.split('=')[0]}: trackd has neither jobs nor workspaces; leave it out")
    given, _ = flags(words, FLAGS)
    if "--help" in given:
        return _say(flags_help("trackd gc [options]", _WHAT, FLAGS))
    wanted, config = _wanted(given), _config(given)
    try:
        with opened(config, lambda done, total: None, lambda line: print(f"trackd: {line}", file=sys.stderr)) as store:
            reach = garbage.Reach(Places(config))
            plan = garbage.measure(garbage.find(store, wanted, int(time.time() * 1000)), reach)
            _say(_shown(plan, "--dry-run" in given))
            if "--dry-run" in given or not plan.items:
                return 0
            outcome = garbage.remove(store, reach, plan, "--leave-artifacts" in given, lambda line: _say([line]))
    except CannotStart as error:
        what, served, _ = str(error).partition(" is already served")
        if not served:
            return _fail(error)
        return _fail(f"{what} is served right now. Stop that server first; --dry-run can look meanwhile")
    except TrackdError as error:
        return _fail(error)
    _say([f"removed for good: {_amount(outcome.removed)}"])
    for line in outcome.kept:
        _fail(line)
    return 1 if outcome.kept else 0


def _wanted(given: Mapping[str, str]) -> garbage.Wanted:
    age = given.get("--older-than")
    try:
        older_than = garbage.duration(age) if age is not None else 0
    except ValueError as error:
        raise UsageError(f"--older-than: {age!r} {error}") from None
    ids = (_ids(given, flag) for flag in ("--run-ids", "--experiment-ids", "--logged-model-ids"))
    return garbage.Wanted(older_than, *ids)


def _ids(given: Mapping[str, str], flag: str) -> Optional[List[str]]:
    """A list of ids; ``None`` without the flag. An empty one is a mistake: it must not mean everything."""
    if flag not in given:
        return None
    found = [word.strip() for word in given[flag].split(",") if word.strip()]
    if not found:
        raise UsageError(f"{flag} names no ids")
    return found


def _config(given: Mapping[str, str]) -> Config:
    """The settings of the server that these flags and the environment belong to."""
    words: List[str] = []
    for flag in _PLACES:
        if flag in given:
            words += [flag, given[flag]]
    kept: Dict[str, str] = {
        name: value for name, value in os.environ.items()
        if name in ("MLFLOW_BACKEND_STORE_URI", "MLFLOW_ARTIFACTS_DESTINATION", "MLFLOW_DEFAULT_ARTIFACT_ROOT")
    }
    if "--dry-run" in given:
        words.append("--read-only")
    return read(words, kept)


def _shown(plan: garbage.Plan, dry: bool) -> List[str]:
    """What goes, one line each, and the sum."""
    if not plan.items:
        return ["nothing to remove", *plan.kept]
    lines = []
    for item in plan.items:
        line = f"{item.kind} {item.id} ({item.name})" if item.name else f"{item.kind} {item.id}"
        if item.out_of_reach:
            line += f": its artifacts are out of reach: {item.out_of_reach}"
        elif item.files:
            line += f": {item.files} artifact{'s' if item.files > 1 else ''}, {_bytes(item.size)}"
        lines.append(line)
    lines += plan.kept
    lines.append(f"{'would free' if dry else 'to free'}: {_amount(plan.items)}")
    return lines


def _amount(items: Sequence[garbage.Item]) -> str:
    parts = []
    for kind in (garbage.EXPERIMENT, garbage.RUN, garbage.MODEL):
        count = sum(item.kind == kind for item in items)
        if count or kind == garbage.RUN:
            parts.append(f"{count} {kind}{'' if count == 1 else 's'}")
    files, size = sum(item.files for item in items), sum(item.size for item in items)
    parts.append(f"{files} artifact{'' if files == 1 else 's'} of {_bytes(size)}")
    return ", ".join(parts)


def _bytes(size: int) -> str:
    """``1.5 MiB``; up to 1023 exactly."""
    number, unit = float(size), 0
    while number >= 1024 and unit + 1 < len(_UNITS):
        number, unit = number / 1024, unit + 1
    return f"{size} {'byte' if size == 1 else 'bytes'}" if unit == 0 else f"{number:.1f} {_UNITS[unit]}"


def _say(lines: Sequence[str]) -> int:
    print("\n".join(lines), flush=True)
    return 0


def _fail(error: object) -> int:
    print(f"trackd: {str(error).rstrip('.')}.", file=sys.stderr, flush=True)
    return 1
