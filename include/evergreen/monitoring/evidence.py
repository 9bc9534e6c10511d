"""What is known about a partition at the time it is monitored: read from ledger and store, nothing decided."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
from sqlalchemy.orm import Session

from evergreen.definition import ModelDefinition
from evergreen.errors import NotReadyError, UnavailableError
from evergreen.features.snapshots import pull
from evergreen.intake.read import read_clean
from evergreen.ledger import decisions, models, partitions
from evergreen.ledger.partitions import Current
from evergreen.ledger.tables import Decision, Deployment, Performance, Prediction, Snapshot
from evergreen.monitoring import drift
from evergreen.monitoring.harm import Cluster
from evergreen.monitoring.performance import labelled_rows, losses_by_cluster
from evergreen.monitoring.policy import PastCheck
from evergreen.monitoring.sample import count_rows, read_sample
from evergreen.scoring.score import read_bytes, read_predictions
from evergreen.settings import Settings
from evergreen.store import Store, layout
from evergreen.store.objects import sha256


@dataclass(frozen=True)
class Evidence:
    """Rows of the ledger that one check rests on."""

    key: str
    labels_through: str
    """Newest partition whose labels can have landed when `key` is due: a backfill decides as it would have then"""
    prediction: Prediction
    snapshot: Snapshot
    serving: Deployment
    from_key: str
    """First partition the champion that predicted was meant to serve"""
    as_of: str
    """Newest partition whose labels that champion was trained or judged on"""
    labels: Mapping[str, Current]
    """Landed labels of the partitions after `as_of`, oldest first"""
    losses: Mapping[str, Performance]
    """Newest measurement of each partition through `labels_through`, of every champion"""
    labelled: Prediction | None
    """Predictions of the newest partition that this champion served and that has labels"""
    history: tuple[Decision, ...]

    @property
    def version(self) -> int:
        """The champion that predicted the partition."""
        return self.prediction.version

    @property
    def own_losses(self) -> list[Performance]:
        """What this champion lost on the partitions it served, oldest first."""
        return [p for p in self.losses.values() if p.version == self.version and p.key >= self.from_key]

    @property
    def new_rows(self) -> int:
        """Labelled rows that have landed since the champion was made."""
        return sum(verdict.rows_accepted for _, verdict in self.labels.values())

    @property
    def input_hash(self) -> str:
        """Over what the check reads: the same check is never made twice."""
        measured = sorted((p.prediction_id, p.labels_version_id) for p in self.losses.values())
        labels = sorted(partition.id for partition, _ in self.labels.values())
        return sha256(repr((self.prediction.id, self.version, measured, labels)).encode())


@dataclass(frozen=True)
class Frames:
    """Rows to compare."""

    reference: pd.DataFrame
    current: pd.DataFrame
    """At most `drift.MAX_ROWS` rows of the partition, with their predictions"""
    current_rows: int
    """Rows of the whole partition"""
    labelled: pd.DataFrame | None
    """Of the newest partition that this champion served and that has labels"""


def gather(session: Session, definition: ModelDefinition, key: str) -> Evidence:
    """Read the ledger.

    Raises:
        NotReadyError: the partition has no predictions, or there is no champion.
    """
    model, calendar = definition.name, definition.partitions
    through = calendar.shift(key, -definition.feed.label_delay)
    prediction = decisions.current_predictions(session, model, key).get(key)
    serving = models.current_deployment(session, model)
    if prediction is None or serving is None:
        raise NotReadyError(f"{key} of {model} has no predictions to monitor; the DAG {model}.score writes them")
    own = decisions.deployment_of(session, model, prediction.version)
    run = models.run_of_version(session, model, prediction.version)
    from_key = (own.from_key if own else None) or key
    as_of = run.as_of if run else calendar.shift(from_key, -1 - definition.feed.label_delay)
    labels = partitions.current_map(session, model, "labels", calendar.keys(calendar.shift(as_of, 1), through))
    losses = decisions.measured(session, model, through)
    served = [p for p in losses.values() if p.version == prediction.version and p.key >= from_key and p.key in labels]
    return Evidence(
        key=key,
        labels_through=through,
        prediction=prediction,
        snapshot=session.get_one(Snapshot, prediction.snapshot_id),
        serving=serving,
        from_key=from_key,
        as_of=as_of,
        labels=labels,
        losses=losses,
        labelled=session.get_one(Prediction, served[-1].prediction_id) if served else None,
        history=tuple(decisions.monitoring_before(session, model, key)),
    )


def age(definition: ModelDefinition, evidence: Evidence) -> int:
    """Partitions since the newest one whose labels the champion was trained or judged on."""
    return max(0, len(definition.partitions.keys(evidence.as_of, evidence.labels_through)) - 1)


def past_checks(definition: ModelDefinition, evidence: Evidence) -> list[PastCheck]:
    """The earlier decisions of the monitor, as the policy reads them."""
    checks = []
    for row in evidence.history:
        seen = row.evidence
        ago = len(definition.partitions.keys(str(row.key), evidence.key)) - 1
        checks.append(
            PastCheck(ago, seen["version"], row.kind, seen["cause"], tuple(seen["drifted"]), bool(seen["harmed"]))
        )
    return checks


def read(definition: ModelDefinition, evidence: Evidence, settings: Settings) -> Frames:
    """Read the frames: the champion's reference, the partition's features with predictions, labelled rows.

    Of a large partition a sample is read, and never the whole into memory.

    Raises:
        UnavailableError: the store has no reference of the champion.
    """
    snapshot, labelled, feed = evidence.snapshot, evidence.labelled, definition.feed
    path = snapshot.dvc_path
    columns = dict.fromkeys((feed.entity, feed.event_time, *definition.features.columns))
    with pull(settings, snapshot.git_commit, [path], expected={path: snapshot.dvc_hash}) as files:
        features, rows_in_all = read_sample(files[path], list(columns), drift.MAX_ROWS), count_rows(files[path])
    # Predictions stand in the order of their features, so the same seed draws the same rows of both.
    data = io.BytesIO(read_bytes(evidence.prediction, settings))
    predictions = read_sample(data, [feed.entity, drift.PREDICTION], drift.MAX_ROWS)
    rows = None
    if labelled is not None:
        truth = read_clean(evidence.labels[labelled.key][1], settings)
        rows = labelled_rows(definition, read_predictions(labelled, settings), truth)
    return Frames(
        reference=read_reference(definition, evidence.version, settings),
        current=features.merge(predictions, on=feed.entity, how="left", validate="one_to_one"),
        current_rows=rows_in_all,
        labelled=rows,
    )


def read_reference(definition: ModelDefinition, version: int, settings: Settings) -> pd.DataFrame:
    """The sample of the data a version was trained and judged on, with the feed's own name of the event time.

    Raises:
        UnavailableError: the store does not have it.
    """
    name = layout.reference(definition.name, version)
    store = Store.from_settings(settings)
    try:
        data = store.read(name)
    except FileNotFoundError:
        raise UnavailableError(
            f"the store has no {name}, the reference of version {version} that its evaluation writes; restore it from "
            f"a backup, or train again: `evergreen airflow dags trigger {definition.name}.train`"
        ) from None
    frame = pd.read_parquet(io.BytesIO(data))
    return frame.rename(columns={"event_time": definition.feed.event_time, "entity": definition.feed.entity})


def baseline(definition: ModelDefinition, reference: pd.DataFrame) -> list[Cluster]:
    """Losses of the champion on its holdout at promotion, by cluster."""
    return losses_by_cluster(definition, reference[reference["part"] == "holdout"])
