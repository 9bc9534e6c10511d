"""How far each partition of a model has come."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

from sqlalchemy import case, func, or_, select
from sqlalchemy.orm import Session

from evergreen.core.ledger.queries.partitions import QUARANTINED
from evergreen.core.ledger.tables import LabelHold, PartitionVersion, Prediction, Snapshot, Verdict
from evergreen.core.names import PartitionKey
from evergreen.core.values import VerdictOutcome

UNJUDGED: Final = "unjudged"


@dataclass(frozen=True)
class PartitionState:
    """One partition; what is not there is None or False."""

    inputs: VerdictOutcome | Literal["unjudged"] | None = None
    """Of the newest version"""
    inputs_why: str = ""
    """Why it, or some of its rows, are in quarantine"""
    labels: VerdictOutcome | Literal["unjudged"] | None = None
    labels_why: str = ""
    held: bool = False
    """Whether its labels are held back because they are incomplete"""
    features: bool = False
    version: int | None = None
    """That predicted it last"""


def partition_states(session: Session, model: str, from_key: str = "") -> dict[PartitionKey, PartitionState]:
    """What is known of each partition from `from_key` on that has landed, by key and in its order."""
    found: dict[PartitionKey, PartitionState] = {}
    why = case((or_(Verdict.outcome == QUARANTINED, Verdict.rows_rejected > 0), Verdict.reason), else_="")
    part = PartitionVersion
    landed = (
        select(part.key, part.table, Verdict.outcome, why)
        .outerjoin(Verdict, Verdict.partition_version_id == part.id)
        .where(part.model == model, part.key >= from_key, part.table.in_(["inputs", "labels"]))
        .distinct(part.key, part.table)
        .order_by(part.key, part.table, part.version.desc(), Verdict.id.desc().nulls_last())
    )
    for key, table, outcome, reason in session.execute(landed):
        known = found.get(key, PartitionState())
        said: VerdictOutcome | Literal["unjudged"] = outcome or UNJUDGED
        words = reason or ""
        found[key] = (
            replace(known, inputs=said, inputs_why=words)
            if table == "inputs"
            else replace(known, labels=said, labels_why=words)
        )
    _add_later_stages(session, model, from_key, found)
    return dict(sorted(found.items()))


def _add_later_stages(session: Session, model: str, from_key: str, found: dict[PartitionKey, PartitionState]) -> None:
    built = select(Snapshot.key).distinct().where(Snapshot.model == model, Snapshot.key >= from_key)
    for key in session.scalars(built):
        found[key] = replace(found.get(key, PartitionState()), features=True)
    held = select(LabelHold.key).where(
        LabelHold.model == model, LabelHold.key >= from_key, LabelHold.released_at.is_(None)
    )
    for key in session.scalars(held.where(LabelHold.cause == "incomplete")):
        found[key] = replace(found.get(key, PartitionState()), held=True)
    predicted = select(Prediction.key, Prediction.version).where(Prediction.model == model, Prediction.key >= from_key)
    newest = predicted.distinct(Prediction.key).order_by(Prediction.key, Prediction.id.desc())
    for key, version in session.execute(newest):
        found[key] = replace(found.get(key, PartitionState()), version=version)


def partition_ends(session: Session, model: str) -> tuple[PartitionKey, PartitionKey] | None:
    """Keys of the first and the newest partition that has landed; None if none has."""
    query = select(func.min(PartitionVersion.key), func.max(PartitionVersion.key))
    first, last = session.execute(query.where(PartitionVersion.model == model)).one()
    return (first, last) if first is not None else None
