"""The ledger's URIs after its store was restored elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Column, ColumnElement, Table, cast, func, select, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Connection
from sqlalchemy.types import Text

from evergreen.core.ledger.tables import Base

_ADDRESSES = {("collection", "name")}
"""Columns of URIs whose name does not say so; that of a collection may also hold something else."""


def move(connection: Connection, old: str, new: str) -> int:
    """Make URIs that begin with `old` begin with `new`, in the columns of URIs and within JSON; rows that changed.

    What the rows say stays as it was: the objects are the same under another address.
    """
    if old == new:
        return 0
    changed = 0
    for table, column in _columns():
        before, after = f"{old}/", f"{new}/"
        moved: ColumnElement[Any] = func.overlay(column, after, 1, len(before))
        meant = column.startswith(before, autoescape=True)
        if isinstance(column.type, JSONB):
            before, after = json.dumps(before)[1:-1], json.dumps(after)[1:-1]
            moved = cast(func.replace(cast(column, Text), before, after), JSONB)
            meant = cast(column, Text).contains(before, autoescape=True)
        changed += connection.execute(update(table).where(meant).values({column: moved})).rowcount
    return changed


def named(connection: Connection, store_url: str) -> Iterator[str]:
    """Names of the store's objects that the ledger's rows name."""
    for _, column in _columns():
        if not isinstance(column.type, JSONB) and column.table.name != "collection":  # what that names is gone
            found = connection.scalars(select(column).where(column.startswith(f"{store_url}/", autoescape=True)))
            yield from (str(uri)[len(store_url) + 1 :] for uri in found)


def _columns() -> Iterator[tuple[Table, Column[str]]]:
    for table in Base.metadata.sorted_tables:
        for column in table.columns:
            address = column.name == "uri" or column.name.endswith("_uri") or (table.name, column.name) in _ADDRESSES
            if address or isinstance(column.type, JSONB):
                yield table, column
