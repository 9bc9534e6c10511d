"""Row losses: what the tuning, the gate and the monitor judge by. Smaller is better for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from evergreen.core.definition.model import Loss

if TYPE_CHECKING:
    from evergreen.core.definition import ModelDefinition

Floats: TypeAlias = NDArray[np.float64]
Targets: TypeAlias = NDArray[Any]
"""True values: float64; of a multiclass task the names of classes, as objects."""
UNSEEN = -1.0
"""Number of a class that the version which predicts does not know."""

CLIP = 1e-7
"""Probabilities are kept this far from 0 and 1 by the log loss, so that one certain error cannot outweigh all rows."""

TITLES: dict[Loss, str] = {
    "brier": "Brier score",
    "log_loss": "log loss",
    "absolute_error": "mean absolute error",
    "squared_error": "mean squared error",
    "poisson": "Poisson deviance",
    "cost": "avoidable cost",
}


def title(definition: ModelDefinition) -> str:
    """The loss that the definition judges by, with its unit if that is money: "avoidable cost (EUR a row)"."""
    return titled(definition.loss, definition.unit)


def titled(loss: Loss, unit: str) -> str:
    """The loss in words, with its unit if that is money."""
    return f"{TITLES[loss]} ({unit} a row)" if unit else TITLES[loss]


def row_losses(loss: Loss, target: Floats, prediction: Floats) -> Floats:
    """Loss of each row: float64, as long as `target`.

    Args:
        loss: the definition's loss.
        target: true values; 0 or 1 for a binary task, of several classes their numbers from 0, or `UNSEEN`.
        prediction: probabilities of 1 (binary) or values (regression), as long as `target`; of several classes their
            probabilities, rows x classes.
    """
    target = np.asarray(target, dtype=np.float64)
    prediction = np.asarray(prediction, dtype=np.float64)
    if prediction.ndim == 2:
        return _of_classes(loss, target, prediction)
    if target.shape != prediction.shape or target.ndim != 1:
        raise ValueError(f"{target.shape} targets do not pair with {prediction.shape} predictions")
    if loss == "absolute_error":
        return np.abs(target - prediction)
    if loss == "poisson":
        return _deviance(target, prediction)
    if loss == "log_loss":
        clipped = np.clip(prediction, CLIP, 1 - CLIP)
        return np.asarray(-(target * np.log(clipped) + (1 - target) * np.log1p(-clipped)), dtype=np.float64)
    return np.asarray((target - prediction) ** 2, dtype=np.float64)


def _deviance(target: Floats, prediction: Floats) -> Floats:
    """Poisson deviance of each row, 0 or more: 2 (y log(y / m) - y + m), of McCullagh and Nelder (1989).

    A prediction of 0 or less is counted as `CLIP`: no expected count is that small, and no loss is infinite.
    """
    expected = np.maximum(prediction, CLIP)
    part = target * np.log(np.where(target > 0, target, 1.0) / expected)
    return np.asarray(np.maximum(2 * (part - target + expected), 0.0), dtype=np.float64)


def _of_classes(loss: Loss, target: Floats, prediction: Floats) -> Floats:
    """Log loss, or the Brier score as Brier (1950) wrote it: the sum over all classes, from 0 to 2.

    A class that the model does not know had the probability 0: the log loss is clipped there, the Brier score is 1 and
    what the model gave to the others.
    """
    if target.shape != prediction.shape[:1]:
        raise ValueError(f"{target.shape} targets do not pair with {prediction.shape} probabilities")
    known = np.flatnonzero(target != UNSEEN)
    places = target[known].astype(np.intp)
    if loss == "log_loss":
        true = np.zeros(len(target))
        true[known] = prediction[known, places]
        return np.asarray(-np.log(np.clip(true, CLIP, 1.0)), dtype=np.float64)
    apart = prediction.copy()
    apart[known, places] -= 1.0
    unknown = (target == UNSEEN).astype(np.float64)
    return np.asarray((apart**2).sum(axis=1) + unknown, dtype=np.float64)


def expected_loss(loss: Loss, prediction: Floats) -> Floats:
    """Loss that a model expects of each of its predictions: float64, one a row. Shapes as in `row_losses`.

    That is the Gini impurity for Brier and the entropy for the log loss; a model that only gives values expects none.
    """
    p = np.asarray(prediction, dtype=np.float64)
    if p.ndim == 2:
        if loss == "log_loss":
            return np.asarray(-(p * np.log(np.clip(p, CLIP, 1.0))).sum(axis=1), dtype=np.float64)
        return np.asarray((p * (1 - p)).sum(axis=1), dtype=np.float64)
    if loss == "brier":
        return p * (1 - p)
    if loss == "log_loss":
        kept = np.clip(p, CLIP, 1 - CLIP)
        return np.asarray(-(kept * np.log(kept) + (1 - kept) * np.log1p(-kept)), dtype=np.float64)
    return np.zeros_like(p)


def mean_loss(loss: Loss, target: Floats, prediction: Floats) -> float:
    """Mean of `row_losses`."""
    return float(row_losses(loss, target, prediction).mean())


def best_constant(loss: Loss, target: Floats) -> float:
    """The constant prediction of least loss: the base rate or mean, or the median for the absolute error."""
    values = np.asarray(target, dtype=np.float64)
    return float(np.median(values) if loss == "absolute_error" else values.mean())


def constant_prediction(loss: Loss, target: Floats, rows: int, classes: int = 0) -> Floats:
    """The constant of least loss on `target` as a prediction of `rows` rows: shape (rows,), or (rows, classes).

    Of several classes it is the share of each among those that are known.
    """
    if not classes:
        return np.full(rows, best_constant(loss, target), dtype=np.float64)
    counts = np.bincount(target[target != UNSEEN].astype(np.intp), minlength=classes)
    return np.tile(counts / max(counts.sum(), 1), (rows, 1))
