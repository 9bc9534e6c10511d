"""Versions of reference tables: what landed beside the partitions, each judged once and never changed."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import Index, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from evergreen.core.ledger.tables.base import Base
from evergreen.core.names import Uri
from evergreen.core.values import VerdictOutcome


class ReferenceVersion(Base):
    """What landed of a reference under one stamp, and its verdict.

    A stamp has one accepted row at most: what features were built from stays what it was, and a correction lands under
    a stamp of its own. What is quarantined is judged again, as a row of its own, once the rules have changed.
    """

    __tablename__ = "reference_version"
    __table_args__ = (
        UniqueConstraint("model", "name", "stamp", "content_hash", "rules_hash"),
        Index(
            "ix_reference_version_accepted", "model", "name", "stamp",
            unique=True, postgresql_where="outcome = 'accepted'",
        ),
    )  # fmt: skip

    id: Mapped[int] = mapped_column(primary_key=True)
    model: Mapped[str]
    name: Mapped[str]
    """Of the reference in the definition"""
    stamp: Mapped[str]
    """Name of the folder that it landed in"""
    known_from: Mapped[dt.datetime]
    """The instant that the stamp means: partitions that begin then or later read it"""
    revision: Mapped[int]
    """1, or the number of a correction: the highest of one instant counts"""
    content_hash: Mapped[str]
    """SHA-256 of the raw copy, hex"""
    landed_uri: Mapped[Uri]
    raw_uri: Mapped[Uri]
    """The immutable copy in the store"""
    clean_uri: Mapped[Uri | None]
    """The accepted rows with the definition's columns and dtypes, as Parquet; None if quarantined"""
    bytes: Mapped[int]
    rows: Mapped[int | None]
    """None if the file could not be read"""
    landed_at: Mapped[dt.datetime]
    landed_again_at: Mapped[dt.datetime | None]
    """When the same bytes were last written to the landing zone again. The one column that changes"""
    rules_hash: Mapped[str]
    """SHA-256 over what the verdict depends on beside the bytes"""
    outcome: Mapped[VerdictOutcome]
    reason: Mapped[str]
    failures: Mapped[list[Any]]
    received_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    run_url: Mapped[str | None]
