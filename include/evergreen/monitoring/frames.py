"""The rows that one check compares: read from the store and from the features' remotes, nothing decided."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from evergreen.definition import ModelDefinition
from evergreen.errors import UnavailableError
from evergreen.features.snapshots import commit_holding, pull
from evergreen.intake.read import read_clean
from evergreen.ledger.tables import Snapshot
from evergreen.monitoring import drift
from evergreen.monitoring.evidence import Evidence
from evergreen.monitoring.performance import labelled_rows
from evergreen.monitoring.sample import count_rows, read_sample
from evergreen.scoring.score import read_bytes, read_predictions
from evergreen.settings import Settings
from evergreen.store import Store, layout
from evergreen.training.models import load


@dataclass(frozen=True)
class Frames:
    """Rows to compare."""

    reference: pd.DataFrame
    """What the champion was made of and judged on"""
    compared: pd.DataFrame
    """What inputs and predictions are compared with: `reference`, or other partitions as the champion predicts them"""
    current: pd.DataFrame
    """At most `drift.MAX_ROWS` rows of the partition, with their predictions"""
    current_rows: int
    """Rows of the whole partition"""
    labelled: pd.DataFrame | None
    """Of the newest partition that this champion served and that has labels"""


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
    reference, rows = read_reference(definition, evidence.version, settings), None
    if labelled is not None:
        truth = read_clean(evidence.labels[labelled.key][1], settings)
        rows = labelled_rows(definition, read_predictions(labelled, settings), truth)
    return Frames(
        reference=reference,
        compared=_read_compared(definition, evidence, settings) if evidence.compared_snapshots else reference,
        current=features.merge(predictions, on=feed.entity, how="left", validate="one_to_one"),
        current_rows=rows_in_all,
        labelled=rows,
    )


def _read_compared(definition: ModelDefinition, evidence: Evidence, settings: Settings) -> pd.DataFrame:
    """An equal sample of each partition of the reference, as the champion of the check predicts it."""
    columns = list(dict.fromkeys((definition.feed.event_time, *definition.features.columns)))
    most = max(1, drift.MAX_ROWS // len(evidence.compared_snapshots))
    frames = []
    for commit, built in _by_commit(evidence.compared_snapshots, settings).items():
        expected = {snapshot.dvc_path: snapshot.dvc_hash for snapshot in built}
        with pull(settings, commit, list(expected), expected=expected) as files:
            frames += [read_sample(files[path], columns, most) for path in expected]
    rows = pd.concat(frames, ignore_index=True)
    model = load(definition, evidence.version, settings=settings)
    return rows.assign(**{drift.PREDICTION: model.predict(rows[list(definition.features.columns)])})


def _by_commit(built: Sequence[Snapshot], settings: Settings) -> dict[str, list[Snapshot]]:
    """The snapshots by the commit to read them from: the newest, where it still holds all of them."""
    newest = commit_holding(settings, {snapshot.dvc_path: snapshot.dvc_hash for snapshot in built})
    by_commit: dict[str, list[Snapshot]] = {}
    for snapshot in built:
        by_commit.setdefault(newest or snapshot.git_commit, []).append(snapshot)
    return by_commit


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


def holdout(reference: pd.DataFrame) -> pd.DataFrame:
    """The rows that the champion was judged on and not trained on."""
    return reference[reference["part"] == "holdout"]
