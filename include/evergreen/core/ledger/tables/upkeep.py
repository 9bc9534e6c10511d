"""The tables of what is done beside the loop: feeds that are late, what housekeeping met, what retention removed."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import Index, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from evergreen.core.ledger.tables.base import Base
from evergreen.core.names import PartitionKey
from evergreen.core.values import ObjectKind, SightingKind, TableName


class LateFeed(Base):
    """A table of a partition that was not there when its grace period ended. Told once, whatever comes after."""

    __tablename__ = "late_feed"
    __table_args__ = (UniqueConstraint("model", "table", "key"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    model: Mapped[str]
    table: Mapped[TableName]
    key: Mapped[PartitionKey]
    due_at: Mapped[dt.datetime]
    waiting_since: Mapped[dt.datetime]
    """When the ingest run began to wait"""
    grace_until: Mapped[dt.datetime]
    """The later of the two, and the grace period"""
    missing: Mapped[str]
    """What was missing then, in words"""
    run_url: Mapped[str | None]
    told_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())


class Sighting(Base):
    """Something that housekeeping found and acted on: its memory, so that it acts once."""

    __tablename__ = "sighting"
    __table_args__ = (UniqueConstraint("model", "kind", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    model: Mapped[str]
    kind: Mapped[SightingKind]
    name: Mapped[str]
    first_seen: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    acted_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    """When something was last done about it"""


class Collection(Base):
    """An object that retention removes: written before it is removed, to tell anybody who misses it why."""

    __tablename__ = "collection"
    __table_args__ = (
        Index(
            "uq_collection_open", "model", "name", unique=True, postgresql_where="done_at IS NULL AND kept_at IS NULL"
        ),
        Index(None, "name"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    model: Mapped[str]
    kind: Mapped[ObjectKind]
    name: Mapped[str]
    """What the rows about it call it: URI in the store, MD5 in the DVC remote, `<model> version 3`"""
    key: Mapped[PartitionKey]
    """Its partition; of a model, the newest one whose labels it was trained or judged on"""
    rule: Mapped[str]
    """The setting that let it go, such as `keep_reports: 52`"""
    rows: Mapped[int]
    """Rows of the ledger that named it then: if there are more, it has been written again since"""
    bytes: Mapped[int | None]
    """None if its size was not known"""
    asked_by: Mapped[str]
    """policy, or a person's name"""
    planned_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    done_at: Mapped[dt.datetime | None]
    """When it was removed"""
    kept_at: Mapped[dt.datetime | None]
    """When it was found to be named by a new row before it was removed: it stays. These two columns change."""
    run_url: Mapped[str | None]
