"""Read the files of one table as one table, by the definition: no file decides for another."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.model import ColumnType, TableName
from evergreen.core.frames import ARROW_TYPES
from evergreen.loop.intake.failures import UnfitFileError, unfit
from evergreen.loop.intake.limits import Limits
from evergreen.loop.intake.reading import convert
from evergreen.loop.intake.reading.parts import Content, Parts, blamed, noted, one_column
from evergreen.loop.intake.validation.earlier_columns import Newer, read_landed


def read_content(
    content: Content, suffix: str, definition: ModelDefinition, table: TableName, limits: Limits, newer: Newer
) -> pa.Table:
    """The definition's columns of what landed, as `read_landed` gives them of one file.

    Of several files, a column that some lack is null there; the entity, the event time and the target are in each.
    Columns that all lack are missing. A type that differs becomes one that holds the values of all; if there is none,
    each file's values become the definition's type. In the metadata is which rows came from which file.

    Raises:
        UnfitFileError: there is no such table in it, even so; of several files it names the one at fault.
    """
    if isinstance(content, Parts):
        return _Reader(content, definition, table, limits, newer).table()
    return read_landed(content, suffix, definition, table, limits, newer)


class _Reader:
    def __init__(
        self, parts: Parts, definition: ModelDefinition, table: TableName, limits: Limits, newer: Newer
    ) -> None:
        self.parts, self.definition, self.limits, self.newer = parts, definition, limits, newer
        self.which: TableName = table
        self.columns = definition.feed.landed_columns(table)

    def table(self) -> pa.Table:
        found = list(self._each())
        present = {name for table in found for name in table.column_names}
        missing = [name for name in self.columns if name not in present and not self.newer(name)]
        if missing:
            told = ", ".join(missing)
            sentence = f"{'column is' if len(missing) == 1 else 'columns are'} missing in every part file: {told}"
            raise UnfitFileError(unfit("columns_present", sentence, expected=told))
        names = [name for name in self.columns if name in present]
        columns = [self._column(name, found) for name in names]
        fields = [_field(name, column.type, found) for name, column in zip(names, columns, strict=True)]
        whole = pa.Table.from_arrays(columns, schema=pa.schema(fields))
        return noted(whole, self.parts.names, found)

    def _each(self) -> Iterator[pa.Table]:
        rows = size = 0
        for number, part in enumerate(self.parts.names):
            try:
                # What a part lacks may be in another: only a column that none has is missing.
                table = read_landed(
                    self.parts.read(number), self.parts.suffix, self.definition, self.which, self.limits, lambda _: True
                )
            except UnfitFileError as error:
                raise blamed(part, error) from None
            rows, size = rows + table.num_rows, size + table.nbytes
            self._check(rows, size)
            yield table

    def _check(self, rows: int, size: int) -> None:
        """All parts together keep the limits of one file."""
        for seen, most, what in ((rows, self.limits.rows, "rows"), (size, self.limits.read_bytes, "bytes in memory")):
            if seen > most:
                sentence = f"the part files have more than {most:,} {what} together; land shorter periods"
                raise UnfitFileError(unfit("size", sentence, observed=f"over {most}", expected=f"at most {most}"))

    def _column(self, name: str, found: list[pa.Table]) -> pa.ChunkedArray:
        columns = [t.column(name) if name in t.column_names else pa.chunked_array([pa.nulls(len(t))]) for t in found]
        whole = one_column(columns)
        if whole is not None:
            return whole
        kind = self.columns[name]
        chunks = [self._converted(part, name, c, kind) for part, c in zip(self.parts.names, columns, strict=True)]
        return pa.chunked_array(chunks, ARROW_TYPES[kind])

    def _converted(self, part: str, name: str, column: pa.ChunkedArray, kind: ColumnType) -> pa.Array:
        """The values of one file in the definition's type."""
        values = column.combine_chunks()
        values = values if isinstance(values, pa.Array) else pa.array([], column.type)
        try:
            clock = self.definition.calendar.clock._replace(only_days=name in self.definition.feed.date_columns)
            series = convert.to_series(pa.field(name, values.type), values, kind, self.limits, clock)
        except UnfitFileError as error:
            raise blamed(part, error) from None
        return pa.Array.from_pandas(series, type=ARROW_TYPES[kind])


def _field(name: str, kind: pa.DataType, found: list[pa.Table]) -> pa.Field:
    """The column's field, with what reading noted about it in any of the files."""
    fields = [table.schema.field(name) for table in found if name in table.column_names]
    return pa.field(name, kind, metadata=next((field.metadata for field in fields if field.metadata), None))
