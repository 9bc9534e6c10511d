"""Predictions that were asked for one request at a time: written before the answer is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from evergreen.core.ledger.tables.online import OnlinePerformance, OnlinePrediction, OnlineRequest
from evergreen.core.names import PartitionKey


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
    """Write a request and its predictions; False if one of the same name stands there, and nothing is written."""
    made = insert(OnlineRequest).values(request).on_conflict_do_nothing(index_elements=["model", "name"])
    number = session.scalar(made.returning(OnlineRequest.id))
    if number is None:
        return False
    session.execute(insert(OnlinePrediction), [row | {"request_id": number} for row in rows])
    return True


def asked_for(session: Session, model: str) -> dict[PartitionKey, int]:
    """Id of the newest prediction that was asked for in each partition, by key."""
    query = select(OnlinePrediction.key, func.max(OnlinePrediction.id)).where(OnlinePrediction.model == model)
    return dict(session.execute(query.group_by(OnlinePrediction.key).order_by(OnlinePrediction.key)).tuples().all())


def newest_by_entity(
    session: Session, model: str, key: PartitionKey
) -> list[tuple[str, float, int, list[Any] | None, Any]]:
    """Entity, newest prediction, its version, probabilities and choice, of each entity asked for in a partition."""
    query = (
        select(
            OnlinePrediction.entity,
            OnlinePrediction.prediction,
            OnlineRequest.version,
            OnlinePrediction.probabilities,
            OnlinePrediction.choice,
        )
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
