"""Tables of the loop: partitions, snapshots, trainings, decisions, deployments, checks and alerts."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from evergreen.core.ledger.tables.base import Base, Json
from evergreen.core.names import PartitionKey, Uri
from evergreen.core.values import (
    ComparisonOutcome,
    DecisionKind,
    TableName,
    TrainingCause,
    TrainingState,
    VerdictOutcome,
)


class PartitionVersion(Base):
    """One version of a landed partition: its bytes as they were copied, never changed.

    A partition landed again with other bytes is the next version. The partition's current version is the newest one
    whose latest verdict is `accepted`.
    """

    __tablename__ = "partition_version"
    __table_args__ = (UniqueConstraint("model", "table", "key", "version"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    model: Mapped[str]
    table: Mapped[TableName]
    key: Mapped[PartitionKey]
    version: Mapped[int]
    """1, 2, ... within (model, table, key)"""
    content_hash: Mapped[str]
    """SHA-256 of the raw copy, hex: of the landed file, or of what it is with tokens in its personal columns"""
    landed_uri: Mapped[Uri]
    raw_uri: Mapped[Uri]
    """The immutable copy in the store"""
    bytes: Mapped[int]
    rows: Mapped[int | None]
    """None if the file could not be read"""
    landed_at: Mapped[dt.datetime]
    landed_again_at: Mapped[dt.datetime | None]
    """When the same bytes were last written to the landing zone again; None if they were not"""
    received_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    run_url: Mapped[str | None]
    source: Mapped[Json | None] = mapped_column(JSONB(none_as_null=True))
    """What it was read from, if that is no file: format, table and version of a lake's table; connection, query, its
    SHA-256, bounds and rows of a database; None of files, and if it was received before this was recorded"""
    verdicts: Mapped[list[Verdict]] = relationship(back_populates="partition", order_by="Verdict.id")


class Verdict(Base):
    """What validation said of a partition version under one suite. The latest verdict counts.

    It is given again only when the suite differs from the latest verdict's: a suite that is changed and changed back
    gives three.
    """

    __tablename__ = "verdict"
    __table_args__ = (Index(None, "partition_version_id", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    partition_version_id: Mapped[int] = mapped_column(ForeignKey("partition_version.id"))
    suite_hash: Mapped[str]
    outcome: Mapped[VerdictOutcome]
    reason: Mapped[str]
    """A sentence a person understands"""
    failures: Mapped[list[Any]]
    """Failed expectations: name, column, severity, observed, expected, count, sample"""
    results_uri: Mapped[Uri | None]
    """Full Great Expectations result in the store"""
    clean_uri: Mapped[Uri | None]
    """The accepted rows with the definition's columns and dtypes, as Parquet; None if quarantined"""
    rejected_uri: Mapped[Uri | None]
    """The rows that were kept out of an accepted partition, each with its reason, as Parquet; None if all or none"""
    rows_accepted: Mapped[int]
    rows_rejected: Mapped[int]
    asked_by: Mapped[str | None]
    """Who had the partition taken out of quarantine and validated again; None if it was judged as it came"""
    why: Mapped[str | None]
    """The reason that person gave"""
    decided_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    run_url: Mapped[str | None]
    partition: Mapped[PartitionVersion] = relationship(back_populates="verdicts")


class Snapshot(Base):
    """One build of a feature partition, committed to the feature repository.

    `build_hash` covers the inputs version, the partition versions looked back on and the feature code. A partition has
    one current snapshot of each code that feeds a version: the newest; a build with its hash is not made again. An
    older one's hash may return (a version's verdict changes): that is a new version with the old bytes.
    """

    __tablename__ = "snapshot"
    __table_args__ = (UniqueConstraint("model", "key", "version"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    model: Mapped[str]
    key: Mapped[PartitionKey]
    version: Mapped[int]
    build_hash: Mapped[str]
    inputs_version_id: Mapped[int] = mapped_column(ForeignKey("partition_version.id"))
    inputs_verdict_id: Mapped[int | None] = mapped_column(ForeignKey("verdict.id"))
    """The verdict whose accepted rows it was built from; None if it was built before this was recorded"""
    labels_used: Mapped[Json]
    """{label partition key: partition_version id}"""
    inputs_looked_back: Mapped[Json]
    """{partition key: partition_version id} of the inputs that the labels looked back on were joined with"""
    labels_missing: Mapped[list[Any]]
    """Keys that were looked for and had not landed when the grace period ended"""
    recent_inputs: Mapped[Json] = mapped_column(server_default="{}", default=dict)
    """{partition key: partition_version id} of the inputs that `features.recent_inputs` asks for"""
    recent_missing: Mapped[list[Any]] = mapped_column(server_default="[]", default=list)
    """Keys of those that were not accepted"""
    references_used: Mapped[Json] = mapped_column(server_default="{}", default=dict)
    """{name: reference_version id} of the reference tables that it was built from; null if none was known by then"""
    code_hash: Mapped[str]
    """SHA-256 of features.py, the files beside it, and of the definition's features section and feed columns"""
    git_commit: Mapped[str]
    dvc_path: Mapped[str]
    dvc_hash: Mapped[str]
    """MD5 by which DVC stores the file"""
    content_hash: Mapped[str]
    """SHA-256 of the Parquet file"""
    rows: Mapped[int]
    results_uri: Mapped[Uri | None]
    """Great Expectations result of the features suite"""
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    run_url: Mapped[str | None]

    @property
    def snapshot_id(self) -> str:
        """Git commit and DVC hash: names these bytes for ever."""
        return f"{self.git_commit}:{self.dvc_hash}"


class TrainingRun(Base):
    """One attempt to make a challenger. `cause_key` is unique: one cause makes one retrain."""

    __tablename__ = "training_run"
    __table_args__ = (UniqueConstraint("model", "cause_key"), Index(None, "model", "version"))

    id: Mapped[int] = mapped_column(primary_key=True)
    model: Mapped[str]
    cause: Mapped[TrainingCause]
    cause_key: Mapped[str]
    reason: Mapped[str]
    state: Mapped[TrainingState]
    """The one column that changes"""
    as_of: Mapped[PartitionKey]
    """Newest partition key whose labels the run uses"""
    dataset: Mapped[Json]
    """train_keys, holdout_keys, snapshots {key: snapshot row id}, labels {key: partition_version id}, rows"""
    dataset_hash: Mapped[str]
    git_commit: Mapped[str]
    """Commit of the feature repository at which every file of the dataset is read"""
    candidate: Mapped[str | None]
    params: Mapped[Json | None]
    metrics: Mapped[Json | None]
    mlflow_run_id: Mapped[str | None]
    version: Mapped[int | None]
    """Version in the MLflow registry"""
    code_version: Mapped[str]
    code_hash: Mapped[str]
    features_hash: Mapped[str | None]
    """`code_hash` of its snapshots: the feature code that its version is fed by. None: made before this was recorded"""
    lock_hash: Mapped[str]
    seed: Mapped[int]
    decision: Mapped[Json | None] = mapped_column(JSONB(none_as_null=True))
    """How its version chooses a class: how, threshold, bayes, positives, or costs; null without a `decision`"""
    search: Mapped[Json | None]
    """code_hash, and trials: candidate, number, params, loss, fold_losses, pruned, seconds; written as each ends"""
    started_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[dt.datetime | None]
    run_url: Mapped[str | None]


class Comparison(Base):
    """Challenger against champion on labelled partitions that neither was trained on."""

    __tablename__ = "comparison"
    __table_args__ = (UniqueConstraint("training_run_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    model: Mapped[str]
    training_run_id: Mapped[int] = mapped_column(ForeignKey("training_run.id"))
    challenger_version: Mapped[int]
    champion_version: Mapped[int | None]
    """None: there was no champion, the base rate stood in"""
    keys: Mapped[list[Any]]
    verdict: Mapped[ComparisonOutcome]
    result: Mapped[Json]
    guards: Mapped[list[Any]]
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())


class Decision(Base):
    """What was decided, on which evidence, by whom. `dedup_key` makes one cause yield one decision."""

    __tablename__ = "decision"
    __table_args__ = (UniqueConstraint("model", "dedup_key"), Index(None, "model", "decided_at"))

    id: Mapped[int] = mapped_column(primary_key=True)
    model: Mapped[str]
    kind: Mapped[DecisionKind]
    key: Mapped[PartitionKey | None]
    """Partition the decision is about"""
    dedup_key: Mapped[str]
    reason: Mapped[str]
    evidence: Mapped[Json]
    version: Mapped[int | None]
    """Model version promoted, refused or rolled back to"""
    decided_by: Mapped[str]
    """policy, or a person's name"""
    decided_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    run_url: Mapped[str | None]


class Deployment(Base):
    """Which version serves from when on. The newest row is the champion; a row is served until the next begins."""

    __tablename__ = "deployment"

    id: Mapped[int] = mapped_column(primary_key=True)
    model: Mapped[str] = mapped_column(index=True)
    version: Mapped[int]
    decision_id: Mapped[int] = mapped_column(ForeignKey("decision.id"), unique=True)
    from_key: Mapped[PartitionKey | None]
    """First partition it was meant to serve: the one after the data that the decision saw"""
    served_from: Mapped[dt.datetime] = mapped_column(server_default=func.clock_timestamp())


class Prediction(Base):
    """The champion's predictions of one feature snapshot, written once."""

    __tablename__ = "prediction"
    __table_args__ = (UniqueConstraint("snapshot_id"), Index(None, "model", "key"))

    id: Mapped[int] = mapped_column(primary_key=True)
    model: Mapped[str]
    key: Mapped[PartitionKey]
    snapshot_id: Mapped[int] = mapped_column(ForeignKey("snapshot.id"))
    version: Mapped[int]
    """Model version that predicted"""
    uri: Mapped[Uri]
    content_hash: Mapped[str]
    rows: Mapped[int]
    mean: Mapped[float]
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    run_url: Mapped[str | None]


class Performance(Base):
    """Realised loss of one prediction partition on labels that have landed."""

    __tablename__ = "performance"
    __table_args__ = (
        UniqueConstraint("prediction_id", "labels_version_id", "labels_rows"),
        Index(None, "model", "key"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    model: Mapped[str]
    key: Mapped[PartitionKey]
    prediction_id: Mapped[int] = mapped_column(ForeignKey("prediction.id"))
    labels_version_id: Mapped[int] = mapped_column(ForeignKey("partition_version.id"))
    labels_rows: Mapped[str] = mapped_column(server_default="")
    """Which of these labels counted: the hash of the suite that kept some of them out, empty if all did"""
    version: Mapped[int]
    rows: Mapped[int]
    loss: Mapped[float]
    """Mean of the definition's loss"""
    clusters: Mapped[list[Any]]
    """Per cluster: name, rows, mean loss: what sequential monitoring reads"""
    metrics: Mapped[Json]
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())


class ShadowLoss(Base):
    """What a version that did not predict a partition would have lost on it, once its labels had landed."""

    __tablename__ = "shadow_loss"
    __table_args__ = (UniqueConstraint("snapshot_id", "labels_version_id", "labels_rows", "version"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    model: Mapped[str]
    key: Mapped[PartitionKey]
    version: Mapped[int]
    """Model version that was scored in the shadow"""
    snapshot_id: Mapped[int] = mapped_column(ForeignKey("snapshot.id"))
    labels_version_id: Mapped[int] = mapped_column(ForeignKey("partition_version.id"))
    labels_rows: Mapped[str] = mapped_column(server_default="")
    """As of `Performance`"""
    rows: Mapped[int]
    loss: Mapped[float]
    """Mean of the definition's loss"""
    clusters: Mapped[list[Any]]
    """Per cluster: name, rows, mean loss, expected loss"""
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())


class DriftCheck(Base):
    """One monitoring check of one partition: data, prediction and label drift, and realised loss."""

    __tablename__ = "drift_check"
    __table_args__ = (UniqueConstraint("model", "key", "input_hash"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    model: Mapped[str]
    key: Mapped[PartitionKey]
    input_hash: Mapped[str]
    """Over prediction, labels and reference: the same check is never made twice"""
    prediction_id: Mapped[int] = mapped_column(ForeignKey("prediction.id"))
    version: Mapped[int]
    """Champion whose reference was compared against"""
    reference: Mapped[str]
    """What the reference was, in words"""
    drifted: Mapped[bool]
    results: Mapped[Json]
    """columns [{name, method, statistic, p_value, effect, drifted, sentence}], prediction, labels, performance"""
    report_uri: Mapped[Uri | None]
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    run_url: Mapped[str | None]


class Alert(Base):
    """The outbox: a mail to send. Written with the decision it reports, in one transaction; sent afterwards."""

    __tablename__ = "alert"
    __table_args__ = (
        UniqueConstraint("dedup_key"),
        Index("ix_alert_unsent", "created_at", postgresql_where="sent_at IS NULL"),
        Index("ix_alert_silence_id", "silence_id", postgresql_where="silence_id IS NOT NULL"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    """Also the mail's Message-ID, so that a mail delivered twice is one mail"""
    model: Mapped[str]
    kind: Mapped[str]
    """Name of its runbook page"""
    key: Mapped[PartitionKey | None]
    dedup_key: Mapped[str]
    recipients: Mapped[list[Any]]
    subject: Mapped[str]
    body: Mapped[Json]
    """What the mail's template is filled with"""
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    attempts: Mapped[int] = mapped_column(default=0)
    last_error: Mapped[str | None]
    sent_at: Mapped[dt.datetime | None]
    silence_id: Mapped[int | None] = mapped_column(ForeignKey("silence.id"))
    """The silence that holds it back: it is never sent itself, the mail at the end of the silence lists it"""
