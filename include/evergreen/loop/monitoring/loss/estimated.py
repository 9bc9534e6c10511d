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
from evergreen.loop.training.decide import chosen_in, losses_of
from evergreen.loop.training.losses import CLIP, Floats, title

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
class _Model:
    """What the holdout taught: how far its losses fell from what was expected of them, and what to expect of others."""

    method: str
    residual: Floats
    """Of each holdout row"""
    expect: Callable[[pd.DataFrame], tuple[Floats, Callable[[], float]]]
    """Of rows with a prediction: the loss to expect of each, and the variance of a row's loss about it"""


@dataclass(frozen=True)
class Learned:
    """An estimator of losses, fitted to a champion's holdout once."""

    definition: ModelDefinition
    groups: Codes
    """Cluster of each holdout row"""
    realised: float
    """Mean loss on the holdout"""
    model: _Model

    def mean(self, current: pd.DataFrame) -> float | None:
        """The estimated mean loss of `current` as `estimate_loss` takes it; None if no row has a prediction."""
        rows = current.dropna(subset=["prediction"])
        return None if rows.empty else float(self.model.expect(rows)[0].mean())

    def estimate(self, current: pd.DataFrame) -> Estimate | None:
        """The same with its interval."""
        rows = current.dropna(subset=["prediction"])
        if rows.empty:
            return None
        losses, variance = self.model.expect(rows)
        centre = float(losses.mean())
        error = _standard_error(self.model.residual, variance(), self.groups, _clusters(self.definition, rows))
        reach = float(student.ppf((1 + LEVEL) / 2, self.groups.max())) * error
        low, high = max(0.0, centre - reach), centre + reach
        sentence = _sentence(self.definition, centre, low, high, self.realised)
        return Estimate(centre, low, high, self.realised, self.model.method, sentence)


def estimate_loss(definition: ModelDefinition, holdout: pd.DataFrame, current: pd.DataFrame) -> Estimate | None:
    """Estimate the mean loss of `current`; None if the holdout is too small to say.

    Args:
        definition: names the task, the loss, the features and the event time.
        holdout: the champion's, as `learn` takes it.
        current: `prediction`, and `cluster` or the event time (else its rows stand for themselves); features too for
            regression. Rows without a prediction are left out.
    """
    learned = learn(definition, holdout)
    return learned.estimate(current) if learned is not None else None


def learn(definition: ModelDefinition, holdout: pd.DataFrame) -> Learned | None:
    """Fit what estimates losses; None if the holdout is too small to say.

    Args:
        definition: names the task, the loss, the features and the event time.
        holdout: the champion's: `target` and `prediction` (float64), `cluster` (str); features too for regression, and
            for several classes the target's name and the probabilities.
    """
    held = holdout.dropna(subset=["target", "prediction"])
    groups = np.asarray(pd.factorize(held["cluster"].astype(str))[0], np.int64)
    if len(held) < FEWEST_ROWS or groups.max() + 1 < FEWEST_CLUSTERS:
        return None
    if definition.task == "binary" and held["target"].nunique() < 2:
        return None
    predicted, names = classes.read(definition.task, held)
    losses = losses_of(definition, held["target"].to_numpy(), predicted, names, chosen_in(definition, held))
    if definition.task == "multiclass":
        model = _of_classes(definition, held, losses)
    elif definition.task == "binary":
        model = _of_probabilities(definition, held, losses)
    else:
        model = _of_values(definition, held, losses, groups)
    return Learned(definition, groups, float(losses.mean()), model)


def _of_probabilities(definition: ModelDefinition, held: pd.DataFrame, losses: Floats) -> _Model:
    before = _floats(held, "prediction")
    # C is large enough to leave both parameters free, and finite so that a separable holdout has a solution
    curve = LogisticRegression(C=1e4).fit(_log_odds(before), held["target"].to_numpy("float64") > 0.5)

    def weigh(rows: pd.DataFrame) -> tuple[Floats, Floats, Floats]:
        """How often each row's outcome is one, and its loss if it is and if it is none."""
        predicted, choice = _floats(rows, "prediction"), chosen_in(definition, rows)
        one, none = (losses_of(definition, np.full(len(rows), y), predicted, (), choice) for y in (1.0, 0.0))
        return np.asarray(curve.predict_proba(_log_odds(predicted))[:, 1], np.float64), one, none

    def expect(rows: pd.DataFrame) -> tuple[Floats, Callable[[], float]]:
        truth, one, none = weigh(rows)
        return truth * one + (1 - truth) * none, lambda: float((truth * (1 - truth) * (one - none) ** 2).mean())

    truth, one, none = weigh(held)
    return _Model("CBPE", losses - (truth * one + (1 - truth) * none), expect)


def _of_classes(definition: ModelDefinition, held: pd.DataFrame, losses: Floats) -> _Model:
    """As NannyML does for several classes: each is calibrated against the rest, and the row is divided by its sum."""
    before, names = classes.read("multiclass", held)
    target = classes.codes(held["target"].to_numpy(), names)
    curves = [_curve(before[:, number], target == number) for number in range(len(names))]

    def weigh(rows: pd.DataFrame) -> tuple[Floats, Floats]:
        """How often each class is true, and the loss of each row if it is: both rows x classes."""
        predicted, own = classes.read("multiclass", rows)
        # one version has predicted both: the rows have the classes of the holdout
        predicted, choice = classes.align(predicted, own, names), chosen_in(definition, rows)
        raw = np.column_stack([curve(predicted[:, number]) for number, curve in enumerate(curves)])
        each = (np.full(len(predicted), name, dtype=object) for name in names)
        cost = np.column_stack([losses_of(definition, truth, predicted, names, choice) for truth in each])
        return np.asarray(raw / raw.sum(axis=1, keepdims=True), np.float64), cost

    def expect(rows: pd.DataFrame) -> tuple[Floats, Callable[[], float]]:
        truth, cost = weigh(rows)
        current = (truth * cost).sum(axis=1)
        return current, lambda: float((truth * (cost - current[:, None]) ** 2).sum(axis=1).mean())

    truth, cost = weigh(held)
    return _Model("CBPE", losses - (truth * cost).sum(axis=1), expect)


def _curve(predicted: Floats, true: NDArray[np.bool_]) -> Callable[[Floats], Floats]:
    """From a class's probability to how often it is true; as it is if the holdout has the class never, or only."""
    if true.all() or not true.any():
        return lambda p: np.clip(p, CLIP, 1.0)
    fitted = LogisticRegression(C=1e4).fit(_log_odds(predicted), true)
    return lambda p: np.asarray(fitted.predict_proba(_log_odds(p))[:, 1], np.float64)


def _of_values(definition: ModelDefinition, held: pd.DataFrame, losses: Floats, groups: Codes) -> _Model:
    """Out-of-fold by cluster on the holdout, so that the residuals are those of rows the loss model has not seen."""
    names = [*definition.features.numeric, "prediction"]

    def matrix(frame: pd.DataFrame) -> Floats:
        found = frame[names].to_numpy("float64")
        return np.asarray(np.nan_to_num(found, nan=np.nan, posinf=np.nan, neginf=np.nan), np.float64)

    seen, out = matrix(held), np.empty(len(held))
    for fold in range(FOLDS):
        inside = groups % FOLDS == fold
        out[inside] = _fitted(seen[~inside], losses[~inside])(seen[inside])
    residual, whole = np.asarray(losses - out, np.float64), _fitted(seen, losses)

    def expect(rows: pd.DataFrame) -> tuple[Floats, Callable[[], float]]:
        return np.asarray(np.maximum(whole(matrix(rows)), 0.0), np.float64), lambda: float(residual.var())

    return _Model("DLE", residual, expect)


def _fitted(seen: Floats, losses: Floats) -> Callable[[Floats], Floats]:
    """From rows to their losses, learned from those of the rows `seen`, by the columns that hold something there."""
    filled = ~np.isnan(seen).all(axis=0)
    model = HistGradientBoostingRegressor(max_iter=40, max_leaf_nodes=8, min_samples_leaf=40, random_state=0)
    model.fit(seen[:, filled], losses)
    return lambda new: np.asarray(model.predict(new[:, filled]), np.float64)


def _standard_error(residual: Floats, current: float, groups: Codes, clusters: Codes) -> float:
    """Of the realised mean about the estimate: by rows and days of the batch, and of the holdout it was learned on."""
    alike = two_sample.intra_cluster_correlation(residual[:, None], groups)
    error = 0.0
    for variance, code in ((float(residual.var()), groups), (current, clusters)):
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
        f"Estimated, before any label: a {title(definition)} of {number(centre)} "
        f"({LEVEL:.0%} interval {number(low)} to {number(high)}; {number(holdout)} on the holdout). "
        "It sees a harder mix of rows, not a changed concept; only labels do."
    )
