"""The lines of a model's life: plain values, so that the command line and the pages show the same."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from evergreen.core.names import PartitionKey, Uri
from evergreen.core.store import layout
from evergreen.core.values import ComparisonOutcome, TableName, VerdictOutcome


@dataclass(frozen=True)
class TableLine:
    """What landed in one table of the feed. A partition counts by the verdict on its newest version."""

    table: TableName
    partitions: int
    versions: int
    accepted: int
    quarantined: int
    unjudged: int
    first_key: PartitionKey
    last_key: PartitionKey
    rows: int
    """Rows accepted in the newest versions"""
    rows_rejected: int
    """Rows of these versions in quarantine: all of a quarantined one, and bad ones beside accepted ones"""


@dataclass(frozen=True)
class LateLine:
    """A table of a partition that was not there when its grace period ended, and what became of it."""

    table: TableName
    key: PartitionKey
    due_at: dt.datetime
    waiting_since: dt.datetime
    """When the ingest run began to wait for it"""
    grace_until: dt.datetime
    missing: str
    """What was missing then, in words"""
    told_at: dt.datetime
    landed_at: dt.datetime | None
    """When it came; None if it has not yet"""
    outcome: VerdictOutcome | None
    """The first verdict on what came"""
    run_url: str | None
    """Log of the run that waited"""

    @property
    def waited(self) -> dt.timedelta | None:
        """From when it was due, or waited for if that was later, until it came."""
        return None if self.landed_at is None else self.landed_at - max(self.due_at, self.waiting_since)


@dataclass(frozen=True)
class VerdictLine:
    """One verdict on one version of a partition."""

    id: int
    table: TableName
    key: PartitionKey
    version: int
    outcome: VerdictOutcome
    reason: str
    decided_at: dt.datetime
    results_uri: Uri | None
    run_url: str | None
    rows_accepted: int
    rows_rejected: int
    rejected_uri: Uri | None
    """Where the bad rows of an accepted version are kept"""
    asked_by: str | None
    """Who had it validated again"""
    why: str | None

    @property
    def docs_uri(self) -> str | None:
        """The page of the Great Expectations result; None if no expectation was tried."""
        return layout.data_docs(self.results_uri) if self.results_uri else None


@dataclass(frozen=True)
class SnapshotLine:
    """One build of a feature partition."""

    key: PartitionKey
    version: int
    snapshot_id: str
    rows: int
    labels_missing: tuple[str, ...]
    created_at: dt.datetime
    run_url: str | None
    code_hash: str
    """Feature code that built it"""


@dataclass(frozen=True)
class ComparisonLine:
    """How a challenger did against the champion of its day."""

    training_run_id: int
    challenger_version: int
    champion_version: int | None
    """None: the base rate stood in for a champion"""
    keys: tuple[PartitionKey, ...]
    verdict: ComparisonOutcome
    result: dict[str, Any]
    guards: tuple[Any, ...]
    created_at: dt.datetime


@dataclass(frozen=True)
class TrainingLine:
    """One training run, with the comparison it came to, if it did."""

    id: int
    cause: str
    reason: str
    state: str
    as_of: PartitionKey
    train_keys: tuple[PartitionKey, ...]
    holdout_keys: tuple[PartitionKey, ...]
    rows: Any
    dataset: dict[str, Any]
    dataset_hash: str
    git_commit: str
    candidate: str | None
    metrics: dict[str, Any]
    mlflow_run_id: str | None
    version: int | None
    code_version: str
    code_hash: str
    features_hash: str | None
    """Feature code that its version is fed by"""
    lock_hash: str
    seed: int
    started_at: dt.datetime
    finished_at: dt.datetime | None
    run_url: str | None
    comparison: ComparisonLine | None


@dataclass(frozen=True)
class DecisionLine:
    """What was decided, why, on which evidence, by whom."""

    id: int
    kind: str
    key: PartitionKey | None
    reason: str
    evidence: dict[str, Any]
    version: int | None
    decided_by: str
    decided_at: dt.datetime
    run_url: str | None


@dataclass(frozen=True)
class DeploymentLine:
    """A version's time as champion."""

    version: int
    from_key: PartitionKey | None
    served_from: dt.datetime
    served_until: dt.datetime | None
    """None: it serves"""
    decision: DecisionLine
    features_hash: str | None = None
    """Feature code that it is fed by; None: not on record"""


@dataclass(frozen=True)
class LossLine:
    """Realised loss of one partition's predictions; the newest measurement of each partition."""

    key: PartitionKey
    version: int
    rows: int
    loss: float
    metrics: dict[str, Any]
    measured_at: dt.datetime
    error: float | None = None
    """Standard error of the loss, by the spread of its clusters; None if there are fewer than two"""


@dataclass(frozen=True)
class OnlineLine:
    """What the predictions on request in one partition came to; the newest measurement of each partition."""

    key: PartitionKey
    versions: tuple[int, ...]
    rows: int
    """Entities with a prediction"""
    compared: int
    """Of these, rows that the same version predicted in the batch"""
    differing: int
    """Of these, rows whose two predictions are not the same"""
    difference: float | None
    """Mean absolute difference between the two"""
    labelled: int
    loss: float | None
    """Mean loss of those with a label"""
    measured_at: dt.datetime


@dataclass(frozen=True)
class MovedColumn:
    """A column that drifted."""

    name: str
    effect: float | None
    """How far, as of the check's method; None if it says none"""
    said: str
    """In a sentence"""


@dataclass(frozen=True)
class CheckLine:
    """One drift check."""

    key: PartitionKey
    version: int
    drifted: bool
    reference: str
    columns: tuple[str, ...]
    """Columns that drifted"""
    estimated_loss: float | None
    """What the partition was expected to lose before its labels landed"""
    report_uri: Uri | None
    created_at: dt.datetime
    run_url: str | None
    moved: tuple[MovedColumn, ...] = ()
    """The columns that drifted, with how far"""
    watched: tuple[str, ...] = ()
    """All columns that were looked at"""
    predictions_drifted: bool = False


@dataclass(frozen=True)
class MonitorLine:
    """What the monitor decided on its newest check of a partition."""

    key: PartitionKey
    kind: str
    reason: str
    told: tuple[str, ...]
    """What of it people were told of"""
    harmed: bool
    """Whether the champion is proven worse than at its promotion"""
    bad: str | None
    """The partition whose loss is above what was to be expected"""


@dataclass(frozen=True)
class PredictionLine:
    """One partition's predictions."""

    key: PartitionKey
    version: int
    rows: int
    mean: float
    uri: Uri
    snapshot_id: str
    created_at: dt.datetime
    run_url: str | None


@dataclass(frozen=True)
class ChannelLine:
    """A message for one channel beside mail."""

    channel: str
    sent_at: dt.datetime | None
    attempts: int
    last_error: str | None
    given_up_at: dt.datetime | None
    """When it was given up, as the definition has no such channel any more"""


@dataclass(frozen=True)
class AlertLine:
    """One mail of the outbox."""

    id: str
    kind: str
    key: PartitionKey | None
    subject: str
    created_at: dt.datetime
    sent_at: dt.datetime | None
    attempts: int
    last_error: str | None
    silence_id: int | None
    """The silence that holds it back"""
    channels: tuple[ChannelLine, ...]
    """Channels beside mail that get it"""
