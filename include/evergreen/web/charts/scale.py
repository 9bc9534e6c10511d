"""From values to places on a chart. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Scale:
    """A straight line from values to places."""

    low: float
    high: float
    start: float
    """Place of `low`"""
    end: float
    """Place of `high`"""

    def place(self, value: float) -> float:
        """Where `value` is drawn, to a tenth of a pixel; what lies outside is drawn at the edge."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)


def around(values: Iterable[float], *, start: float, end: float) -> Scale:
    """A scale that holds all `values` with some room; never below zero if none of them is."""
    known = [value for value in values if math.isfinite(value)]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    room = 0.1 * (high - low) or 0.1 * abs(high) or 0.5
    bottom = max(0.0, low - room) if low >= 0 else low - room
    return Scale(bottom, high + room, start, end)


def ticks(low: float, high: float, wanted: int = 4) -> list[float]:
    """Round numbers between `low` and `high`, about as many as `wanted`.

    >>> ticks(0.13, 0.27)
    [0.15, 0.2, 0.25]
    """
    if not high > low:
        return [low]
    rough = (high - low) / wanted
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * one for one in STEPS if unit * one >= rough * (1 - 1e-9))
    digits = max(0, 2 - math.floor(math.log10(step)))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, digits) for number in range(first, last + 1)]


def spread_labels(count: int, most: int) -> list[int]:
    """Positions to label: at most `most`, evenly spread, the last one among them."""
    if count <= 0:
        return []
    step = max(1, -(-count // most))
    return list(range((count - 1) % step, count, step))


def runs(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    """The stretches without a gap, as (position, value): a line is not drawn over what is not known."""
    found: list[list[tuple[int, float]]] = []
    open_run: list[tuple[int, float]] = []
    for position, value in enumerate(values):
        if value is None or not math.isfinite(value):
            open_run = []
            continue
        if not open_run:
            found.append(open_run)
        open_run.append((position, value))
    return found
