"""The section `sinks` of `model.yaml`: where predictions are delivered to."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import StringConstraints, model_validator

from evergreen.core.definition.query import ConnectionName
from evergreen.core.definition.sections import Section

_PART = r"[a-z_][a-z0-9_]{0,50}"
TableAddress = Annotated[str, StringConstraints(pattern=rf"^({_PART}\.)?{_PART}$")]


class SinkSection(Section):
    """A place where the users of predictions find them."""

    type: Literal["table", "current"]
    """`table`: rows of a PostgreSQL database, one for each entity of a partition. `current`: a Parquet file with a
    name that stays, `current/<model>/<sink>/<partition key>.parquet` in the store, and `newest.parquet` beside it."""
    connection: ConnectionName | None = None
    """Of a table: name of the database's address, as of `feed.source`."""
    table: TableAddress | None = None
    """Of a table: its name, with a schema if it is not the role's own. It is made if it is missing."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        given = {"connection": self.connection, "table": self.table}
        if self.type == "table" and None in given.values():
            raise ValueError("a sink of the type table needs connection and table")
        if self.type == "current" and any(given.values()):
            raise ValueError("a sink of the type current has neither connection nor table")
        return self
