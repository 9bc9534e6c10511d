"""Which version has seen which partition: what was fitted or judged on labels says nothing by its loss on them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, String, cast, func, literal, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from evergreen.core.ledger.tables import Deployment, Performance, TrainingRun
from evergreen.core.names import PartitionKey

PARTS = ("train_keys", "holdout_keys")


def in_sample(model: ColumnElement[str] | InstrumentedAttribute[str], version: Any, key: Any) -> ColumnElement[bool]:
    """Whether the version of a row was trained or judged on the labels of the row's partition.

    Args:
        model: column that names the model, or its name as a literal.
        version: column with the version, or a version.
        key: column with the partition's key, or a key.
    """
    name = func.to_jsonb(cast(key, String))
    holds = [TrainingRun.dataset[part].op("@>")(name) for part in PARTS]
    run = select(TrainingRun.id).where(TrainingRun.model == model, TrainingRun.version == version, or_(*holds))
    return run.exists()


IN_SAMPLE = in_sample(Performance.model, Performance.version, Performance.key)
"""Whether a row of Performance was measured on what its version was trained or judged on: it proves nothing"""


def has_seen(session: Session, model: str, version: int, key: PartitionKey) -> bool:
    """Whether `version` was trained or judged on the labels of `key`; False of a version without a training run."""
    return bool(session.scalar(select(in_sample(literal(model), version, key))))


def unseeing(session: Session, model: str, key: PartitionKey) -> list[int]:
    """The versions that have served and had not seen `key`, the one deployed last first."""
    query = select(Deployment.version).where(
        Deployment.model == model, ~in_sample(Deployment.model, Deployment.version, key)
    )
    return list(dict.fromkeys(session.scalars(query.order_by(Deployment.id.desc()))))
