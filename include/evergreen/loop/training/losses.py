"""Row losses: what the tuning, the gate and the monitor judge by. Smaller is better for all of them."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from evergreen.core.definition.model import Loss

Floats: TypeAlias = NDArray[np.float64]

CLIP = 1e-7
"""Probabilities are kept this far from 0 and 1 by the log loss, so that one certain error cannot outweigh all rows."""

TITLES: dict[Loss, str] = {
    "brier": "Brier score",
    "log_loss": "log loss",
    "absolute_error": "mean absolute error",
    "squared_error": "mean squared error",
}


def row_losses(loss: Loss, target: Floats, prediction: Floats) -> Floats:
    """Loss of each row: float64, as long as `target`.

    Args:
        loss: the definition's loss.
        target: true values; 0 or 1 for a binary task.
        prediction: probabilities of 1 (binary) or values (regression), as long as `target`.
    """
    target = np.asarray(target, dtype=np.float64)
    prediction = np.asarray(prediction, dtype=np.float64)
    if target.shape != prediction.shape or target.ndim != 1:
        raise ValueError(f"{target.shape} targets do not pair with {prediction.shape} predictions")
    if loss == "absolute_error":
        return np.abs(target - prediction)
    if loss == "log_loss":
        clipped = np.clip(prediction, CLIP, 1 - CLIP)
        return np.asarray(-(target * np.log(clipped) + (1 - target) * np.log1p(-clipped)), dtype=np.float64)
    return np.asarray((target - prediction) ** 2, dtype=np.float64)


def mean_loss(loss: Loss, target: Floats, prediction: Floats) -> float:
    """Mean of `row_losses`."""
    return float(row_losses(loss, target, prediction).mean())


def best_constant(loss: Loss, target: Floats) -> float:
    """The constant prediction of least loss: the base rate or mean, or the median for the absolute error."""
    values = np.asarray(target, dtype=np.float64)
    return float(np.median(values) if loss == "absolute_error" else values.mean())
