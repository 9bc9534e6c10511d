"""Bring what a database gave to the definition's types. What a type cannot hold is refused, never changed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from evergreen.core.definition.local_days import Clock
from evergreen.core.definition.model import ColumnType
from evergreen.core.frames import ARROW_TYPES
from evergreen.core.text import plain
from evergreen.errors import BadInputError
from evergreen.loop.intake.database.rows import Rows
from evergreen.loop.intake.failures import UnfitFileError, refuse_rows
from evergreen.loop.intake.limits import LIMITS
from evergreen.loop.intake.reading import convert, texts

_EXACT = 15
"""Digits of a whole number that a double holds, whatever they are"""


def schema_of(columns: Mapping[str, ColumnType]) -> pa.Schema:
    """The schema in which rows land."""
    return pa.schema([(name, ARROW_TYPES[kind]) for name, kind in columns.items()])


def converted(
    rows: Rows,
    columns: Mapping[str, ColumnType],
    *,
    personal: Collection[str] = (),
    clock: Clock = texts.IN_UTC,
    dates: Collection[str] = (),
) -> Iterator[pa.RecordBatch]:
    """The batches with the definition's columns and types; times and dates without a zone are those of `clock`.
    Of the columns `dates` only the day counts.

    A `float` is the double nearest to a number with decimals; a whole number that no double holds is refused.

    Raises:
        BadInputError: values of a column do not fit its type; it names the column, the database's type and some values,
            but none of a `personal` column.
    """
    schema, before = schema_of(columns), 0
    for batch in rows.batches:
        arrays = []
        for name, kind in columns.items():
            try:
                arrays.append(_column(name, batch.column(name), kind, clock._replace(only_days=name in dates)))
            except UnfitFileError as error:
                why = _without_values(error) if name in personal else str(error)
                raise BadInputError(
                    f"the query's column {plain(name)} ({plain(rows.types.get(name, ''))} in the database) does not "
                    f"fit the type {kind}, in rows {before + 1:,} to {before + batch.num_rows:,}: {why}. Cast it in "
                    "the query, leave such rows out, or declare another type in feed.tables"
                ) from None
        before += batch.num_rows
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _without_values(error: UnfitFileError) -> str:
    """Column, rule and number of rows: no sample, no hint that was made of one, and no words of a library."""
    said = [
        f"{f.observed} {f.rule.removeprefix(f'{plain(f.column)}: ')}" if f.count is not None else f"rule {f.name}"
        for f in error.failures
    ]
    return f"{'; '.join(said)} (values are not shown: the column is personal)"


def _column(name: str, values: pa.Array, kind: ColumnType, clock: Clock) -> pa.Array:
    if values.type == ARROW_TYPES[kind] and kind in ("integer", "boolean"):
        return values
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        values = _from_text(name, values, kind, clock)
    elif kind == "string":
        values = values.cast(pa.string())
    if kind == "string" and values.type == pa.string() and not _odd(values):
        return values
    if kind == "float" and values.type == pa.float64() and not pc.any(pc.is_inf(values)).as_py():
        return pc.if_else(pc.is_nan(values), pa.scalar(None, pa.float64()), values)
    series = convert.to_series(pa.field(name, values.type), values, kind, LIMITS, clock)
    return pa.Array.from_pandas(series, type=ARROW_TYPES[kind])


def _odd(values: pa.Array) -> bool:
    """Whether a text may be refused: without Python objects, most batches are seen to be good."""
    long = (pc.max(pc.binary_length(values)).as_py() or 0) > LIMITS.value_bytes
    return bool(long or pc.any(pc.match_substring_regex(values, convert.CONTROL)).as_py())


def _from_text(name: str, values: pa.Array, kind: ColumnType, clock: Clock) -> pa.Array:
    if kind == "string":
        return values
    if kind == "float":
        _refuse_long(name, values)
    return texts.parse(name, values, kind, clock=clock)


def _refuse_long(name: str, values: pa.Array) -> None:
    """Whole numbers whose last digits no double has."""
    long = pc.match_substring_regex(values, rf"^[+-]?[0-9]{{{_EXACT + 1},}}(\.0*)?$")
    if not pc.any(long).as_py():
        return
    wrong = pc.fill_null(long, False).to_numpy(zero_copy_only=False).copy()
    for row in wrong.nonzero()[0]:
        whole = int(values[int(row)].as_py().partition(".")[0])
        wrong[row] = int(float(whole)) != whole
    sentence = "are whole numbers with more digits than a float has"
    refuse_rows(name, values, pa.array(wrong), sentence, "numbers that a float holds", hint="declare it as string")
