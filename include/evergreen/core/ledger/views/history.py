"""A model's life as the ledger tells it: what the command line prints and the pages show."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Collection

from sqlalchemy import Select, and_, func, or_, select
from sqlalchemy.orm import Session

from evergreen.core.ledger.queries.decisions import FOLLOW
from evergreen.core.ledger.queries.online import performances
from evergreen.core.ledger.queries.partitions import ACCEPTED, QUARANTINED
from evergreen.core.ledger.tables import (
    Alert,
    Comparison,
    Decision,
    Delivery,
    Deployment,
    PartitionVersion,
    Prediction,
    Snapshot,
    TrainingRun,
    Verdict,
)
from evergreen.core.ledger.tables.upkeep import LateFeed
from evergreen.core.ledger.views.lines import (
    AlertLine,
    ChannelLine,
    ComparisonLine,
    DecisionLine,
    DeploymentLine,
    LateLine,
    OnlineLine,
    PredictionLine,
    SnapshotLine,
    TableLine,
    TrainingLine,
    VerdictLine,
)
from evergreen.core.names import PartitionKey


def tables(session: Session, model: str) -> list[TableLine]:
    """What landed in each table, by name of the table."""
    newest = (
        select(
            PartitionVersion.table, PartitionVersion.key, Verdict.outcome, Verdict.rows_accepted, Verdict.rows_rejected
        )
        .outerjoin(Verdict, Verdict.partition_version_id == PartitionVersion.id)
        .where(PartitionVersion.model == model)
        .distinct(PartitionVersion.table, PartitionVersion.key)
        .order_by(
            PartitionVersion.table,
            PartitionVersion.key,
            PartitionVersion.version.desc(),
            Verdict.id.desc().nulls_last(),
        )
        .subquery()
    )
    outcome = newest.c.outcome
    counted = select(
        newest.c.table,
        func.count(),
        func.count().filter(outcome == ACCEPTED),
        func.count().filter(outcome == QUARANTINED),
        func.count().filter(outcome.is_(None)),
        func.min(newest.c.key),
        func.max(newest.c.key),
        func.coalesce(func.sum(newest.c.rows_accepted), 0),
        func.coalesce(func.sum(newest.c.rows_rejected), 0),
    )
    counts = select(PartitionVersion.table, func.count()).where(PartitionVersion.model == model)
    versions = dict(session.execute(counts.group_by(PartitionVersion.table)).tuples().all())
    found = session.execute(counted.group_by(newest.c.table).order_by(newest.c.table)).tuples()
    return [
        TableLine(table, count, versions[table], good, bad, unjudged, first, last, int(rows), int(rejected))
        for table, count, good, bad, unjudged, first, last, rows, rejected in found
    ]


def quarantines(session: Session, model: str, *, limit: int = 20) -> list[VerdictLine]:
    """The latest verdicts that put a whole partition or some of its rows into quarantine, newest first."""
    query = _judged(model).where(or_(Verdict.outcome == QUARANTINED, Verdict.rows_rejected > 0))
    return [_verdict_line(*found) for found in session.execute(query.order_by(Verdict.id.desc()).limit(limit)).tuples()]


def late_feeds(session: Session, model: str, *, limit: int = 20) -> list[LateLine]:
    """The latest feeds that were told to be late, newest first, and when each came."""
    first = and_(
        PartitionVersion.model == LateFeed.model,
        PartitionVersion.table == LateFeed.table,
        PartitionVersion.key == LateFeed.key,
        PartitionVersion.version == 1,
    )
    verdict = (
        select(Verdict.outcome)
        .where(Verdict.partition_version_id == PartitionVersion.id)
        .order_by(Verdict.id)
        .limit(1)
        .scalar_subquery()
    )
    query = select(LateFeed, PartitionVersion.landed_at, verdict).outerjoin(PartitionVersion, first)
    query = query.where(LateFeed.model == model).order_by(LateFeed.id.desc()).limit(limit)
    return [
        LateLine(
            table=late.table,
            key=late.key,
            due_at=late.due_at,
            waiting_since=late.waiting_since,
            grace_until=late.grace_until,
            missing=late.missing,
            told_at=late.told_at,
            landed_at=landed_at,
            outcome=outcome,
            run_url=late.run_url,
        )
        for late, landed_at, outcome in session.execute(query).tuples()
    ]


def verdicts(session: Session, model: str, *, before: int | None = None, limit: int = 100) -> list[VerdictLine]:
    """Verdicts on the model's partitions, newest first; `before`: only those given before the one with this id."""
    query = _judged(model).order_by(Verdict.id.desc()).limit(limit)
    if before is not None:
        query = query.where(Verdict.id < before)
    return [_verdict_line(*found) for found in session.execute(query).tuples()]


def newest_verdicts(session: Session, model: str, keys: Collection[PartitionKey] | None = None) -> list[VerdictLine]:
    """The newest verdict on each partition of each table, by name of the table and key; `keys`: on these only."""
    query = _judged(model) if keys is None else _judged(model).where(PartitionVersion.key.in_(keys))
    query = query.distinct(PartitionVersion.table, PartitionVersion.key)
    query = query.order_by(PartitionVersion.table, PartitionVersion.key, Verdict.id.desc())
    return [_verdict_line(part, said) for part, said in session.execute(query).tuples()]


def last_verdicts(session: Session, model: str) -> list[VerdictLine]:
    """The verdict on the newest partition of each table, by name of the table."""
    query = _judged(model).distinct(PartitionVersion.table)
    query = query.order_by(PartitionVersion.table, PartitionVersion.key.desc(), Verdict.id.desc())
    return [_verdict_line(part, said) for part, said in session.execute(query).tuples()]


def _judged(model: str) -> Select[PartitionVersion, Verdict]:
    query = select(PartitionVersion, Verdict).join(Verdict, Verdict.partition_version_id == PartitionVersion.id)
    return query.where(PartitionVersion.model == model)


def _verdict_line(part: PartitionVersion, said: Verdict) -> VerdictLine:
    return VerdictLine(
        id=said.id,
        table=part.table,
        key=part.key,
        version=part.version,
        outcome=said.outcome,
        reason=said.reason,
        decided_at=said.decided_at,
        results_uri=said.results_uri,
        run_url=said.run_url,
        rows_accepted=said.rows_accepted,
        rows_rejected=said.rows_rejected,
        rejected_uri=said.rejected_uri,
        asked_by=said.asked_by,
        why=said.why,
    )


def snapshots(session: Session, model: str) -> list[SnapshotLine]:
    """The current snapshot of each feature partition, by key."""
    query = select(Snapshot).where(Snapshot.model == model).distinct(Snapshot.key)
    rows = session.scalars(query.order_by(Snapshot.key, Snapshot.version.desc()))
    return [
        SnapshotLine(
            row.key, row.version, row.snapshot_id, row.rows, tuple(row.labels_missing), row.created_at, row.run_url,
            row.code_hash,
        )
        for row in rows
    ]  # fmt: skip


def trainings(session: Session, model: str) -> list[TrainingLine]:
    """All training runs with their comparisons, in order."""
    return _training_lines(session, select(TrainingRun).where(TrainingRun.model == model))


def training_of(session: Session, model: str, version: int) -> TrainingLine | None:
    """The training run that made a version; None if the ledger has none."""
    query = select(TrainingRun).where(TrainingRun.model == model, TrainingRun.version == version)
    return next(iter(_training_lines(session, query)), None)


def _training_lines(session: Session, query: Select[TrainingRun]) -> list[TrainingLine]:
    runs = session.scalars(query.order_by(TrainingRun.id)).all()
    wanted = select(Comparison).where(Comparison.training_run_id.in_([run.id for run in runs]))
    compared = {row.training_run_id: _comparison_line(row) for row in session.scalars(wanted)}
    return [_training_line(run, compared.get(run.id)) for run in runs]


def _comparison_line(row: Comparison) -> ComparisonLine:
    return ComparisonLine(
        training_run_id=row.training_run_id,
        challenger_version=row.challenger_version,
        champion_version=row.champion_version,
        keys=tuple(row.keys),
        verdict=row.verdict,
        result=row.result,
        guards=tuple(row.guards),
        created_at=row.created_at,
    )


def _training_line(run: TrainingRun, comparison: ComparisonLine | None) -> TrainingLine:
    return TrainingLine(
        id=run.id,
        cause=run.cause,
        reason=run.reason,
        state=run.state,
        as_of=run.as_of,
        train_keys=tuple(run.dataset.get("train_keys", ())),
        holdout_keys=tuple(run.dataset.get("holdout_keys", ())),
        rows=run.dataset.get("rows"),
        dataset=run.dataset,
        dataset_hash=run.dataset_hash,
        git_commit=run.git_commit,
        candidate=run.candidate,
        metrics=run.metrics or {},
        mlflow_run_id=run.mlflow_run_id,
        version=run.version,
        code_version=run.code_version,
        code_hash=run.code_hash,
        features_hash=run.features_hash,
        lock_hash=run.lock_hash,
        seed=run.seed,
        started_at=run.started_at,
        finished_at=run.finished_at,
        run_url=run.run_url,
        comparison=comparison,
    )


def decisions(session: Session, model: str, *, quiet: bool = True, limit: int = 500) -> list[DecisionLine]:
    """The newest decisions, in order; `quiet=False` leaves out those to do nothing, unless they undo another one."""
    query = select(Decision).where(Decision.model == model)
    if not quiet:
        query = query.where((Decision.kind != "no_action") | Decision.dedup_key.startswith(FOLLOW, autoescape=True))
    rows = session.scalars(query.order_by(Decision.id.desc()).limit(limit)).all()
    return [_decision_line(row) for row in reversed(rows)]


def _decision_line(row: Decision) -> DecisionLine:
    return DecisionLine(
        id=row.id,
        kind=row.kind,
        key=row.key,
        reason=row.reason,
        evidence=row.evidence,
        version=row.version,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        run_url=row.run_url,
    )


def deployments(session: Session, model: str) -> list[DeploymentLine]:
    """Who served from when until when, in order; the last one serves."""
    query = select(Deployment, Decision).join(Decision, Decision.id == Deployment.decision_id)
    rows = session.execute(query.where(Deployment.model == model).order_by(Deployment.id)).tuples().all()
    ends = [deployment.served_from for deployment, _ in rows[1:]]
    made = select(TrainingRun.version, TrainingRun.features_hash).where(TrainingRun.model == model)
    fed_by = dict(session.execute(made.where(TrainingRun.version.is_not(None))).tuples().all())
    return [
        DeploymentLine(
            row.version, row.from_key, row.served_from, end, _decision_line(decision), fed_by.get(row.version)
        )
        for (row, decision), end in zip(rows, [*ends, None], strict=bool(rows))
    ]


def online(session: Session, model: str) -> list[OnlineLine]:
    """What the predictions on request came to, by partition."""
    return [
        OnlineLine(
            key=row.key,
            versions=tuple(row.versions),
            rows=row.rows,
            compared=row.compared,
            differing=row.differing,
            difference=row.difference,
            labelled=row.labelled,
            loss=row.loss,
            measured_at=row.created_at,
        )
        for row in performances(session, model)
    ]


def predictions(session: Session, model: str, key: PartitionKey) -> list[PredictionLine]:
    """The predictions made for a partition, newest first: one for each snapshot that was scored."""
    query = select(Prediction, Snapshot).join(Snapshot, Snapshot.id == Prediction.snapshot_id)
    query = query.where(Prediction.model == model, Prediction.key == key).order_by(Prediction.id.desc())
    return [
        PredictionLine(
            row.key, row.version, row.rows, row.mean, row.uri, snapshot.snapshot_id, row.created_at, row.run_url
        )
        for row, snapshot in session.execute(query).tuples()
    ]


def alerts(session: Session, model: str, *, limit: int = 50) -> list[AlertLine]:
    """The newest mails of the outbox, newest first."""
    newest = select(Alert).where(Alert.model == model).order_by(Alert.created_at.desc()).limit(limit)
    rows = session.scalars(newest).all()
    channels: dict[uuid.UUID, list[ChannelLine]] = defaultdict(list)
    for one in session.scalars(
        select(Delivery).where(Delivery.alert_id.in_([row.id for row in rows])).order_by(Delivery.id)
    ):
        channels[one.alert_id].append(
            ChannelLine(one.channel, one.sent_at, one.attempts, one.last_error, one.given_up_at)
        )
    return [
        AlertLine(
            *(str(row.id), row.kind, row.key, row.subject, row.created_at, row.sent_at, row.attempts, row.last_error),
            row.silence_id,
            tuple(channels[row.id]),
        )
        for row in rows
    ]
