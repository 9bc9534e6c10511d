"""What happened in a model's life, read from the ledger, for people and for machines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy.orm import Session

from evergreen.core.definition import ModelDefinition
from evergreen.core.ledger import Ledger
from evergreen.core.ledger.queries.decisions import current_predictions
from evergreen.core.ledger.queries.partitions import QUARANTINED
from evergreen.core.ledger.views import history
from evergreen.core.ledger.views import monitoring as monitoring_views
from evergreen.core.ledger.views.lines import DecisionLine
from evergreen.core.names import PartitionKey
from evergreen.settings import Settings
from evergreen.tools.start.summary import decided_as, retrains, told

MONITORED = ("no_action", "alert", "retrain", "rollback")
"""Decisions that a check of a partition can come to."""
ALL = 10_000
"""More lines than a demo makes."""


@dataclass(frozen=True)
class Week:
    """One partition's way through the loop. What has not happened (yet) is None."""

    key: PartitionKey
    rows: int | None
    inputs: str | None
    labels: str | None
    version: int | None
    drifted: bool | None
    decision: str | None
    loss: float | None
    first_model_loss: float | None = None


@dataclass(frozen=True)
class Summary:
    """The demo's outcome. `wall_seconds` counts from the command's start."""

    model: str
    weeks: list[Week]
    quarantined: list[dict[str, Any]]
    drift_checks: list[dict[str, Any]]
    retrains: list[dict[str, Any]]
    promotions: list[dict[str, Any]]
    refusals: list[dict[str, Any]]
    mails: list[dict[str, Any]]
    champion_loss: float | None
    """Mean realised loss over the weeks with labels, weighted by rows"""
    first_model_loss: float | None
    """The same, had the first champion never been retrained"""
    wall_seconds: float
    urls: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)


def collect(definition: ModelDefinition, settings: Settings, wall_seconds: float, urls: dict[str, str]) -> Summary:
    """Read the summary from the ledger; the never-retrained model's loss is computed from what is stored."""
    name = definition.name
    with Ledger.from_settings(settings).transaction() as session:
        decided = history.decisions(session, name, limit=ALL)
        weeks = walked(session, name, decided)
        shadow = _first_model_losses(definition, settings, session, weeks)
        rows = {w.key: (w.rows or 0) for w in weeks}
        losses = {w.key: w.loss for w in weeks if w.loss is not None and w.key in shadow}
        return Summary(
            model=name,
            weeks=[Week(**{**asdict(w), "first_model_loss": shadow.get(w.key)}) for w in weeks],
            quarantined=_quarantined(session, name),
            drift_checks=_drift_checks(session, name),
            retrains=retrains(history.trainings(session, name)),
            promotions=decided_as(decided, "promote"),
            refusals=decided_as(decided, "refuse"),
            mails=told(history.alerts(session, name, limit=ALL)),
            champion_loss=_weighted(losses, rows),
            first_model_loss=_weighted({k: shadow[k] for k in losses}, rows),
            wall_seconds=round(wall_seconds, 1),
            urls=urls,
        )


def walked(session: Session, model: str, decided: list[DecisionLine]) -> list[Week]:
    """Each partition's way through the loop, by key, without what the first model would have lost."""
    verdicts = {(v.table, v.key): v for v in history.newest_verdicts(session, model)}
    predictions = current_predictions(session, model)
    drifted = {check.key: check.drifted for check in monitoring_views.checks(session, model)}
    losses = {line.key: line.loss for line in monitoring_views.losses(session, model)}
    decisions = {d.key: d.kind for d in decided if d.kind in MONITORED}
    weeks = []
    for key in sorted({key for _, key in verdicts}):
        inputs, labels = verdicts.get(("inputs", key)), verdicts.get(("labels", key))
        weeks.append(
            Week(
                key=key,
                rows=inputs.rows_accepted if inputs else None,
                inputs=inputs.outcome if inputs else None,
                labels=labels.outcome if labels else None,
                version=predictions[key].version if key in predictions else None,
                drifted=drifted.get(key),
                decision=decisions.get(key),
                loss=losses.get(key),
            )
        )
    return weeks


def _first_model_losses(
    definition: ModelDefinition, settings: Settings, session: Session, weeks: list[Week]
) -> dict[PartitionKey, float]:
    from evergreen.loop.monitoring.rivals.shadow_scores import losses_of_version

    served = history.deployments(session, definition.name)
    if not served:
        return {}
    keys = [week.key for week in weeks if week.loss is not None]
    return losses_of_version(definition, served[0].version, keys, settings=settings)


def _quarantined(session: Session, model: str) -> list[dict[str, Any]]:
    found = [v for v in reversed(history.quarantines(session, model, limit=ALL)) if v.outcome == QUARANTINED]
    return [{"table": v.table, "key": v.key, "version": v.version, "reason": v.reason} for v in found]


def _drift_checks(session: Session, model: str) -> list[dict[str, Any]]:
    found = monitoring_views.checks(session, model)
    return [{"key": c.key, "version": c.version, "drifted": c.drifted, "report": c.report_uri} for c in found]


def _weighted(losses: Mapping[PartitionKey, float | None], rows: dict[PartitionKey, int]) -> float | None:
    total = sum(rows[key] for key in losses)
    return sum((loss or 0.0) * rows[key] for key, loss in losses.items()) / total if total else None
