"""A file of a feed's past, such as an export: inputs and labels side by side in one CSV or Parquet file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.model import ColumnType, TableName
from evergreen.errors import BadInputError
from evergreen.loop.intake.failures import UnfitFileError
from evergreen.loop.intake.limits import LIMITS
from evergreen.loop.intake.reading import convert, csv_file, parquet_file
from evergreen.tools.joined_id import joined

SUFFIXES = (".csv", ".parquet")
TABLES: tuple[TableName, ...] = ("inputs", "labels")


class DataFile:
    """All rows and columns of a file, read once.

    Attributes:
        path: where it lies.
        from_text: a CSV file, whose values are all text.
        table: its columns.
    """

    def __init__(self, path: Path) -> None:
        """Read `path`.

        Raises:
            BadInputError: there is no such file, it is neither .csv nor .parquet, cannot be read, or has no rows.
        """
        self.path, self.from_text = path, path.suffix == ".csv"
        if path.suffix not in SUFFIXES:
            raise BadInputError(
                f"{path}: give a .parquet file, or a .csv in UTF-8, comma separated, with a header line"
            )
        try:
            self.table = self._read(path.read_bytes())
        except OSError as error:
            raise BadInputError(f"{path} cannot be read: {error.strerror or error}") from None
        except (UnfitFileError, pa.ArrowException) as error:
            raise BadInputError(f"{path}: {error}") from None
        self._sorted: dict[tuple[str, TableName], pd.DataFrame] = {}
        if not self.table.num_rows:
            raise BadInputError(f"{path} has no rows")

    def _read(self, data: bytes) -> pa.Table:
        names = csv_file.header(data) if self.from_text else pq.read_schema(pa.BufferReader(data)).names
        read = csv_file.read if self.from_text else parquet_file.read
        return read(data, dict.fromkeys(names, "string"), LIMITS)

    def types(self) -> dict[str, ColumnType]:
        """Each column's type: the narrowest that intake accepts all of its values under."""
        return {name: self._type(self.table.column(name).combine_chunks()) for name in self.table.column_names}

    def _type(self, values: pa.Array) -> ColumnType:
        if self.from_text:
            return convert.type_of_text(values.drop_null())
        return convert.type_of(values)

    def frame(self, columns: Mapping[str, ColumnType]) -> pd.DataFrame:
        """The named columns, with the dtypes that intake gives them.

        Raises:
            BadInputError: a column is missing, or does not fit its type.
        """
        return self._frame(self.table, columns)

    def rows_of(self, definition: ModelDefinition, table: TableName) -> pd.DataFrame:
        """All rows of one table of the model's feed, in order of their event time.

        A row without a target has no label yet: the table of labels leaves it out.

        Raises:
            BadInputError: a column of the definition is missing, or does not fit its type.
        """
        columns, rows = dict(definition.feed.tables[table].columns), self.table
        if table == "labels" and definition.target in rows.column_names:
            rows = rows.filter(convert.is_known(rows.column(definition.target), from_text=self.from_text))
        feed = definition.feed
        if feed.entity_from and feed.entity not in rows.column_names:
            frame = self._named(rows, definition, columns)
        else:
            frame = self._frame(rows, columns)
        return frame.sort_values(feed.event_time, kind="stable", ignore_index=True)

    def _named(self, rows: pa.Table, definition: ModelDefinition, columns: dict[str, ColumnType]) -> pd.DataFrame:
        """`columns` of `rows`, with the entity that the file lacks."""
        feed = definition.feed
        parts = {name: feed.tables["inputs"].columns[name] for name in feed.entity_from}
        order = list(columns)
        frame = self._frame(rows, {n: k for n, k in columns.items() if n != feed.entity} | parts)
        frame[feed.entity] = joined(frame, feed.entity_from)
        return frame[order]

    def tables_of(self, definition: ModelDefinition) -> list[TableName]:
        """The tables that the file has the columns for: next week's file may know no labels yet.

        Raises:
            BadInputError: it lacks columns of both.
        """
        feed, missing = definition.feed, dict[TableName, list[str]]()
        for table in TABLES:
            wanted = {*feed.tables[table].columns}
            if feed.entity_from and feed.entity not in self.table.column_names:
                wanted = (wanted - {feed.entity}) | {*feed.entity_from}
            missing[table] = [name for name in sorted(wanted) if name not in self.table.column_names]
        found = [table for table in TABLES if not missing[table]]
        if not found:
            lacking = min(missing.values(), key=len)
            raise BadInputError(
                f"{self.path} has no column {', '.join(lacking)}; it has {', '.join(self.table.column_names[:20])}"
            )
        return found

    def partition(self, definition: ModelDefinition, table: TableName, key: str) -> pd.DataFrame:
        """The rows of one table that belong to the partition `key`; raises as `rows_of`, and PartitionKeyError."""
        if (definition.name, table) not in self._sorted:
            self._sorted[definition.name, table] = self.rows_of(definition, table)
        rows, period = self._sorted[definition.name, table], definition.partitions.period(key)
        ends = pd.DatetimeIndex([period.start, period.end])
        first, last = rows[definition.feed.event_time].searchsorted(ends)
        return rows.iloc[first:last].reset_index(drop=True)

    def _frame(self, rows: pa.Table, columns: Mapping[str, ColumnType]) -> pd.DataFrame:
        missing = [name for name in columns if name not in rows.column_names]
        if missing:
            raise BadInputError(
                f"{self.path} has no column {', '.join(missing)}; it has {', '.join(rows.column_names[:20])}"
            )
        try:
            return convert.to_frame(rows, columns, LIMITS, from_text=self.from_text)
        except UnfitFileError as error:
            raise BadInputError(f"{self.path}: {error}") from None
