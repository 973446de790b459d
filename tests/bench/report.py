"""The table: figures side by side with their budgets and ratios, as text, Markdown and JSON."""

import json
import os
import platform
import sys
from typing import Any, Dict, List, Optional, Sequence

from tests.bench.runner import Ceiling, Column
from tests.bench.workloads import LESS, MORE, Measure, Workload

#: In place of a figure: not measured, and tried in vain.
NOTHING, FAILURE = "-", "failed"
#: A load average up to here is taken for a machine with nothing else to do.
QUIET = 0.5


def figure(value: Optional[float], unit: str) -> str:
    """A number with three digits that mean something, and its unit."""
    if value is None:
        return NOTHING
    size = abs(value)
    if size >= 1000:
        # Three digits here too: the rest is noise.
        step = 10 ** (len(str(int(size))) - 3)
        text = f"{int(round(value / step) * step):,}"
    elif size >= 100:
        text = f"{value:.0f}"
    elif size >= 10:
        text = f"{value:.1f}"
    elif size >= 1:
        text = f"{value:.2f}"
    else:
        text = f"{value:.3f}"
    return text + unit if unit.startswith("/") else f"{text} {unit}"


def value_of(column: Column, row: Workload) -> Optional[Measure]:
    """A server's figure for a row: its own, or that of the row's twin where it has no choice of ``--sync``."""
    found = column.measures.get(row.name)
    if found is None and row.twin and not column.server.sync_modes:
        return column.measures.get(row.twin)
    return found


def cell(column: Column, row: Workload) -> str:
    """What stands in the table for a server and a row."""
    found = value_of(column, row)
    if found is None:
        return FAILURE if row.name in column.failures else NOTHING
    return figure(found.value, row.unit)


def ratio(columns: Sequence[Column], row: Workload) -> Optional[float]:
    """How many times better trackd is than the best peer; below 1 it is worse."""
    own = [value_of(column, row) for column in columns if column.server.name == "trackd"]
    peers = [value_of(column, row) for column in columns if column.server.is_peer]
    values = [peer.value for peer in peers if peer is not None]
    if not own or own[0] is None or not values or not own[0].value:
        return None
    if row.better == MORE:
        return own[0].value / max(values)
    return min(values) / own[0].value


def verdict(columns: Sequence[Column], row: Workload) -> str:
    """Whether trackd keeps its budget: ``ok``, ``over``, or nothing if that cannot be said."""
    for column in columns:
        found = value_of(column, row)
        if column.server.name == "trackd" and found is not None and row.budget is not None:
            kept = found.value <= row.budget if row.better == LESS else found.value >= row.budget
            return "ok" if kept else "over"
    return ""


def cells(columns: Sequence[Column], rows: Sequence[Workload]) -> List[List[str]]:
    """The whole table, head first; rows that nobody has a figure or a failure for are left out."""
    head = ["workload", "budget", "", *(column.server.label for column in columns), "trackd : best peer"]
    table = [head]
    for row in rows:
        figures = [cell(column, row) for column in columns]
        if all(text == NOTHING for text in figures):
            continue
        factor = ratio(columns, row)
        table.append(
            [
                row.title,
                figure(row.budget, row.unit) if row.budget is not None else "",
                verdict(columns, row),
                *figures,
                f"{factor:.3g}x" if factor is not None else "",
            ]
        )
    return table


def cpu_cells(columns: Sequence[Column], rows: Sequence[Workload]) -> List[List[str]]:
    """A second table: the servers' processor time a request, which other work on the machine moves least."""
    table = [["server processor time a request", *(column.server.label for column in columns)]]
    for row in rows:
        found = [value_of(column, row) for column in columns]
        if any(one is not None and one.cpu for one in found):
            table.append([row.title, *(figure(one.cpu if one else None, "us") for one in found)])
    return table


def as_text(table: Sequence[Sequence[str]]) -> str:
    """The table for a terminal: names to the left, figures to the right."""
    widths = [max(len(line[at]) for line in table) for at in range(len(table[0]))]
    lines = []
    for line in table:
        aligned = [line[0].ljust(widths[0])] + [text.rjust(width) for text, width in zip(line[1:], widths[1:])]
        lines.append("  ".join(aligned).rstrip())
    lines.insert(1, "-" * max(len(line) for line in lines))
    return "\n".join(lines)


def as_markdown(table: Sequence[Sequence[str]]) -> str:
    """The table for the README."""
    lines = ["| " + " | ".join(line) + " |" for line in table]
    lines.insert(1, "|---|" + "---:|" * (len(table[0]) - 1))
    return "\n".join(lines)


def notes(
    columns: Sequence[Column], ceiling: Optional[Ceiling], busy: float = 0.0, empty: Optional[float] = None
) -> List[str]:
    """What stands under the table. ``busy`` is the load average before the first measurement, ``empty`` how many
    seconds a Python takes that does nothing."""
    lines = [f"{platform.platform(terse=True)}, {os.cpu_count()} processors, Python {platform.python_version()}."]
    if busy > QUIET:
        lines.append(f"The machine had other work: load average {busy:.1f} before the start. Figures are too low.")
    if empty is not None:
        lines.append(f"Of a start, python3 -c pass takes {figure(empty, 's')}.")
    if ceiling is not None:
        lines.append(
            f"The load generator needs {ceiling.microseconds:.0f} us of processor time a request; over 20 connections "
            f"the floor answers it {ceiling.floor_rate:,.0f}/s on the same processors."
        )
    if any(column.server.is_peer and column.measures for column in columns):
        lines.append(
            "Above 1x trackd is better. The peers keep SQLite databases, trackd a folder; they have no --sync, "
            "so both rows show the same figure."
        )
    for column in columns:
        if column.missing:
            lines.append(f"{column.server.label}: missing: {column.missing}")
        for why in dict.fromkeys(column.failures.values()):
            names = ", ".join(name for name, other in column.failures.items() if other == why)
            lines.append(f"{column.server.label}: {names}: {why}")
        lines.extend(f"{column.server.label}: {name}: {one.note}" for name, one in column.measures.items() if one.note)
    return lines


def as_json(columns: Sequence[Column], rows: Sequence[Workload], ceiling: Optional[Ceiling]) -> str:
    """Everything measured, all rounds included."""
    found: Dict[str, Any] = {
        "machine": platform.platform(),
        "processors": os.cpu_count(),
        "python": sys.version.split()[0],
        "load_generator": ceiling._asdict() if ceiling else None,
        "workloads": [
            {
                "name": row.name,
                "title": row.title,
                "unit": row.unit,
                "better": row.better,
                "budget": row.budget,
                "ratio": ratio(columns, row),
                "servers": {
                    column.server.name: column.measures[row.name]._asdict()
                    for column in columns
                    if row.name in column.measures
                },
            }
            for row in rows
        ],
        "failures": {column.server.name: column.failures for column in columns if column.failures},
        "missing": {column.server.name: column.missing for column in columns if column.missing},
    }
    return json.dumps(found, indent=2) + "\n"
