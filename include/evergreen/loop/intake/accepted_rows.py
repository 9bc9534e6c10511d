"""Accepted rows, for the later stages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from evergreen.core.store import Store
from evergreen.errors import BadInputError, NotReadyError
from evergreen.settings import Settings

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from evergreen.core.definition import ModelDefinition
    from evergreen.core.definition.model import TableName, TableSection
    from evergreen.core.ledger.tables import Verdict


def read_clean(verdict: Verdict, settings: Settings) -> pd.DataFrame:
    """The rows that `verdict` accepted, in landed order, with the definition's columns; dtypes as `to_frame` says.

    Raises:
        NotReadyError: the verdict is `quarantined`: there are no accepted rows.
        CollectedError: retention has removed them.
        FileNotFoundError: the store no longer has them.
    """
    from evergreen.core.frames import to_frame

    return to_frame(read_clean_table(verdict, settings))


def read_clean_table(verdict: Verdict, settings: Settings, columns: Sequence[str] | None = None) -> pa.Table:
    """The same rows as an Arrow table; raises as `read_clean` does.

    If `columns` are given, those of them that the rows have: an earlier definition may not have known all. No more of
    the file is read than they take.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from evergreen.core.ledger.queries.collected import explained

    if verdict.clean_uri is None:
        raise NotReadyError(f"partition version {verdict.partition_version_id} is quarantined: {verdict.reason}")
    store = Store.from_settings(settings)
    with explained(settings, f"accepted rows {verdict.clean_uri}", [verdict.clean_uri]):
        if columns is not None:
            with store.open(store.name(verdict.clean_uri)) as source:
                file = pq.ParquetFile(source, pre_buffer=False)
                known = set(file.schema_arrow.names)
                return file.read([name for name in columns if name in known])
        data = store.read(store.name(verdict.clean_uri))
    return pq.ParquetFile(pa.BufferReader(data)).read()


def read_known(verdict: Verdict, settings: Settings, definition: ModelDefinition, table: TableName) -> pd.DataFrame:
    """The rows that `verdict` accepted with the columns that `definition` has, whatever it had then.

    One that came later is null, one that was renamed has its new name, one that is gone is left out; dtypes as
    `to_frame` says.

    Raises:
        BadInputError: values of a column do not fit the type that it has now.
        NotReadyError, CollectedError, FileNotFoundError: as `read_clean`.
    """
    from evergreen.core.frames import conform, to_frame

    section = definition.feed.tables[table]
    try:
        return to_frame(conform(read_clean_table(verdict, settings), section.columns, section.aliases))
    except BadInputError as error:
        raise type(error)(f"{table} of {verdict.clean_uri}: {error}") from None


def read_columns(verdict: Verdict, settings: Settings, section: TableSection, names: Sequence[str]) -> pa.Table:
    """The columns `names` of the rows that `verdict` accepted, whatever these columns were called then.

    A code of earlier days may know a column of today under its old name, so that the table's aliases are followed both
    ways.

    Raises:
        KeyError: the rows have none of a column's names.
        BadInputError: values of a column do not fit the type that it has now.
        NotReadyError, CollectedError, FileNotFoundError: as `read_clean`.
    """
    from evergreen.core.frames import conform

    others = {
        name: [*section.aliases.get(name, ()), *(now for now, then in section.aliases.items() if name in then)]
        for name in names
    }
    known = {name: next((n for n in (name, *others[name]) if n in section.columns), name) for name in names}
    rows = read_clean_table(verdict, settings, [*names, *(other for some in others.values() for other in some)])
    for name in names:
        if not {name, *others[name]} & set(rows.column_names):
            raise KeyError(name)
    return conform(rows, {name: section.columns[known[name]] for name in names}, others)
