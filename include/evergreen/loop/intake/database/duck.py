"""DuckDB, by its own streaming into Arrow; types that Arrow would change on the way are asked for as text."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from evergreen.core.definition.calendar import Period
from evergreen.core.definition.model import ColumnType
from evergreen.core.definition.query import with_bounds
from evergreen.core.text import plain
from evergreen.errors import UnavailableError
from evergreen.loop.intake.database.rows import BATCH, Rows, check_columns, refusal

_KEPT = re.compile(
    r"(BOOLEAN|U?(TINY|SMALL|BIG)INT|U?INTEGER|FLOAT|DOUBLE|VARCHAR|DATE|TIMESTAMP(_S|_MS|_NS)?|"
    r"TIMESTAMP WITH TIME ZONE|DECIMAL\(\d+,\d+\))"
)
"""Types whose values Arrow holds as they are"""


@contextmanager
def read(
    url: Any, query: str, period: Period, columns: Mapping[str, ColumnType], personal: Collection[str] = ()
) -> Iterator[Rows]:
    """As `rows.Driver`."""
    duckdb = _library()
    text = with_bounds(query, *(f"TIMESTAMP '{at:%Y-%m-%d %H:%M:%S}'" for at in (period.start, period.end)))
    path = Path(str(url.database))
    if not path.is_file():
        raise UnavailableError(f"there is no DuckDB file {path}; correct its address")
    try:
        with closing(duckdb.connect(str(path), read_only=True)) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute("SET memory_limit = '512MB'")
            connection.execute("BEGIN TRANSACTION READ ONLY")
            types = {row[0]: row[1] for row in connection.execute(f"DESCRIBE (\n{text}\n)").fetchall()}
            check_columns(list(types), columns)
            chosen = ", ".join(_asked(name, types[name], kind) for name, kind in columns.items())
            rows = connection.sql(f"SELECT {chosen} FROM (\n{text}\n) AS asked")  # noqa: S608 - the definition's own
            yield Rows(types, iter(rows.to_arrow_reader(BATCH)), lambda: None)
    except duckdb.IOException as error:
        raise UnavailableError(f"DuckDB file {path} cannot be read now: {plain(error, 300)}") from None
    except duckdb.Error as error:
        raise refusal("DuckDB", error, personal) from None


def _library() -> Any:
    try:
        import duckdb
    except ImportError:
        raise UnavailableError("DuckDB is not installed: install evergreen[duckdb] where tasks run") from None
    return duckdb


def _asked(name: str, kind: str, wanted: ColumnType) -> str:
    quoted = '"{}"'.format(name.replace('"', '""'))
    as_it_is = _KEPT.fullmatch(kind) and (wanted != "string" or kind == "VARCHAR")
    return quoted if as_it_is else f"CAST({quoted} AS VARCHAR) AS {quoted}"
