"""How predictions relate to the truth: metrics and curves. Pure; no drawing here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import average_precision_score, precision_recall_curve, r2_score, roc_auc_score, roc_curve

from evergreen.core.definition.model import Task
from evergreen.loop.training.losses import Floats, mean_loss

CALIBRATION_BINS = 10
CURVE_POINTS = 101


@dataclass(frozen=True)
class Bin:
    """One bin of a calibration curve: rows of similar predictions."""

    rows: int
    predicted: float
    observed: float


def metrics(task: Task, target: Floats, prediction: Floats) -> dict[str, float]:
    """Named figures of one part of the data. Figures that the part cannot give (one class only) are left out."""
    found = {"rows": float(len(target))}
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
