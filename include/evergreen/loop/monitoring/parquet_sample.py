"""Rows of a Parquet file that a check looks at: a uniform sample, read without ever holding the file in memory.

A check looks at no more than `drift.MAX_ROWS` rows of a sample, however many there are. The file is decoded batch by
batch, in its own order, and of each batch only the drawn rows are kept: memory is bounded by a batch and the sample.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from evergreen.errors import BadInputError

BATCH_ROWS = 65_536
BUFFER_BYTES = 1 << 20
Source: TypeAlias = str | Path | BinaryIO
"""A local path, or an open file that can seek"""


def read_sample(file: Source, columns: Sequence[str], rows: int, seed: int = 0) -> pd.DataFrame:
    """At most `rows` rows of `columns`, every set of that many equally likely, in the file's order.

    The same file, `rows` and `seed` give the same rows, whatever the columns: files of the same rows in the same order
    can be sampled one by one.

    Args:
        file: Parquet.
        columns: to read, in this order.
        rows: at most; a file with no more is read whole.
        seed: of the draw.

    Raises:
        BadInputError: the file lacks a column, or is not Parquet.
    """
    with _opened(file, columns) as parquet:
        total = parquet.metadata.num_rows
        if total <= rows:
            return _frame(parquet.read(list(columns)), columns)
        # without a shuffle, memory and time grow with the sample and not with the file
        drawn = np.sort(np.random.default_rng(seed).choice(total, rows, replace=False, shuffle=False))
        kept = pa.concat_tables(_taken(parquet, columns, drawn), promote_options="permissive")
    return _frame(kept, columns)


def read_matching(file: Source, columns: Sequence[str], key: str, values: Collection[Any]) -> pd.DataFrame:
    """The rows of `columns` whose `key` is one of `values`: the predictions of sampled rows.

    Raises:
        BadInputError: the file lacks a column, or is not Parquet.
    """
    wanted = list(dict.fromkeys([*columns, key]))
    with _opened(file, wanted) as parquet:
        known = pa.array(list(values), type=_plain(parquet.schema_arrow.field(key).type))
        found = [
            batch.filter(pc.is_in(_decoded(batch.column(key)), known))
            for batch in parquet.iter_batches(BATCH_ROWS, columns=wanted)
        ]
        table = pa.Table.from_batches(found) if found else parquet.schema_arrow.empty_table()
    return _frame(table, columns)


def count_rows(file: Source) -> int:
    """Rows of the file, from its footer."""
    with _opened(file, ()) as parquet:
        return int(parquet.metadata.num_rows)


def column_names(file: Source) -> tuple[str, ...]:
    """Names of the file's columns, from its footer."""
    with _opened(file, ()) as parquet:
        return tuple(parquet.schema_arrow.names)


def count_nulls(file: Source, columns: Sequence[str]) -> dict[str, int]:
    """Exact number of nulls of each column, from the statistics in the file's footer; no data is read.

    Columns without statistics are left out. NaN is a value to Parquet and is not counted.
    """
    found: dict[str, int] = {}
    with _opened(file, columns) as parquet:
        meta = parquet.metadata
        places = {meta.schema.column(i).path: i for i in range(meta.num_columns)}
        for name in columns:
            groups = [meta.row_group(g).column(places[name]) for g in range(meta.num_row_groups)]
            if all(g.is_stats_set and g.statistics.has_null_count for g in groups):
                found[name] = sum(g.statistics.null_count for g in groups)
    return found


def _frame(table: pa.Table, columns: Sequence[str]) -> pd.DataFrame:
    kept = pa.table({name: _decoded(table.column(name)) for name in columns})
    frame: pd.DataFrame = kept.to_pandas()
    return frame


def _decoded(column: Any) -> Any:
    return column.cast(_plain(column.type))


def _plain(kind: Any) -> Any:
    """The type of the values, if they are held as a dictionary."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _opened(file: Source, columns: Sequence[str]) -> pq.ParquetFile:
    try:
        # streamed through a small buffer: a memory map, or whole column chunks, would count as this process's memory
        footer = pq.ParquetFile(file)
        texts = [field.name for field in footer.schema_arrow if pa.types.is_string(field.type)]
        # text is decoded once for each category, and not for each row, of which few are kept
        parquet = pq.ParquetFile(
            file, metadata=footer.metadata, read_dictionary=texts, buffer_size=BUFFER_BYTES, pre_buffer=False
        )
    except pa.ArrowInvalid as error:
        raise BadInputError(f"{file} cannot be read as Parquet: {error}") from None
    lacking = [c for c in columns if c not in parquet.schema_arrow.names]
    if lacking:
        parquet.close()
        raise BadInputError(f"the file lacks {', '.join(lacking)}; it has {', '.join(parquet.schema_arrow.names[:8])}")
    return parquet


def _taken(parquet: pq.ParquetFile, columns: Sequence[str], drawn: NDArray[np.int64]) -> Iterator[pa.Table]:
    """The drawn rows (sorted), batch by batch; row groups without any are skipped."""
    first = 0
    for group in range(parquet.num_row_groups):
        rows = parquet.metadata.row_group(group).num_rows
        low, high = np.searchsorted(drawn, [first, first + rows])
        if low < high:
            start = first
            for batch in parquet.iter_batches(BATCH_ROWS, row_groups=[group], columns=list(columns)):
                here = drawn[slice(*np.searchsorted(drawn, [start, start + len(batch)]))] - start
                if len(here):
                    yield pa.Table.from_batches([batch.take(pa.array(here))])
                start += len(batch)
        first += rows
