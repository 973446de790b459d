"""The command line: ``trackd [server | ui | routes | check | bundle]``.

What a command needs is imported when it runs, so that each starts as fast as it can. Exit codes: 0 done, 1 it could not
be done or something is wrong with the store, 2 the command line asks for something that is not there.
"""

import os
import sys
from typing import TYPE_CHECKING, Callable, List, NamedTuple, Optional, Sequence, Tuple

from trackd import MLFLOW_VERSION, __version__
from trackd.arguments import UsageError, help_text, read, unknown
from trackd.config import is_database, local_path, store_uri

if TYPE_CHECKING:
    from trackd.store.base import Store


class Command(NamedTuple):
    """A command: what follows ``trackd``, what runs it, what it takes, and one line of help."""

    name: str
    run: Callable[[Sequence[str]], int]
    takes: str
    help: str


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run the command that the arguments name and return its exit code. Without a command it is ``server``."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _command(words)
    except UsageError as error:
        return _fail(str(error), 2)
    except BrokenPipeError:
        # Whoever read our output (head, a pager) has seen enough. The interpreter would complain at its end.
        sys.stdout = open(os.devnull, "w", encoding="utf-8")
        return 1
    except KeyboardInterrupt:
        return _fail("stopped", 130)


def _command(words: List[str]) -> int:
    """Find the command and run it."""
    if words and words[0] == "--version":
        return _say(versions())
    if words and words[0] == "--help":
        return _say(overview())
    if not words or words[0].startswith("-"):
        return server(words)
    for command in COMMANDS:
        if command.name == words[0]:
            return command.run(words[1:])
    raise UsageError(unknown(words[0], [command.name for command in COMMANDS]).replace("argument", "command", 1))


def versions() -> List[str]:
    """What ``trackd --version`` prints: trackd, the API it speaks, and what of its surroundings matters to it."""
    import sqlite3
    from importlib.util import find_spec

    boto3 = "boto3 is there" if find_spec("boto3") else "boto3 is not there (only s3:// needs it)"
    python = ".".join(map(str, sys.version_info[:3]))
    return [
        f"trackd {__version__} (MLflow API {MLFLOW_VERSION})",
        f"Python {python}, SQLite {sqlite3.sqlite_version}, {boto3}",
    ]


def overview() -> List[str]:
    """What ``trackd --help`` prints."""
    lines = ["trackd: an MLflow-compatible tracking server", "", "usage: trackd [command] [options]", ""]
    for command in COMMANDS:
        lines.append(f"  {command.name + ' ' + command.takes:22}  {command.help}")
    lines += [f"  {'--version':22}  Print the version.", "", "Without a command it is: server. All options: "]
    lines[-1] += "trackd server --help"
    return lines


def server(words: Sequence[str]) -> int:
    """Serve until SIGTERM or SIGINT."""
    if "--help" in words:
        return _say([help_text("trackd server", "Serve MLflow's REST API from a folder or database.")])
    config = read(words, os.environ)
    for note in config.notes:
        print(f"trackd: note: {note}.", file=sys.stderr)
    from trackd.serving import CannotStart, serve

    try:
        serve(config, _say, progress)
    except CannotStart as error:
        return _fail(str(error), 1)
    return 0


def routes(words: Sequence[str]) -> int:
    """Print every route: method, path, what it does."""
    _positional("routes", words, 0)
    from trackd.app import routes as all_routes

    found = [(route.method, route.path, route.description) for route in all_routes()]
    width = max(len(path) for _, path, _ in found)
    return _say([f"{method:6} {path:{width}}  {description}" for method, path, description in found])


def check(words: Sequence[str]) -> int:
    """Read a store and print everything that is wrong with it; nothing is written into it."""
    given = _positional("check", words, 1)
    try:
        uri = store_uri(given[0] if given else "./mlruns")
    except ValueError as error:
        raise UsageError(f"{given[0]!r} {error}") from None
    if not is_database(uri) and not os.path.isdir(local_path(uri) or ""):
        return _fail(f"there is no folder {local_path(uri)}", 1)
    from trackd.serving import CannotStart, read_only_store

    try:
        with read_only_store(uri, progress) as store:
            return _checked(store)
    except CannotStart as error:
        return _fail(str(error), 1)


def gc(words: Sequence[str]) -> int:
    """Remove what is deleted for good; see ``commands.gc``."""
    from trackd.commands.gc import run

    return run(words)


def copy(words: Sequence[str]) -> int:
    """Copy everything from one place to another; see ``commands.copy``."""
    from trackd.commands.copy import run

    return run(words)


def _checked(store: "Store") -> int:
    """Print what ``Store.check`` finds and how much there is; 1 if it found anything."""
    from trackd.serving import counted

    problems = store.check()
    lines = [f"{problem.where}: {problem.what}" for problem in problems]
    amount = counted(store.counts())
    lines.append(f"{counted({'problems': len(problems)})} beside {amount}" if problems else f"ok: {amount}")
    _say(lines)
    return 1 if problems else 0


def sync(words: Sequence[str]) -> int:
    """Send what was logged without a network."""
    from trackd.commands.sync import sync as run

    return run(words)


def watch(words: Sequence[str]) -> int:
    """Keep sending what is logged without a network."""
    from trackd.commands.sync import watch as run

    return run(words)


def bundle(words: Sequence[str]) -> int:
    """Write the program as one executable file."""
    given = _positional("bundle", words, 1)
    path = given[0] if given else "trackd.pyz"
    from trackd.bundle import write

    try:
        size = write(path)
    except OSError as error:
        return _fail(f"{path} cannot be written: {error.strerror or error}", 1)
    return _say([f"{path}: {size:,} bytes; run it with: python3 {path} server"])


def progress(done: int, total: int) -> None:
    """Show on a terminal how far the reading of a folder is; elsewhere it would only fill a log."""
    if sys.stderr.isatty():
        end = "\n" if done >= total else ""
        print(f"\rreading the folder: {done} of {total} runs", end=end, file=sys.stderr, flush=True)


def _positional(command: str, words: Sequence[str], most: int) -> List[str]:
    """The arguments of a command that has no flags of its own but --help; UsageError for others."""
    for word in words:
        if word == "--help":
            row = next(each for each in COMMANDS if each.name == command)
            raise SystemExit(_say([f"usage: trackd {row.name} {row.takes}".rstrip(), "", row.help]))
        if word.startswith("-"):
            raise UsageError(unknown(word, ["--help"]))
    if len(words) > most:
        raise UsageError(unknown(words[most], []))
    return list(words)


def _say(lines: Sequence[str]) -> int:
    """Print lines at once (a program that starts us may wait for them in a pipe); the exit code of success."""
    print("\n".join(lines), flush=True)
    return 0


def _fail(sentence: str, code: int) -> int:
    """One sentence on stderr; returns the exit code."""
    stop = "" if sentence.endswith("?") else "."
    print(f"trackd: {sentence}{stop}", file=sys.stderr, flush=True)
    return code


COMMANDS: Tuple[Command, ...] = (
    Command("server", server, "[options]", "Serve MLflow's REST API and keep everything in ./mlruns."),
    Command("ui", server, "[options]", "The same as server."),
    Command("routes", routes, "", "Print every route: method, path, what it does."),
    Command("check", check, "[PATH or URI]", "Read a store (./mlruns, sqlite:///my.db) and report every problem."),
    Command("gc", gc, "[options]", "Remove deleted runs, models and experiments for good, with their artifacts."),
    Command("copy", copy, "FROM TO [options]", "Copy everything between folders, databases and running servers."),
    Command("sync", sync, "DIR [URI] [options]", "Send what was logged without a network: a spool or MLflow's folder."),
    Command("watch", watch, "DIR [URI] [options]", "Keep sending: sync, every few seconds, until Ctrl-C."),
    Command("bundle", bundle, "[trackd.pyz]", "Write the whole program as one file that any Python 3.9+ runs."),
)
