"""What the columns of an accepted table held, in so few numbers that every later verdict can read it. Pure."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from evergreen.core.definition.model import ColumnType

VERSION = 1
"""Part of the name a profile is kept under. Raise it with any change to what a profile holds."""
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_MOST_VALUES = 200
_LONGEST_VALUE = 100


@dataclass(frozen=True)
class ColumnProfile:
    """One column of one partition."""

    nulls: float
    """Share of rows without a value"""
    low: float | None = None
    """Smallest number; None if the column has no numbers"""
    high: float | None = None
    mean: float | None = None
    quantiles: tuple[float, ...] | None = None
    """At `QUANTILES`, each a value that occurs"""
    shares: Mapping[str, float] | None = None
    """Text and booleans ("True", "False"): value -> share of the rows that have one, most frequent first. None if
    there are no values, more than 200 different ones, or one longer than 100 characters"""

    @property
    def true(self) -> float | None:
        """Share of true values of a column of booleans."""
        return None if self.shares is None else self.shares.get("True", 0.0)


@dataclass(frozen=True)
class Profile:
    """One table of one partition."""

    rows: int
    columns: Mapping[str, ColumnProfile]

    def to_json(self) -> str:
        """As text; the same profile is the same text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> Profile:
        """The profile that `to_json` wrote."""
        content = json.loads(text)
        return cls(content["rows"], {name: _column(parts) for name, parts in content["columns"].items()})


def _column(parts: dict[str, Any]) -> ColumnProfile:
    quantiles = parts["quantiles"]
    return ColumnProfile(**parts | {"quantiles": None if quantiles is None else tuple(quantiles)})


def profile(frame: pd.DataFrame, columns: Mapping[str, ColumnType], personal: Collection[str] = ()) -> Profile:
    """The profile of accepted rows: `frame` has the definition's `columns`, with the dtypes that reading gives.

    Of `personal` columns it holds the share of missing values alone.
    """
    found = {name: _profile(frame[name], kind, hidden=name in personal) for name, kind in columns.items()}
    return Profile(len(frame), found)


def _profile(values: pd.Series, kind: ColumnType, *, hidden: bool) -> ColumnProfile:
    nulls = float(values.isna().mean()) if len(values) else 0.0
    known = values.dropna()
    if known.empty or hidden or kind == "timestamp":
        return ColumnProfile(nulls)
    if kind in ("string", "boolean"):
        return ColumnProfile(nulls, shares=_shares(known.astype(str)))
    numbers = known.astype("float64")
    found = numbers.quantile(list(QUANTILES), interpolation="nearest")
    return ColumnProfile(
        nulls,
        low=float(numbers.min()),
        high=float(numbers.max()),
        mean=float(numbers.mean()),
        quantiles=tuple(map(float, found)),
    )


def _shares(known: pd.Series) -> dict[str, float] | None:
    counts = known.value_counts()
    if len(counts) > _MOST_VALUES or counts.index.str.len().max() > _LONGEST_VALUE:
        return None
    # Equally frequent values come in the order of the rows otherwise.
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return {str(value): count / len(known) for value, count in ordered}
