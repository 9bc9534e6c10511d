"""What the ledger and the store say of the partitions before: read once for a check, nothing decided."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from evergreen.core.definition import ModelDefinition
from evergreen.core.ledger.tables import DriftCheck, Performance
from evergreen.core.names import PartitionKey
from evergreen.core.store import Store, layout
from evergreen.errors import BadInputError
from evergreen.loop.monitoring.evidence import Evidence
from evergreen.loop.monitoring.load_rows import holdout, read_reference
from evergreen.loop.monitoring.loss.harm_test import Cluster
from evergreen.loop.monitoring.loss.realised import losses_by_cluster
from evergreen.loop.monitoring.telling.shapes import Shapes, from_json, shapes_by_partition
from evergreen.settings import Settings

log = logging.getLogger("evergreen.monitoring")

NEWEST = 60
"""Partitions before the checked one whose shapes are compared"""
SEASON = 8
"""Partitions around the one a year before"""
LATE = 8
"""Newest labelled partitions of which each is judged, however late its labels landed"""


@dataclass(frozen=True)
class Looked:
    """An earlier check, as far as later ones ask."""

    key: PartitionKey
    version: int
    estimated: float | None = None
    """Mean loss that was estimated before its labels landed"""
    holdout: float | None = None
    """Of the estimate"""
    judged: str | None = None
    """Labelled partition whose loss it held against what was to be expected"""
    shapes: Shapes = field(default_factory=dict)


@dataclass(frozen=True)
class Past:
    """The partitions before the checked one."""

    checks: tuple[Looked, ...] = ()
    """The newest check of each partition, oldest first"""
    holdouts: Mapping[int, tuple[Cluster, ...]] = field(default_factory=dict)
    """What each version whose loss is looked at was judged on"""


def read(session: Session, definition: ModelDefinition, known: Evidence, settings: Settings) -> Past:
    """Read earlier checks, and the holdouts of the other versions whose losses are judged.

    Of a version whose reference the store has lost nothing is said.

    Raises:
        UnavailableError: the ledger or the store does not answer.
    """
    checks = checks_before(session, definition, known.key)
    others = {p.version for p in to_judge(known.losses, checks)} - {known.version}
    holdouts = {version: found for version in others if (found := _holdout(definition, version, settings))}
    return Past(checks, holdouts)


def to_judge(losses: Mapping[PartitionKey, Performance], checks: Sequence[Looked]) -> list[Performance]:
    """The newest labelled partition, and those of the newest few that no earlier check has judged. Pure.

    Labels may land after those of a newer partition: theirs was never the newest.

    Args:
        losses: the measurement that counts of each partition, of every champion.
        checks: earlier ones.

    Returns:
        Measurements, the newest partition first.
    """
    done = {looked.judged for looked in checks}
    newest = sorted(losses, reverse=True)[:LATE]
    return [losses[key] for place, key in enumerate(newest) if place == 0 or key not in done]


def checks_before(session: Session, definition: ModelDefinition, key: PartitionKey) -> tuple[Looked, ...]:
    """The newest check of each of the partitions before `key`, and of those of the season a year ago, oldest first."""
    calendar = definition.partitions
    since = calendar.shift(key, -NEWEST)
    wanted = DriftCheck.key.in_(calendar.season(key, SEASON)) | (DriftCheck.key >= since)
    parts = (DriftCheck.results[name] for name in ("estimate", "shapes", "expectation"))
    query = select(DriftCheck.key, DriftCheck.version, *parts).where(
        DriftCheck.model == definition.name, DriftCheck.key < key, wanted
    )
    rows = session.execute(query.ext(distinct_on(DriftCheck.key)).order_by(DriftCheck.key, DriftCheck.id.desc()))
    return tuple(
        Looked(
            key=row[0],
            version=row[1],
            estimated=(row[2] or {}).get("loss"),
            holdout=(row[2] or {}).get("holdout"),
            judged=(row[4] or {}).get("key"),
            shapes=from_json(row[3] or {}),
        )
        for row in rows
    )


def shapes_before(past: Past, reference: pd.DataFrame, definition: ModelDefinition, key: PartitionKey) -> list[Shapes]:
    """Shapes of the partitions before `key`, oldest first: as they were checked, else as the reference has them. Pure.

    Of the first partitions that a model serves no check has been made: the champion's reference holds those that it
    was made of.
    """
    known = {k: shapes for k, shapes in shapes_by_partition(reference, definition).items() if k < key}
    known |= {looked.key: looked.shapes for looked in past.checks if looked.shapes}
    return [known[k] for k in sorted(known)]


def _holdout(definition: ModelDefinition, version: int, settings: Settings) -> tuple[Cluster, ...]:
    """Empty if nothing can be known, now or later; a store that does not answer is asked again by the task's retry."""
    name = layout.reference(definition.name, version)
    if not Store.from_settings(settings).exists(name):
        log.warning("what was to be expected of version %d is not known: the store has no %s", version, name)
        return ()
    try:
        return tuple(losses_by_cluster(definition, holdout(read_reference(definition, version, settings))))
    except BadInputError as error:
        log.warning("what was to be expected of version %d is not known: %s", version, error)
        return ()
