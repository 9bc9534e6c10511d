"""The rows of a file of a feed's past, handed out partition by partition, and what is not handed out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.model import TableName
from evergreen.core.names import PartitionKey
from evergreen.tools.data_file import DataFile
from evergreen.tools.scaffold.periods import strays

if TYPE_CHECKING:
    import pandas as pd


class PastRows:
    """A file as a source of the feed simulator."""

    def __init__(self, definition: ModelDefinition, file: DataFile) -> None:
        """Read nothing yet; raises BadInputError if `file` lacks columns of both tables."""
        self.definition, self.file, self.tables = definition, file, file.tables_of(definition)

    def partition(self, definition: ModelDefinition, table: TableName, key: PartitionKey) -> pd.DataFrame:
        """The rows of `table` that belong to `key`; empty if the file has none, or no such table."""
        rows = self.file.partition(definition, table if table in self.tables else self.tables[0], key)
        return rows if table in self.tables else rows.head(0)

    def last_tick(self) -> str:
        """The tick that brings the last labels of the file, without rows that lie years away from all others."""
        calendar, times = self.definition.partitions, self._times()
        newest = calendar.key_of(times[~strays(times)].iloc[-1].to_pydatetime())
        last = min(newest, calendar.last_key) if calendar.last_key else newest
        return calendar.shift(max(last, calendar.first_key), self.definition.feed.label_delay)

    def said(self) -> list[str]:
        """What a person should know about rows that do not land."""
        notes, calendar, times = [], self.definition.partitions, self._times()
        wild = strays(times)
        if wild.any():
            days = ", ".join(sorted(set(times[wild].dt.strftime("%Y-%m-%d")))[:5])
            notes.append(
                f"{int(wild.sum()):,} row(s) of {days} are left out: years away from all others. If they are right, "
                "land them with --from and --through"
            )
        early = int((~wild & (times < calendar.midnight(calendar.start))).sum())
        if early:
            notes.append(f"{early:,} rows before {calendar.start}, the calendar's start, are left out")
        lacking = [table for table in ("inputs", "labels") if table not in self.tables]
        notes += [f"the file has not all columns of the {table}: only the other table landed" for table in lacking]
        return notes

    def _times(self) -> pd.Series:
        return self.file.rows_of(self.definition, self.tables[0])[self.definition.feed.event_time]
