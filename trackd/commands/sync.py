"""``trackd sync DIR [URI]`` and ``trackd watch DIR [URI]``: send what was logged without a network."""

import os
import sys
import time
from typing import Dict, List, Sequence, Tuple

from trackd.arguments import Flag, UsageError, flags, flags_help
from trackd.client import MlflowException, Unreachable
from trackd.config import LONGEST_TIMEOUT, Config, whole
from trackd.errors import TrackdError
from trackd.serving import CannotStart, opened
from trackd.sync import folder as folders
from trackd.sync import spool as spools
from trackd.transfer.stores import StoreSide

_FAIL = Flag(
    "--fail-silent-runs", "SECONDS", "Mark runs FAILED that did not end, if nothing was logged for so long."
)
SYNC_FLAGS = (Flag("--help", "", "Print this."), _FAIL)
WATCH_FLAGS = (*SYNC_FLAGS, Flag("--every", "SECONDS", "How often to look (10)."))

_WHAT = """Send what was logged into DIR without a network: the spool of trackd's client (spool:DIR, TRACKD_SPOOL), or
a folder that MLflow's own file store wrote. URI is the server; without it MLFLOW_TRACKING_URI, or the server that the
spool stood in for. It can be broken off and repeated: nothing is at the server twice."""


def sync(words: Sequence[str]) -> int:
    """Send all that is there. 1 if the server cannot be reached or did not take something."""
    given, places = flags(words, SYNC_FLAGS, 2)
    if "--help" in given:
        print("\n".join(flags_help("trackd sync DIR [URI] [options]", _WHAT, SYNC_FLAGS)))
        return 0
    folder, uri = _places("sync", places)
    try:
        lines, code = _once(folder, uri, _seconds(given, "--fail-silent-runs"))
    except (MlflowException, TrackdError) as error:
        return _fail(error.message)
    except CannotStart as error:
        return _fail(f"{error}.")
    except OSError as error:
        return _fail(f"{error.filename or folder}: {error.strerror or error}.")
    print("\n".join(lines), flush=True)
    return code


def watch(words: Sequence[str]) -> int:
    """Send again and again, until Ctrl-C or SIGTERM. A server that cannot be reached is waited for."""
    given, places = flags(words, WATCH_FLAGS, 2)
    if "--help" in given:
        what = "Keep sending: trackd sync, every few seconds, until Ctrl-C.\n" + _WHAT
        print("\n".join(flags_help("trackd watch DIR [URI] [options]", what, WATCH_FLAGS)))
        return 0
    silence, every = _seconds(given, "--fail-silent-runs"), _seconds(given, "--every") or 10
    os.makedirs(places[0] if places else ".", exist_ok=True)
    folder, uri = _places("watch", places)
    print(f"watching {folder}, sending to {uri}; stop with Ctrl-C", flush=True)
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    told, before = "", ""
    while True:
        try:
            lines, _ = _once(folder, uri, silence)
            text = "\n".join(lines)
            if text != before and not text.startswith("nothing"):
                print(text, flush=True)
            before = text if folders.is_folder(folder) else ""
            told = ""
        except Unreachable as error:
            if error.message != told:
                told = error.message
                print(f"trackd: {told} Waiting for it.", file=sys.stderr, flush=True)
        except (MlflowException, TrackdError) as error:
            return _fail(error.message)
        time.sleep(every)


def _places(command: str, places: List[str]) -> Tuple[str, str]:
    """The folder and the server's address."""
    if not places:
        raise UsageError(f"{command} takes a folder: trackd {command} DIR [URI]")
    folder = places[0][len("spool:") :] if places[0].startswith("spool:") else places[0]
    if not os.path.isdir(folder):
        raise UsageError(f"there is no folder {folder}")
    uri = places[1] if len(places) > 1 else os.environ.get("MLFLOW_TRACKING_URI", "")
    if not uri or uri.startswith("spool:"):
        uri = spools.server_of(folder) or "http://127.0.0.1:5000"
    if not uri.startswith(("http://", "https://")):
        raise UsageError(f"{uri!r} is no server's address; {command} sends to http://host:port")
    return folder, uri.rstrip("/")


def _seconds(given: Dict[str, str], flag: str) -> int:
    if flag not in given:
        return 0
    try:
        return whole(1, LONGEST_TIMEOUT)(given[flag])
    except ValueError as error:
        raise UsageError(f"{flag}: {given[flag]!r} {error}") from None


def _once(folder: str, uri: str, silence: int) -> Tuple[List[str], int]:
    """Send what is there now: what to say about it, and the exit code."""
    os.environ.pop("TRACKD_SPOOL", None)  # What cannot be sent stays where it is.
    lines: List[str] = []
    code = 0
    if spools.spooled(folder):
        replay = spools.SpoolSync(folder, uri, _progress)
        sent = replay.run()
        if silence:
            replay.fail_silent(silence)
        lines += [sent.line()] if sent else ["nothing new in the spool"]
        lines += [f"refused (kept in the file {each.split(':')[0]}.refused): {each}" for each in sent.refused[:20]]
        code = 1 if sent.refused else 0
    if folders.is_folder(folder):
        config = Config(backend_store_uri=folder, read_only=True)
        with opened(config, lambda done, total: None, lambda line: print(f"trackd: {line}", file=sys.stderr)) as store:
            counts = folders.send(StoreSide(folder, store), folder, uri, _progress)
        lines += counts.table() + [f"refused: {each}" for each in counts.refused]
        code = 1 if counts.refused else code
    if not lines:
        lines = [f"nothing in {folder}: neither a spool nor a folder of MLflow's"]
    return lines, code


def _progress(line: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{line[:100]}", end="", file=sys.stderr, flush=True)


def _fail(sentence: str) -> int:
    print(f"trackd: {sentence}", file=sys.stderr, flush=True)
    return 1
