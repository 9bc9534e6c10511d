"""The part of `feed.source` that is about a database: a query, and the bounds of a period in it. Pure and light."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, StringConstraints, field_validator

from evergreen.core.definition.sections import Section

if TYPE_CHECKING:
    from evergreen.core.definition.model import ModelDefinition, TableName

BOUNDS = ("start", "end")
_BOUND = r"|(?<![:\w]):(?P<name>start|end)\b"
_SHARED = r"`[^`]*`|(?P<comment>--[^\n]*|/\*.*?\*/{more})|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$"
_STANDARD = re.compile(
    r"(?P<skip>\b[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|"
    + _SHARED.replace("{more}", "")
    + ")"
    + _BOUND,
    re.DOTALL,
)
_MYSQL = re.compile(
    r"(?P<skip>'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.|\"\")*\"|" + _SHARED.replace("{more}", r"|#[^\n]*") + ")" + _BOUND,
    re.DOTALL,
)
"""Text, names and comments, in which nothing is replaced; and a bound, which is no cast (`::`). A backslash escapes in
every text of MariaDB and MySQL, elsewhere in E'...' alone, and `#` begins a comment there (MySQL 8 manual, 11.1 and
11.7; PostgreSQL manual, 4.1.2)"""


def bounds_in(query: str, *, mysql: bool = False) -> frozenset[str]:
    """Which of `:start` and `:end` stand in the query, outside of texts and comments, as SQL or as MySQL reads it."""
    return frozenset(found["name"] for found in _tokens(mysql).finditer(query) if found["name"])


def with_bounds(query: str, start: str, end: str, *, mysql: bool = False) -> str:
    """The query with these SQL literals in place of `:start` and `:end`, and without a semicolon at its end.

    Comments behind the semicolon go with it.
    """
    values = {"start": start, "end": end}
    query = _without_end(query, _tokens(mysql))
    return _tokens(mysql).sub(lambda found: values[found["name"]] if found["name"] else found[0], query)


def _tokens(mysql: bool) -> re.Pattern[str]:
    return _MYSQL if mysql else _STANDARD


def _without_end(query: str, tokens: re.Pattern[str]) -> str:
    """The query up to the semicolons, blanks and comments behind which nothing follows."""

    def blank(found: re.Match[str]) -> str:
        return (" " if found["comment"] else "x") * len(found[0])

    seen = tokens.sub(blank, query)  # as long as the query
    end = len(seen.rstrip("; \t\r\n\f\v"))
    return query[:end].strip() if ";" in seen[end:] else query.strip()


def query_of(definition: ModelDefinition, table: TableName) -> QuerySection | None:
    """The query that gives `table`; None if a producer lands it."""
    source = definition.feed.source
    return source.get(table) if isinstance(source, dict) else None


ConnectionName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,40}$")]


class QuerySection(Section):
    """A query whose rows are one table of the feed."""

    connection: ConnectionName
    """Name of the database's address: the variable `EVERGREEN_DATABASE_<NAME>` in capitals, with a URL such as
    postgresql://user:password@host/database (also mariadb://, duckdb:///file, sqlite:///file), or the Airflow
    connection of this name."""
    query: str = Field(min_length=1)
    """One SELECT. `:start` and `:end` stand for the first instant of the partition's period and of the next one (UTC),
    such as `WHERE ordered_at >= :start AND ordered_at < :end`."""

    @field_validator("query")
    @classmethod
    def _has_bounds(cls, value: str) -> str:
        there = bounds_in(value) | bounds_in(value, mysql=True)  # which database reads it is not known here
        missing = [f":{name}" for name in BOUNDS if name not in there]
        if missing:
            raise ValueError(
                f"the query does not use {' and '.join(missing)}: it would give the same rows for each partition; "
                "add a condition such as `ordered_at >= :start AND ordered_at < :end`"
            )
        return value
