"""Bring a landed table to the definition's types, without guessing.

Only conversions that lose nothing are made: whole numbers written as floats become integers, 0 and 1 become booleans, a
date becomes the begin of its day, a timestamp without a zone is one of the calendar's time zone, by default UTC. All
else is a failure that says which values did not fit. docs/file-types.md has the table.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from evergreen.core.definition.local_days import Clock
from evergreen.core.definition.model import ColumnType
from evergreen.core.definition.sections import CsvSection
from evergreen.core.frames import ARROW_TYPES, booleans
from evergreen.core.sandbox import note
from evergreen.core.text import plain
from evergreen.loop.intake.failures import Failure, UnfitFileError, refuse_rows, unfit
from evergreen.loop.intake.limits import Limits
from evergreen.loop.intake.reading import local_times, texts
from evergreen.loop.intake.reading.column_names import too_long
from evergreen.loop.intake.reading.parquet_types import in_words, is_unusable

ACCEPTED: dict[ColumnType, Callable[[pa.DataType], bool]] = {
    "string": lambda t: pa.types.is_string(t) or pa.types.is_large_string(t),
    "integer": lambda t: pa.types.is_integer(t) or pa.types.is_floating(t) or pa.types.is_decimal(t),
    "float": lambda t: pa.types.is_floating(t) or pa.types.is_integer(t) or pa.types.is_decimal(t),
    "boolean": lambda t: pa.types.is_boolean(t) or pa.types.is_integer(t),
    "timestamp": lambda t: pa.types.is_timestamp(t) or pa.types.is_date(t),
}
"""Types, of those that reading gives, whose values may be values of the definition's type"""
_INSTANT = ARROW_TYPES["timestamp"]
_YEARS = (-62_135_596_800, 253_402_300_800)
"""Seconds from 1970 to the year 1 and to the year 10000: what Python's datetime can show"""
_UNITS = {
    "s": (1, "seconds"),
    "ms": (1_000, "milliseconds"),
    "us": (1_000_000, "microseconds"),
    "ns": (1_000_000_000, "nanoseconds"),
}
"""How many of a unit are a second, and its name"""
CONTROL = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
"""Characters that no text may hold"""


def to_frame(
    table: pa.Table,
    columns: Mapping[str, ColumnType],
    limits: Limits,
    *,
    from_text: bool,
    form: CsvSection = texts.DEFAULT,
    clock: Clock = texts.IN_UTC,
    dates: Collection[str] = (),
) -> pd.DataFrame:
    """The table with the definition's columns, order and dtypes.

    Dtypes: string -> object (missing: None), integer -> Int64, float -> float64 (missing: NaN), boolean -> bool, or
    boolean if some are missing, timestamp -> datetime64[us, UTC]. `from_text`: the values are text of the form `form`
    and are parsed first. Times without a zone are those of `clock`; of the columns `dates` only the day
    counts.

    Raises:
        UnfitFileError: with a failure for each column that does not fit.
    """
    series: dict[str, pd.Series] = {}
    failures: list[Failure] = []
    for name, kind in columns.items():
        try:
            note(f"converting {plain(name)} to {kind}", name)
            field, values = table.schema.field(name), table.column(name).combine_chunks()
            shown_by = clock._replace(only_days=name in dates)
            if from_text and kind != "string":
                values = texts.parse(name, values, kind, form, shown_by)
                field = pa.field(name, values.type)
            series[name] = to_series(field, values, kind, limits, shown_by)
        except UnfitFileError as error:
            failures.extend(error.failures)
    if failures:
        raise UnfitFileError(*failures)
    return pd.DataFrame(series)


def to_series(
    field: pa.Field, values: pa.Array, kind: ColumnType, limits: Limits, clock: Clock = texts.IN_UTC
) -> pd.Series:
    """The column `field` with the dtype of `kind`, as `to_frame` says; raises UnfitFileError."""
    name = field.name
    if pa.types.is_null(values.type):
        values = values.cast(ARROW_TYPES[kind])
    if is_unusable(field) or not ACCEPTED[kind](values.type):
        words = in_words(field)
        sentence = f"{plain(name)}: holds {words}, where the definition says {kind}"
        raise UnfitFileError(unfit("column_type", sentence, observed=words, expected=kind, column=name))
    try:
        found = CONVERTERS[kind](name, values, limits)
    except pa.ArrowException as error:
        detail = plain(str(error).partition("\n")[0], 120)
        sentence = f"{plain(name)}: some values do not fit the type {kind} ({detail})"
        raise UnfitFileError(unfit("column_type", sentence, observed=detail, expected=kind, column=name)) from None
    if kind == "timestamp" and getattr(values.type, "tz", None) is None:
        clock = clock._replace(only_days=clock.only_days or pa.types.is_date(values.type))
        return local_times.instants(name, found, clock)
    return found


def _string(name: str, values: pa.Array, limits: Limits) -> pd.Series:
    try:
        values.validate(full=True)
    except pa.ArrowException:
        sentence = f"{plain(name)}: holds text that is not valid UTF-8; was it written in another encoding?"
        raise UnfitFileError(unfit("encoding", sentence, expected="UTF-8", column=name)) from None
    longest = pc.max(pc.binary_length(values)).as_py() or 0
    if longest > limits.value_bytes:
        raise UnfitFileError(too_long(longest, limits, name))
    odd = pc.match_substring_regex(values, CONTROL)
    refuse_rows(name, values, odd, "hold control characters", "printable text", rule="encoding")
    return pd.Series(values.to_pandas(), dtype=object)


def _integer(name: str, values: pa.Array, limits: Limits) -> pd.Series:
    if pa.types.is_floating(values.type):
        values = _whole_floats(name, values)
    elif pa.types.is_decimal(values.type):
        values = values.cast(pa.decimal256(76, values.type.scale))
        parts = pc.not_equal(values, pc.round(values))
        refuse_rows(name, values, parts, "are not whole numbers", "whole numbers")
    numbers = _in_64_bits(name, values)
    missing = numbers.is_null().to_numpy(zero_copy_only=False)
    filled = numbers.fill_null(0).to_numpy(zero_copy_only=False)
    return pd.Series(pd.arrays.IntegerArray(filled.copy(), missing.copy()))


def _whole_floats(name: str, values: pa.Array) -> pa.Array:
    values = pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
    whole = pc.and_(pc.equal(values, pc.trunc(values)), pc.is_finite(values))
    refuse_rows(name, values, pc.invert(whole), "are not whole numbers", "whole numbers")
    # From 2**53 on, a float no longer names one whole number.
    large = pc.greater_equal(pc.abs(values), 2.0**53)
    sentence = "are floats of 2**53 (9,007,199,254,740,992) or more, which no longer say which whole number was meant"
    hint = "have the producer write 64-bit integers, or text"
    refuse_rows(name, values, large, sentence, "whole numbers that a float holds exactly", hint=hint)
    return values


def _in_64_bits(name: str, values: pa.Array) -> pa.Array:
    try:
        return values.cast(pa.int64())
    except pa.ArrowInvalid:
        low, high = (pa.scalar(bound, pa.decimal256(76, 0)) for bound in (-(2**63), 2**63 - 1))
        wide = values.cast(pa.decimal256(20, 0)) if pa.types.is_integer(values.type) else values
        beyond = pc.or_(pc.less(wide, low), pc.greater(wide, high))
        refuse_rows(name, values, beyond, "do not fit 64 bits", "64-bit integers", hint="have the producer write text")
        raise


def _float(name: str, values: pa.Array, limits: Limits) -> pd.Series:
    numbers = values.cast(pa.float64())
    refuse_rows(name, numbers, pc.is_inf(numbers), "are infinite", "finite numbers", rule="finite")
    return pd.Series(numbers.to_numpy(zero_copy_only=False).astype("float64"))


def _boolean(name: str, values: pa.Array, limits: Limits) -> pd.Series:
    if not pa.types.is_boolean(values.type):
        numbers = values.cast(pa.int64())
        other = pc.invert(pc.is_in(numbers, value_set=pa.array([0, 1], pa.int64()), skip_nulls=True))
        other = pc.and_(other, pc.is_valid(numbers))
        refuse_rows(name, numbers, other, "are not true or false, 1 or 0", "true or false, 1 or 0")
        values = numbers.cast(pa.bool_())
    return booleans(values)


def _timestamp(name: str, values: pa.Array, limits: Limits) -> pd.Series:
    if pa.types.is_date(values.type):
        values = values.cast(pa.timestamp("ms"))
    _check_years(name, values)
    # Finer units than microseconds are cut off; coarser ones raise if microseconds cannot hold them.
    micros = values.cast(pa.timestamp("us", values.type.tz), safe=values.type.unit != "ns").cast(_INSTANT)
    return pd.Series(micros.to_pandas())


def _check_years(name: str, values: pa.Array) -> None:
    second, unit = _UNITS[values.type.unit]
    low, high = (bound * second for bound in _YEARS)
    numbers = values.cast(pa.int64())
    if second < _UNITS["ns"][0]:  # 64 bits of nanoseconds lie within these years
        absurd = pc.or_(pc.less(numbers, low), pc.greater_equal(numbers, high))
        refuse_rows(name, numbers, absurd, f"lie outside the years 1 to 9999 ({unit} from 1970)", "years 1 to 9999")


CONVERTERS: dict[ColumnType, Callable[[str, pa.Array, Limits], pd.Series]] = {
    "string": _string,
    "integer": _integer,
    "float": _float,
    "boolean": _boolean,
    "timestamp": _timestamp,
}
