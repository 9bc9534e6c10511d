"""The auditor's question: which model served on a day, trained on what, promoted on what evidence, by whom."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal

from sqlalchemy.orm import Session

from evergreen.core.definition import ModelDefinition
from evergreen.core.ledger.views import history
from evergreen.core.ledger.views.lines import DeploymentLine, PredictionLine, TrainingLine
from evergreen.core.names import PartitionKey


@dataclass(frozen=True)
class Served:
    """Who served a day's partition, and how it came to serve.

    The predictions that were made for the partition say it beyond doubt. If there are none, the deployment says it
    that was meant to serve the partition.
    """

    day: str
    key: PartitionKey
    """The partition that holds the day"""
    version: int
    basis: Literal["predictions", "deployment"]
    predictions: tuple[PredictionLine, ...]
    """All that were made for the partition, newest first; the first is the one that counts"""
    deployment: DeploymentLine | None
    """By which the version served then; its decision holds reason and evidence"""
    training: TrainingLine | None
    champion_at_day: DeploymentLine | None
    """Who was champion by the clock when the day ended: another if the partition was scored later"""


def served_on(
    session: Session, definition: ModelDefinition, day: dt.date, key: PartitionKey | None = None
) -> Served | None:
    """Who served `day`, or its partition `key`; None if nobody did.

    A day is one of the calendar's time zone. If partitions are hours, a `key` says which one is meant.
    """
    key = key or definition.partitions.key_of(day)
    deployed = history.deployments(session, definition.name)
    made = history.predictions(session, definition.name, key)
    deployment = _by_clock(deployed, made[0].created_at, made[0].version) if made else _by_key(deployed, key)
    if not made and deployment is None:
        return None
    version = made[0].version if made else deployment.version if deployment else 0
    evening = definition.partitions.midnight(day + dt.timedelta(days=1))
    return Served(
        day=day.isoformat(),
        key=key,
        version=version,
        basis="predictions" if made else "deployment",
        predictions=tuple(made),
        deployment=deployment,
        training=history.training_of(session, definition.name, version),
        champion_at_day=_by_clock(deployed, evening),
    )


def _by_clock(deployed: list[DeploymentLine], moment: dt.datetime, version: int | None = None) -> DeploymentLine | None:
    """The last deployment (of `version`, if given) that had begun before `moment`."""
    begun = [d for d in deployed if d.served_from < moment and version in (None, d.version)]
    return begun[-1] if begun else None


def _by_key(deployed: list[DeploymentLine], key: PartitionKey) -> DeploymentLine | None:
    """The last deployment that was meant to serve the partition `key`."""
    meant = [d for d in deployed if d.from_key is None or d.from_key <= key]
    return meant[-1] if meant else None
