"""Which version has seen which partition: what was fitted or judged on labels says nothing by its loss on them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, String, cast, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from evergreen.core.ledger.tables import Deployment, TrainingRun

PARTS = ("train_keys", "holdout_keys")


def in_sample(model: InstrumentedAttribute[str], version: Any, key: Any) -> ColumnElement[bool]:
    """Whether the version of a row was trained or judged on the labels of the row's partition.

    Args:
        model: column that names the model.
        version: column with the version, or a version.
        key: column with the partition's key, or a key.
    """
    name = func.to_jsonb(cast(key, String))
    holds = [TrainingRun.dataset[part].op("@>")(name) for part in PARTS]
    run = select(TrainingRun.id).where(TrainingRun.model == model, TrainingRun.version == version, or_(*holds))
    return run.exists()


def has_seen(session: Session, model: str, version: int, key: str) -> bool:
    """Whether `version` was trained or judged on the labels of `key`; False of a version without a training run."""
    query = select(TrainingRun).where(TrainingRun.model == model, TrainingRun.version == version)
    run = session.scalar(query.limit(1))
    return run is not None and any(key in run.dataset.get(part, ()) for part in PARTS)


def newest_unseeing(session: Session, model: str, key: str) -> Deployment | None:
    """The newest deployment of a version that has not seen `key`; None if every version that served has."""
    query = select(Deployment).where(Deployment.model == model, ~in_sample(Deployment.model, Deployment.version, key))
    return session.scalar(query.order_by(Deployment.id.desc()).limit(1))
