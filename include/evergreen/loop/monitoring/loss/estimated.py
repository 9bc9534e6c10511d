"""What the champion probably loses on rows whose labels have not landed: an estimate, which never acts by itself.

For probabilities it is confidence-based performance estimation (CBPE, NannyML): a calibrated probability says how often
each outcome comes, and so what loss to expect of the prediction that was made. Calibration is a logistic curve through
the champion's holdout (Platt 1999); of several classes one curve for each against the rest, then divided by their sum.
For values it is direct loss estimation (DLE, NannyML): a small boosted model
learns on the holdout how large the loss of a row with such features and such a prediction is.

Both carry over what the holdout showed to rows that look different. They see a harder mix of rows. They cannot see a
changed concept: if the target no longer follows from the features as it did, the estimate stays calm and is wrong.
Only labels tell that, and `harm` waits for them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import t as student
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression

from evergreen.core.definition import ModelDefinition
from evergreen.core.frames import on_the_clock
from evergreen.core.text import number
from evergreen.loop.monitoring.drift import two_sample
from evergreen.loop.training import classes
from evergreen.loop.training.losses import CLIP, TITLES, Floats, row_losses

Codes = NDArray[np.int64]

FEWEST_ROWS = 200
"""Labelled rows of the holdout without which nothing is estimated."""
FEWEST_CLUSTERS = 4
FOLDS = 4
LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """An estimated mean loss."""

    loss: float
    low: float
    high: float
    """`low` to `high` covers the realised loss in 95 % of batches, as long as the concept has not changed"""
    holdout: float
    """Realised on the champion's holdout"""
    method: str
    """CBPE | DLE"""
    sentence: str


@dataclass(frozen=True)
class _Expected:
    """Expected losses of the current rows, and how far realised ones fell from their expectation on the holdout."""

    current: Floats
    variance: float
    """Of a current row's loss about its expectation"""
    residual: Floats
    """Of each holdout row"""


def estimate_loss(definition: ModelDefinition, holdout: pd.DataFrame, current: pd.DataFrame) -> Estimate | None:
    """Estimate the mean loss of `current`; None if the holdout is too small to say.

    Args:
        definition: names the task, the loss, the features and the event time.
        holdout: the champion's: `target` and `prediction` (float64), `cluster` (str); features too for regression, and
            for several classes the target's name and the probabilities.
        current: `prediction`, and `cluster` or the event time (else its rows stand for themselves); features too for
            regression. Rows without a prediction are left out.
    """
    held = holdout.dropna(subset=["target", "prediction"])
    rows = current.dropna(subset=["prediction"])
    groups = np.asarray(pd.factorize(held["cluster"].astype(str))[0], np.int64)
    if len(held) < FEWEST_ROWS or groups.max() + 1 < FEWEST_CLUSTERS or rows.empty:
        return None
    if definition.task == "binary" and held["target"].nunique() < 2:
        return None
    predicted, names = classes.read(definition.task, held)
    losses = row_losses(definition.loss, classes.numbered(held["target"].to_numpy(), names), predicted)
    if definition.task == "multiclass":
        method, expected = "CBPE", _of_classes(definition, held, losses, rows)
    elif definition.task == "binary":
        method, expected = "CBPE", _of_probabilities(definition, held, losses, rows)
    else:
        method, expected = "DLE", _of_values(definition, held, losses, groups, rows)
    centre = float(expected.current.mean())
    error = _standard_error(expected, groups, _clusters(definition, rows))
    reach = float(student.ppf((1 + LEVEL) / 2, groups.max())) * error
    low, realised = max(0.0, centre - reach), float(losses.mean())
    return Estimate(
        centre, low, centre + reach, realised, method, _sentence(definition, centre, low, centre + reach, realised)
    )


def _of_probabilities(definition: ModelDefinition, held: pd.DataFrame, losses: Floats, rows: pd.DataFrame) -> _Expected:
    before, now = _floats(held, "prediction"), _floats(rows, "prediction")
    # C is large enough to leave both parameters free, and finite so that a separable holdout has a solution
    curve = LogisticRegression(C=1e4).fit(_log_odds(before), held["target"].to_numpy("float64") > 0.5)
    truth_before, truth_now = (curve.predict_proba(_log_odds(p))[:, 1] for p in (before, now))
    if_one, if_none = (row_losses(definition.loss, np.full(len(now), y), now) for y in (1.0, 0.0))
    one, none = (row_losses(definition.loss, np.full(len(before), y), before) for y in (1.0, 0.0))
    return _Expected(
        current=truth_now * if_one + (1 - truth_now) * if_none,
        variance=float((truth_now * (1 - truth_now) * (if_one - if_none) ** 2).mean()),
        residual=losses - (truth_before * one + (1 - truth_before) * none),
    )


def _of_classes(definition: ModelDefinition, held: pd.DataFrame, losses: Floats, rows: pd.DataFrame) -> _Expected:
    """As NannyML does for several classes: each is calibrated against the rest, and the row is divided by its sum."""
    (before, own), (now, others) = (classes.read("multiclass", frame) for frame in (held, rows))
    names = classes.union(own, others)  # one list: it is one version that predicted both
    before, now = classes.align(before, own, names), classes.align(now, others, names)
    target = classes.codes(held["target"].to_numpy(), names)
    curves = [_curve(before[:, number], target == number) for number in range(len(names))]

    def truths(predicted: Floats) -> Floats:
        raw = np.column_stack([curve(predicted[:, number]) for number, curve in enumerate(curves)])
        return np.asarray(raw / raw.sum(axis=1, keepdims=True), np.float64)

    def if_true(predicted: Floats) -> Floats:
        """Loss of each row if each class were the true one: rows x classes."""
        each = (np.full(len(predicted), float(number)) for number in range(len(names)))
        return np.column_stack([row_losses(definition.loss, truth, predicted) for truth in each])

    truth_now, truth_before, cost = truths(now), truths(before), if_true(now)
    current = (truth_now * cost).sum(axis=1)
    return _Expected(
        current=current,
        variance=float((truth_now * (cost - current[:, None]) ** 2).sum(axis=1).mean()),
        residual=losses - (truth_before * if_true(before)).sum(axis=1),
    )


def _curve(predicted: Floats, true: NDArray[np.bool_]) -> Callable[[Floats], Floats]:
    """From a class's probability to how often it is true; as it is if the holdout has the class never, or only."""
    if true.all() or not true.any():
        return lambda p: np.clip(p, CLIP, 1.0)
    fitted = LogisticRegression(C=1e4).fit(_log_odds(predicted), true)
    return lambda p: np.asarray(fitted.predict_proba(_log_odds(p))[:, 1], np.float64)


def _of_values(
    definition: ModelDefinition, held: pd.DataFrame, losses: Floats, groups: Codes, rows: pd.DataFrame
) -> _Expected:
    """Out-of-fold by cluster on the holdout, so that the residuals are those of rows the loss model has not seen."""
    names = [*definition.features.numeric, "prediction"]
    seen, new = (
        np.nan_to_num(f[names].to_numpy("float64"), nan=np.nan, posinf=np.nan, neginf=np.nan) for f in (held, rows)
    )
    out = np.empty(len(held))
    for fold in range(FOLDS):
        inside = groups % FOLDS == fold
        out[inside] = _learned(seen[~inside], losses[~inside], seen[inside])
    residual = losses - out
    current = np.maximum(_learned(seen, losses, new), 0.0)
    return _Expected(np.asarray(current, np.float64), float(residual.var()), np.asarray(residual, np.float64))


def _learned(seen: Floats, losses: Floats, new: Floats) -> Floats:
    """Losses of the rows `new` as learned from those of the rows `seen`, by the columns that hold something there."""
    filled = ~np.isnan(seen).all(axis=0)
    model = HistGradientBoostingRegressor(max_iter=40, max_leaf_nodes=8, min_samples_leaf=40, random_state=0)
    return np.asarray(model.fit(seen[:, filled], losses).predict(new[:, filled]), np.float64)


def _standard_error(expected: _Expected, groups: Codes, clusters: Codes) -> float:
    """Of the realised mean about the estimate: by rows and days of the batch, and of the holdout it was learned on."""
    alike = two_sample.intra_cluster_correlation(expected.residual[:, None], groups)
    error = 0.0
    for variance, code in ((float(expected.residual.var()), groups), (expected.variance, clusters)):
        sizes = np.bincount(code).astype(float)
        rows = sizes.sum()
        error += variance / rows * (1 + alike * (float((sizes**2).sum()) / rows - 1))
    return math.sqrt(error)


def _clusters(definition: ModelDefinition, rows: pd.DataFrame) -> Codes:
    if "cluster" in rows:
        return np.asarray(pd.factorize(rows["cluster"].astype(str))[0], np.int64)
    if definition.feed.event_time in rows:
        days = on_the_clock(rows[definition.feed.event_time], definition.calendar.timezone).dt.floor("D")
        return np.asarray(pd.factorize(days)[0], np.int64)
    return np.arange(len(rows), dtype=np.int64)


def _floats(frame: pd.DataFrame, column: str) -> Floats:
    return frame[column].to_numpy("float64")


def _log_odds(probabilities: Floats) -> Floats:
    clipped = np.clip(probabilities, CLIP, 1 - CLIP)
    return np.asarray(np.log(clipped) - np.log1p(-clipped), np.float64)[:, None]


def _sentence(definition: ModelDefinition, centre: float, low: float, high: float, holdout: float) -> str:
    return (
        f"Estimated, before any label: a {TITLES[definition.loss]} of {number(centre)} "
        f"({LEVEL:.0%} interval {number(low)} to {number(high)}; {number(holdout)} on the holdout). "
        "It sees a harder mix of rows, not a changed concept; only labels do."
    )
