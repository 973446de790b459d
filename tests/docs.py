"""The pages of ``docs/`` that are made from tables: ``python3 -m tests.docs`` writes, ``test_docs.py`` compares."""

import sys
from pathlib import Path
from typing import Callable, Dict, List

from trackd.app import routes as all_routes
from trackd.cli import COMMANDS
from trackd.config import NOTED, REFUSED, SETTINGS, VARIABLES, Setting

DOCS = Path(__file__).resolve().parent.parent / "docs"

_MADE = "<!-- Made by `python3 -m tests.docs` from {source}; a test compares. Change it there. -->"


def settings() -> str:
    """Every flag and variable, by group, with what it is here."""
    lines = [
        "# Settings",
        "",
        _MADE.format(source="`SETTINGS` and `VARIABLES` in `trackd/config.py`"),
        "",
        "A flag beats its environment variable, the variable beats the default; an empty variable counts as unset.",
        "Every flag and variable of `mlflow server` is known, so that a working command line keeps working. Those",
        "marked *no effect* are about MLflow's worker processes: they are accepted, with a note. Those marked",
        "*not yet* are refused with a sentence unless they ask for the default.",
    ]
    group = ""
    for row in SETTINGS:
        if row.group != group:
            group = row.group
            lines += ["", f"## {group}", "", "| flag | variable | default | |", "|---|---|---|---|"]
        lines.append(_setting(row))
    lines += ["", "## Variables without a flag", "", "| variable | default | |", "|---|---|---|"]
    for variable in VARIABLES:
        default = f"`{variable.default}`" if variable.default else ""
        lines.append(f"| `{variable.name}` | {default} | {_cell(variable.help)} |")
    return "\n".join(lines) + "\n"


def _setting(row: Setting) -> str:
    """One row of the table."""
    value = f" {row.metavar}" if row.metavar else ""
    flags = ", ".join(f"`{flag}{value if flag == row.flags[0] else ''}`" for flag in row.flags + row.off)
    state = {NOTED: "*No effect:* ", REFUSED: "*Not yet:* "}.get(row.state, "")
    variable = f"`{row.environment}`" if row.environment else ""
    default = f"`{row.shown_default}`" if row.shown_default else ""
    return f"| {flags} | {variable} | {default} | {state}{_cell(row.help)} |"


def commands() -> str:
    """Every command with what it takes."""
    lines = [
        "# Commands",
        "",
        _MADE.format(source="`COMMANDS` in `trackd/cli.py`"),
        "",
        "`python3 -m trackd COMMAND`, or `trackd COMMAND` where trackd is installed. Without a command it is `server`.",
        "The exit code is 0 if it was done, 1 if something was in the way or wrong with the store, 2 for a mistake on",
        "the command line.",
        "",
        "| command | |",
        "|---|---|",
    ]
    for command in COMMANDS:
        lines.append(f"| `{' '.join(filter(None, ('trackd', command.name, command.takes)))}` | {_cell(command.help)} |")
    lines += [
        "| `trackd --version` | Print the versions of trackd, MLflow's API, Python and SQLite; is boto3 there? |",
        "| `trackd --help`, `trackd COMMAND --help` | Print what there is. |",
        "",
        "`server` stops cleanly on SIGTERM and SIGINT (Ctrl-C): it takes no new connections, finishes what is in",
        "flight for at most 10 seconds and closes the store. A second signal ends it at once; what was acknowledged",
        "is kept even then. [Settings](settings.md) has all its options.",
    ]
    return "\n".join(lines) + "\n"


def routes() -> str:
    """Every route with its description."""
    lines = [
        "# Routes",
        "",
        _MADE.format(source="the decorators in `trackd/api/`"),
        "",
        "What `trackd routes` prints. Each path below `/api/` is there a second time below `/ajax-api/`; with",
        "`--static-prefix` all of them stand behind the prefix. Arguments, replies and errors are those of MLflow's",
        "REST API. What is not listed is answered 404, so that clients fall back.",
        "",
        "| method | path | |",
        "|---|---|---|",
    ]
    for route in all_routes():
        lines.append(f"| {route.method} | `{route.path}` | {_cell(route.description)} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """Text for a table: one line, no bar that would end the cell, code as Markdown has it."""
    return " ".join(text.split()).replace("|", "\\|").replace("``", "`")


PAGES: Dict[str, Callable[[], str]] = {"settings.md": settings, "commands.md": commands, "routes.md": routes}


def main() -> int:
    """Write the pages that have changed, and name them."""
    DOCS.mkdir(exist_ok=True)
    changed: List[str] = []
    for name, page in PAGES.items():
        path = DOCS / name
        if not path.exists() or path.read_bytes() != page().encode("utf-8"):
            path.write_bytes(page().encode("utf-8"))
            changed.append(name)
    print("changed: " + (", ".join(changed) or "nothing"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
