"""Choose a candidate and its hyperparameters, judged on partitions newer than those fitted on.

Splits go by time, as the model will be used: each fold fits on the older partitions and judges on the next newer ones
(Tashman 2000, rolling-origin evaluation). One pair of weeks is too noisy to choose by, so there are several folds
if the window is long enough. Preprocessing is fitted once a fold and shared by the trials of a candidate; a trial
reads at most `TRIAL_ROWS` rows to fit and as many to judge.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evergreen.core.names import PartitionKey
from evergreen.loop.training.classes import FEWEST_ROWS, Names, numbered
from evergreen.loop.training.estimators.check import sound
from evergreen.loop.training.estimators.kinds import (
    apply_step,
    classes_of,
    first_step,
    fit_estimator,
    fit_step,
    predict_with,
    space_of,
)
from evergreen.loop.training.estimators.spaces import Params
from evergreen.loop.training.examples import Examples
from evergreen.loop.training.losses import Floats, mean_loss
from evergreen.loop.training.search import Journal, Trial, search

if TYPE_CHECKING:
    from evergreen.core.definition import ModelDefinition

TRIAL_ROWS = 30_000
FOLDS = 2


@dataclass(frozen=True)
class _Fold:
    """One split, preprocessed for one candidate."""

    fit_matrix: Any
    fit_rows: Examples
    judge_matrix: Any
    judge_target: Floats
    classes: Names
    """That are learned here, whose numbers `judge_target` has; none if the task is not multiclass"""


def split_keys(keys: list[PartitionKey], validation: int) -> list[tuple[list[PartitionKey], list[PartitionKey]]]:
    """Splits of `keys` by time, newest first: keys to fit on, and the `validation` next newer ones to judge on.

    At least one key stays on either side, and a fold fits on no fewer keys than it judges on, except the newest,
    which always exists. At most `FOLDS`.

    Raises:
        ValueError: fewer than two keys.
    """
    if len(keys) < 2:
        raise ValueError(f"{len(keys)} partition(s) cannot be split by time into a part to fit and a part to judge")
    ordered = sorted(keys)
    count = min(validation, len(ordered) - 1)
    splits = [(ordered[:-count], ordered[-count:])]
    for _ in range(FOLDS - 1):
        rest = splits[-1][0]
        if len(rest) < 2 * count:
            break
        splits.append((rest[:-count], rest[-count:]))
    return splits


def tune(
    definition: ModelDefinition, splits: list[tuple[Examples, Examples]], journal: Journal | None = None
) -> list[Trial]:
    """Try every candidate of the definition on these (fit, judge) splits, newest first.

    Returns all trials in the order they ran; the same input gives the same trials, bit for bit, and with a budget in
    minutes as many of them as the machine has time for.

    Raises:
        RefusedError: a candidate fails, or predicts something that is no number or no probability.
    """
    seed, rules = definition.training.seed, definition.training.search
    small = [(_to_fit(definition, older), newer.sample(TRIAL_ROWS, seed)) for older, newer in splits]
    trials: list[Trial] = []
    for number, candidate in enumerate(definition.training.candidates):
        seconds = None
        if rules and rules.minutes:
            left = max(0.0, 60 * rules.minutes - sum(trial.seconds for trial in trials))
            seconds = left / (len(definition.training.candidates) - number)
        trials += _run(definition, candidate, small, journal or Journal(), seconds)
    return trials


def _to_fit(definition: ModelDefinition, older: Examples) -> Examples:
    """At most `TRIAL_ROWS` rows, with every class that `older` has: rare ones may all be left out."""
    seed = definition.training.seed
    if definition.task == "multiclass":
        return older.sample_of_each(TRIAL_ROWS, seed, FEWEST_ROWS)
    drawn = older.sample(TRIAL_ROWS, seed)
    if definition.training_loss == "poisson":
        return drawn if drawn.target.any() else _with_events(older, drawn, seed)
    if definition.task != "binary" or np.unique(drawn.target).size == np.unique(older.target).size:
        return drawn
    return older.sample_of_each(TRIAL_ROWS, seed)


def _with_events(older: Examples, drawn: Examples, seed: int) -> Examples:
    """`drawn`, counts that are all 0, with rows of `older` in place of some whose count is not 0.

    A forest, and boosted trees, fit no counts that are all 0. At most `FEWEST_ROWS` are put in, or all there are.
    """
    events = np.flatnonzero(older.target)
    random = np.random.default_rng(seed)
    chosen = random.choice(events, size=min(len(events), FEWEST_ROWS, max(len(drawn) // 2, 1)), replace=False)
    zeros = random.choice(np.flatnonzero(older.target == 0), size=len(drawn) - len(chosen), replace=False)
    return older.take(np.sort(np.concatenate([chosen, zeros])))


def best_trial(trials: list[Trial]) -> Trial:
    """The whole trial of least loss; the earlier one if two are equal."""
    return min((trial for trial in trials if not trial.pruned), key=lambda trial: trial.loss)


def _run(
    definition: ModelDefinition,
    candidate: str,
    splits: list[tuple[Examples, Examples]],
    journal: Journal,
    seconds: float | None,
) -> list[Trial]:
    folds: list[_Fold] = []

    def judge(params: Params) -> Iterator[float]:
        for number, (older, newer) in enumerate(splits):
            if number == len(folds):
                folds.append(_fold(definition, candidate, older, newer))
            yield _loss(definition, candidate, params, folds[number])

    space, start = space_of(definition, candidate)
    return search(definition, candidate, space, start, judge, clock=time.monotonic, journal=journal, seconds=seconds)


def _fold(definition: ModelDefinition, candidate: str, older: Examples, newer: Examples) -> _Fold:
    features = first_step(candidate, definition, older.features)
    matrix = fit_step(candidate, features, older.features)
    classes = classes_of(definition, older)
    judged = apply_step(candidate, features, newer.features)
    return _Fold(matrix, older, judged, numbered(newer.target, classes), classes)


def _loss(definition: ModelDefinition, candidate: str, params: Params, fold: _Fold) -> float:
    model = fit_estimator(candidate, definition, params, fold.fit_matrix, fold.fit_rows)
    predicted = predict_with(model, fold.judge_matrix, definition.task)
    sound(candidate, definition.task, predicted, len(fold.judge_target), len(fold.classes))
    return mean_loss(definition.training_loss, fold.judge_target, predicted)
