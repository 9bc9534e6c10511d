"""Counts and newest values of all models, for metrics: a handful of queries, however many models and partitions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, and_, func, or_, select
from sqlalchemy.orm import Session

from evergreen.core.ledger.outbox import UNDELIVERED, UNSENT
from evergreen.core.ledger.queries.seen import IN_SAMPLE
from evergreen.core.ledger.tables import (
    Alert,
    Decision,
    Delivery,
    Deployment,
    DriftCheck,
    Incident,
    LabelCoverage,
    LabelHold,
    OnlinePerformance,
    PartitionVersion,
    Performance,
    Prediction,
    Snapshot,
    TrainingRun,
    Verdict,
)
from evergreen.core.names import PartitionKey

Counts = dict[tuple[str, ...], int]


@dataclass(frozen=True)
class Newest:
    """What is known of one model now; None if nothing is."""

    champion: Deployment | None = None
    as_of: PartitionKey | None = None
    """Newest partition whose labels the champion was made from"""
    check: DriftCheck | None = None
    performance: Performance | None = None
    online_loss: OnlinePerformance | None = None
    """Of the newest partition of which some predictions on request have labels"""
    online_compared: OnlinePerformance | None = None
    """Of the newest partition of which some were compared with the batch"""


@dataclass(frozen=True)
class Totals:
    """All that metrics are made of."""

    partitions: Counts
    """(model, table, outcome) -> partitions whose newest version has this newest verdict; `unjudged` without one"""
    verdicts: Counts
    """(model, table, outcome) -> verdicts ever given; a partition that lands again or is replayed gets another one"""
    rows: dict[tuple[str, ...], tuple[int, int]]
    """(model, table) -> rows accepted and rejected of these"""
    newest_keys: dict[tuple[str, ...], str]
    """(model, table) -> newest accepted partition"""
    landed: dict[str, str]
    """model -> newest partition of any table and verdict"""
    snapshots: Counts
    """(model,) -> partitions with features"""
    predictions: Counts
    """(model,) -> partitions with predictions"""
    unscored: Counts
    """(model,) -> partitions with features and no predictions, from the first that ever had a champion"""
    checks: Counts
    """(model,) -> partitions that were checked for drift"""
    decisions: Counts
    """(model, kind) -> decisions made"""
    trainings: Counts
    """(model, cause, state) -> training runs"""
    alerts: Counts
    """(model, kind) -> mails written so far"""
    unsent: dict[str, tuple[int, dt.datetime]]
    """model -> messages still unsent by mail or to a channel, and since when the oldest is"""
    coverage: dict[tuple[str, ...], float]
    """(model,) -> share of the inputs of the newest labelled partition that have a label"""
    labels_held: Counts
    """(model, cause) -> partitions whose labels are held back (incomplete), or are one-sided"""
    incidents: Counts
    """(model, kind) -> incidents that are open"""
    newest: dict[str, Newest]


def read(session: Session) -> Totals:
    """Count everything."""
    judged = _judged(session)
    return Totals(
        partitions=_grouped(judged, lambda row: (row.model, row.table, row.outcome or "unjudged")),
        verdicts=_verdicts(session),
        rows=_rows(judged),
        newest_keys=_newest_keys(judged),
        landed={row.model: row.key for row in sorted(judged, key=lambda row: str(row.key))},
        snapshots=_counted(
            session, select(Snapshot.model, func.count(Snapshot.key.distinct())).group_by(Snapshot.model)
        ),
        predictions=_counted(
            session, select(Prediction.model, func.count(Prediction.key.distinct())).group_by(Prediction.model)
        ),
        unscored=_unscored(session),
        checks=_counted(
            session, select(DriftCheck.model, func.count(DriftCheck.key.distinct())).group_by(DriftCheck.model)
        ),
        decisions=_count_by(session, Decision.model, Decision.kind),
        trainings=_count_by(session, TrainingRun.model, TrainingRun.cause, TrainingRun.state),
        alerts=_count_by(session, Alert.model, Alert.kind),
        unsent=_unsent(session),
        coverage={
            (row.model,): row.labelled / row.inputs
            for row in _latest_by_key(session, LabelCoverage, LabelCoverage.labelled.is_not(None))
            if row.inputs
        },
        labels_held=_held(session),
        incidents=_incidents(session),
        newest=_newest(session),
    )


def _judged(session: Session) -> Sequence[Any]:
    """The newest version of each partition with its newest verdict."""
    query = (
        select(
            PartitionVersion.model, PartitionVersion.table, PartitionVersion.key,
            Verdict.outcome, Verdict.rows_accepted, Verdict.rows_rejected,
        )
        .outerjoin(Verdict, Verdict.partition_version_id == PartitionVersion.id)
        .distinct(PartitionVersion.model, PartitionVersion.table, PartitionVersion.key)
        .order_by(
            PartitionVersion.model, PartitionVersion.table, PartitionVersion.key,
            PartitionVersion.version.desc(), Verdict.id.desc().nulls_last(),
        )
    )  # fmt: skip
    return session.execute(query).all()


def _verdicts(session: Session) -> Counts:
    named = (PartitionVersion.model, PartitionVersion.table, Verdict.outcome)
    joined = select(*named, func.count()).join(Verdict, Verdict.partition_version_id == PartitionVersion.id)
    return _counted(session, joined.group_by(*named))


def _unscored(session: Session) -> Counts:
    first = select(Deployment.model, func.min(Deployment.from_key).label("key")).group_by(Deployment.model).subquery()
    counted = func.count(Snapshot.key.distinct()).filter(Prediction.id.is_(None))
    predicted = (Prediction.model == Snapshot.model) & (Prediction.key == Snapshot.key)
    joined = (
        select(Snapshot.model, counted).join(first, first.c.model == Snapshot.model).outerjoin(Prediction, predicted)
    )
    return _counted(session, joined.where(Snapshot.key >= first.c.key).group_by(Snapshot.model))


def _held(session: Session) -> Counts:
    """Zero if nothing is held, of each model whose coverage is known."""
    models = session.scalars(select(LabelCoverage.model).distinct())
    none = {(model, cause): 0 for model in models for cause in ("incomplete", "one_sided")}
    open_ = select(LabelHold.model, LabelHold.cause, func.count()).where(LabelHold.released_at.is_(None))
    return none | _counted(session, open_.group_by(LabelHold.model, LabelHold.cause))


def _grouped(rows: Sequence[Any], name: Any) -> Counts:
    found: Counts = {}
    for row in rows:
        found[name(row)] = found.get(name(row), 0) + 1
    return found


def _rows(judged: Sequence[Any]) -> dict[tuple[str, ...], tuple[int, int]]:
    found: dict[tuple[str, ...], tuple[int, int]] = {}
    for row in judged:
        accepted, rejected = found.get((row.model, row.table), (0, 0))
        found[row.model, row.table] = (accepted + (row.rows_accepted or 0), rejected + (row.rows_rejected or 0))
    return found


def _newest_keys(judged: Sequence[Any]) -> dict[tuple[str, ...], str]:
    found: dict[tuple[str, ...], str] = {}
    for row in judged:
        if row.outcome == "accepted":
            found[row.model, row.table] = max(found.get((row.model, row.table), ""), row.key)
    return found


def _count_by(session: Session, *columns: Any) -> Counts:
    return _counted(session, select(*columns, func.count()).group_by(*columns))


def _counted(session: Session, query: Select[*tuple[Any, ...]]) -> Counts:
    return {tuple(row[:-1]): row[-1] for row in session.execute(query)}


def _unsent(session: Session) -> dict[str, tuple[int, dt.datetime]]:
    """Messages that are still to be sent by mail, or to a channel beside it, and since when."""
    waits = select(Delivery.id).where(Delivery.alert_id == Alert.id, *UNDELIVERED).exists()
    query = select(Alert.model, func.count(), func.min(Alert.created_at)).where(or_(and_(*UNSENT), waits))
    return {model: (count, since) for model, count, since in session.execute(query.group_by(Alert.model)).tuples()}


def _incidents(session: Session) -> Counts:
    """Open incidents, by model and kind."""
    query = select(Incident.model, Incident.kind, func.count()).where(Incident.closed_at.is_(None))
    return _counted(session, query.group_by(Incident.model, Incident.kind))


def _newest(session: Session) -> dict[str, Newest]:
    champions = _latest(session, Deployment)
    checks = {c.model: c for c in _latest_by_key(session, DriftCheck)}
    losses = {p.model: p for p in _latest_by_key(session, Performance, ~IN_SAMPLE)}
    runs = select(TrainingRun.model, TrainingRun.version, TrainingRun.as_of).where(TrainingRun.version.is_not(None))
    made = {(model, version): as_of for model, version, as_of in session.execute(runs).tuples()}
    lost, compared = (
        {row.model: row for row in _latest_by_key(session, OnlinePerformance, some)}
        for some in (OnlinePerformance.labelled > 0, OnlinePerformance.compared > 0)
    )
    found = {}
    for model in {*champions, *checks, *losses, *lost, *compared}:
        champion = champions.get(model)
        as_of = made.get((model, champion.version)) if champion else None
        found[model] = Newest(
            champion, as_of, checks.get(model), losses.get(model), lost.get(model), compared.get(model)
        )
    return found


def _latest(session: Session, table: Any) -> dict[str, Any]:
    query = select(table).distinct(table.model).order_by(table.model, table.id.desc())
    return {row.model: row for row in session.scalars(query)}


def _latest_by_key(session: Session, table: Any, *where: Any) -> Sequence[Any]:
    query = select(table).where(*where).distinct(table.model).order_by(table.model, table.key.desc(), table.id.desc())
    return session.scalars(query).all()
