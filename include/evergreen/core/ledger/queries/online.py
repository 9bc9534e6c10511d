"""Predictions that were asked for one request at a time: written before the answer is given."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ForeignKey, Index, Select, UniqueConstraint, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from evergreen.ledger.base import Base, Json


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
    key: Mapped[str]
    """Partition that the row's event time lies in"""
    entity: Mapped[str]
    """As text"""
    event_time: Mapped[dt.datetime]
    prediction: Mapped[float]
    inputs: Mapped[Json]
    """The row, as it was accepted: tokens in its personal columns"""


class OnlinePerformance(Base):
    """What the predictions asked for in one partition came to, once its batch or its labels were there.

    Of each entity its newest prediction counts. `measured_hash` names what was measured: the newest prediction, the
    batch and the labels; when one of them changes it is measured anew, and the newest row of a key counts.
    """

    __tablename__ = "online_performance"
    __table_args__ = (UniqueConstraint("model", "key", "measured_hash"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    model: Mapped[str]
    key: Mapped[str]
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
    """Mean absolute difference between the two; None where nothing was compared"""
    labelled: Mapped[int]
    """Entities with a prediction and a label"""
    loss: Mapped[float | None]
    """Their mean loss; None where there are none"""
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())


def named(model: str, name: str) -> Select[OnlineRequest]:
    """The query for the request of that name."""
    return select(OnlineRequest).where(OnlineRequest.model == model, OnlineRequest.name == name)


def answered(session: Session, model: str, name: str) -> OnlineRequest | None:
    """The request of that name, if it has been answered."""
    return session.scalar(named(model, name))


def predictions_of(session: Session, request: OnlineRequest) -> list[OnlinePrediction]:
    """The predictions of a request, in its order."""
    query = select(OnlinePrediction).where(OnlinePrediction.request_id == request.id)
    return list(session.scalars(query.order_by(OnlinePrediction.id)))


def record(session: Session, request: dict[str, Any], rows: Sequence[dict[str, Any]]) -> bool:
    """Write a request and its predictions; False where one of the same name stands there, and nothing is written."""
    made = insert(OnlineRequest).values(request).on_conflict_do_nothing(index_elements=["model", "name"])
    number = session.scalar(made.returning(OnlineRequest.id))
    if number is None:
        return False
    session.execute(insert(OnlinePrediction), [row | {"request_id": number} for row in rows])
    return True


def asked_for(session: Session, model: str) -> dict[str, int]:
    """Id of the newest prediction that was asked for in each partition, by key."""
    query = select(OnlinePrediction.key, func.max(OnlinePrediction.id)).where(OnlinePrediction.model == model)
    return dict(session.execute(query.group_by(OnlinePrediction.key).order_by(OnlinePrediction.key)).tuples().all())


def newest_by_entity(session: Session, model: str, key: str) -> list[tuple[str, float, int]]:
    """Entity, newest prediction and its version, of each entity asked for in a partition."""
    query = (
        select(OnlinePrediction.entity, OnlinePrediction.prediction, OnlineRequest.version)
        .join(OnlineRequest, OnlineRequest.id == OnlinePrediction.request_id)
        .where(OnlinePrediction.model == model, OnlinePrediction.key == key)
        .distinct(OnlinePrediction.entity)
        .order_by(OnlinePrediction.entity, OnlinePrediction.id.desc())
    )
    return list(session.execute(query).tuples())


def measured_hashes(session: Session, model: str) -> set[tuple[str, str]]:
    """Key and hash of what has been measured."""
    query = select(OnlinePerformance.key, OnlinePerformance.measured_hash).where(OnlinePerformance.model == model)
    return set(session.execute(query).tuples())


def performances(session: Session, model: str) -> list[OnlinePerformance]:
    """The measurement that counts of each partition, by key."""
    query = select(OnlinePerformance).where(OnlinePerformance.model == model).distinct(OnlinePerformance.key)
    return list(session.scalars(query.order_by(OnlinePerformance.key, OnlinePerformance.id.desc())))
