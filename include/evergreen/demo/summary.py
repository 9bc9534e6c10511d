"""What happened in a model's life, read from the ledger, for people and for machines."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from evergreen.definition import ModelDefinition
from evergreen.ledger import Ledger
from evergreen.ledger.tables import (
    Alert,
    Comparison,
    Decision,
    Deployment,
    DriftCheck,
    PartitionVersion,
    Performance,
    Prediction,
    TrainingRun,
    Verdict,
)
from evergreen.settings import Settings


@dataclass(frozen=True)
class Week:
    """One partition's way through the loop. What has not happened (yet) is None."""

    key: str
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
    with Ledger.from_settings(settings).transaction() as session:
        weeks = _weeks(session, definition)
        shadow = _first_model_losses(definition, settings, session, weeks)
        rows = {w.key: (w.rows or 0) for w in weeks}
        losses = {w.key: w.loss for w in weeks if w.loss is not None and w.key in shadow}
        return Summary(
            model=definition.name,
            weeks=[Week(**{**asdict(w), "first_model_loss": shadow.get(w.key)}) for w in weeks],
            quarantined=_quarantined(session, definition.name),
            drift_checks=_drift_checks(session, definition.name),
            retrains=_retrains(session, definition.name),
            promotions=_decided(session, definition.name, "promote"),
            refusals=_decided(session, definition.name, "refuse"),
            mails=_mails(session, definition.name),
            champion_loss=_weighted(losses, rows),
            first_model_loss=_weighted({k: shadow[k] for k in losses}, rows),
            wall_seconds=round(wall_seconds, 1),
            urls=urls,
        )


def _weeks(session: Session, definition: ModelDefinition) -> list[Week]:
    name = definition.name
    states: dict[tuple[str, str], tuple[str, int]] = {}
    for part, verdict in session.execute(
        select(PartitionVersion, Verdict).join(Verdict).where(PartitionVersion.model == name).order_by(Verdict.id)
    ):
        states[part.table, part.key] = (verdict.outcome, verdict.rows_accepted)
    versions = dict(_latest(session, Prediction.key, Prediction.version, Prediction.model == name, Prediction.id))
    checks = dict(_latest(session, DriftCheck.key, DriftCheck.drifted, DriftCheck.model == name, DriftCheck.id))
    losses = dict(_latest(session, Performance.key, Performance.loss, Performance.model == name, Performance.id))
    monitored = ("no_action", "alert", "retrain", "rollback")
    decisions = dict(
        _latest(
            session, Decision.key, Decision.kind, (Decision.model == name) & Decision.kind.in_(monitored), Decision.id
        )
    )
    return [
        Week(
            key=key,
            rows=states.get(("inputs", key), (None, None))[1],
            inputs=states.get(("inputs", key), (None, None))[0],
            labels=states.get(("labels", key), (None, None))[0],
            version=versions.get(key),
            drifted=checks.get(key),
            decision=decisions.get(key),
            loss=losses.get(key),
        )
        for key in sorted({k for _, k in states})
    ]


def _latest(session: Session, key: Any, value: Any, where: Any, order: Any) -> list[tuple[Any, Any]]:
    return [(k, v) for k, v in session.execute(select(key, value).where(where).order_by(order))]


def _first_model_losses(
    definition: ModelDefinition, settings: Settings, session: Session, weeks: list[Week]
) -> dict[str, float]:
    from evergreen.monitoring.shadow import losses_of_version

    first = session.scalar(select(Deployment).where(Deployment.model == definition.name).order_by(Deployment.id))
    if first is None:
        return {}
    keys = [week.key for week in weeks if week.loss is not None]
    return losses_of_version(definition, first.version, keys, settings=settings)


def _quarantined(session: Session, model: str) -> list[dict[str, Any]]:
    found = session.execute(
        select(PartitionVersion, Verdict)
        .join(Verdict)
        .where(PartitionVersion.model == model, Verdict.outcome == "quarantined")
        .order_by(Verdict.id)
    )
    return [{"table": p.table, "key": p.key, "version": p.version, "reason": v.reason} for p, v in found]


def _drift_checks(session: Session, model: str) -> list[dict[str, Any]]:
    found = session.scalars(select(DriftCheck).where(DriftCheck.model == model).order_by(DriftCheck.id))
    return [{"key": c.key, "version": c.version, "drifted": c.drifted, "report": c.report_uri} for c in found]


def _retrains(session: Session, model: str) -> list[dict[str, Any]]:
    found = session.execute(
        select(TrainingRun, Comparison)
        .outerjoin(Comparison)
        .where(TrainingRun.model == model, TrainingRun.cause != "first")
        .order_by(TrainingRun.id)
    )
    return [
        {
            "cause": run.cause, "as_of": run.as_of, "reason": run.reason, "state": run.state, "version": run.version,
            "comparison": comparison.verdict if comparison else None,
        }
        for run, comparison in found
    ]  # fmt: skip


def _decided(session: Session, model: str, kind: str) -> list[dict[str, Any]]:
    found = session.scalars(
        select(Decision).where(Decision.model == model, Decision.kind == kind).order_by(Decision.id)
    )
    return [{"version": d.version, "key": d.key, "reason": d.reason, "by": d.decided_by} for d in found]


def _mails(session: Session, model: str) -> list[dict[str, Any]]:
    found = session.scalars(select(Alert).where(Alert.model == model).order_by(Alert.created_at))
    return [{"kind": a.kind, "key": a.key, "subject": a.subject, "sent": a.sent_at is not None} for a in found]


def _weighted(losses: dict[str, float | None] | dict[str, float], rows: dict[str, int]) -> float | None:
    total = sum(rows[key] for key in losses)
    return sum((loss or 0.0) * rows[key] for key, loss in losses.items()) / total if total else None
