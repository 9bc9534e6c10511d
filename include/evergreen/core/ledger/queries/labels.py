"""Queries on how complete labels are: coverage of what is accepted now, and what is held back."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from evergreen.core.ledger.queries import partitions
from evergreen.core.ledger.queries.partitions import Current
from evergreen.core.ledger.tables import LabelBias, LabelCoverage, LabelHold
from evergreen.core.names import PartitionKey

Pair = tuple[Current, Current]
"""Accepted inputs and labels of one partition."""
PairId = tuple[int, str, int, str]
INCOMPLETE, ONE_SIDED = "incomplete", "one_sided"


def pairs(session: Session, model: str) -> dict[PartitionKey, Pair]:
    """Inputs and labels of each partition of which both are accepted, in order of keys."""
    inputs = partitions.all_current(session, model, "inputs")
    labels = partitions.all_current(session, model, "labels")
    return {key: (inputs[key], found) for key, found in labels.items() if key in inputs}


def pair_id(pair: Pair) -> PairId:
    """Names the accepted rows of both, as a row of `label_coverage` does."""
    (inputs, inputs_verdict), (labels, labels_verdict) = pair
    return inputs.id, partitions.kept(inputs_verdict), labels.id, partitions.kept(labels_verdict)


def measured(session: Session, model: str, target: str | None = None) -> dict[PairId, LabelCoverage]:
    """The coverages of `target` by the pair that each is of; None: the newest of each pair, for who shows them."""
    query = select(LabelCoverage).where(LabelCoverage.model == model)
    if target is not None:
        query = query.where(LabelCoverage.target == target)
    rows = session.scalars(query.order_by(LabelCoverage.id))
    return {(row.inputs_version_id, row.inputs_rows, row.labels_version_id, row.labels_rows): row for row in rows}


def is_measured(session: Session, pair: Pair, target: str) -> bool:
    """Whether there is a coverage of this pair and target, of whatever process."""
    columns = (
        LabelCoverage.inputs_version_id, LabelCoverage.inputs_rows,
        LabelCoverage.labels_version_id, LabelCoverage.labels_rows,
    )  # fmt: skip
    same = [column == value for column, value in zip(columns, pair_id(pair), strict=True)]
    return session.scalar(select(LabelCoverage.id).where(*same, LabelCoverage.target == target)) is not None


def current_coverages(session: Session, model: str, target: str | None = None) -> dict[PartitionKey, LabelCoverage]:
    """The coverage of what is accepted now by key, as far as it was measured; `target` as of `measured`."""
    known = measured(session, model, target)
    found = {key: known.get(pair_id(pair)) for key, pair in pairs(session, model).items()}
    return {key: row for key, row in found.items() if row is not None}


def open_holds(session: Session, model: str) -> list[LabelHold]:
    """What is held back or one-sided now, by key."""
    query = select(LabelHold).where(LabelHold.model == model, LabelHold.released_at.is_(None))
    return list(session.scalars(query.order_by(LabelHold.key, LabelHold.id)))


def coverages_of(session: Session, holds: Collection[LabelHold]) -> dict[int, LabelCoverage]:
    """What was found when each of `holds` began, by id; one query."""
    ids = {hold.coverage_id for hold in holds}
    return {row.id: row for row in session.scalars(select(LabelCoverage).where(LabelCoverage.id.in_(ids)))}


def held_keys(session: Session, model: str, keys: Collection[PartitionKey]) -> set[PartitionKey]:
    """Those of `keys` whose labels are held back; one query on an index, for who has no time to judge them."""
    open_ = (LabelHold.released_at.is_(None), LabelHold.cause == INCOMPLETE)
    query = select(LabelHold.key).where(LabelHold.model == model, LabelHold.key.in_(list(keys)), *open_)
    return set(session.scalars(query)) if keys else set()


def holds(session: Session, model: str, cause: str) -> list[LabelHold]:
    """Everything that was ever held back, or found one-sided, in order."""
    query = select(LabelHold).where(LabelHold.model == model, LabelHold.cause == cause)
    return list(session.scalars(query.order_by(LabelHold.id)))


def biases(session: Session, model: str) -> dict[int, LabelBias]:
    """The newest test of each coverage, by its id."""
    rows = session.scalars(select(LabelBias).where(LabelBias.model == model).order_by(LabelBias.id))
    return {row.coverage_id: row for row in rows}


def tested(session: Session, model: str) -> int:
    """How many tests for one-sidedness the model has had, without partitions that had too few rows for one."""
    looks = (LabelBias.model == model, LabelBias.look > 0)
    return session.scalar(select(func.count()).select_from(LabelBias).where(*looks)) or 0


def first_measured(session: Session, model: str) -> dt.datetime | None:
    """When coverage of the model was measured for the first time; None before that."""
    return session.scalar(select(func.min(LabelCoverage.created_at)).where(LabelCoverage.model == model))
