"""Tables and lists of facts on a terminal, whatever its width."""

from __future__ import annotations

import datetime as dt
from typing import Any

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from evergreen.cli.shared import console
from evergreen.core.text import plain

WHY = "why"
ROOMY = 120
"""Columns of a terminal on which a reason fits beside its row."""
LONGEST = 10_000
"""Characters of a cell"""
FEW = 4
"""Rows that stand beside each other where their table is too wide for the screen"""


def minute(moment: dt.datetime) -> str:
    """An instant in UTC, to the minute."""
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M")


def print_table(title: str, heads: list[str], rows: list[tuple[Any, ...]]) -> None:
    """A table, or nothing where it has no rows. Cells are text, never markup.

    A reason would be a narrow column of single words on a narrow screen: there it gets lines of its own below its row.
    """
    if not rows:
        return
    cells = [["" if c is None else f"{c:,}" if isinstance(c, int) else _shown(c) for c in row] for row in rows]
    console().print()
    if heads[-1] == WHY and console().width < ROOMY:
        _print_with_reasons_below(title, heads, cells)
        return
    if _width(heads, cells) > console().width and len(cells) <= FEW:
        # Cut heads and values say nothing: the columns become lines.
        heads, *cells = (list(column) for column in zip(heads, *cells, strict=True))
    table = Table(*heads, title=Text(title, "bold"), title_justify="left", box=None, pad_edge=False, header_style="dim")
    for row in cells:
        table.add_row(*(Text(cell, overflow="fold") for cell in row))
    console().print(table)


def _shown(value: object) -> str:
    """On one line, and nothing that moves a terminal's cursor: reasons are what somebody typed, or data."""
    return plain(" ".join(str(value).split()), LONGEST)


def _width(heads: list[str], cells: list[list[str]]) -> int:
    return sum(max(map(len, column)) + 2 for column in zip(heads, *cells, strict=True)) - 2


def _print_with_reasons_below(title: str, heads: list[str], cells: list[list[str]]) -> None:
    widths = [max(len(row[i]) for row in [heads, *cells]) for i in range(len(heads) - 1)]

    def line(row: list[str], style: str) -> Text:
        return Text("  ".join(c.ljust(width) for c, width in zip(row[:-1], widths, strict=True)).rstrip(), style)

    console().print(Text(title, "bold"))
    console().print(line(heads, "dim"))
    for row in cells:
        console().print(line(row, ""))
        console().print(Padding(Text(row[-1], "dim"), (0, 0, 0, 4)))


def print_facts(facts: list[tuple[str, Any]]) -> None:
    """Names and values, one a line, without those that have none."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, value in facts:
        if value:
            table.add_row(Text(name, "dim"), Text(_shown(value)))
    console().print(table)
