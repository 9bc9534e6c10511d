"""The rows that one check compares: read from the store and from the features' remotes, nothing decided."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from evergreen.core.definition import ModelDefinition
from evergreen.core.feature_repository.snapshots import commit_holding, pull
from evergreen.core.ledger.tables import Snapshot
from evergreen.core.store import Store, layout
from evergreen.errors import BadInputError, UnavailableError
from evergreen.loop.champion.reference_sample import COMPLETE
from evergreen.loop.intake.accepted_rows import read_known
from evergreen.loop.monitoring.drift import detect
from evergreen.loop.monitoring.evidence import Evidence
from evergreen.loop.monitoring.loss.realised import labelled_rows
from evergreen.loop.monitoring.parquet_sample import column_names, count_rows, read_sample
from evergreen.loop.scoring.score import read_bytes, read_predictions
from evergreen.loop.training.classes import as_columns, columns_in
from evergreen.loop.training.classes import read as read_prediction
from evergreen.loop.training.decide import Rule, chosen
from evergreen.loop.training.losses import Floats
from evergreen.loop.training.model_files import load
from evergreen.settings import Settings

log = logging.getLogger("evergreen.monitoring")


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
    predict: Callable[[pd.DataFrame], Floats] | None = None
    """The champion, which is loaded when it is first asked; None asks nobody"""
    rule: Callable[[], Rule | None] = lambda: None
    """How the champion chooses"""


def read(definition: ModelDefinition, evidence: Evidence, settings: Settings) -> Frames:
    """Read the frames: the champion's reference, the partition's features with predictions, labelled rows.

    Of a large partition a sample is read, and never the whole into memory.

    Raises:
        BadInputError: the definition has another task than the champion was made for.
        UnavailableError: the store has no reference of the champion.
    """
    snapshot, labelled, feed = evidence.snapshot, evidence.labelled, definition.feed
    path = snapshot.dvc_path
    with pull(settings, snapshot.git_commit, [path], expected={path: snapshot.dvc_hash}) as files:
        built = set(column_names(files[path]))
        names = [name for name in definition.features.columns if name in built]
        columns = list(dict.fromkeys((feed.entity, feed.event_time, *names)))
        features, rows_in_all = read_sample(files[path], columns, detect.MAX_ROWS), count_rows(files[path])
    # Predictions stand in the order of their features, so the same seed draws the same rows of both.
    data = read_bytes(evidence.prediction, settings)
    predicted = columns_in(column_names(io.BytesIO(data)), decided=definition.decision is not None)
    predictions = read_sample(io.BytesIO(data), [feed.entity, *predicted], detect.MAX_ROWS)
    reference, rows = read_reference(definition, evidence.version, settings), None
    read_prediction(definition.task, reference.head(1))
    if labelled is not None:
        truth = read_known(evidence.labels[labelled.key][1], settings, definition, "labels")
        rows = labelled_rows(definition, read_predictions(labelled, settings), truth)
    compared = _read_compared(definition, evidence, names, settings) if evidence.compared_snapshots else None
    return Frames(
        reference=reference,
        compared=_complete(reference) if compared is None else compared,
        current=features.merge(predictions, on=feed.entity, how="left", validate="one_to_one"),
        current_rows=rows_in_all,
        labelled=rows,
        predict=lambda frame: load(definition, evidence.version, settings=settings).predict(frame),
        rule=lambda: load(definition, evidence.version, settings=settings).rule,
    )


def comparable(definition: ModelDefinition, rows: Frames) -> ModelDefinition:
    """The definition with the features that both the partition and what it is compared with were built with.

    A feature that came to the definition later is not missing there, it was never asked for: that is no drift.

    Raises:
        BadInputError: there is no such feature.
    """
    both = {*rows.current.columns} & {*rows.compared.columns}
    asked = definition.features
    lacking = [name for name in asked.columns if name not in both]
    if not lacking:
        return definition
    if len(lacking) == len(asked.columns):
        raise BadInputError(
            f"{definition.name}: the partition and the champion's reference have no feature of the definition in "
            f"common; trigger {definition.name}.features with its key, and {definition.name}.train"
        )
    log.info("not compared: %s, which one of both sides was built without", ", ".join(lacking))
    known = {part: [c for c in getattr(asked, part) if c in both] for part in ("numeric", "categorical")}
    return definition.model_copy(update={"features": asked.model_copy(update=known)})


def _complete(reference: pd.DataFrame) -> pd.DataFrame:
    """Its rows of partitions that were built with every feature, if it says which those are and there are some."""
    if COMPLETE not in reference or not reference[COMPLETE].any():
        return reference
    return reference[reference[COMPLETE]]


def _read_compared(
    definition: ModelDefinition, evidence: Evidence, names: Sequence[str], settings: Settings
) -> pd.DataFrame | None:
    """An equal sample of each partition of the reference, as the champion of the check predicts it.

    Partitions built without a feature of `names` or of the champion's are left out; None if none is left.
    """
    model = load(definition, evidence.version, settings=settings)
    columns = list(dict.fromkeys((definition.feed.event_time, *names, *model.columns)))
    most = max(1, detect.MAX_ROWS // len(evidence.compared_snapshots))
    frames = []
    for commit, built in _by_commit(evidence.compared_snapshots, settings).items():
        expected = {snapshot.dvc_path: snapshot.dvc_hash for snapshot in built}
        with pull(settings, commit, list(expected), expected=expected) as files:
            whole = [path for path in expected if set(columns) <= set(column_names(files[path]))]
            frames += [read_sample(files[path], columns, most) for path in whole]
    if not frames:
        return None
    rows = pd.concat(frames, ignore_index=True)
    predicted = model.predict(rows)
    choice = chosen(definition, model.rule, predicted, model.classes)
    return rows.assign(**as_columns(predicted, model.classes, choice))


def _by_commit(built: Sequence[Snapshot], settings: Settings) -> dict[str, list[Snapshot]]:
    """The snapshots by the commit to read them from: the newest, if it still holds all of them."""
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
