"""The part of `feed.source` that is about a database: a query, and the bounds of a period in it. Pure and light."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, StringConstraints, field_validator

from evergreen.core.definition.sections import Section

if TYPE_CHECKING:
    from evergreen.core.definition.model import ModelDefinition, TableName

BOUNDS = ("start", "end")
_TOKENS = re.compile(
    r"(?P<skip>'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|--[^\n]*|/\*.*?\*/|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)"
    r"|(?<![:\w]):(?P<name>start|end)\b",
    re.DOTALL,
)
"""Text, names and comments, in which nothing is replaced; and a bound, which is no cast (`::`)"""


def bounds_in(query: str) -> frozenset[str]:
    """Which of `:start` and `:end` stand in the query, outside of texts and comments."""
    return frozenset(found["name"] for found in _TOKENS.finditer(query) if found["name"])


def with_bounds(query: str, start: str, end: str) -> str:
    """The query with these SQL literals in place of `:start` and `:end`, and without a semicolon at its end."""
    values = {"start": start, "end": end}
    filled = _TOKENS.sub(lambda found: values[found["name"]] if found["name"] else found[0], query)
    return filled.strip().rstrip(";").rstrip()


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
        missing = [f":{name}" for name in BOUNDS if name not in bounds_in(value)]
        if missing:
            raise ValueError(
                f"the query does not use {' and '.join(missing)}: it would give the same rows for each partition; "
                "add a condition such as `ordered_at >= :start AND ordered_at < :end`"
            )
        return value
