"""Which columns have drifted in which partition, as a map of columns by partitions. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evergreen.core.ledger.views.lines import CheckLine
from evergreen.core.names import PartitionKey
from evergreen.loop.monitoring.drift.wording import MAJOR

ROWS = 20
"""Columns shown; those that never drifted come last"""
STRONG = 2 * MAJOR
"""Effect (in standard deviations of an equally visible shift) from which a cell is dark; from `MAJOR` on, medium"""
PREDICTIONS = "predictions"


@dataclass(frozen=True)
class Cell:
    """One column in one partition."""

    level: int
    """0 not drifted, 1 to 3 drifted by a small to a large effect, -1 not checked"""
    said: str


@dataclass(frozen=True)
class HeatMap:
    """Rows of cells; the columns of the map are the partitions `keys`."""

    keys: tuple[PartitionKey, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    quiet: int
    """Columns that are left out; none of them drifted more than those that are shown"""


def heat_map(keys: Sequence[PartitionKey], checks: Mapping[PartitionKey, CheckLine]) -> HeatMap | None:
    """The map over the partitions `keys`; None if none of them was checked."""
    known = [checks[key] for key in keys if key in checks]
    if not known:
        return None
    counts: dict[str, float] = {name: 0.0 for check in known for name in check.watched}
    for check in known:
        for moved in check.moved:
            counts[moved.name] = counts.get(moved.name, 0.0) + 1 + min(moved.effect or 0.0, 10.0) / 100
    ranked = sorted(counts, key=lambda name: (-counts[name], name))
    rows = [(PREDICTIONS, tuple(_of_predictions(key, checks.get(key)) for key in keys))]
    rows += [(name, tuple(_cell(name, key, checks.get(key)) for key in keys)) for name in ranked[:ROWS]]
    return HeatMap(tuple(keys), tuple(rows), max(0, len(ranked) - ROWS))


def _of_predictions(key: PartitionKey, check: CheckLine | None) -> Cell:
    if check is None:
        return Cell(-1, f"{key}: not checked")
    moved = bool(check.predictions_drifted)
    return Cell(2 if moved else 0, f"{key}: predictions {'have drifted' if moved else 'have not drifted'}")


def _cell(name: str, key: PartitionKey, check: CheckLine | None) -> Cell:
    if check is None:
        return Cell(-1, f"{key}: not checked")
    found = next((moved for moved in check.moved if moved.name == name), None)
    if found is None:
        return Cell(0, f"{key}: {name} has not drifted")
    effect = abs(found.effect or 0.0)
    level = 3 if effect >= STRONG else 2 if effect >= MAJOR else 1
    return Cell(level, f"{key}: {found.said or f'{name} has drifted'}")
