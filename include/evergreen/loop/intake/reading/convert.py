"""Bring a landed table to the definition's types, without guessing.

Only conversions that lose nothing are made: whole numbers written as floats become integers, a date becomes its
midnight, a timestamp without a zone is taken as UTC. Everything else is a failure that says which values did not fit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from evergreen.core.definition.model import ColumnType
from evergreen.core.frames import ARROW_TYPES
from evergreen.core.sandbox import note
from evergreen.core.text import plain
from evergreen.loop.intake.failures import SAMPLE, Failure, UnfitFileError, breach, unfit
from evergreen.loop.intake.limits import LIMITS, Limits
from evergreen.loop.intake.reading.column_names import too_long

_ACCEPTED: dict[ColumnType, Callable[[pa.DataType], bool]] = {
    "string": lambda t: pa.types.is_string(t) or pa.types.is_large_string(t),
    "integer": lambda t: pa.types.is_integer(t) or pa.types.is_floating(t) or pa.types.is_decimal(t),
    "float": lambda t: pa.types.is_floating(t) or pa.types.is_integer(t) or pa.types.is_decimal(t),
    "boolean": pa.types.is_boolean,
    "timestamp": lambda t: pa.types.is_timestamp(t) or pa.types.is_date(t),
}
_MISSING = pa.array(["", "NA", "N/A", "NaN", "nan", "NAN", "null", "NULL", "None", "NaT", "<NA>"])
_PATTERNS: dict[ColumnType, tuple[str, str]] = {
    "integer": (r"^[+-]?[0-9]{1,18}(\.0*)?$", "a whole number"),
    "float": (r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?$|^[+-]?(?i:inf(inity)?)$", "a number"),
    "boolean": (r"^(?i:true|false|1|0)$", "true or false"),
    "timestamp": (
        r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]{1,9})?)?(Z|[+-][0-9]{2}:?[0-9]{2})?)?$",
        "a timestamp such as 2013-01-07T06:00:00Z",
    ),
}
_INSTANT = ARROW_TYPES["timestamp"]
_YEARS = (-62_135_596_800_000_000, 253_402_300_800_000_000)
"""Microseconds from 1970 to the year 1 and to the year 10000: what Python's datetime can show"""
_CONTROL = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"


def to_frame(table: pa.Table, columns: Mapping[str, ColumnType], limits: Limits, *, from_text: bool) -> pd.DataFrame:
    """The table with the definition's columns, order and dtypes.

    Dtypes: string -> object (missing: None), integer -> Int64, float -> float64 (missing: NaN), boolean -> bool,
    timestamp -> datetime64[us, UTC]. `from_text`: the values are text from a CSV file and are parsed first.

    Raises:
        UnfitFileError: with a failure for each column that does not fit.
    """
    series: dict[str, pd.Series] = {}
    failures: list[Failure] = []
    for name, kind in columns.items():
        try:
            note(f"converting {plain(name)} to {kind}", name)
            values = table.column(name).combine_chunks()
            if from_text and kind != "string":
                values = _parse(name, values, kind)
            series[name] = _to_series(name, values, kind, limits)
        except UnfitFileError as error:
            failures.extend(error.failures)
    if failures:
        raise UnfitFileError(*failures)
    return pd.DataFrame(series)


def type_of_text(texts: pa.Array) -> ColumnType:
    """The narrowest type that all of `texts` parse as; `string` where nothing else fits, or nothing is there.

    Numbers that begin with a zero are codes: as numbers they would lose it.
    """
    texts = pc.utf8_trim_whitespace(texts)
    texts = texts.filter(pc.invert(pc.is_in(texts, value_set=_MISSING)))
    if not len(texts) or pc.any(pc.match_substring_regex(texts, r"^[+-]?0[0-9]")).as_py():
        return "string"
    for kind in ("integer", "float", "timestamp"):
        try:
            _parse("", texts, kind)
        except UnfitFileError:
            continue
        return kind
    return "boolean" if pc.all(pc.match_substring_regex(texts, "^(?i:true|false)$")).as_py() else "string"


def type_of(values: pa.Array) -> ColumnType:
    """The type under which all of `values`, of a Parquet file, are accepted; `string` where none is.

    Whole numbers with gaps, which pandas writes as floats, are integers; booleans with gaps have no type that fits.
    """
    known = values.drop_null()
    for kind in ("boolean", "timestamp", "integer", "float"):
        try:
            found = bool(len(known)) and _ACCEPTED[kind](values.type)
            if found:
                _CONVERTERS[kind]("", values, LIMITS)
        except (UnfitFileError, pa.ArrowException):
            continue
        if found:
            return kind
    return "string"


def is_known(values: pa.Array, *, from_text: bool) -> pa.Array:
    """Whether each value is one, and not missing under any of its spellings; booleans."""
    if from_text:
        return pc.invert(pc.is_in(pc.utf8_trim_whitespace(pc.fill_null(values, "")), value_set=_MISSING))
    return pc.invert(pc.is_null(values, nan_is_null=True))


def _parse(name: str, texts: pa.Array, kind: ColumnType) -> pa.Array:
    """Text as values of `kind`; every value that does not parse is counted."""
    texts = pc.utf8_trim_whitespace(texts)
    texts = pc.if_else(pc.is_in(texts, value_set=_MISSING), pa.scalar(None, pa.string()), texts)
    pattern, expected = _PATTERNS[kind]
    _refuse(name, texts, pc.invert(pc.match_substring_regex(texts, pattern)), f"are not {expected}", expected)
    if kind == "integer":
        return pc.cast(pc.replace_substring_regex(texts, r"\.0*$", ""), pa.int64())
    if kind == "float":
        return pc.cast(texts, pa.float64())
    if kind == "boolean":
        yes = pc.is_in(pc.utf8_lower(texts), value_set=pa.array(["true", "1"]))
        return pc.if_else(pc.is_valid(texts), yes, pa.scalar(None, pa.bool_()))
    instants = pd.to_datetime(texts.to_pandas(), format="ISO8601", utc=True, errors="coerce")
    _refuse(name, texts, pa.array(instants.isna() & texts.is_valid().to_pandas()), f"are not {expected}", expected)
    return pa.array(instants.dt.as_unit("us"))


def _to_series(name: str, values: pa.Array, kind: ColumnType, limits: Limits) -> pd.Series:
    if pa.types.is_null(values.type):
        values = values.cast(ARROW_TYPES[kind])
    if not _ACCEPTED[kind](values.type):
        raise UnfitFileError(
            unfit(
                "column_type",
                f"{plain(name)}: holds {plain(values.type)} values, where the definition says {kind}",
                observed=plain(values.type),
                expected=kind,
                column=name,
            )
        )
    try:
        return _CONVERTERS[kind](name, values, limits)
    except pa.ArrowException as error:
        detail = plain(str(error).partition("\n")[0], 120)
        sentence = f"{plain(name)}: some values do not fit the type {kind} ({detail})"
        raise UnfitFileError(unfit("column_type", sentence, observed=detail, expected=kind, column=name)) from None


def _string(name: str, values: pa.Array, limits: Limits) -> pd.Series:
    try:
        values.validate(full=True)
    except pa.ArrowException:
        sentence = f"{plain(name)}: holds text that is not valid UTF-8; was it written in another encoding?"
        raise UnfitFileError(unfit("encoding", sentence, expected="UTF-8", column=name)) from None
    longest = pc.max(pc.binary_length(values)).as_py() or 0
    if longest > limits.value_bytes:
        raise UnfitFileError(too_long(longest, limits, name))
    odd = pc.match_substring_regex(values, _CONTROL)
    _refuse(name, values, odd, "hold control characters", "printable text", rule="encoding")
    return pd.Series(values.to_pandas(), dtype=object)


def _integer(name: str, values: pa.Array, limits: Limits) -> pd.Series:
    if pa.types.is_floating(values.type):
        values = pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
        # From 2**53 on, a float no longer names one whole number.
        whole = pc.and_(pc.equal(values, pc.trunc(values)), pc.less(pc.abs(values), 2.0**53))
        _refuse(name, values, pc.invert(whole), "are not whole numbers", "whole numbers", rule="column_type")
    numbers = values.cast(pa.int64())
    missing = numbers.is_null().to_numpy(zero_copy_only=False)
    filled = numbers.fill_null(0).to_numpy(zero_copy_only=False)
    return pd.Series(pd.arrays.IntegerArray(filled.copy(), missing.copy()))


def _float(name: str, values: pa.Array, limits: Limits) -> pd.Series:
    numbers = values.cast(pa.float64())
    _refuse(name, numbers, pc.is_inf(numbers), "are infinite", "finite numbers", rule="finite")
    return pd.Series(numbers.to_numpy(zero_copy_only=False).astype("float64"))


def _boolean(name: str, values: pa.Array, limits: Limits) -> pd.Series:
    missing = pc.is_null(values)
    _refuse(
        name, values, missing, "have no value; a boolean column must be complete", "no missing values", rule="not_null"
    )
    return pd.Series(values.to_numpy(zero_copy_only=False).astype(bool))


def _timestamp(name: str, values: pa.Array, limits: Limits) -> pd.Series:
    if pa.types.is_date(values.type):
        values = values.cast(pa.timestamp("ms"))
    # Finer units than microseconds are cut off; coarser ones raise where microseconds cannot hold them.
    micros = values.cast(pa.timestamp("us", values.type.tz), safe=values.type.unit != "ns").cast(_INSTANT)
    numbers = micros.cast(pa.int64())
    absurd = pc.or_(pc.less(numbers, _YEARS[0]), pc.greater_equal(numbers, _YEARS[1]))
    _refuse(name, numbers, absurd, "lie outside the years 1 to 9999 (microseconds from 1970)", "years 1 to 9999")
    return pd.Series(micros.to_pandas())


def _refuse(
    name: str, values: pa.Array, mask: pa.Array, sentence: str, expected: str, *, rule: str = "column_type"
) -> None:
    """Raise where `mask` holds for any row (null counts as no), with the number of rows and some of their values."""
    rows = np.flatnonzero(pc.fill_null(mask, False).to_numpy(zero_copy_only=False))
    if len(rows):
        sample = () if rule == "not_null" else values.take(pa.array(rows[:SAMPLE])).to_pylist()
        raise UnfitFileError(
            breach(rule, name, sentence, rows=rows, total=len(values), expected=expected, sample=sample)
        )


_CONVERTERS: dict[ColumnType, Callable[[str, pa.Array, Limits], pd.Series]] = {
    "string": _string,
    "integer": _integer,
    "float": _float,
    "boolean": _boolean,
    "timestamp": _timestamp,
}
