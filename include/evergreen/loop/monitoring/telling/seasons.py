"""Which shifts are steps that the feed has never made before? Learned from its own past; everything else is a season.

A shift is compared with the partitions before in five ways: how far the quantiles lie from theirs, how many values lie
where none of theirs lay, how much the spread differs, how much of it is one value, and how many values are missing (of
categories: the distance of the shares). Each is measured to the *nearest* partition of the past, so that a trend counts
by its pace and a season that returns counts as nothing. It is a step if it is `BEYOND` times as large as any step of
that past, and large in itself. The past is measured as it was met, each partition by its distance to *earlier* ones:
the first of a level that then stayed was a step. The unit that changes, the join that is lost, the sensor that hangs
and the values that are no longer filled in are such steps; they show in one column or in a few. If most columns step
at once, the world has changed, or the population.

Pure: shapes in, names out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evergreen.core.text import percent
from evergreen.loop.monitoring.telling.shapes import LEVELS, Shape, Shapes, columns_of

Facet = Literal["missing", "constant", "spread", "shift", "outside", "shares"]
Floats = NDArray[np.float64]

BEYOND = 2.0
"""Times the largest step of the past that a step must be"""
FLOORS: dict[Facet, float] = {
    "missing": 0.4,
    "constant": 2.0,
    "spread": 1.2,
    "shift": 1.0,
    "outside": 1.25,
    "shares": 0.5,
}
"""Least size of a step: Cohen's h of shares and nulls, log ratios of spreads and of the share beside the most frequent
value, typical standard deviations of a partition for quantiles; 1.25 is the h of a third of the values"""
PLAIN: tuple[Facet, ...] = ("missing", "constant", "spread")
"""Steps that are told even if the tests against the reference, which may be as broken, find nothing"""
FEWEST = 4
"""Partitions of the past without which no step can be told from a season"""
MOST_COLUMNS = 1 / 3
"""Share of the columns that may step at once for it to look like a fault; missing values may be in any number"""
NORMAL = 2.56
"""Standard deviations between one tenth and nine tenths of a normal sample"""
_INNER = slice(1, -1)
_SLACK = 0.02
"""Part of the typical spread that is added to spreads before their logarithm: none has a logarithm of zero"""


@dataclass(frozen=True)
class Step:
    """A column that differs from its past as nothing in that past did."""

    name: str
    facet: Facet
    size: float
    """Distance to the nearest partition of the past"""
    largest: float
    """The largest such distance within the past"""
    said: str
    """What it looks like, in words"""


def steps(
    now: Shapes, past: Sequence[Shapes], *, worth: Mapping[str, float] | None = None, among: Sequence[str] | None = None
) -> tuple[Step, ...]:
    """The columns of `now` that have made a step beyond all of `past`, the largest first; those that look like a fault.

    Args:
        now: shapes of the partition.
        past: shapes of partitions before it, oldest first.
        worth: by column, how many times fewer rows it is worth because rows of one day resemble each other.
        among: columns that have drifted; of others only the `PLAIN` steps are named. By default all are.
    """
    found = [step for name, shape in now.items() if (step := _step(name, shape, past, (worth or {}).get(name, 1.0)))]
    lost = {step.name for step in found if step.facet == "missing"}
    stepped = [step for step in found if step.name not in lost]
    if len(stepped) > max(1, MOST_COLUMNS * len(now)):
        found = [step for step in found if step.name in lost]
    named = [step for step in found if among is None or step.name in among or step.facet in PLAIN]
    return tuple(sorted(named, key=lambda step: (-step.size / FLOORS[step.facet], step.name)))


def _step(name: str, now: Shape, past: Sequence[Shapes], worth: float) -> Step | None:
    """The facet by which the column steps most, or None."""
    before = columns_of(past, name)
    if len(before) < FEWEST:
        return None
    found = []
    for facet, (size, largest) in _facets(now, before, worth).items():
        if size >= FLOORS[facet] and size > BEYOND * largest:
            found.append(Step(name, facet, size, largest, _said(facet, now, before[-1])))
    return max(found, key=lambda step: step.size / FLOORS[step.facet], default=None)


def _facets(now: Shape, before: Sequence[Shape], worth: float) -> dict[Facet, tuple[float, float]]:
    """By facet: how far `now` is from the nearest of `before`, and how far one of these is at most from earlier ones.

    Of the share beside the most frequent value only a fall counts: what hangs varies less than before. Partitions
    without any value say nothing but that. Of a column that has had one value within each partition (the month, a
    flag for holidays) nothing says how it varies, so only missing values count.
    """
    missing = 2 * np.arcsin(np.sqrt(np.array([shape.missing for shape in (*before, now)])))
    found: dict[Facet, tuple[float, float]] = {"missing": _sizes(_apart(missing))}
    shapes = [*(shape for shape in before if shape.missing < 1.0), now]
    if now.missing >= 1.0 or len(shapes) <= FEWEST:
        return found
    if all(shape.top == 1.0 for shape in shapes[:-1]):
        return found
    left = np.log(np.array([1 - shape.top + 0.5 * worth / max(shape.rows, 1) for shape in shapes]))
    found["constant"] = _sizes(np.maximum(0.0, left[None, :] - left[:, None]))
    if all(shape.quantiles for shape in shapes):
        return found | _of_quantiles(np.array([shape.quantiles for shape in shapes]))
    if all(shape.shares for shape in shapes):
        found["shares"] = _sizes(_of_shares(shapes))
    return found


def _sizes(distances: Floats) -> tuple[float, float]:
    """Of the last row to the nearest other one, and the largest distance of one of these to the nearest before it."""
    nearest = [float(distances[n, :n].min()) for n in range(1, len(distances))]
    return nearest[-1], max(nearest[:-1])


def _of_quantiles(quantiles: Floats) -> dict[Facet, tuple[float, float]]:
    """Of the inner quantiles, of the share of values outside of all others' range, and of the spreads.

    A column that nearly always has one value (a rain gauge) has no spread to measure by: only its median counts, or the
    first rain would be a step.

    Args:
        quantiles: at `LEVELS`, of the past and, last, of now.
    """
    low, middle, high = (LEVELS.index(level) for level in (0.1, 0.5, 0.9))
    spreads = quantiles[:, high] - quantiles[:, low]
    typical = float(np.median(spreads[:-1]))
    if typical > 0:
        inner = quantiles[:, _INNER]
        shift = np.abs(inner[:, None, :] - inner[None, :, :]).mean(axis=2) / (typical / NORMAL)
        spread = _apart(np.log(spreads + _SLACK * typical))
        return {"shift": _sizes(shift), "spread": _sizes(spread), "outside": _outside(quantiles)}
    medians = quantiles[:, middle]
    unit = max(float(np.ptp(medians[:-1])), float(np.abs(medians[:-1]).max())) or 1.0
    return {"shift": _sizes(_apart(medians) / unit)}


def _outside(quantiles: Floats) -> tuple[float, float]:
    """Cohen's h of the share of values that lie outside of what all others had: of the last, and of those before it."""

    def share(at: int, others: Floats) -> float:
        own = quantiles[at]
        below, above = np.interp([others[:, 0].min(), others[:, -1].max()], own, LEVELS, left=0.0, right=1.0)
        return float(2 * np.arcsin(np.sqrt(np.clip(below + 1 - above, 0.0, 1.0))))

    past = quantiles[:-1]
    return share(-1, past), max(share(n, past[:n]) for n in range(1, len(past)))


def _of_shares(shapes: Sequence[Shape]) -> Floats:
    """Twice the angle between the roots of the shares: Cohen's h, if there are two categories."""
    names = sorted({name for shape in shapes for name in shape.shares})
    roots = np.sqrt(np.array([[shape.shares.get(name, 0.0) for name in names] for shape in shapes]))
    return np.asarray(2 * np.arccos(np.clip(roots @ roots.T, -1.0, 1.0)))


def _apart(values: Floats) -> Floats:
    return np.asarray(np.abs(values[:, None] - values[None, :]))


def _said(facet: Facet, now: Shape, before: Shape) -> str:
    if facet == "missing":
        return f"missing in {percent(now.missing)} of rows, {percent(before.missing)} the time before"
    if facet == "constant":
        return f"{percent(now.top)} of its values are the same one"
    if facet == "spread":
        return "its values are spread as never before"
    if facet == "shares":
        return "its categories are shared out as never before"
    if facet == "outside":
        return "many of its values lie where none lay before"
    return "its values have moved further than ever before"
