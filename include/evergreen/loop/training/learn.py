"""Tune on the training partitions, then fit the winner on all of them. Pure: no server, no disk.

Bit for bit: the same rows, definition and library versions give the same model on any number of cores. Parallel
sums add up in an order that depends on the number of threads, so everything here runs on one.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from evergreen.errors import NotReadyError
from evergreen.loop.training.classes import FEWEST_ROWS, Names, names_of, numbered, teachable
from evergreen.loop.training.decide import Rule, name_rule, tuned
from evergreen.loop.training.estimators.check import check_candidates, sound
from evergreen.loop.training.estimators.kinds import (
    assemble,
    classes_of,
    first_step,
    fit_estimator,
    fit_step,
    predict_with,
)
from evergreen.loop.training.estimators.spaces import Params
from evergreen.loop.training.examples import Examples
from evergreen.loop.training.losses import Floats
from evergreen.loop.training.search import Journal, Trial
from evergreen.loop.training.tune import best_trial, split_keys, tune

if TYPE_CHECKING:
    from evergreen.core.definition import ModelDefinition


@dataclass(frozen=True)
class Learned:
    """A fitted challenger and how it came about.

    `model` was fitted on every row. `validation_prediction` was made by a model of the same settings fitted on the
    older rows only (`validation_model`), so it is an honest picture of how the challenger behaves on new rows.
    """

    model: Pipeline
    best: Trial
    trials: list[Trial]
    validation: Examples
    validation_model: Pipeline
    validation_prediction: Floats
    rule: Rule | None = None
    """How the challenger chooses, which `model` keeps; None if the definition has no `decision`"""

    @property
    def classes(self) -> Names:
        """Classes of `validation_prediction`; none if the task is not multiclass."""
        return names_of(self.validation_model)

    @property
    def classes_of_model(self) -> Names:
        """Classes of `model`, which may know some that came with the newest rows."""
        return names_of(self.model)

    @property
    def validation_target(self) -> Floats:
        """What `validation_prediction` is measured against: numbers of `classes` if there are some."""
        return numbered(self.validation.target, self.classes)


def learn(definition: ModelDefinition, examples: Examples, journal: Journal | None = None) -> Learned:
    """Make a challenger of these labelled rows. `journal` holds the trials of an attempt before, if there was one.

    Raises:
        DefinitionError: a candidate is the team's, and `candidates.py` is missing or does not define it.
        NotReadyError: the rows cannot teach anything: one partition only, or one class only in a part to fit.
        RefusedError: a candidate does what none may do; the message begins with its name.
    """
    splits = _splits(definition, examples)
    with _one_thread():
        check_candidates(definition, *splits[0])
        trials = tune(definition, splits, journal)
        best = best_trial(trials)
        older, newer = splits[0]
        splits.clear()  # what is in memory while the last model is fitted is the examples and no other copy of them
        judged = fit_pipeline(definition, best, older)
        del older
        prediction = predict_with(judged, newer.features, definition.task)
        sound(best.candidate, definition.task, prediction, len(newer), len(names_of(judged)))
        model = fit_pipeline(definition, best, examples)
        rule = tuned(definition, newer.target, prediction)
    return Learned(name_rule(model, rule), best, trials, newer, judged, prediction, rule)


def refit(
    definition: ModelDefinition, candidate: str, params: Params, examples: Examples, rule: Rule | None = None
) -> Pipeline:
    """The model that `learn` makes of `examples` if tuning has chosen `candidate`, `params` and `rule`."""
    with _one_thread():
        return name_rule(fit_pipeline(definition, Trial(candidate, 0, params, 0.0, []), examples), rule)


@contextmanager
def _one_thread() -> Iterator[None]:
    with threadpool_limits(limits=1), warnings.catch_warnings():
        # Columns that are null throughout are expected while history is short, and dropped.
        warnings.filterwarnings("ignore", category=RuntimeWarning, module="sklearn.feature_selection")
        yield


def fit_pipeline(definition: ModelDefinition, trial: Trial, examples: Examples) -> Pipeline:
    """The trial's candidate and settings, fitted on `examples`; of several classes on those that have enough rows."""
    if definition.task == "multiclass":
        examples = teachable(definition, examples)
        _check_classes(definition, examples)
    features = first_step(trial.candidate, definition, examples.features)
    matrix = fit_step(trial.candidate, features, examples.features)
    model = fit_estimator(trial.candidate, definition, trial.params, matrix, examples)
    return assemble(features, model, classes_of(definition, examples))


def _splits(definition: ModelDefinition, examples: Examples) -> list[tuple[Examples, Examples]]:
    keys = sorted(set(examples.key.tolist()))
    if len(keys) < 2:
        raise NotReadyError(
            f"{definition.name}: labelled rows of {len(keys)} partition(s) ({', '.join(keys) or 'none'}); training "
            "needs 2 or more, to fit on the older and judge on the newer. Wait for more labels to land."
        )
    parts = split_keys(keys, definition.training.validation)
    splits = [(teachable(definition, examples.of_keys(older)), examples.of_keys(newer)) for older, newer in parts]
    for older, _ in splits:
        _check_classes(definition, older)
    return splits


def _check_classes(definition: ModelDefinition, older: Examples) -> None:
    if definition.task == "binary" and np.unique(older.target).size < 2:
        raise NotReadyError(
            f"{definition.name}: every one of the {len(older):,} rows to fit on has {definition.target} = "
            f"{bool(older.target[0])}; a classifier needs both. Check the label feed, or wait for more labels."
        )
    if definition.loss == "poisson" and not older.target.any():
        raise NotReadyError(
            f"{definition.name}: every one of the {len(older):,} rows to fit on has {definition.target} = 0; nothing "
            "can be learned of counts that are all 0. Check the label feed, or wait for more labels."
        )
    if definition.task == "multiclass" and len(found := classes_of(definition, older)) < 2:
        raise NotReadyError(
            f"{definition.name}: of the classes of {definition.target}, {' and '.join(found) or 'none'} of the rows to "
            f"fit on has {FEWEST_ROWS} rows or more; a classifier needs two such classes. Check the label feed and "
            "`classes` of model.yaml, or wait for more labels."
        )
