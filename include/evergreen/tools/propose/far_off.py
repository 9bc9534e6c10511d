"""Which comparisons may quarantine: those that were never near it in the partitions themselves. Pure.

A bound on what has seasons is either loose or wrong within half a year. Compared with the partitions just before it, a
table whose unit has changed, whose column is frozen or whose join was lost lies far off in any season. A comparison is
proposed as critical at `STOPS`, and only for columns that never failed it at `STRAINS`, a limit of some two thirds.
The figures are those of profiles, so that nothing is asked of Great Expectations here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from evergreen.loop.intake.comparisons.intervals import divergence
from evergreen.loop.intake.comparisons.past import Past
from evergreen.loop.intake.comparisons.profile import ColumnProfile, Profile
from evergreen.loop.intake.comparisons.rules import Categories, Nulls, Numbers, RowCount

STOPS = 0.0005
"""`alpha` of what quarantines: 6 standard deviations of one figure with eight partitions before it"""
STRAINS = 0.005
"""`alpha` at which a column must have been quiet: 4 of them"""
NULLS, NUMBERS, CATEGORIES, ROWS = 0.03, 0.1, 0.5, 0.08
"""`room` of each: what moves less is no reason to quarantine"""
LEAST_ASKED = 4
"""Partitions that must have been compared, before anything is critical"""


@dataclass
class Watch:
    """What strained in which partitions."""

    numbers: tuple[str, ...]
    categories: tuple[str, ...]
    columns: tuple[str, ...]
    asked: int = 0
    strained: dict[str, set[str]] = field(default_factory=lambda: {k: set() for k in ("nulls", "numbers", "texts")})
    rows_strained: bool = False

    def look(self, past: Past, own: Profile) -> None:
        """Compare one more partition with those before it."""
        past = replace(past, rows=own.rows)
        rules = self._rules()
        if not rules[0].has(past):
            return
        self.asked += 1
        for kind, rule in zip(("nulls", "numbers", "texts"), rules, strict=True):
            for asked in rule.ask(past).expectations:
                if _fails(asked, own.columns[asked.column]):
                    self.strained[kind].add(asked.column)
        counted = RowCount(alpha=STRAINS, room=ROWS).ask(past).expectations
        self.rows_strained |= any(not e.min_value <= own.rows <= e.max_value for e in counted)

    def _rules(self) -> tuple[Any, ...]:
        return (
            Nulls(columns=self.columns, alpha=STRAINS, room=NULLS),
            Numbers(columns=self.numbers, alpha=STRAINS, room=NUMBERS),
            Categories(columns=self.categories, alpha=STRAINS, room=CATEGORIES),
        )

    def quiet(self, kind: str, names: Sequence[str]) -> tuple[str, ...]:
        """Those of `names` that never strained; none if too few partitions were compared."""
        if self.asked < LEAST_ASKED:
            return ()
        return tuple(name for name in names if name not in self.strained[kind])


def _fails(asked: Any, own: ColumnProfile) -> bool:
    """Whether a partition's column of this profile would fail the expectation `asked` of a comparison."""
    kind = type(asked).__name__
    if kind == "ExpectColumnQuantileValuesToBeBetween":
        ranges = dict(asked.quantile_ranges)["value_ranges"]
        return own.quantiles is not None and any(
            not low <= value <= high for value, (low, high) in zip(own.quantiles, ranges, strict=True)
        )
    if kind == "ExpectColumnProportionOfNonNullValuesToBeBetween":
        return bool(1 - own.nulls < asked.min_value)
    if kind == "ExpectColumnMeanToBeBetween":
        return own.true is not None and not asked.min_value <= own.true <= asked.max_value
    usual = dict(zip(asked.partition_object["values"], asked.partition_object["weights"], strict=True))
    return own.shares is None or divergence(dict(own.shares), usual) > asked.threshold
