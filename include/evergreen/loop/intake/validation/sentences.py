"""Say in words which Great Expectations expectation does not hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from evergreen.core.text import plain, quoted, share
from evergreen.loop.intake.failures import SAMPLE, Failure, Severity

Kwargs = Mapping[str, Any]
_SET_SHOWN = 8


def failure(config: Mapping[str, Any], severity: Severity, result: Mapping[str, Any]) -> Failure:
    """The failure of one expectation.

    `config` is its configuration (`type`, `kwargs`), `result` what Great Expectations found in SUMMARY format.
    """
    kind, kwargs = str(config["type"]), config["kwargs"]
    if "element_count" in result:
        return _of_rows(kind, kwargs, severity, result)
    if kind.startswith("expect_column_distinct_values"):
        return _of_set(kind, kwargs, severity, result)
    return _of_aggregate(kind, kwargs, severity, result)


def impossible(config: Mapping[str, Any], severity: Severity, message: str) -> Failure:
    """The failure of an expectation that could not be computed on this table."""
    kind, column = str(config["type"]), subject(config["kwargs"])
    detail = plain(message.strip().partition("\n")[0], 160)
    sentence = f"{_where(column)}{_words(kind)} could not be computed ({detail})"
    return Failure(kind, column, severity, detail, _expected(config["kwargs"]), sentence)


def named(configuration: Any) -> tuple[str, str | None]:
    """An expectation as a team writes it, with what it asks for, and the column that it is about."""
    kwargs = configuration.kwargs
    name = "".join(part.capitalize() for part in configuration.type.split("_"))
    column, asked = subject(kwargs), plain(_expected(kwargs), 120)
    return f"the expectation {name}" + (f" on {plain(column)}" if column else "") + f" ({asked})", column


def subject(kwargs: Kwargs) -> str | None:
    """The column, or columns, that an expectation is about; None if it is about the table."""
    if "column" in kwargs:
        return str(kwargs["column"])
    pair = [str(kwargs[name]) for name in ("column_A", "column_B") if name in kwargs]
    names = pair or [str(name) for name in kwargs.get("column_list", ())]
    return ", ".join(names) or None


def _of_rows(kind: str, kwargs: Kwargs, severity: Severity, result: Mapping[str, Any]) -> Failure:
    column, count = subject(kwargs), int(result["unexpected_count"])
    total = int(result["element_count"]) - int(result.get("missing_count") or 0)
    phrase = _PHRASES[kind](kwargs) if kind in _PHRASES else _generic(kind, kwargs)
    values = result.get("partial_unexpected_list") or []
    sample = () if kind in _VALUELESS else tuple(dict.fromkeys(quoted(v) for v in values))[:SAMPLE]
    such = f", such as {', '.join(sample)}" if sample else ""
    mostly = float(kwargs.get("mostly", 1))
    allowed = f"; at most {100 * (1 - mostly):.3g} % may" if mostly < 1 else ""
    return Failure(
        name=kind,
        column=column,
        severity=severity,
        observed=share(count, total),
        expected=_expected(kwargs),
        sentence=f"{_where(column)}{share(count, total)} values {phrase}{such}{allowed}",
        count=count,
        sample=sample,
        rows=tuple(i for i in result.get("partial_unexpected_index_list") or () if isinstance(i, int))[:SAMPLE],
        rule=f"{_where(column)}values {phrase}" if mostly == 1 else "",
        bad=_bad_rows(result, count) if mostly == 1 else None,
    )


def _bad_rows(result: Mapping[str, Any], count: int) -> np.ndarray[tuple[int], np.dtype[np.intp]] | None:
    """Positions of all rows that break the rule; None if they were not asked for (a result in COMPLETE format)."""
    found = [i for i in result.get("unexpected_index_list") or () if isinstance(i, int)]
    return np.asarray(found, dtype=np.intp) if len(found) == count else None


def _of_set(kind: str, kwargs: Kwargs, severity: Severity, result: Mapping[str, Any]) -> Failure:
    """Of an expectation on which values there are at all."""
    column = subject(kwargs)
    strange, lacking = result.get("partial_unexpected_list") or [], result.get("partial_missing_list") or []
    parts = [f"has the unexpected values {_list(strange)}"] if strange else []
    parts += [f"lacks the values {_list(lacking)}"] if lacking else []
    observed = " and ".join(parts) or "has other values than expected"
    sample = tuple(map(quoted, strange[:SAMPLE]))
    return Failure(kind, column, severity, observed, _expected(kwargs), f"{_where(column)}{observed}", sample=sample)


def _of_aggregate(kind: str, kwargs: Kwargs, severity: Severity, result: Mapping[str, Any]) -> Failure:
    column, observed = subject(kwargs), result.get("observed_value")
    if kind in _DISTRIBUTIONS:
        expected, observed, sentence = _DISTRIBUTIONS[kind](kwargs, result)
        return Failure(kind, column, severity, observed, expected, f"{_where(column)}{sentence}")
    shown = _list(observed) if isinstance(observed, list | tuple) else _bound(observed)
    expected = _expected(kwargs)
    what = _AGGREGATES.get(kind)
    sentence = (
        f"{what} is {shown}, expected {expected}" if what else f"{_words(kind)}: found {shown}, expected {expected}"
    )
    return Failure(kind, column, severity, shown, expected, f"{_where(column)}{sentence}")


def _of_quantiles(kwargs: Kwargs, result: Mapping[str, Any]) -> tuple[str, str, str]:
    """What was expected and observed of quantiles, and a sentence on those that are off."""
    asked, values = kwargs["quantile_ranges"], result["observed_value"]["values"]
    held = (result.get("details") or {}).get("success_details") or [False] * len(values)
    lines = []
    for quantile, value, (low, high), fine in zip(asked["quantiles"], values, asked["value_ranges"], held, strict=True):
        if not fine:
            name = "the median" if quantile == 0.5 else f"the {100 * quantile:.3g} % quantile"
            lines.append((name, _bound(value), _range({"min_value": low, "max_value": high})))
    observed = ", ".join(f"{name} {value}" for name, value, _ in lines)
    expected = ", ".join(f"{name} {bounds}" for name, _, bounds in lines)
    return expected, observed, "; ".join(f"{name} is {value}, expected {bounds}" for name, value, bounds in lines)


def _of_shares(kwargs: Kwargs, result: Mapping[str, Any]) -> tuple[str, str, str]:
    """The same of the shares of values, with those that changed most."""
    most, details = kwargs["threshold"], result.get("details") or {}
    found, usual = details.get("observed_partition") or {}, details.get("expected_partition") or {}
    moved = sorted(
        zip(found.get("values", ()), found.get("weights", ()), usual.get("weights", ()), strict=False),
        key=lambda item: -abs(item[1] - item[2]),
    )
    parts = ", ".join(f"{quoted(v)} {100 * now:.3g} % (was {100 * was:.3g} %)" for v, now, was in moved[:3])
    value = result.get("observed_value")
    if value is None:
        return f"at most {most:.3g}", "no values", "there are no values whose shares could be compared"
    observed = f"divergence {value:.3g}"
    moves = f": {parts}" if parts else ""
    sentence = f"the shares of the values have moved{moves}; divergence {value:.3g}, expected at most {most:.3g}"
    return f"divergence at most {most:.3g}", observed, sentence


def _where(column: str | None) -> str:
    return f"{plain(column)}: " if column else ""


def _words(kind: str) -> str:
    return kind.removeprefix("expect_").replace("_", " ")


def _expected(kwargs: Kwargs) -> str:
    """What an expectation's arguments ask for."""
    if "min_value" in kwargs or "max_value" in kwargs:
        return _range(kwargs)
    if "value_set" in kwargs:
        return f"one of {_list(kwargs['value_set'])}"
    for name in ("regex", "value", "type_", "strftime_format"):
        if name in kwargs:
            return quoted(kwargs[name])
    rest = {k: v for k, v in kwargs.items() if k not in ("column", "batch_id", "mostly", "column_A", "column_B")}
    return ", ".join(f"{k} {plain(v)}" for k, v in rest.items())


def _range(kwargs: Kwargs) -> str:
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    if low is None:
        return f"at most {_bound(high)}"
    return f"at least {_bound(low)}" if high is None else f"{_bound(low)} to {_bound(high)}"


def _outside(kwargs: Kwargs) -> str:
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    if low is None:
        return f"are above {_bound(high)}"
    return f"are below {_bound(low)}" if high is None else f"lie outside {_bound(low)} to {_bound(high)}"


def _bound(value: Any) -> str:
    number = isinstance(value, int | float) and abs(value) < 1e6
    return f"{value:,.6g}" if number else quoted(value)


def _regex(kwargs: Kwargs) -> str:
    return f"'{plain(kwargs['regex'], 120)}'"


def _list(values: Any) -> str:
    items = [quoted(v) for v in values]
    more = len(items) - _SET_SHOWN
    return ", ".join(items[:_SET_SHOWN]) + (f" and {more:,} more" if more > 0 else "")


def _generic(kind: str, kwargs: Kwargs) -> str:
    return f"break the rule '{_words(kind)}' ({_expected(kwargs)})"


_VALUELESS = {"expect_column_values_to_not_be_null"}
_PHRASES: dict[str, Callable[[Kwargs], str]] = {
    "expect_column_values_to_be_between": _outside,
    "expect_column_values_to_not_be_null": lambda _: "are missing",
    "expect_column_values_to_be_null": lambda _: "are there, where none should be",
    "expect_column_values_to_be_in_set": lambda k: f"are not one of {_list(k['value_set'])}",
    "expect_column_values_to_not_be_in_set": lambda k: f"are one of {_list(k['value_set'])}",
    "expect_column_values_to_match_regex": lambda k: f"do not look like {_regex(k)}",
    "expect_column_values_to_not_match_regex": lambda k: f"look like {_regex(k)}",
    "expect_column_values_to_be_unique": lambda _: "are there more than once",
    "expect_column_value_lengths_to_be_between": lambda k: f"are not {_range(k)} characters long",
    "expect_compound_columns_to_be_unique": lambda _: "are there more than once together",
}
_DISTRIBUTIONS: dict[str, Callable[[Kwargs, Mapping[str, Any]], tuple[str, str, str]]] = {
    "expect_column_quantile_values_to_be_between": _of_quantiles,
    "expect_column_kl_divergence_to_be_less_than": _of_shares,
}
_AGGREGATES = {
    "expect_table_row_count_to_be_between": "the number of rows",
    "expect_table_row_count_to_equal": "the number of rows",
    "expect_column_mean_to_be_between": "the mean",
    "expect_column_median_to_be_between": "the median",
    "expect_column_stdev_to_be_between": "the standard deviation",
    "expect_column_min_to_be_between": "the smallest value",
    "expect_column_max_to_be_between": "the largest value",
    "expect_column_sum_to_be_between": "the sum",
    "expect_column_unique_value_count_to_be_between": "the number of distinct values",
    "expect_column_proportion_of_unique_values_to_be_between": "the share of distinct values",
    "expect_column_proportion_of_non_null_values_to_be_between": "the share of values that are there",
}
