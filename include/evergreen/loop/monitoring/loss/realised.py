"""The loss that predictions turned out to have, once their labels have landed."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from evergreen.core.definition import ModelDefinition
from evergreen.core.frames import on_the_clock, renamed
from evergreen.core.ledger import Ledger
from evergreen.core.ledger.queries import collected, decisions, partitions, seen
from evergreen.core.ledger.queries.partitions import Current
from evergreen.core.ledger.tables import Performance, Prediction, Snapshot
from evergreen.core.names import PartitionKey
from evergreen.core.spelling import spelled
from evergreen.errors import EvergreenError, UnavailableError
from evergreen.loop.intake.accepted_rows import read_known
from evergreen.loop.intake.labels.usable import usable_labels
from evergreen.loop.monitoring.loss.decisions import decision_figures
from evergreen.loop.monitoring.loss.harm_test import Cluster
from evergreen.loop.scoring.score import read_predictions
from evergreen.loop.training import classes
from evergreen.loop.training.decide import chosen_in, expected_losses, losses_of
from evergreen.loop.training.losses import title
from evergreen.loop.training.model_matrix import target_values
from evergreen.settings import Settings

log = logging.getLogger("evergreen.monitoring")

UNREADABLE = (EvergreenError, FileNotFoundError)
"""What reading one partition's labelled rows raises; of these, UnavailableError is about the servers"""


@dataclass(frozen=True)
class Measured:
    """Realised loss of one partition."""

    performance_id: int
    key: PartitionKey
    version: int
    rows: int
    loss: float


@dataclass(frozen=True)
class Unmeasured:
    """A partition whose loss cannot be measured though its labels have landed, and why."""

    key: PartitionKey
    why: str

    @property
    def sentence(self) -> str:
        """What is wrong and what to do, in words."""
        return (
            f"The loss of {self.key} cannot be measured on its labels: {self.why.rstrip('.')}. They decide nothing "
            "until they are landed again, or that is corrected and `validate` of their run of ingest_labels is cleared"
        )


def measure(
    definition: ModelDefinition, *, settings: Settings, up_to_key: PartitionKey
) -> tuple[list[Measured], list[Unmeasured]]:
    """Measure every predicted partition through `up_to_key` whose labels have landed and that is not measured yet.

    The newest predictions of a partition are measured against the current version of its labels, once these are
    complete. Restated labels, the same ones after a verdict that accepts other rows, and predictions of a rebuilt
    snapshot are measured again. Rows without a label (or with a null one) are left out. Predictions by a version that
    was trained or judged on the partition are no measure of it, and are never measured.
    A partition that cannot be measured is passed over and tried again by the next call: the newer ones do not wait.

    Raises:
        UnavailableError: the ledger does not answer.
    """
    ledger, done, left = Ledger.from_settings(settings), [], []
    with ledger.transaction() as session:
        waiting = _waiting(session, definition, up_to_key)
        keys = [prediction.key for prediction, _ in waiting]
        asks = definition.gate.cluster or (definition.decision and definition.gate.slices)
        inputs = partitions.current_map(session, definition.name, "inputs", keys) if asks else {}
        built = {prediction.id: session.get_one(Snapshot, prediction.snapshot_id) for prediction, _ in waiting}
    for prediction, labels in waiting:
        try:
            row = _measure(definition, prediction, built[prediction.id], labels, inputs.get(prediction.key), settings)
        except UNREADABLE as error:
            if isinstance(error, UnavailableError):
                raise
            left.append(Unmeasured(prediction.key, str(error)))
            log.warning("%s", left[-1].sentence)
            continue
        if row is None:
            log.warning("%s: none of its predictions has a label in the partition that landed", prediction.key)
            continue
        with ledger.transaction() as session:
            session.execute(insert(Performance).values(row).on_conflict_do_nothing())
            same = (getattr(Performance, n) == row[n] for n in ("prediction_id", "labels_version_id", "labels_rows"))
            found = session.scalars(select(Performance).where(*same)).one()
        log.info(
            "%s: labels have landed; version %s lost %.4f on %s rows (%s)%s",
            found.key, found.version, found.loss, f"{found.rows:,}", title(definition),
            # values expect no loss of themselves
            "" if definition.task == "regression" else f", it expected {found.metrics['expected_loss']:.4f}",
        )  # fmt: skip
        done.append(Measured(found.id, found.key, found.version, found.rows, found.loss))
    return done, left


def losses_by_cluster(definition: ModelDefinition, rows: pd.DataFrame) -> list[Cluster]:
    """Mean realised and expected loss of each cluster, in order of its name.

    Args:
        definition: names the loss.
        rows: columns cluster (str), target and prediction (float64, not null); of a multiclass task the target's name
            and the probabilities (`classes.as_columns`); `choice`, if it was written with one.
    """
    prediction, names = classes.read(definition.task, rows)
    choice = chosen_in(definition, rows)
    losses = pd.DataFrame(
        {
            "loss": losses_of(definition, rows["target"].to_numpy(), prediction, names, choice),
            "expected": expected_losses(definition, prediction, names, choice),
        }
    ).groupby(rows["cluster"].astype(str).to_numpy(object))
    means, sizes = losses.mean(), losses.size()
    return [
        Cluster(str(name), int(sizes[name]), float(means.loss[name]), float(means.expected[name]))
        for name in sizes.index
    ]


def clusters_of(performance: Performance) -> tuple[Cluster, ...]:
    """The clusters that a ledger row holds."""
    return tuple(Cluster(**cluster) for cluster in performance.clusters)


def _waiting(
    session: Session, definition: ModelDefinition, up_to_key: PartitionKey
) -> list[tuple[Prediction, Current]]:
    """Predictions with labels that nobody has measured against each other, oldest first; none that are collected."""
    model = definition.name
    predictions = decisions.current_predictions(session, model, up_to_key)
    labels = usable_labels(session, definition, predictions, up_to_key)
    known = session.execute(
        select(Performance.prediction_id, Performance.labels_version_id, Performance.labels_rows).where(
            Performance.model == model
        )
    )
    measured, gone = {tuple(row) for row in known}, collected.gone(session, model)
    return [
        (prediction, labels[key])
        for key, prediction in predictions.items()
        if key in labels
        and (prediction.id, labels[key][0].id, partitions.kept(labels[key][1])) not in measured
        and not {prediction.uri, labels[key][1].clean_uri} & gone
        and not seen.has_seen(session, model, prediction.version, key)
    ]


def _measure(
    definition: ModelDefinition,
    prediction: Prediction,
    snapshot: Snapshot,
    labels: Current,
    inputs: Current | None,
    settings: Settings,
) -> dict[str, Any] | None:
    rows = labelled_rows(
        definition, read_predictions(prediction, settings), read_known(labels[1], settings, definition, "labels")
    )
    if rows.empty:
        return None
    rows["cluster"] = cluster_names(definition, rows, inputs, settings)
    clusters = losses_by_cluster(definition, rows)
    weights = [c.rows for c in clusters]
    return {
        "model": definition.name,
        "key": prediction.key,
        "prediction_id": prediction.id,
        "labels_version_id": labels[0].id,
        "labels_rows": partitions.kept(labels[1]),
        "version": prediction.version,
        "rows": len(rows),
        "loss": float(np.average([c.loss for c in clusters], weights=weights)),
        "clusters": [asdict(c) for c in clusters],
        "metrics": _metrics(definition, rows, clusters)
        | {"rows_without_label": prediction.rows - len(rows)}
        | decision_figures(definition, rows, snapshot, inputs, settings),
    }


def labelled_rows(definition: ModelDefinition, predictions: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """Predictions that have a label: the feed's entity and event_time, prediction and target (both float64).

    Of a multiclass task the target is text and probabilities stand beside the prediction.
    """
    entity, target = definition.feed.entity, definition.target
    truth = labels[[entity, target]].dropna()
    # Predictions and features have the names of their day.
    inputs = definition.feed.tables["inputs"]
    predictions = renamed(predictions, (entity, definition.feed.event_time), inputs.aliases)
    rows = predictions.merge(truth, on=entity, how="inner", validate="one_to_one")
    values = target_values(definition, rows[target])
    return rows.drop(columns=target).assign(target=values)


def cluster_names(
    definition: ModelDefinition, rows: pd.DataFrame, inputs: Current | None, settings: Settings
) -> pd.Series[str]:
    """The cluster of each row: the definition's column of `inputs`, else the day of the event time."""
    column, entity = definition.gate.cluster, definition.feed.entity
    if column is None or inputs is None:
        times = on_the_clock(rows[definition.feed.event_time], definition.calendar.timezone)
        days: pd.Series[str] = times.dt.strftime("%Y-%m-%d")
        return days
    known = read_known(inputs[1], settings, definition, "inputs").set_index(entity)[column]
    return spelled(rows[entity].map(dict(spelled(known).items()))).fillna("(none)")


def _metrics(definition: ModelDefinition, rows: pd.DataFrame, clusters: list[Cluster]) -> dict[str, float]:
    """What the report and the pages show beside the loss."""
    expected = float(np.average([c.expected for c in clusters], weights=[c.rows for c in clusters]))
    if definition.task == "multiclass":
        return {"expected_loss": expected} | _of_classes(rows)
    found = {
        "expected_loss": expected,
        "mean_target": float(rows["target"].mean()),
        "mean_prediction": float(rows["prediction"].mean()),
    }
    if definition.task == "binary" and rows["target"].nunique() == 2:
        from sklearn.metrics import roc_auc_score

        found["auc"] = float(roc_auc_score(rows["target"], rows["prediction"]))
    return found


def _of_classes(rows: pd.DataFrame) -> dict[str, float]:
    """Accuracy, the share of labels of a class that the version does not know, and of each class that it knows."""
    prediction, names = classes.read("multiclass", rows)
    target = classes.numbered(rows["target"].to_numpy(), names)
    found = {
        "accuracy": float((prediction.argmax(axis=1) == target).mean()),
        "unseen_class": float((target < 0).mean()),
    }
    for number, name in enumerate(names):
        found[f"share {name}"] = float((target == number).mean())
        found[f"predicted share {name}"] = float(prediction[:, number].mean())
    return found
