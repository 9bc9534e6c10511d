"""A file of a feed's past, such as an export: inputs and labels side by side in one CSV or Parquet file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.local_days import Clock
from evergreen.core.definition.model import ColumnType, TableName
from evergreen.core.definition.sections import CsvSection
from evergreen.core.names import PartitionKey
from evergreen.core.text import plain
from evergreen.core.values import TABLES
from evergreen.errors import BadInputError
from evergreen.loop.intake.drop_content import content_of
from evergreen.loop.intake.failures import UnfitFileError, unfit
from evergreen.loop.intake.landing_zone import local_drop
from evergreen.loop.intake.limits import LIMITS
from evergreen.loop.intake.reading import convert, csv_file, infer, parquet_file, texts, times
from evergreen.loop.intake.reading.column_names import broken_rule, repeated
from evergreen.loop.intake.reading.file_types import is_text, why_not
from evergreen.loop.intake.reading.first_lines import fault_of
from evergreen.loop.intake.reading.joined_id import joined
from evergreen.loop.intake.reading.made_columns import with_made
from evergreen.loop.intake.reading.packing import suffix_within
from evergreen.loop.intake.reading.parquet_types import why_unusable
from evergreen.loop.intake.reading.parts import Parts, blamed, one_column

_PANDAS_INDEX = "__index_level_"
_OURS = ("__", "evergreen_")
_HEAD = 1 << 16
_NO_NAMES = ('{"', "[{", "<")


class DataFile:
    """All rows and usable columns of a file, read once.

    Attributes:
        path: where it lies.
        form: how its text is written, as it was said.
        from_text: a text file, whose values are all text.
        table: its columns, under names without blanks around them.
        left_out: column that cannot be used -> why, and what to do about it. It is not in `table`.
    """

    def __init__(self, path: Path, form: CsvSection = csv_file.DEFAULT, clock: Clock = texts.IN_UTC) -> None:
        """Read `path`: a file, a folder of part files, or a Delta or Iceberg table; its times without a zone are those
        of `clock`.

        Raises:
            BadInputError: there is no such file, its ending is not one that is read, it cannot be read, or has no rows.
        """
        self.path, self.form, self.left_out = path, form, dict[str, str]()
        self.clock = clock
        try:
            data, suffix = content_of(local_drop(path))
            if isinstance(data, bytes) and not suffix:
                suffix = suffix_within(data) or ""
            if isinstance(data, bytes) and not suffix:
                raise BadInputError(f"{path} is not read: {why_not(path.name, data[:_HEAD])}")
            self.from_text = is_text(suffix)
            self.table = self._read_parts(data) if isinstance(data, Parts) else self._read(data, suffix)
        except OSError as error:
            raise BadInputError(f"{path} cannot be read: {error.strerror or error}") from None
        except (UnfitFileError, pa.ArrowException) as error:
            raise BadInputError(f"{path}: {error}") from None
        self._sorted: dict[tuple[str, TableName], pd.DataFrame] = {}
        if not self.table.num_rows:
            raise BadInputError(f"{path} has no rows")

    def _read_parts(self, parts: Parts) -> pa.Table:
        """The part files as one table: columns by name, null where a file lacks one."""
        tables = []
        for number, name in enumerate(parts.names):
            try:
                tables.append(self._read(parts.read(number), parts.suffix))
            except UnfitFileError as error:
                raise blamed(name, error) from None
        names = dict.fromkeys(name for table in tables for name in table.column_names if name not in self.left_out)
        return pa.table({name: column for name in names if (column := self._whole(name, tables)) is not None})

    def _whole(self, name: str, tables: list[pa.Table]) -> pa.ChunkedArray | None:
        columns = [t.column(name) if name in t.column_names else pa.chunked_array([pa.nulls(len(t))]) for t in tables]
        found = one_column(columns, mixed_numbers=True)
        if found is None:
            kinds = ", ".join(sorted({str(c.type) for c in columns}))
            self.left_out[name] = f"its type differs from part file to part file ({kinds}), and none holds all values"
        return found

    def _read(self, data: bytes, suffix: str) -> pa.Table:
        if self.from_text:
            text, form = csv_file.text_of(data, self.form, suffix)
            names = csv_file.header(text, form)
            if names and names[0].lstrip().startswith(_NO_NAMES):
                csv_file.check_kind(text)
            if fault := fault_of(names, text, form):
                raise UnfitFileError(unfit("readable", fault))
            return csv_file.read_places(text, names, self._usable(names), LIMITS, form)
        fields = parquet_file.columns_of(data, LIMITS)
        places = self._usable([field.name for field in fields])
        for name, place in list(places.items()):
            unusable = why_unusable(fields[place])
            if unusable:
                self.left_out[name] = f"holds {unusable}"
                del places[name]
        while True:
            try:
                return parquet_file.read_places(data, fields, places, LIMITS)
            except UnfitFileError as error:
                odd = [failure.column for failure in error.failures if failure.column in places]
                if not odd:
                    raise
                for name in odd:
                    self._leave_out(name, error)
                    del places[name]

    def _usable(self, names: list[str]) -> dict[str, int]:
        """Position of each column whose name can be used, by its name without blanks around it."""
        places: dict[str, int] = {}
        twice = repeated([name.strip() for name in names])
        for place, name in enumerate(names):
            short = name.strip()
            if short in twice and short in places:
                self.left_out[short] = (
                    "it stands in the file more than once, and the first one is read; rename the others"
                )
                continue
            why = _unusable_name(name, place)
            if why:
                self.left_out[plain(name) or f"column {place + 1}"] = why
            else:
                places[short] = place
        return places

    def _leave_out(self, name: str, error: UnfitFileError) -> None:
        self.left_out[name] = "; ".join(f.sentence.removeprefix(f"{plain(name)}: ") for f in error.failures)

    def types(self) -> dict[str, ColumnType]:
        """Each column's type: the narrowest that intake accepts all of its values under.

        A column that has none is put into `left_out`.
        """
        found: dict[str, ColumnType] = {}
        for name in self.table.column_names:
            field, values = self.table.schema.field(name), self.table.column(name).combine_chunks()
            try:
                form = self.form if self.from_text else None
                found[name] = infer.column_type(field, values, LIMITS, form)
            except UnfitFileError as error:
                self._leave_out(name, error)
        return found

    def declare_times(self, name: str, form: str) -> None:
        """Read the times of the column `name`, and of others that are written so, by the strptime format `form`."""
        columns = {name: form}
        for other in self.table.column_names if self.from_text else ():
            known = texts.known(self.table.column(other).combine_chunks()).drop_null()
            digits = pc.match_substring_regex(known, "^[0-9.]*$")
            if len(known) and not pc.any(digits).as_py() and not times.parse(known, form).null_count:
                columns[other] = form
        self.form = self.form.model_copy(update={"time_format": columns})

    def check_column(self, option: str, name: str) -> None:
        """Raise BadInputError if the column `name`, asked for with `option`, has been left out, and say why."""
        if name in self.left_out:
            raise BadInputError(f"{option} {name!r}: {self.left_out[name]}")

    def check_time(self, option: str, name: str) -> None:
        """Raise BadInputError if the column `name` holds anything but times, with the values that are none.

        A column that is not there is no fault here.
        """
        if name not in self.table.column_names:
            return
        field, values = self.table.schema.field(name), self.table.column(name).combine_chunks()
        try:
            if self.from_text:
                texts.parse(name, values, "timestamp", self.form)
            elif infer.column_type(field, values, LIMITS, None) != "timestamp":
                raise UnfitFileError(infer.no_time(field, values))
        except UnfitFileError as error:
            fault = error.failures[0]
            told = fault.sentence.removeprefix(f"{plain(name)}: ").replace(f" are not {fault.expected}", "")
            wanted = fault.expected.replace("a timestamp", "timestamps")
            raise BadInputError(f"{option} {name!r} holds values that are no {wanted}: {told}") from None

    def frame(self, columns: Mapping[str, ColumnType]) -> pd.DataFrame:
        """The named columns, with the dtypes that intake gives them.

        Raises:
            BadInputError: a column is missing, or does not fit its type.
        """
        return self._frame(self.table, columns)

    def shows_twice(self, types: Mapping[str, ColumnType]) -> bool:
        """Whether some of its times may mean two instants, because the clocks of autumn show them twice."""
        if self.clock.is_utc:
            return False
        times_ = {name: kind for name, kind in types.items() if kind == "timestamp"}
        clock = self.clock._replace(repeated_hour="refuse")
        try:
            convert.to_frame(self.table, times_, LIMITS, from_text=self.from_text, form=self.form, clock=clock)
        except UnfitFileError as error:
            return any(failure.name == "local_time" for failure in error.failures)
        return False

    def rows_of(self, definition: ModelDefinition, table: TableName) -> pd.DataFrame:
        """All rows of one table of the model's feed, in order of their event time.

        A row without a target has no label yet: the table of labels leaves it out.

        Raises:
            BadInputError: a column of the definition is missing, or does not fit its type.
        """
        columns, rows = definition.feed.landed_columns(table), self.table
        if table == "labels" and definition.target in rows.column_names:
            rows = rows.filter(texts.is_known(rows.column(definition.target), from_text=self.from_text))
        feed = definition.feed
        if feed.entity_from and feed.entity not in rows.column_names:
            frame = self._named(rows, definition, columns)
        else:
            frame = self._frame(rows, columns)
        try:
            frame = with_made(frame, definition, table)
        except UnfitFileError as error:
            raise BadInputError(f"{self.path}: {error}") from None
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
            wanted = {*feed.landed_columns(table)}
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

    def partition(self, definition: ModelDefinition, table: TableName, key: PartitionKey) -> pd.DataFrame:
        """The rows of one table that belong to the partition `key`; raises as `rows_of`, and PartitionKeyError."""
        if (definition.name, table) not in self._sorted:
            self._sorted[definition.name, table] = self.rows_of(definition, table)
        rows, period = self._sorted[definition.name, table], definition.partitions.period(key)
        ends = pd.DatetimeIndex([period.start, period.end])
        first, last = rows[definition.feed.event_time].searchsorted(ends)
        return rows.iloc[first:last].reset_index(drop=True)

    def _frame(self, rows: pa.Table, columns: Mapping[str, ColumnType]) -> pd.DataFrame:
        for name in columns:
            self.check_column("column", name)
        missing = [name for name in columns if name not in rows.column_names]
        if missing:
            raise BadInputError(
                f"{self.path} has no column {', '.join(missing)}; it has {', '.join(rows.column_names[:20])}"
            )
        try:
            return convert.to_frame(rows, columns, LIMITS, from_text=self.from_text, form=self.form, clock=self.clock)
        except UnfitFileError as error:
            raise BadInputError(f"{self.path}: {error}") from None


def _unusable_name(name: str, place: int) -> str | None:
    """Why a column of this name is not read, and what to do about it."""
    short = name.strip()
    if not short and place == 0:
        return (
            "the first column has no name: these are the row numbers that pandas and R write. They are not read; write "
            "the file without them (index=False, row.names=FALSE), or name the column if it means something"
        )
    if short.startswith(_PANDAS_INDEX):
        return "the index of a pandas frame, which has no name; name it (df.index.name = ...) if it means something"
    if short.startswith(_OURS):
        return f"names that begin with {' or '.join(_OURS)} are Evergreen's own; rename it"
    broken = broken_rule(short, LIMITS)
    return f"{broken}; rename it" if broken else None
