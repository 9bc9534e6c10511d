"""Queries on how complete labels are: coverage of what is accepted now, and what is held back."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from evergreen.core.ledger.queries import partitions
from evergreen.core.ledger.queries.partitions import Current
from evergreen.core.ledger.tables import LabelBias, LabelCoverage, LabelHold

Pair = tuple[Current, Current]
"""Accepted inputs and labels of one partition."""
PairId = tuple[int, str, int, str]
INCOMPLETE, ONE_SIDED = "incomplete", "one_sided"


def pairs(session: Session, model: str) -> dict[str, Pair]:
    """Inputs and labels of each partition of which both are accepted, in order of keys."""
    inputs = partitions.all_current(session, model, "inputs")
    labels = partitions.all_current(session, model, "labels")
    return {key: (inputs[key], found) for key, found in labels.items() if key in inputs}


def pair_id(pair: Pair) -> PairId:
    """Names the accepted rows of both, as a row of `label_coverage` does."""
    (inputs, inputs_verdict), (labels, labels_verdict) = pair
    return inputs.id, partitions.kept(inputs_verdict), labels.id, partitions.kept(labels_verdict)


def measured(session: Session, model: str) -> dict[PairId, LabelCoverage]:
    """Every coverage of the model by the pair that it is of."""
    rows = session.scalars(select(LabelCoverage).where(LabelCoverage.model == model).order_by(LabelCoverage.id))
    return {(row.inputs_version_id, row.inputs_rows, row.labels_version_id, row.labels_rows): row for row in rows}


def current_coverages(session: Session, model: str) -> dict[str, LabelCoverage]:
    """The coverage of what is accepted now by key, as far as it was measured."""
    known = measured(session, model)
    found = {key: known.get(pair_id(pair)) for key, pair in pairs(session, model).items()}
    return {key: row for key, row in found.items() if row is not None}


def open_holds(session: Session, model: str) -> list[LabelHold]:
    """What is held back or one-sided now, by key."""
    query = select(LabelHold).where(LabelHold.model == model, LabelHold.released_at.is_(None))
    return list(session.scalars(query.order_by(LabelHold.key, LabelHold.id)))


def held_keys(session: Session, model: str, keys: Collection[str]) -> set[str]:
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
    """How many tests for one-sidedness the model has had."""
    return session.scalar(select(func.count()).select_from(LabelBias).where(LabelBias.model == model)) or 0
