"""From a command line and an environment to a ``Config``, by the rows of ``config.SETTINGS``."""

import os
import re
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from trackd.config import LONGEST_TIMEOUT, NOTED, REFUSED, SETTINGS, Config, Setting, local_path, whole


class UsageError(Exception):
    """The command line or the environment asks for something wrong or not built; the text is for the user."""


def help_text(prog: str, description: str) -> str:
    """What ``--help`` prints: every row by group, laid out by argparse.

    argparse does no more than that: it takes a value that begins with a dash (``--gunicorn-opts "--timeout 60"``) for a
    flag, where MLflow's command line takes it for the value, and costs a start more than ``split`` does.
    """
    import argparse

    made = argparse.ArgumentParser(prog=prog, description=description, usage=f"{prog} [options]", add_help=False)
    groups: Dict[str, Any] = {}
    for row in SETTINGS:
        group = groups.get(row.group)
        if group is None:
            group = groups[row.group] = made.add_argument_group(row.group)
        if row.metavar:
            group.add_argument(*row.flags, dest=row.name, metavar=row.metavar, help=help_line(row))
        else:
            group.add_argument(*row.flags, dest=row.name, action="store_true", help=help_line(row))
        if row.off:
            group.add_argument(*row.off, dest=row.name, action="store_false", help="The opposite of " + row.flags[0])
    return made.format_help().rstrip()


def help_line(row: Setting) -> str:
    """A row's help with default, variable and state, escaped for argparse."""
    line = row.help
    if row.metavar and row.shown_default:
        line += f" Default: {row.shown_default}."
    if row.environment:
        line += f" [{row.environment}]"
    if row.state == NOTED:
        line += " Accepted without effect."
    elif row.state == REFUSED:
        line += " Not built yet."
    return line.replace("%", "%%")


def read(arguments: Sequence[str], environment: Mapping[str, str]) -> Config:
    """The settings that a command line and an environment ask for; UsageError with one clear sentence if it cannot be.

    ``Config.notes`` says what was accepted without effect, and what is dangerous.
    """
    given = split(arguments)
    values: Dict[str, Any] = {}
    sources: Dict[str, str] = {}
    for row in SETTINGS:
        # An empty variable counts as unset (MLflow's command line does the same); an empty flag is taken at its word.
        if row.name in given:
            sources[row.name], value = given[row.name]
        elif row.environment and environment.get(row.environment):
            sources[row.name], value = row.environment, environment[row.environment]
        else:
            continue
        try:
            values[row.name] = row.parse(value)
        except ValueError as error:
            raise UsageError(f"{sources[row.name]}: {value!r} {error}") from None
    _refuse(values, sources)
    if "gunicorn_opts" in values and "read_timeout" not in values:
        values["read_timeout"] = gunicorn_timeout(values["gunicorn_opts"], sources["gunicorn_opts"])
    config = Config(**values)
    config.notes = _notes(values, sources) + _exposed(config)
    return config


def _exposed(config: Config) -> List[str]:
    """A note if clients may write where the runs themselves are kept: what they send as artifacts has any name."""
    store, artifacts = local_path(config.backend_store_uri), local_path(config.artifacts_destination)
    if store is None or artifacts is None or not config.serve_artifacts:
        return []
    above = os.path.join(os.path.realpath(artifacts), "")
    if not os.path.join(os.path.realpath(store), "").startswith(above):
        return []
    return [
        f"clients can write over the runs in {store}: it lies in the folder that they send artifacts to, {artifacts}; "
        "keep one beside the other (--artifacts-destination)"
    ]


def _refuse(values: Mapping[str, Any], sources: Mapping[str, str]) -> None:
    """Raise UsageError for the first setting that asks for something not built yet."""
    for row in SETTINGS:
        if row.state != REFUSED or row.name not in values or values[row.name] in (row.default, ""):
            continue
        raise UsageError(f"{sources[row.name]} asks for {row.remark}, which trackd does not have yet; leave it out")


def _notes(values: Mapping[str, Any], sources: Mapping[str, str]) -> List[str]:
    """One sentence for each setting that was given and has no effect."""
    notes = []
    for row in SETTINGS:
        if row.state != NOTED or row.name not in values or values[row.name] == row.default:
            continue
        if row.name == "gunicorn_opts":
            timeout = gunicorn_timeout(values[row.name], sources[row.name])
            if timeout is not None:
                notes.append(f"{sources[row.name]}: only --timeout has an effect (read timeout {timeout} s)")
                continue
        notes.append(f"{sources[row.name]} has no effect: {row.remark}")
    return notes


def gunicorn_timeout(options: str, source: str = "--gunicorn-opts") -> Optional[int]:
    """The seconds of ``--timeout=N``, ``--timeout N``, ``-t N`` or ``-tN`` in gunicorn's options; the last one counts.

    ``None`` if there is none. ``source`` is what an error names.
    """
    import shlex  # few give these options

    try:
        parts = shlex.split(options)
    except ValueError as error:
        raise UsageError(f"{source}: {options!r} cannot be split into options ({error})") from None
    found: Optional[str] = None
    for place, part in enumerate(parts):
        if part in ("--timeout", "-t"):
            found = parts[place + 1] if place + 1 < len(parts) else ""
        elif part.startswith("--timeout="):
            found = part[len("--timeout="):]
        elif re.fullmatch(r"-t=?[0-9].*", part):
            found = part[2:].lstrip("=")
    if found is None:
        return None
    try:
        return whole(0, LONGEST_TIMEOUT)(found)
    except ValueError as error:
        raise UsageError(f"{source}: the timeout {found!r} {error}") from None


def split(arguments: Sequence[str]) -> Dict[str, Tuple[str, str]]:
    """A command line as ``{setting: (flag, value)}``, ``true`` or ``false`` for booleans; the last of equals counts.

    Takes ``--flag value``, ``--flag=value``, ``-f value`` and ``-fvalue``. ``-h`` is the host, as in MLflow.
    """
    rows = {flag: row for row in SETTINGS for flag in row.flags + row.off}
    given: Dict[str, Tuple[str, str]] = {}
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        flag, attached, value = word.partition("=") if word.startswith("--") else (word[:2], word[2:], word[2:])
        row = rows.get(flag)
        if row is None:
            raise UsageError(unknown(word, list(rows)))
        if not row.metavar:
            if attached:
                raise UsageError(f"{flag} takes no value")
            value = "false" if flag in row.off else "true"
        elif not attached:
            if not rest:
                raise UsageError(f"{flag} needs a value: {flag} {row.metavar}")
            value = rest.pop(0)
        given[row.name] = (flag, value)
    return given


class Flag(NamedTuple):
    """A flag of a command that is not ``server``. Without ``metavar`` it takes no value."""

    name: str
    metavar: str
    help: str


def flags(words: Sequence[str], known: Sequence[Flag], positional: int = 0) -> Tuple[Dict[str, str], List[str]]:
    """The values of a command's flags (``"true"`` for one without value), and what stands beside them.

    Takes ``--flag value`` and ``--flag=value``; the last of equals counts. UsageError for anything else.
    """
    rows = {flag.name: flag for flag in known}
    given: Dict[str, str] = {}
    beside: List[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            beside.append(word)
            continue
        name, attached, value = word.partition("=")
        flag = rows.get(name)
        if flag is None:
            raise UsageError(unknown(word, list(rows)))
        if not flag.metavar:
            if attached:
                raise UsageError(f"{name} takes no value")
            value = "true"
        elif not attached:
            if not rest:
                raise UsageError(f"{name} needs a value: {name} {flag.metavar}")
            value = rest.pop(0)
        given[name] = value
    if len(beside) > positional:
        raise UsageError(unknown(beside[positional], []))
    return given, beside


def flags_help(usage: str, what: str, known: Sequence[Flag]) -> List[str]:
    """What ``--help`` of such a command prints."""
    lines = [f"usage: {usage}", "", what, ""]
    width = max(len(f"{flag.name} {flag.metavar}") for flag in known)
    return lines + [f"  {flag.name + ' ' + flag.metavar:{width}}  {flag.help}".rstrip() for flag in known]


def unknown(word: str, known: Sequence[str]) -> str:
    """A sentence that says which word is unknown and names the nearest known one."""
    from difflib import get_close_matches  # needed for mistakes only; start-up should not pay for it

    kind = "flag" if word.startswith("-") else "argument"
    near = get_close_matches(word.split("=")[0], known, n=1, cutoff=0.6)
    return f"unknown {kind} {word.split('=')[0]!r}" + (f"; did you mean {near[0]}?" if near else "")
