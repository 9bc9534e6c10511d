"""What follows from what partitions showed, with room for what they did not show yet. Pure.

Critical are rules that a broken feed breaks and a new season does not: bounds leave room if an end still moves
(`bounds`). What moves from partition to partition is left to comparisons that warn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.model import TableName
from evergreen.tools.propose.bounds import bounds_of, runs_on
from evergreen.tools.propose.observed import ColumnFacts, Facts
from evergreen.tools.propose.python_source import Raw, call

ROOM = 5.0
"""Means, and shares of missing values, may move this many times as far as they have."""
_FEW = 20
"""Different values of a column of text up to which they can be a closed set"""
_EACH = 50
"""Rows for each value of a closed set"""
_COMMON = 0.05
"""Share from which on a value is missed if it is missing"""
_MANY = 50
"""Different numbers in every partition from which on a few of them are a fault: they differ from row to row"""
_SURE_ROWS, _SURE_PARTITIONS = 1000, 4
"""Below either, what holds without exception may hold by chance."""


@dataclass(frozen=True)
class Compared:
    """What is compared with other partitions, because it was quiet in those the proposal is made from."""

    numbers: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    covered: bool = False
    seasonal_numbers: tuple[str, ...] = ()
    """Numbers that move with the season and are as they were a year before; `seasonal_categories` likewise"""
    seasonal_categories: tuple[str, ...] = ()


def comparable(definition: ModelDefinition, table: TableName, facts: Facts) -> Compared:
    """Everything that can be compared at all."""
    feed = definition.feed
    named = {n: f for n, f in facts.columns.items() if n not in (feed.entity, *feed.id_columns, feed.event_time)}
    numbers = [n for n, f in named.items() if f.kind in ("integer", "float") and bounds_of(f) and not runs_on(f)]
    categories = [n for n, f in named.items() if f.profiles and _recurs(f)]
    return Compared(tuple(numbers), tuple(categories), bool(facts.reach) and max(facts.reach) < 0.05)


def _recurs(column: ColumnFacts) -> bool:
    """Whether the values of a partition are those of the one before, mostly: dates are not."""
    shares = [c.shares for c in column.profiles]
    if not all(shares):
        return False
    pairs = [(one or {}, other or {}) for one, other in pairwise(shares)]
    return all(sum(min(p, other.get(v, 0.0)) for v, p in one.items()) >= 0.5 for one, other in pairs)


def lines_of(definition: ModelDefinition, table: TableName, facts: Facts, compared: Compared) -> list[str]:
    """Lines of the list that the function `table` of `expectations.py` returns."""
    feed = definition.feed
    lines = rows_lines(facts)
    for name, column in facts.columns.items():
        if name == feed.event_time or name in feed.made.columns:
            continue
        # model.yaml asks for an id, and for the truth of a label, in every row.
        given = name in feed.id_columns or (table == "labels" and name == definition.target)
        if name in feed.id_columns:
            lines += id_lines(name, column, facts)
        elif given and definition.task == "multiclass":
            lines += class_lines(name, column, definition)
        else:
            lines += column_lines(name, column, facts, given=given)
    return [*lines, *_comparison_lines(table, compared, facts)]


def rows_lines(facts: Facts) -> list[str]:
    """The rule on the number of rows."""
    counts = _whole(facts.rows)
    least, most = min(counts), max(counts)
    known = len(counts) >= _SURE_PARTITIONS
    room = 3 * (most - least)
    low = max(1, int(_floor(least - room - 0.2 * least if known else least / 4)))
    high = int(_ceil(most + room + 0.5 * most if known else most * 4))
    return call("gxe.ExpectTableRowCountToBeBetween", {"min_value": low, "max_value": high}, comment=_told(least, most))


def _whole(rows: Sequence[int]) -> Sequence[int]:
    """Without a first or last partition that is a part of one, as a file's edge makes it."""
    usual = median(rows)
    first = 1 if len(rows) > _SURE_PARTITIONS and rows[0] < usual / 2 else 0
    last = len(rows) - (1 if len(rows) > _SURE_PARTITIONS and rows[-1] < usual / 2 else 0)
    return rows[first:last]


def id_lines(name: str, column: ColumnFacts, facts: Facts) -> list[str]:
    """The rule on the entity: what its texts look like. Its numbers run on, and there are as many as rows."""
    shape = column.shapes[-1] if column.kind == "string" and column.shapes else None
    if shape is None or not _is_sure(facts) or not _settled(column):
        return []
    return call("gxe.ExpectColumnValuesToMatchRegex", {"column": name, "regex": Raw(f'r"{shape.growing_regex}"')})


def class_lines(name: str, column: ColumnFacts, definition: ModelDefinition) -> list[str]:
    """The rule on a target of several classes: a new class is said and stops nothing, as it is the truth."""
    known = definition.classes or tuple(sorted(column.values or ()))
    if not known or (column.kind == "string" and column.values is None):
        return []
    values = [int(value) for value in known] if column.kind == "integer" else list(known)
    args = {"column": name, "value_set": values, "severity": Raw("WARNING")}
    return call("gxe.ExpectColumnValuesToBeInSet", args, comment="a new class is learned by the next training")


def column_lines(name: str, column: ColumnFacts, facts: Facts, *, given: bool) -> list[str]:
    """The rules on one column; that it has values is not asked if that is `given`."""
    lines, nulls = _column_lines(name, column, facts), _null_lines(name, column, _is_sure(facts))
    return lines[len(nulls) :] if given and lines[: len(nulls)] == nulls else lines


def _is_sure(facts: Facts) -> bool:
    return sum(facts.rows) >= _SURE_ROWS and len(facts.keys) >= _SURE_PARTITIONS


def _column_lines(name: str, column: ColumnFacts, facts: Facts) -> list[str]:
    sure = _is_sure(facts)
    if column.kind in ("integer", "float"):
        return _number_lines(name, column, sure)
    if column.kind == "boolean":
        return [*_null_lines(name, column, sure), *_boolean_lines(name, column)]
    if column.kind == "string":
        return _text_lines(name, column, facts, sure)
    return _null_lines(name, column, sure)


def _number_lines(name: str, column: ColumnFacts, sure: bool) -> list[str]:
    found = bounds_of(column)
    if found is None or runs_on(column):
        return _null_lines(name, column, sure)
    comment = _told(found.low, found.high)
    span = found.high - found.low
    if not span:
        args = {"column": name, "min_value": _plain(found.low), "max_value": _plain(found.high)}
        rule = call("gxe.ExpectColumnValuesToBeBetween", args | {"severity": Raw("WARNING")}, comment="never differs")
        return [*_null_lines(name, column, sure), *rule]
    least = found.least if found.least == 0 else _floor(found.least, span)
    most = found.most if found.most == 0 else _ceil(found.most, span)
    known = _known(column, sure)
    args = {"column": name, "low": _plain(least), "high": _plain(most), **known}
    if known.get("known") == 0:
        args = {"column": name, "min_value": args["low"], "max_value": args["high"]}
        rule = call("gxe.ExpectColumnValuesToBeBetween", args, comment=comment)
    else:
        rule = call("*_number", args, positional=3, comment=comment)
    means = [] if found.trend else _mean_lines(name, column, least, most)
    return [*rule, *_distinct_lines(name, column), *means]


def _distinct_lines(name: str, column: ColumnFacts) -> list[str]:
    """That numbers which always differ from row to row still do: one value in every row is a sensor that hangs."""
    least = min(column.distinct, default=0)
    if len(column.distinct) < _SURE_PARTITIONS or least < _MANY:
        return []
    args = {"column": name, "min_value": max(2, least // 10)}
    return call("gxe.ExpectColumnUniqueValueCountToBeBetween", args, comment=f"at least {least:,}")


def _mean_lines(name: str, column: ColumnFacts, least: float, most: float) -> list[str]:
    """Bounds on the mean, if they say more than those on the values: a unit that changed moves all of them."""
    means = [c.mean for c in column.profiles if c.mean is not None]
    if len(means) < _SURE_PARTITIONS or _was_empty(column):
        return []
    inner = [c.quantiles[-1] - c.quantiles[0] for c in column.profiles if c.quantiles]
    room = ROOM * (max(means) - min(means)) + 0.2 * sorted(inner)[len(inner) // 2]
    low, high = _floor(min(means) - room, room), _ceil(max(means) + room, room)
    bounds = {"min_value": low} if low > least else {}
    bounds |= {"max_value": high} if high < most else {}
    if not bounds or not room:
        return []
    args = {"column": name, **{key: _plain(value) for key, value in bounds.items()}}
    return call("gxe.ExpectColumnMeanToBeBetween", args, comment=_told(min(means), max(means), 4))


def _boolean_lines(name: str, column: ColumnFacts) -> list[str]:
    shares = [c.true for c in column.profiles if c.true is not None]
    if len(shares) < _SURE_PARTITIONS or _was_empty(column):
        return []
    low, high = min(shares), max(shares)
    # Bounds are on the odds: a rare event may become several times as rare or as frequent, and never certain.
    bounds = {"min_value": _share(_odds(low, 0.1))} if low >= _COMMON else {}
    bounds |= {"max_value": _share(_odds(high, 10))} if high <= 1 - _COMMON else {}
    args = {"column": name, **bounds}
    return call("gxe.ExpectColumnMeanToBeBetween", args, comment=_told(low, high, 3)) if bounds else []


def _text_lines(name: str, column: ColumnFacts, facts: Facts, sure: bool) -> list[str]:
    closed = _closed_set(column, facts) if sure else None
    if closed:
        return [*_null_lines(name, column, sure), *_set_lines(name, closed, column)]
    shape, lines = column.shapes[-1] if column.shapes else None, []
    settled = sure and shape is not None and _settled(column)
    if shape is not None and settled:
        args = {"column": name, "regex": Raw(f'r"{shape.regex}"'), **_known(column, sure)}
        lines += call("*_text", args, positional=2)
    else:
        lines += _null_lines(name, column, sure)
    few = max(column.distinct, default=0) <= 0.1 * min(facts.rows)
    if few and max(column.distinct, default=0):
        low, high = max(0 if _was_empty(column) else 1, min(column.distinct) // 2), 2 * max(column.distinct)
        args = {"column": name, "min_value": low, "max_value": high}
        seen = _told(min(column.distinct), max(column.distinct))
        lines += call("gxe.ExpectColumnUniqueValueCountToBeBetween", args, comment=seen)
    return lines


def _settled(column: ColumnFacts) -> bool:
    """Whether the second half of the partitions brought no new kind of value."""
    half, whole = column.shapes[len(column.shapes) // 2 - 1], column.shapes[-1]
    return half is not None and whole is not None and half.kind == whole.kind


def _closed_set(column: ColumnFacts, facts: Facts) -> list[str] | None:
    """The values of a column if each occurs in each partition and often; most frequent first."""
    if not column.values or not 1 < len(column.values) <= min(_FEW, min(facts.rows) // _EACH):
        return None
    if min(column.values.values()) < len(facts.keys) or any(c.shares is None for c in column.profiles):
        return None
    return list(column.profiles[-1].shares or ())


def _set_lines(name: str, values: Sequence[str], column: ColumnFacts) -> list[str]:
    common = [v for v in values if min((c.shares or {}).get(v, 0.0) for c in column.profiles) >= _COMMON]
    if len(common) == len(values):
        return call("gxe.ExpectColumnDistinctValuesToEqualSet", {"column": name, "value_set": sorted(values)})
    lines = call("gxe.ExpectColumnValuesToBeInSet", {"column": name, "value_set": sorted(values)})
    if common:
        lines += call("gxe.ExpectColumnDistinctValuesToContainSet", {"column": name, "value_set": sorted(common)})
    return lines


def _was_empty(column: ColumnFacts) -> bool:
    """Whether a partition had no value at all, of which there is no mean: a sensor that failed for a day."""
    return any(c.nulls == 1.0 for c in column.profiles)


def _null_lines(name: str, column: ColumnFacts, sure: bool) -> list[str]:
    known = _known(column, sure)
    mostly = {"mostly": known["known"]} if known else {}
    worst = max(column.nulls, default=0.0)
    if known and not known["known"]:
        return []
    comment = f"at most {100 * worst:.2g} % were missing" if worst else ""
    return call("gxe.ExpectColumnValuesToNotBeNull", {"column": name, **mostly}, comment=comment)


def _known(column: ColumnFacts, sure: bool) -> dict[str, float]:
    """Share of values that must be there; none if all must."""
    worst = max(column.nulls, default=0.0)
    if not worst:
        return {} if sure else {"known": 0.95}
    return {"known": max(0.0, math.floor(round(100 * (1 - ROOM * worst - 0.05), 6)) / 100)}


def _comparison_lines(table: TableName, compared: Compared, facts: Facts) -> list[str]:
    lines = [
        "        # Against the partitions before" + (", and the inputs." if table == "labels" else ": these warn.")
    ]
    lines += call("RowCount", {})
    lines += call("PeriodCovered", {}) if compared.covered else []
    lines += call("Nulls", {})
    lines += call("Numbers", {"columns": list(compared.numbers)}) if compared.numbers else []
    lines += call("Categories", {"columns": list(compared.categories)}) if compared.categories else []
    seasonal = {"Numbers": compared.seasonal_numbers, "Categories": compared.seasonal_categories}
    for rule, columns in seasonal.items():
        lines += call(rule, {"columns": list(columns), "reference": "season"}) if columns else []
    lines += call("MatchesInputs", {}) if table == "labels" else []
    return lines


def _odds(share: float, factor: float) -> float:
    odds = factor * share / (1 - share) if share < 1 else math.inf
    return odds / (1 + odds) if math.isfinite(odds) else 1.0


def _share(value: float) -> float:
    return round(value, 3)


def _step(scale: float) -> float:
    """A round number of some hundredths of `scale`."""
    return float(10.0 ** (math.floor(math.log10(scale)) - 1)) if 0 < scale < math.inf else 1.0


def _floor(value: float, scale: float | None = None) -> float:
    """The next round number below; `scale` says how large differences are that matter."""
    step = _step(max(abs(value), 1.0) if scale is None else scale)
    return math.floor(value / step) * step


def _ceil(value: float, scale: float | None = None) -> float:
    return -_floor(-value, scale)


def _plain(value: float) -> float | int:
    """As a person writes it: a whole number without a point, and no digits that only binary arithmetic puts there."""
    rounded = float(f"{value:.6g}")
    return int(rounded) if rounded == math.floor(rounded) and abs(rounded) < 1e15 else rounded


def _told(low: float, high: float, digits: int = 6) -> str:
    one, other = (f"{value:,.{digits}g}" if abs(value) < 10**digits else f"{value:,.0f}" for value in (low, high))
    return f"always {one}" if low == high else f"{one} to {other}"
