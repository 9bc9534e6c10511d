"""Tables of what people are told: incidents and their occurrences, and what is silenced until when."""

from __future__ import annotations

import datetime as dt
import uuid

from sqlalchemy import ForeignKey, Index, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from evergreen.core.ledger.tables.base import Base
from evergreen.core.names import PartitionKey
from evergreen.core.values import ChannelType


class Incident(Base):
    """One cause, from its first occurrence to the all-clear: at most one of each cause is open.

    What it counts changes, and how it ends; who may change which column is in deploy/ledger-roles.sql.
    """

    __tablename__ = "incident"
    __table_args__ = (
        Index("uq_incident_open", "model", "kind", "cause", unique=True, postgresql_where="closed_at IS NULL"),
        Index("ix_incident_scope", "model", "kind", "scope"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    model: Mapped[str]
    kind: Mapped[str]
    """Kind of its mails"""
    scope: Mapped[str]
    """What can be well again: a table, a step, a task"""
    cause: Mapped[str]
    """Fingerprint: the same for the same kind, scope and fault, whatever the partition"""
    what: Mapped[str]
    """The cause in words"""
    after_id: Mapped[int | None] = mapped_column(ForeignKey("incident.id"))
    """The incident of the same cause that was closed before this one was opened"""
    reopened: Mapped[int] = mapped_column(default=0)
    """How often it has returned without a week of calm between"""
    opened_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    last_at: Mapped[dt.datetime]
    """When it occurred last"""
    partitions: Mapped[int] = mapped_column(default=0)
    """Different partitions (of a task that has none: runs) in which it occurred"""
    told: Mapped[int] = mapped_column(default=0)
    """How many of them the newest mail listed"""
    told_at: Mapped[dt.datetime | None]
    mails: Mapped[int] = mapped_column(default=0)
    well_at: Mapped[dt.datetime | None]
    """Since when nothing of it is left, or later partitions come through well"""
    well: Mapped[str | None]
    """How that was seen, in words"""
    closed_at: Mapped[dt.datetime | None]


class Occurrence(Base):
    """One time that an incident's cause was met. None is left out, whether a mail was sent for it or not."""

    __tablename__ = "incident_occurrence"
    __table_args__ = (UniqueConstraint("name"), Index("ix_incident_occurrence_part", "incident_id", "part"))

    id: Mapped[int] = mapped_column(primary_key=True)
    incident_id: Mapped[int] = mapped_column(ForeignKey("incident.id"))
    model: Mapped[str]
    name: Mapped[str]
    """Unique, as a mail's `dedup_key`: the same occurrence is recorded once"""
    part: Mapped[str]
    """What is resolved: the partition's key, or a run's name"""
    key: Mapped[PartitionKey | None]
    said: Mapped[str]
    """What was wrong this time, in a sentence"""
    run_url: Mapped[str | None]
    at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    resolved_at: Mapped[dt.datetime | None]
    how: Mapped[str | None]
    """What became of it, in words"""


class Silence(Base):
    """A person asked for no mails of a model for a while, about everything that may be silenced, a kind or a cause."""

    __tablename__ = "silence"
    __table_args__ = (Index("ix_silence_not_summed", "model", postgresql_where="summed_at IS NULL"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    model: Mapped[str]
    kind: Mapped[str | None]
    cause: Mapped[str | None]
    """An incident's fingerprint"""
    until: Mapped[dt.datetime]
    why: Mapped[str]
    asked_by: Mapped[str]
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    ended_at: Mapped[dt.datetime | None]
    """When somebody ended it before its time"""
    ended_by: Mapped[str | None]
    summed_at: Mapped[dt.datetime | None]
    """When what it held back was told; the silence is over then, whatever the clock says"""


class Delivery(Base):
    """A message for a channel beside mail: one row for each, so that none waits for another.

    It names the channel's secret as the definition did when it was owed, or does now (`channels_now`); the address
    itself is nowhere in the ledger.
    """

    __tablename__ = "alert_delivery"
    __table_args__ = (
        UniqueConstraint("alert_id", "channel"),
        Index("ix_alert_delivery_unsent", "id", postgresql_where="sent_at IS NULL"),
        Index("ix_alert_delivery_cause", "cause", postgresql_where="cause IS NOT NULL"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    alert_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("alert.id"))
    channel: Mapped[str]
    type: Mapped[ChannelType]
    secret: Mapped[str]
    """Name under which the address is looked up"""
    cause: Mapped[str | None]
    """Fingerprint of its incident: messages of one cause belong together"""
    over: Mapped[bool]
    """Whether it is an all-clear"""
    attempts: Mapped[int] = mapped_column(default=0)
    last_error: Mapped[str | None]
    sent_at: Mapped[dt.datetime | None]
    given_up_at: Mapped[dt.datetime | None]
    """When it was seen that the definition has no such channel any more; `last_error` says so"""
