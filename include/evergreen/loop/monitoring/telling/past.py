"""What the ledger and the store say of the partitions before: read once for a check, nothing decided."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from evergreen.core.definition import ModelDefinition
from evergreen.core.ledger.tables import DriftCheck
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


@dataclass(frozen=True)
class Looked:
    """An earlier check, as far as later ones ask."""

    key: str
    version: int
    estimated: float | None = None
    """Mean loss that was estimated before its labels landed"""
    holdout: float | None = None
    """Of the estimate"""
    shapes: Shapes = field(default_factory=dict)


@dataclass(frozen=True)
class Past:
    """The partitions before the checked one."""

    checks: tuple[Looked, ...] = ()
    """The newest check of each partition, oldest first"""
    holdouts: Mapping[int, tuple[Cluster, ...]] = field(default_factory=dict)
    """What each version whose loss is looked at was judged on"""


def read(session: Session, definition: ModelDefinition, known: Evidence, settings: Settings) -> Past:
    """Read earlier checks, and the holdouts of the other versions whose newest losses have landed.

    Of a version whose reference the store has lost nothing is said.

    Raises:
        UnavailableError: the ledger or the store does not answer.
    """
    newest = known.losses[max(known.losses)] if known.losses else None
    others = {newest.version} - {known.version} if newest is not None else set()
    holdouts = {version: found for version in others if (found := _holdout(definition, version, settings))}
    return Past(checks_before(session, definition, known.key), holdouts)


def checks_before(session: Session, definition: ModelDefinition, key: str) -> tuple[Looked, ...]:
    """The newest check of each of the partitions before `key`, and of those of the season a year ago, oldest first."""
    calendar = definition.partitions
    since = calendar.shift(key, -NEWEST)
    wanted = DriftCheck.key.in_(calendar.season(key, SEASON)) | (DriftCheck.key >= since)
    query = select(
        DriftCheck.key, DriftCheck.version, DriftCheck.results["estimate"], DriftCheck.results["shapes"]
    ).where(DriftCheck.model == definition.name, DriftCheck.key < key, wanted)
    rows = session.execute(query.ext(distinct_on(DriftCheck.key)).order_by(DriftCheck.key, DriftCheck.id.desc()))
    return tuple(
        Looked(
            key=row[0],
            version=row[1],
            estimated=(row[2] or {}).get("loss"),
            holdout=(row[2] or {}).get("holdout"),
            shapes=from_json(row[3] or {}),
        )
        for row in rows
    )


def shapes_before(past: Past, reference: pd.DataFrame, definition: ModelDefinition, key: str) -> list[Shapes]:
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
