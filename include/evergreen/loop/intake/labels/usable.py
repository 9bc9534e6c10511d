"""Which labels count: those of partitions that are complete enough. What training, monitoring and features read."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy.orm import Session

from evergreen.core.definition import ModelDefinition
from evergreen.core.ledger.queries import labels as coverages
from evergreen.core.ledger.queries import partitions
from evergreen.core.ledger.queries.partitions import Current
from evergreen.core.ledger.tables import LabelCoverage
from evergreen.core.names import PartitionKey
from evergreen.loop.intake.labels.maturity import Coverage, Maturity, judge


def standings(
    session: Session, definition: ModelDefinition, through: str | None = None
) -> dict[PartitionKey, Maturity]:
    """How each partition stands of which inputs and labels are accepted, in order of keys.

    One of which coverage is not measured (`coverage.review`) is not mature: its rows were accepted since, or cannot be
    read now. Nobody knows yet.

    Args:
        session: of the ledger.
        definition: the model.
        through: newest partition to learn from, so that a backfill judges as it would have then; all if None.
    """
    pairs = {
        key: pair
        for key, pair in coverages.pairs(session, definition.name).items()
        if through is None or key <= through
    }
    known = coverages.measured(session, definition.name, definition.target)
    rows = {key: known.get(coverages.pair_id(pair)) for key, pair in pairs.items()}
    found = judge([coverage_of(row) for row in rows.values() if row is not None], definition.feed.labels.complete)
    return {key: found[key] if row is not None else _unmeasured(key, pairs[key]) for key, row in rows.items()}


def held_back(
    session: Session, definition: ModelDefinition, through: str | None = None, *, unmeasured: bool = True
) -> frozenset[str]:
    """Keys of the partitions whose labels are accepted and do not count; arguments as of `standings`.

    With `unmeasured=False` without those that nobody has measured yet.
    """
    return frozenset(
        key
        for key, stands in standings(session, definition, through).items()
        if not stands.mature and (unmeasured or stands.basis != "unmeasured")
    )


def coverage_of(row: LabelCoverage) -> Coverage:
    """The plain values of a row."""
    return Coverage(row.key, row.inputs, row.labelled)


def _unmeasured(key: PartitionKey, pair: coverages.Pair) -> Maturity:
    return Maturity(Coverage(key, pair[0][1].rows_accepted, None), 1.0, "unmeasured", mature=False)


def usable_labels(
    session: Session, definition: ModelDefinition, keys: Iterable[PartitionKey], through: str | None = None
) -> dict[PartitionKey, Current]:
    """The accepted labels of each of `keys` that count, in order of keys: `partitions.current_map` without the others.

    Labels whose inputs are not accepted are among them: what reads both finds no inputs.
    """
    found = partitions.current_map(session, definition.name, "labels", keys)
    if not found:
        return {}
    held = held_back(session, definition, through)
    return {key: current for key, current in found.items() if key not in held}
