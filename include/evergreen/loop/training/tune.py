"""Choose a candidate and its hyperparameters: Optuna, judged on partitions newer than those fitted on.

Splits go by time, as the model will be used: each fold fits on the older partitions and judges on the next newer ones
(Tashman 2000, rolling-origin evaluation). One pair of weeks is too noisy to choose by, so there are several folds
where the window is long enough. Preprocessing is fitted once a fold and shared by the trials of a candidate; a trial
reads at most `TRIAL_ROWS` rows to fit and as many to judge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna

from evergreen.loop.training.candidates import START, Candidate, Params, estimator, preprocessing, suggest
from evergreen.loop.training.examples import Examples
from evergreen.loop.training.losses import Floats, mean_loss

if TYPE_CHECKING:
    from evergreen.core.definition import ModelDefinition

TRIAL_ROWS = 30_000
FOLDS = 2


@dataclass(frozen=True)
class Trial:
    """One setting that was tried. `loss` is the mean over the folds, whose own losses run from the newest fold back."""

    candidate: Candidate
    number: int
    params: Params
    loss: float
    fold_losses: list[float]


@dataclass(frozen=True)
class _Fold:
    """One split, preprocessed for one candidate."""

    fit_matrix: Floats
    fit_target: Floats
    judge_matrix: Floats
    judge_target: Floats


def split_keys(keys: list[str], validation: int) -> list[tuple[list[str], list[str]]]:
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


def tune(definition: ModelDefinition, splits: list[tuple[Examples, Examples]]) -> list[Trial]:
    """Try every candidate of the definition on these (fit, judge) splits, newest first.

    Returns all trials in the order they ran; the same input gives the same trials, bit for bit.
    """
    seed = definition.training.seed
    small = [(_to_fit(definition, older), newer.sample(TRIAL_ROWS, seed)) for older, newer in splits]
    return [trial for candidate in definition.training.candidates for trial in _run(definition, candidate, small)]


def _to_fit(definition: ModelDefinition, older: Examples) -> Examples:
    """At most `TRIAL_ROWS` rows, with both classes where `older` has both: rare positives may all be left out."""
    seed = definition.training.seed
    drawn = older.sample(TRIAL_ROWS, seed)
    if definition.task != "binary" or np.unique(drawn.target).size == np.unique(older.target).size:
        return drawn
    return older.sample_of_each(TRIAL_ROWS, seed)


def best_trial(trials: list[Trial]) -> Trial:
    """The trial of least loss; the earlier one where two are equal."""
    return min(trials, key=lambda trial: trial.loss)


def _run(definition: ModelDefinition, candidate: Candidate, splits: list[tuple[Examples, Examples]]) -> list[Trial]:
    folds = [_fold(definition, candidate, older, newer) for older, newer in splits]
    trials: list[Trial] = []

    def objective(proposal: optuna.Trial) -> float:
        trial = _try(definition, candidate, proposal.number, suggest(candidate, proposal), folds)
        trials.append(trial)
        return trial.loss

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=definition.training.seed))
    study.enqueue_trial(START[candidate])
    study.optimize(objective, n_trials=definition.training.trials)
    return trials


def _fold(definition: ModelDefinition, candidate: Candidate, older: Examples, newer: Examples) -> _Fold:
    features = preprocessing(candidate, definition, older.features)
    return _Fold(
        np.asarray(features.fit_transform(older.features), dtype=np.float64),
        older.target,
        np.asarray(features.transform(newer.features), dtype=np.float64),
        newer.target,
    )


def _try(definition: ModelDefinition, candidate: Candidate, number: int, params: Params, folds: list[_Fold]) -> Trial:
    losses = []
    for fold in folds:
        model = estimator(candidate, definition, params).fit(fold.fit_matrix, fold.fit_target)
        losses.append(mean_loss(definition.loss, fold.judge_target, predict_with(model, fold.judge_matrix, definition)))
    return Trial(candidate, number, params, float(np.mean(losses)), losses)


def predict_with(model: Any, matrix: Any, definition: ModelDefinition) -> Floats:
    """Probability of 1 (binary) or value (regression) of each row, float64."""
    predicted = model.predict_proba(matrix)[:, 1] if definition.task == "binary" else model.predict(matrix)
    return np.asarray(predicted, dtype=np.float64)
