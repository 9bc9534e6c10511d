"""Data frames as Parquet bytes and back: the same rows are the same bytes, on any host with the same pyarrow."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from evergreen.core.definition.local_days import UTC, zone_of
from evergreen.core.definition.model import ColumnType
from evergreen.errors import BadInputError

ARROW_TYPES: dict[ColumnType, pa.DataType] = {
    "string": pa.string(),
    "integer": pa.int64(),
    "float": pa.float64(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us", "UTC"),
}


_WIDENED = {("int64", "double"), ("double", "int64"), ("bool", "int64"), ("int64", "string"), ("float", "double")} | {
    (small, "int64") for small in ("int8", "int16", "int32", "uint8", "uint16", "uint32")
} | {("int64", "bool"), ("double", "bool")}  # fmt: skip
"""Types that values are brought to if none is lost by it: 2.0 is a whole number, 1.5 is not; 0 and 1 are booleans."""


def to_parquet(frame: pd.DataFrame, columns: Mapping[str, ColumnType]) -> bytes:
    """The definition's `columns` of `frame`, in their order, as one Parquet file with checksums on its pages."""
    return as_file(to_table(frame, columns))


def as_file(table: pa.Table) -> bytes:
    """`table` as one Parquet file with checksums on its pages."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", compression_level=3, write_page_checksum=True)
    return buffer.getvalue()


def to_table(frame: pd.DataFrame, columns: Mapping[str, ColumnType]) -> pa.Table:
    """The definition's `columns` of `frame`, in their order, with nothing said about pandas."""
    schema = pa.schema([(name, ARROW_TYPES[kind]) for name, kind in columns.items()])
    table = pa.Table.from_pandas(frame[list(columns)], schema=schema, preserve_index=False)
    return table.replace_schema_metadata(None)


def conform(
    table: pa.Table, columns: Mapping[str, ColumnType], aliases: Mapping[str, Sequence[str]] | None = None
) -> pa.Table:
    """`table`, of rows that an earlier definition may have accepted, with `columns` in their order and of their types.

    A column that it lacks is taken from the first of its `aliases` that is there, else it is null; others are dropped.
    A table that has these columns already is returned as it is.

    Raises:
        BadInputError: values of a column do not fit its type.
    """
    schema = pa.schema([(name, ARROW_TYPES[kind]) for name, kind in columns.items()])
    if table.schema.equals(schema):
        return table
    found = []
    for field in schema:
        names = [field.name, *(aliases or {}).get(field.name, ())]
        name = next((name for name in names if name in table.column_names), None)
        found.append(pa.nulls(len(table), field.type) if name is None else _cast(table.column(name), field))
    return pa.Table.from_arrays(found, schema=schema)


def renamed(frame: pd.DataFrame, columns: Sequence[str], aliases: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """`frame` with each of `columns` that it lacks taken from the first of its `aliases` that is there."""
    lacking = [name for name in columns if name not in frame]
    known = {next((a for a in aliases.get(name, ()) if a in frame), name): name for name in lacking}
    return frame.rename(columns=known) if known else frame


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _cast(values: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray:
    """The values as `field` has them; without a loss, or not at all."""
    if values.type.equals(field.type):
        return values
    try:
        alike = any(is_it(values.type) and is_it(field.type) for is_it in (_is_text, pa.types.is_timestamp))
        if not alike and (str(values.type), str(field.type)) not in _WIDENED and not pa.types.is_null(values.type):
            raise pa.ArrowInvalid(f"{values.type} is not made {field.type}")
        if pa.types.is_boolean(field.type) and not pa.types.is_null(values.type):
            _see_only_0_and_1(values)
        return values.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise BadInputError(
            f"column {field.name}: it was accepted as {values.type}, and its values cannot all be read as "
            f"{field.type}, which the definition says now ({str(error).splitlines()[0]}); give the new type another "
            "column, or have the older partitions landed again"
        ) from None


def _see_only_0_and_1(values: pa.ChunkedArray) -> None:
    """What the reading of a landed file takes for a boolean: Arrow's cast would take 2 for true, too."""
    other = pc.unique(values.filter(pc.invert(pc.is_in(values, pa.array([0, 1, None], values.type)))))
    if len(other):
        raise pa.ArrowInvalid(f"{other[0]} is neither 0 nor 1")


def to_frame(table: pa.Table) -> pd.DataFrame:
    """The rows of `table`, of the types of `ARROW_TYPES`, under a fresh index.

    Dtypes: string -> object (missing: None), integer -> Int64, float -> float64 (missing: NaN), boolean -> bool, or
    boolean if some are missing, timestamp -> datetime64[us, UTC].
    """
    frame: pd.DataFrame = table.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
    for place, field in enumerate(table.schema):
        if pa.types.is_boolean(field.type) and table.column(place).null_count:
            frame[field.name] = booleans(table.column(place).combine_chunks())
    return frame


def booleans(values: pa.Array) -> pd.Series:
    """Booleans: of dtype bool, or of the nullable boolean if some are missing."""
    if not values.null_count:
        return pd.Series(values.to_numpy(zero_copy_only=False).astype(bool))
    missing = values.is_null().to_numpy(zero_copy_only=False)
    filled = values.fill_null(False).to_numpy(zero_copy_only=False)
    return pd.Series(pd.arrays.BooleanArray(filled.copy(), missing.copy()))


def on_the_clock(times: pd.Series, timezone: str) -> pd.Series:
    """What the clocks of `timezone` show at the instants `times` (any dtype that pandas reads as times): naive."""
    instants = pd.to_datetime(times, utc=True)
    return (instants if timezone == UTC else instants.dt.tz_convert(zone_of(timezone))).dt.tz_localize(None)
