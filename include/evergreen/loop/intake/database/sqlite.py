"""SQLite, by Python's own driver. A column has no type there: each value has its own."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa

from evergreen.core.definition.calendar import Period
from evergreen.core.definition.model import ColumnType
from evergreen.core.definition.query import with_bounds
from evergreen.errors import UnavailableError
from evergreen.loop.intake.database.rows import BATCH, Rows, as_texts, check_columns, refusal


@contextmanager
def read(
    url: Any, query: str, period: Period, columns: Mapping[str, ColumnType], personal: Collection[str] = ()
) -> Iterator[Rows]:
    """As `rows.Driver`. A bound is the text `2024-01-01 00:00:00`, as SQLite's `datetime()` writes it."""
    import sqlite3

    text = with_bounds(query, *(f"'{at:%Y-%m-%d %H:%M:%S}'" for at in (period.start, period.end)))
    path = Path(str(url.database))
    if not path.is_file():
        raise UnavailableError(f"there is no SQLite file {path}; correct its address")
    try:
        # The file is opened for reading: one that another process writes is seen as it is at the first read.
        with closing(sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode=ro", uri=True, timeout=30)) as connection:
            connection.execute("BEGIN")
            found = connection.execute(f"SELECT * FROM (\n{text}\n)")  # noqa: S608 - the definition's own query
            names = [column[0] for column in found.description]
            check_columns(names, columns)
            yield Rows(dict.fromkeys(names, "any"), _batches(found, names, columns), lambda: None)
    except sqlite3.OperationalError as error:
        if "locked" in str(error) or "busy" in str(error):
            raise UnavailableError(f"SQLite file {path} is locked by another process; nothing has landed") from None
        raise refusal("SQLite", error, personal) from None
    except sqlite3.Error as error:
        raise refusal("SQLite", error, personal) from None


def _batches(found: Any, names: list[str], columns: Mapping[str, ColumnType]) -> Iterator[pa.RecordBatch]:
    places = [names.index(name) for name in columns]
    rows = found.fetchmany(BATCH)
    while True:
        values = [[row[place] for row in rows] for place in places]
        yield pa.RecordBatch.from_arrays([as_texts(column) for column in values], list(columns))
        rows = found.fetchmany(BATCH)
        if not rows:
            return
