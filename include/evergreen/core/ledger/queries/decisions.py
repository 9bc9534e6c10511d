"""Queries on decisions, deployments in force, measured losses and earlier checks."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select, tuple_
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.orm import Session

from evergreen.core.ledger.queries import partitions
from evergreen.core.ledger.queries.seen import IN_SAMPLE
from evergreen.core.ledger.tables import Decision, Deployment, DriftCheck, Performance, Prediction
from evergreen.core.names import PartitionKey

MONITOR = "monitor:"
"""How the dedup keys of the monitor's decisions begin"""
GATE, FORCED = "gate:", "forced:"
"""How the dedup keys of decisions on a challenger begin"""
FOLLOW = "follow:"
"""How the dedup keys begin that say why a decision of the monitor was not carried out"""


def record(session: Session, **row: Any) -> Decision:
    """Insert a decision and return it; if its (model, dedup_key) exists, return that one, unchanged."""
    session.execute(insert(Decision).values(row).on_conflict_do_nothing(index_elements=["model", "dedup_key"]))
    found = find(session, row["model"], row["dedup_key"])
    if found is None:
        raise LookupError(f"decision {row['dedup_key']!r} of {row['model']} was neither inserted nor found")
    return found


def find(session: Session, model: str, dedup_key: str) -> Decision | None:
    """The decision of this dedup key, or None."""
    return session.scalar(select(Decision).where(Decision.model == model, Decision.dedup_key == dedup_key))


def gate_key(training_run_id: int, *, forced: bool) -> str:
    """Dedup key of the decision on a run's challenger: as the gate has it, or by a person against or without it."""
    return f"{FORCED if forced else GATE}{training_run_id}"


def of_gate(session: Session, model: str, training_run_id: int) -> Decision | None:
    """What was decided on a run's challenger after the gate had spoken, or None."""
    return find(session, model, gate_key(training_run_id, forced=False))


def is_forced(decision: Decision) -> bool:
    """Whether a person decided against the gate, or without it."""
    return decision.dedup_key.startswith(FORCED)


def monitoring_before(session: Session, model: str, key: PartitionKey) -> list[Decision]:
    """The monitor's decisions on partitions before `key`, oldest partition first; the newest one of each partition."""
    query = select(Decision).where(
        Decision.model == model, Decision.key < key, Decision.dedup_key.startswith(MONITOR, autoescape=True)
    )
    newest = session.scalars(query.ext(distinct_on(Decision.key)).order_by(Decision.key, Decision.id.desc()))
    return list(newest)


def proves_harm(session: Session, model: str, version: int) -> bool:
    """Whether the monitor has found, in any of its checks, that `version` is proven worse than at its promotion."""
    found = select(Decision.id).where(
        Decision.model == model,
        Decision.dedup_key.startswith(MONITOR, autoescape=True),
        Decision.evidence["harmed"].as_boolean(),
        Decision.evidence["version"].as_integer() == version,
    )
    return session.scalar(select(found.exists())) is True


def asked_for(session: Session, model: str, cause_key: str) -> bool:
    """Whether the monitor has decided to retrain for this cause."""
    found = select(Decision.id).where(
        Decision.model == model, Decision.kind == "retrain", Decision.evidence["cause_key"].as_string() == cause_key
    )
    return session.scalar(select(found.exists())) is True


def deployment_of(session: Session, model: str, version: int) -> Deployment | None:
    """The newest deployment of a version, or None if it never served."""
    query = select(Deployment).where(Deployment.model == model, Deployment.version == version)
    return session.scalar(query.order_by(Deployment.id.desc()).limit(1))


def deployments_through(session: Session, model: str, key: PartitionKey) -> list[Deployment]:
    """The deployments that were meant to serve from `key` or an earlier partition on, oldest first."""
    query = select(Deployment).where(Deployment.model == model, Deployment.from_key <= key)
    return list(session.scalars(query.order_by(Deployment.id)))


def current_predictions(
    session: Session, model: str, up_to_key: PartitionKey | None = None
) -> dict[PartitionKey, Prediction]:
    """The newest predictions of each partition, by key and in its order."""
    query = select(Prediction).where(Prediction.model == model)
    if up_to_key is not None:
        query = query.where(Prediction.key <= up_to_key)
    found = session.scalars(query.ext(distinct_on(Prediction.key)).order_by(Prediction.key, Prediction.id.desc()))
    return {prediction.key: prediction for prediction in found}


def measured(session: Session, model: str, up_to_key: PartitionKey | None = None) -> dict[PartitionKey, Performance]:
    """The measurement that counts of each partition, by key and in its order.

    It is the newest one on the labels that are current, and on those of their rows that are; if these have not been
    measured, the newest on any. What a version lost on a partition that it had been trained or judged on never counts.
    """
    query = select(Performance).where(Performance.model == model)
    query = query.where(~IN_SAMPLE)
    if up_to_key is not None:
        query = query.where(Performance.key <= up_to_key)
    measured_on = tuple_(Performance.labels_version_id, Performance.labels_rows)
    on_current = measured_on.in_(partitions.current_rows(model, "labels"))
    order = (Performance.key, on_current.desc(), Performance.id.desc())
    found = session.scalars(query.ext(distinct_on(Performance.key)).order_by(*order))
    return {performance.key: performance for performance in found}


def drift_check(session: Session, model: str, key: PartitionKey, input_hash: str) -> DriftCheck | None:
    """The check of these inputs, or None."""
    return session.scalar(
        select(DriftCheck).where(DriftCheck.model == model, DriftCheck.key == key, DriftCheck.input_hash == input_hash)
    )
