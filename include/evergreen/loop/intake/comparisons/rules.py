"""Rules of `expectations.py` that compare a partition with what was accepted before it.

They stand in the lists beside ordinary Great Expectations expectations, and become such, with numbers, when a partition
is judged. What a comparison asks for is in its own fields alone, so that a verdict under the same rules is the same
verdict whatever has landed meanwhile.

A partition of few rows differs from those before by chance alone: no standard deviation is taken to be smaller than
that of as many rows drawn at random.

Numbers come from a prediction interval for one more value after n like it (Student's t; Hahn and Meeker, Statistical
Intervals, 1991, chapter 4): `alpha` is the chance that one figure of a partition lies outside if partitions are
alike and independent. Seasons are neither, which is why a comparison warns unless it is told otherwise.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from evergreen.core.definition.model import ColumnType
from evergreen.core.names import PartitionKey
from evergreen.loop.intake.comparisons.intervals import (
    UNSEEN,
    above,
    below,
    divergence,
    divergence_error,
    interval,
    mean_shares,
    quantile_errors,
    share_error,
)
from evergreen.loop.intake.comparisons.label_coverage import mismatches
from evergreen.loop.intake.comparisons.past import MOST_PARTITIONS, Past, Window
from evergreen.loop.intake.comparisons.profile import QUANTILES, ColumnProfile, Profile
from evergreen.loop.intake.failures import Failure, Severity

if TYPE_CHECKING:
    import pandas as pd

Reference = Literal["before", "season"]
REFERENCES: tuple[Reference, ...] = get_args(Reference)
COMPARED = "compared_with"
"""Key of an expectation's meta: what its numbers come from, in words."""


@dataclass(frozen=True)
class Asked:
    """What comparisons ask of one partition."""

    expectations: tuple[Any, ...] = ()
    """Ordinary Great Expectations expectations"""
    checks: tuple[Callable[[pd.DataFrame], list[Failure]], ...] = ()
    """What Great Expectations has no word for; each gives the failures it finds in the rows"""
    rules: int = 0
    """Rules that `checks` look at"""
    notes: tuple[str, ...] = ()
    """What could not be compared, and why"""


class Comparison(ABC):
    """A rule that needs to know more than the table itself. Subclasses are frozen dataclasses."""

    last: int = 0
    """Partitions that it looks at: before the judged one, or around the one a year before it"""
    reference: Reference = "before"
    """Which of the two"""
    about_other_table: ClassVar[bool] = False
    """Whether it needs the ids of the partition's other table"""
    fits: ClassVar[tuple[ColumnType, ...]] = ()
    """Types of column it can be asked of; any if empty"""

    @property
    def identity(self) -> str:
        """What it asks for; part of the suite's hash."""
        parts = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]
        if self.reference == "before":
            parts.pop("reference", None)  # what was asked for before there was a choice is still the same rule
        return json.dumps([type(self).__qualname__, parts], default=str)

    @property
    def subjects(self) -> tuple[str, ...]:
        """Columns it names."""
        return tuple(getattr(self, "columns", None) or ())

    @abstractmethod
    def ask(self, past: Past) -> Asked:
        """What it asks of the partition whose past this is."""


@dataclass(frozen=True, kw_only=True)
class _WithHistory(Comparison):
    """A comparison with the accepted ones of the `last` partitions before; not made with fewer than `least`."""

    severity: Severity = "warning"
    """`critical` quarantines, but only if all of the `last` partitions have a verdict: what lands before its past
    is accepted with a warning, so think twice about it if backfills run out of order"""
    last: int = 8
    least: int = 4
    reference: Reference = "before"
    """`season`: the same weeks (days, months) of last year, `last` of them, as many before as after; if fewer than
    `least` of these are accepted, the partitions before it, and the reason says so"""
    alpha: float = 0.001
    """Chance that a figure lies outside though nothing has changed"""

    def __post_init__(self) -> None:
        _check_severity(self, self.severity)
        name = type(self).__name__
        if not 2 <= self.least <= self.last <= MOST_PARTITIONS:
            raise ValueError(f"{name}: least and last must be 2 <= least <= last <= {MOST_PARTITIONS}")
        if self.reference not in REFERENCES:
            raise ValueError(f"{name}: reference must be before or season, not {self.reference!r}")
        if not 0 < self.alpha <= 0.2:
            raise ValueError(f"{name}: alpha must lie above 0 and not above 0.2")

    def has(self, past: Past) -> bool:
        """Whether enough of its own reference is accepted: for a season, what came before may stand in all the same."""
        return len(self._own_window(past).accepted) >= self.least

    def ask(self, past: Past) -> Asked:
        notes: list[str] = []
        window = self._window(past, notes)
        known, wanted = len(window.accepted), f"{self.least} of the {self.last} before it are needed"
        if known < self.least:
            return Asked(notes=(f"not compared with earlier partitions: {known or 'none'} accepted, {wanted}",))
        severity = self.severity
        if severity == "critical" and window.undecided:
            severity = "warning"
            notes.append(f"what is critical only warns: no verdict yet on {_some(window.undecided)}")
        first, *_, newest = window.accepted
        meta = {COMPARED: f"{known} accepted partitions, {first} to {newest}"}
        asked = self._figures(past, tuple(window.accepted.values()), {"severity": severity, "meta": meta}, notes)
        return Asked(tuple(asked), notes=tuple(notes))

    def _window(self, past: Past, notes: list[str]) -> Window:
        own = self._own_window(past)
        if self.reference == "season" and len(own.accepted) < self.least:
            accepted = len(own.accepted) or "none"
            notes.append(f"compared with the partitions before it: of the same season a year ago {accepted} accepted")
            return past.window(self.last)
        return own

    def _own_window(self, past: Past) -> Window:
        return past.season(self.last) if self.reference == "season" else past.window(self.last)

    @abstractmethod
    def _figures(self, past: Past, profiles: Sequence[Profile], common: dict[str, Any], notes: list[str]) -> list[Any]:
        """Expectations with numbers from `profiles`, oldest first, each made with `common`; `notes` may be added to."""

    def interval(self, values: Sequence[float], room: float) -> tuple[float, float]:
        """Where one more value like `values` lies; a standard deviation below `room` is taken to be `room`."""
        return interval(values, self.alpha, room)


def _check_severity(rule: Comparison, severity: str) -> None:
    if severity not in ("critical", "warning"):
        raise ValueError(f"{type(rule).__name__}: severity must be critical or warning, not {severity!r}")


@dataclass(frozen=True, kw_only=True)
class RowCount(_WithHistory):
    """The number of rows is like before."""

    room: float = 0.02
    """Smallest standard deviation from partition to partition that is reckoned with, as a share of the mean"""

    def _figures(self, past: Past, profiles: Sequence[Profile], common: dict[str, Any], notes: list[str]) -> list[Any]:
        import great_expectations.expectations as gxe

        rows = [float(p.rows) for p in profiles]
        low, high = self.interval(rows, self.room * sum(rows) / len(rows))
        return [
            gxe.ExpectTableRowCountToBeBetween(min_value=max(0, math.floor(low)), max_value=math.ceil(high), **common)
        ]


@dataclass(frozen=True, kw_only=True)
class Nulls(_WithHistory):
    """No more values are missing than before."""

    columns: Sequence[str] | None = None
    """All by default"""
    room: float = 0.01
    """Smallest standard deviation of the share of missing values that is reckoned with"""

    def _figures(self, past: Past, profiles: Sequence[Profile], common: dict[str, Any], notes: list[str]) -> list[Any]:
        import great_expectations.expectations as gxe

        asked = []
        for name in self.columns or past.columns:
            nulls = [c.nulls for c in _columns(profiles, name)]
            _, high = self.interval(nulls, max(self.room, share_error(nulls, past.rows)))
            if high < 1:
                known = below(1 - high, 0.01)
                asked.append(
                    gxe.ExpectColumnProportionOfNonNullValuesToBeBetween(column=name, min_value=known, **common)
                )
        return asked


@dataclass(frozen=True, kw_only=True)
class Numbers(_WithHistory):
    """Numbers are spread as before: their 5, 25, 50, 75 and 95 % quantiles, missing values aside."""

    fits: ClassVar[tuple[ColumnType, ...]] = ("integer", "float")
    columns: Sequence[str]
    room: float = 0.02
    """Smallest standard deviation of a quantile that is reckoned with, as a share of the distance from the 5 % to the
    95 % quantile (of the whole range if these are equal)"""

    def _figures(self, past: Past, profiles: Sequence[Profile], common: dict[str, Any], notes: list[str]) -> list[Any]:
        import great_expectations.expectations as gxe

        asked = []
        for name in self.columns:
            known = [c for c in _columns(profiles, name) if c.quantiles is not None]
            if len(known) < self.least:
                notes.append(f"{name} not compared: {len(known) or 'none'} of the partitions before has numbers in it")
                continue
            room, ranges = self.room * _spread(known), []
            for position, error in enumerate(_quantile_errors(profiles, name, past)):
                low, high = self.interval([c.quantiles[position] for c in known if c.quantiles], max(room, error))
                ranges.append([below(low, room), above(high, room)])
            asked.append(
                gxe.ExpectColumnQuantileValuesToBeBetween(
                    column=name,
                    quantile_ranges={"quantiles": list(QUANTILES), "value_ranges": ranges},
                    allow_relative_error="nearest",
                    **common,
                )
            )
        return asked


@dataclass(frozen=True, kw_only=True)
class Categories(_WithHistory):
    """The shares of values are as before: text by its Kullback-Leibler divergence, booleans by the share that is true.

    How far shares may move is taken from how far those of each earlier partition were from the others'.
    """

    fits: ClassVar[tuple[ColumnType, ...]] = ("string", "boolean")
    columns: Sequence[str]
    room: float = 0.02
    """Divergence (or, for booleans, smallest standard deviation of the share) below which nothing counts as a change"""

    def _figures(self, past: Past, profiles: Sequence[Profile], common: dict[str, Any], notes: list[str]) -> list[Any]:
        asked = []
        for name in self.columns:
            known = [c for c in _columns(profiles, name) if c.shares is not None]
            if len(known) < self.least:
                notes.append(f"{name} not compared: too many different values, or none, in the partitions before")
            elif all(set(c.shares or ()) <= {"True", "False"} for c in known):
                asked.append(self._share_of_true(name, known, _filled(known, past), common))
            else:
                asked.append(self._divergence(name, known, _filled(known, past), common))
        return asked

    def _share_of_true(self, name: str, known: Sequence[ColumnProfile], rows: float, common: dict[str, Any]) -> Any:
        import great_expectations.expectations as gxe

        true = [c.true or 0.0 for c in known]
        low, high = self.interval(true, max(self.room, share_error(true, rows)))
        low, high = below(max(0.0, low), 0.01), above(min(1.0, high), 0.01)
        return gxe.ExpectColumnMeanToBeBetween(column=name, min_value=low, max_value=high, **common)

    def _divergence(self, name: str, known: Sequence[ColumnProfile], rows: float, common: dict[str, Any]) -> Any:
        import great_expectations.expectations as gxe

        shares = [c.shares or {} for c in known]
        apart = [divergence(own, mean_shares([*shares[:n], *shares[n + 1 :]])) for n, own in enumerate(shares)]
        _, high = self.interval(apart, 0.0)
        usual = mean_shares(shares)
        by_chance = divergence_error(len(usual), rows, self.alpha)
        return gxe.ExpectColumnKLDivergenceToBeLessThan(
            column=name,
            partition_object={"values": list(usual), "weights": list(usual.values())},
            threshold=above(max(high, self.room, by_chance), 0.01),
            tail_weight_holdout=UNSEEN,
            **common,
        )


@dataclass(frozen=True, kw_only=True)
class PeriodCovered(Comparison):
    """Events reach from the beginning to the end of the period: neither the first day is missing nor the last.

    It looks only at the partition and its calendar, so it may be critical.
    """

    within: dt.timedelta | None = None
    """How far from either end the first and the last event may be; default: a tenth of the period"""
    severity: Severity = "warning"

    def __post_init__(self) -> None:
        _check_severity(self, self.severity)

    def ask(self, past: Past) -> Asked:
        """See the class."""
        import great_expectations.expectations as gxe

        start, end = past.period.start, past.period.end
        within = self.within if self.within is not None else (end - start) / 10
        meta = {COMPARED: f"the period, {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC"}
        common: dict[str, Any] = {"column": past.event_time, "severity": self.severity, "meta": meta}
        return Asked(
            (
                gxe.ExpectColumnMinToBeBetween(max_value=start + within, **common),
                gxe.ExpectColumnMaxToBeBetween(min_value=end - within, **common),
            )
        )


@dataclass(frozen=True, kw_only=True)
class MatchesInputs(Comparison):
    """Labels are those of the partition's accepted inputs. For `labels()`.

    If inputs are accepted after the labels of their partition, it is asked then, and only warns: labels that came
    first stay accepted (decision 021).
    """

    unknown: float = 0.01
    """Share of labels whose entity the inputs lack, above which it is critical; fewer are a warning"""
    covered: float = 0.9
    """Share of inputs with a label, below which it is a warning"""
    about_other_table: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name in ("unknown", "covered"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"MatchesInputs: {name} must lie between 0 and 1")

    def ask(self, past: Past) -> Asked:
        """See the class."""
        other = past.other
        if other is None:
            note = "not compared with the inputs: none of this partition are accepted yet, or they are gone"
            return Asked(notes=(note,) if past.table == "labels" else ())

        def check(frame: pd.DataFrame) -> list[Failure]:
            return mismatches(frame[past.entity], other, past.table, past.entity, self.unknown, self.covered)

        return Asked(checks=(check,), rules=2)


def ask(rules: Sequence[Any], past: Past) -> Asked:
    """Everything that the comparisons among `rules` ask of one partition, and what they cannot ask."""
    found = [rule.ask(past) for rule in rules if isinstance(rule, Comparison)]
    return Asked(
        expectations=tuple(e for part in found for e in part.expectations),
        checks=tuple(c for part in found for c in part.checks),
        rules=sum(part.rules for part in found),
        notes=tuple(dict.fromkeys(note for part in found for note in part.notes)),
    )


def ordinary(rules: Sequence[Any]) -> list[Any]:
    """The expectations among `rules` that ask of the table alone."""
    return [rule for rule in rules if not isinstance(rule, Comparison)]


def decides(rules: Sequence[Any]) -> list[Any]:
    """`rules` without the comparisons that can only warn, for those who ask for the outcome alone."""
    return [r for r in rules if not isinstance(r, Comparison) or getattr(r, "severity", "critical") == "critical"]


def _columns(profiles: Sequence[Profile], name: str) -> list[ColumnProfile]:
    return [p.columns[name] for p in profiles if name in p.columns]


def _filled(known: Sequence[ColumnProfile], past: Past) -> float:
    """How many of the judged rows have a value, if as many lack one as before."""
    return past.rows * (1 - sum(c.nulls for c in known) / len(known))


def _quantile_errors(profiles: Sequence[Profile], name: str, past: Past) -> list[float]:
    """By how much the column's quantiles move because the judged rows are no more than they are."""
    found = [(p.rows, c) for p in profiles if (c := p.columns.get(name)) and c.quantiles]
    values = [(c.low or 0.0, *(c.quantiles or ()), c.high or 0.0) for _, c in found]
    drawn = [rows * (1 - c.nulls) for rows, c in found]
    return quantile_errors(values, QUANTILES, drawn, _filled([c for _, c in found], past))


def _spread(known: Sequence[ColumnProfile]) -> float:
    """How wide the column's numbers are spread within a partition."""
    import numpy as np

    inner = [c.quantiles[-1] - c.quantiles[0] for c in known if c.quantiles]
    whole = [(c.high or 0.0) - (c.low or 0.0) for c in known]
    return float(np.median(inner)) or float(np.median(whole))


def _some(keys: Sequence[PartitionKey]) -> str:
    shown = ", ".join(keys[:3])
    return shown + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")
