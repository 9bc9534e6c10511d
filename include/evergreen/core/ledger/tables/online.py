"""Tables of the predictions on request: written before the answer is given."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from evergreen.core.ledger.tables.base import Base, Json
from evergreen.core.names import PartitionKey


class OnlineRequest(Base):
    """A request that was answered. `name` is unique: the same request sent again gets the same answer."""

    __tablename__ = "online_request"
    __table_args__ = (UniqueConstraint("model", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    model: Mapped[str]
    name: Mapped[str]
    """The client's Idempotency-Key, or else a UUID"""
    body_hash: Mapped[str]
    """SHA-256, hex, of the request's body"""
    version: Mapped[int]
    """Model version that predicted"""
    rows: Mapped[int]
    built_from: Mapped[Json]
    """{partition key: {"labels": {key: partition_version id}, "inputs": {the same}, "context": partition_version id or
    null, "missing": [key]}}: what the features of its rows were computed from, beside the rows"""
    code_hash: Mapped[str]
    """As of a snapshot"""
    code_version: Mapped[str]
    asked_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())


class OnlinePrediction(Base):
    """The prediction for one row of a request; in the request's order by `id`."""

    __tablename__ = "online_prediction"
    __table_args__ = (Index(None, "model", "key", "entity"), Index(None, "request_id"))

    id: Mapped[int] = mapped_column(primary_key=True)
    request_id: Mapped[int] = mapped_column(ForeignKey("online_request.id"))
    model: Mapped[str]
    key: Mapped[PartitionKey]
    """Partition that the row's event time lies in"""
    entity: Mapped[str]
    """As text"""
    event_time: Mapped[dt.datetime]
    prediction: Mapped[float]
    """Of several classes, the probability of the most probable one"""
    probabilities: Mapped[list[Any] | None] = mapped_column(JSONB(none_as_null=True))
    """[[class, probability], ...] in the version's order; null if the task is not multiclass"""
    choice: Mapped[Any | None] = mapped_column(JSONB(none_as_null=True))
    """The chosen class: true or false, or its name; null if the model chose none"""
    inputs: Mapped[Json]
    """The row, as it was accepted: tokens in its personal columns"""


class OnlinePerformance(Base):
    """What the predictions asked for in one partition came to, once its batch or its labels were there.

    Of each entity its newest prediction counts. `measured_hash` names what was measured: the newest prediction, the
    batch and the labels; if one of them changes, it is measured again, and the newest row of a key counts.
    """

    __tablename__ = "online_performance"
    __table_args__ = (UniqueConstraint("model", "key", "measured_hash"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    model: Mapped[str]
    key: Mapped[PartitionKey]
    measured_hash: Mapped[str]
    versions: Mapped[list[Any]]
    """Model versions that predicted, ascending"""
    rows: Mapped[int]
    """Entities with a prediction"""
    compared: Mapped[int]
    """Of these, rows that the same version predicted in the batch"""
    differing: Mapped[int]
    """Of these, rows whose two predictions are not the same"""
    difference: Mapped[float | None]
    """Mean absolute difference between the two; None if nothing was compared"""
    labelled: Mapped[int]
    """Entities with a prediction and a label"""
    loss: Mapped[float | None]
    """Their mean loss; None if there are none"""
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
