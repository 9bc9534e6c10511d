"""Data frames as Parquet bytes and back: the same rows are the same bytes, on any host with the same pyarrow."""

from __future__ import annotations

import io
from collections.abc import Mapping

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from evergreen.core.definition.model import ColumnType

ARROW_TYPES: dict[ColumnType, pa.DataType] = {
    "string": pa.string(),
    "integer": pa.int64(),
    "float": pa.float64(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us", "UTC"),
}


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
