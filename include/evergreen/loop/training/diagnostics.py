"""How predictions relate to the truth: metrics and curves. Pure; no drawing here."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, precision_recall_curve, r2_score, roc_auc_score, roc_curve

from evergreen.core.definition.model import Task
from evergreen.loop.training.losses import UNSEEN, Floats, mean_loss

CALIBRATION_BINS = 10
CURVE_POINTS = 101


@dataclass(frozen=True)
class Bin:
    """One bin of a calibration curve: rows of similar predictions."""

    rows: int
    predicted: float
    observed: float


def metrics(task: Task, target: Floats, prediction: Floats, classes: Sequence[str] = ()) -> dict[str, float]:
    """Named figures of one part of the data. Figures that the part cannot give (one class only) are left out.

    `classes` are those of a multiclass task, whose numbers the target has (`classes.codes`).
    """
    found = {"rows": float(len(target))}
    if task == "multiclass":
        return found | _of_classes(target, prediction, classes)
    found["target_mean"], found["prediction_mean"] = float(target.mean()), float(prediction.mean())
    if task == "regression":
        found["squared_error"] = mean_loss("squared_error", target, prediction)
        found["absolute_error"] = mean_loss("absolute_error", target, prediction)
        if np.ptp(target) > 0:
            found["r2"] = float(r2_score(target, prediction))
        return found
    found["brier"] = mean_loss("brier", target, prediction)
    found["log_loss"] = mean_loss("log_loss", target, prediction)
    found["calibration_error"] = calibration_error(target, prediction)
    if np.unique(target).size == 2:
        found["roc_auc"] = float(roc_auc_score(target, prediction))
        found["average_precision"] = float(average_precision_score(target, prediction))
    return found


def _of_classes(target: Floats, prediction: Floats, classes: Sequence[str]) -> dict[str, float]:
    """Accuracy, means over the classes (macro), and figures of each class against the rest, by its name."""
    table = confusion(target, prediction)
    right, known = np.diag(table[: len(classes)]), len(classes)
    found = {
        "brier": mean_loss("brier", target, prediction),
        "log_loss": mean_loss("log_loss", target, prediction),
        "accuracy": float(right.sum() / max(len(target), 1)),
        "unseen_class": float((target == UNSEEN).mean()) if len(target) else 0.0,
    }
    errors = [calibration_error(*against_rest(target, prediction, number)) for number in range(known)]
    found["calibration_error"] = float(np.mean(errors))
    rates: dict[str, list[float]] = {"precision": [], "recall": [], "f1": [], "roc_auc": []}
    for number, name in enumerate(metric_names(classes)):
        own = {"share": float((target == number).mean()), "predicted_share": float(prediction[:, number].mean())}
        own["calibration_error"] = errors[number]
        own |= _rates(int(right[number]), int(table[:, number].sum()), int(table[number].sum()))
        if 0 < own["share"] < 1:
            own["roc_auc"] = float(roc_auc_score(*against_rest(target, prediction, number)))
        for rate, values in rates.items():
            values += [own[rate]] if rate in own else []
        found.update({f"class.{name}.{figure}": value for figure, value in own.items()})
    return found | {f"{rate}_macro": float(np.mean(values)) for rate, values in rates.items() if values}


def _rates(right: int, predicted: int, true: int) -> dict[str, float]:
    """Precision, recall and F1 of one class, those that its rows can give: none divides by 0."""
    found = {}
    if predicted:
        found["precision"] = right / predicted
    if true:
        found["recall"] = right / true
        found["f1"] = 2 * right / (predicted + true)
    return found


def against_rest(target: Floats, prediction: Floats, number: int) -> tuple[Floats, Floats]:
    """One class against the others: 1.0 or 0.0 for each row, and the class's probability."""
    return (target == number).astype(np.float64), prediction[:, number]


def confusion(target: Floats, prediction: Floats) -> NDArray[np.int64]:
    """Rows by their class (row) and the most probable one (column): (K + 1) x K; the last row is of unseen classes."""
    known = prediction.shape[1]
    true = np.where(target == UNSEEN, known, target).astype(np.intp)
    places = true * known + (prediction.argmax(axis=1) if len(prediction) else np.empty(0, np.intp))
    return np.bincount(places, minlength=(known + 1) * known).reshape(known + 1, known).astype(np.int64)


def metric_names(classes: Sequence[str]) -> list[str]:
    """Each class as a part of a metric's name, which MLflow takes: letters, digits and `_.- `; all differ."""
    found: list[str] = []
    for number, name in enumerate(classes):
        short = re.sub(r"[^\w .-]", "_", name)[:60].strip() or "_"
        free = itertools.chain([short], (f"{short}_{count}" for count in itertools.count(number)))
        found.append(next(tried for tried in free if tried not in found))
    return found


def calibration_curve(target: Floats, prediction: Floats, bins: int = CALIBRATION_BINS) -> list[Bin]:
    """Mean prediction and mean target in bins of as nearly equal size as can be, lowest predictions first."""
    order = np.argsort(prediction, kind="stable")
    parts = [part for part in np.array_split(order, min(bins, len(order))) if part.size]
    return [Bin(int(part.size), float(prediction[part].mean()), float(target[part].mean())) for part in parts]


def calibration_error(target: Floats, prediction: Floats) -> float:
    """Expected calibration error in bins of equal size (Naeini et al. 2015): 0 is perfect, in units of the target."""
    if not len(target):
        return 0.0
    found = calibration_curve(target, prediction)
    return float(sum(b.rows * abs(b.predicted - b.observed) for b in found) / len(target))


def chance_calibration_error(prediction: Floats) -> float:
    """The calibration error that probabilities have on average if they are right: with few rows it is not small.

    The mean of each bin is about normal, so its distance from the prediction is sqrt(2 / pi) standard errors on average
    (the bias of the estimate that Broecker, 2012, "Estimating reliability and resolution of probability forecasts",
    and Kumar, Liang and Ma, 2019, "Verified uncertainty calibration", correct for).
    """
    order = np.argsort(prediction, kind="stable")
    parts = [part for part in np.array_split(order, min(CALIBRATION_BINS, len(order))) if part.size]
    errors = (float(np.sqrt((prediction[part] * (1 - prediction[part])).sum())) for part in parts)
    return float(np.sqrt(2 / np.pi) * sum(errors) / max(len(prediction), 1))


def discrimination(target: Floats, prediction: Floats) -> dict[str, list[float]]:
    """ROC and precision-recall curves at `CURVE_POINTS` even steps of their x axes; empty if a class is missing."""
    if np.unique(target).size < 2:
        return {}
    grid = np.linspace(0.0, 1.0, CURVE_POINTS)
    false_rate, true_rate, _ = roc_curve(target, prediction)
    precision, recall, _ = precision_recall_curve(target, prediction)
    return {
        "roc.true_positive_rate": np.interp(grid, false_rate, true_rate).tolist(),
        "pr.precision": np.interp(grid, recall[::-1], precision[::-1]).tolist(),
    }
