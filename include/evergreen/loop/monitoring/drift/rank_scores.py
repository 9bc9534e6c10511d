"""What is left of a column once its own distribution is taken away: its scores within its sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Aspect = Literal["rank", "distance", "category", "missing"]
MOST_CATEGORIES = 8
"""Categories of a column that get an indicator: the most frequent ones of both samples."""
SMALLEST_COUNT = 25
"""Rows with and rows without that an indicator needs in each sample, and rows off a column of numbers' most frequent
value: with fewer, correlations are far from normal."""
FEWEST_DISTINCT = 0.05
"""Share of its variance that the squared rank must keep beside the rank itself: a column of two values has none."""


@dataclass(frozen=True)
class Column:
    """One column of both samples: float64, or text if it is categorical; nulls kept."""

    name: str
    categorical: bool
    reference: pd.Series[Any]
    current: pd.Series[Any]


@dataclass(frozen=True)
class Part:
    """What a score says about a column: its rank, its distance from the middle, one category, or being missing."""

    column: str
    aspect: Aspect
    category: str | None = None


@dataclass(frozen=True)
class Scores:
    """Scores of one sample, rows x k: mean 0 and variance 1 over the rows where they are known (1, else 0)."""

    values: Floats
    known: Floats


_Score = tuple[Part, tuple[Floats, Floats], tuple[Bools, Bools]]


def scores(columns: Sequence[Column]) -> tuple[list[Part], Scores, Scores]:
    """Scores of the reference and of the current rows, with what each is of.

    A column of numbers gives its normalised mid-ranks and their square beyond it, a column of categories an indicator
    for each frequent one, and a column with nulls an indicator of them. What varies too little in a sample is left out.
    """
    found: list[_Score] = []
    for column in columns:
        known = (column.reference.notna().to_numpy(), column.current.notna().to_numpy())
        found += (_of_categories if column.categorical else _of_numbers)(column, known)
        always = (np.ones(len(known[0]), np.bool_), np.ones(len(known[1]), np.bool_))
        found += _indicator(Part(column.name, "missing"), (~known[0], ~known[1]), always)
    if not found:
        nothing = Scores(np.zeros((0, 0)), np.zeros((0, 0)))
        return [], nothing, nothing
    samples = [
        Scores(
            np.column_stack([values[s] for _, values, _ in found]),
            np.column_stack([known[s] for _, _, known in found]).astype(np.float64),
        )
        for s in (0, 1)
    ]
    return [part for part, _, _ in found], samples[0], samples[1]


def _of_numbers(column: Column, known: tuple[Bools, Bools]) -> list[_Score]:
    ranks, squares = [], []
    for series, k in zip((column.reference, column.current), known, strict=True):
        rank, square = np.zeros(len(k)), np.zeros(len(k))
        values = series.to_numpy(np.float64)[k]
        if len(values) - _ties(values) < SMALLEST_COUNT:
            return []
        rank[k] = _standard(rankdata(values))
        bent = rank[k] ** 2 - 1
        bent -= (bent * rank[k]).mean() * rank[k]
        square[k] = _standard(bent) if bent.var() > FEWEST_DISTINCT else 0.0
        ranks.append(rank)
        squares.append(square)
    found: list[_Score] = [(Part(column.name, "rank"), (ranks[0], ranks[1]), known)]
    if all(square.any() for square in squares):
        found.append((Part(column.name, "distance"), (squares[0], squares[1]), known))
    return found


def _of_categories(column: Column, known: tuple[Bools, Bools]) -> list[_Score]:
    counts = pd.concat([column.reference, column.current]).value_counts().sort_index().sort_values(kind="stable")[::-1]
    kept = counts.index[: 1 if len(counts) == 2 else MOST_CATEGORIES]
    values = (column.reference.to_numpy(object), column.current.to_numpy(object))
    found = []
    for name in kept:
        is_it = (values[0] == name, values[1] == name)
        found += _indicator(Part(column.name, "category", str(name)), is_it, known)
    return found


def _indicator(part: Part, yes: tuple[Bools, Bools], known: tuple[Bools, Bools]) -> list[_Score]:
    """One score, or none if it is too seldom (or nearly always) true."""
    if any(min(int(y.sum()), int((k & ~y).sum())) < SMALLEST_COUNT for y, k in zip(yes, known, strict=True)):
        return []
    values = []
    for y, k in zip(yes, known, strict=True):
        score = np.zeros(len(k))
        score[k] = _standard(y[k].astype(np.float64))
        values.append(score)
    return [(part, (values[0], values[1]), known)]


def _ties(values: Floats) -> int:
    """Rows that have the most frequent value."""
    return int(np.unique(values, return_counts=True)[1].max()) if len(values) else 0


def _standard(values: Floats) -> Floats:
    centred = values - values.mean()
    return np.asarray(centred / max(float(centred.std()), 1e-12), np.float64)
