"""The candidate models: scikit-learn pipelines that read a `model_frame`, and the ranges they are tuned in.

Everything learned from data is inside the pipeline: medians, scales, known categories. Both candidates take nulls and
categories never seen in training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import HuberRegressor, LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, QuantileTransformer, StandardScaler

from evergreen.core.definition.model import Loss, Task

if TYPE_CHECKING:
    import optuna
    import pandas as pd

    from evergreen.core.definition import ModelDefinition

Candidate = Literal["linear", "boosted"]
Params = dict[str, Any]

MAX_CATEGORIES = 200
"""Categories kept apart in one column; rarer ones share one."""
RARE = 10
"""Rows below which the linear candidate takes categories together."""
QUANTILES = 100
"""Steps of the linear candidate's ranks; between them they are interpolated."""

START: dict[Candidate, Params] = {
    "linear": {"strength": 30.0},
    "boosted": {"iterations": 50, "learning_rate": 0.07, "max_leaf_nodes": 20, "min_samples_leaf": 80, "l2": 3.0},
}
"""Each candidate's first trial: a sound setting, so that few trials are enough."""


def suggest(candidate: Candidate, trial: optuna.Trial) -> Params:
    """Hyperparameters of one trial."""
    if candidate == "linear":
        return {"strength": trial.suggest_float("strength", 1e-2, 1e3, log=True)}
    return {
        "iterations": trial.suggest_int("iterations", 30, 120, log=True),
        "learning_rate": trial.suggest_float("learning_rate", 0.04, 0.15, log=True),
        "max_leaf_nodes": trial.suggest_int("max_leaf_nodes", 6, 32, log=True),
        "min_samples_leaf": trial.suggest_int("min_samples_leaf", 30, 300, log=True),
        "l2": trial.suggest_float("l2", 0.1, 30.0, log=True),
    }


def preprocessing(candidate: Candidate, definition: ModelDefinition, rows: pd.DataFrame) -> ColumnTransformer:
    """Columns of a `model_frame` to the numbers the candidate's estimator reads; not fitted yet.

    `rows` are those it will be fitted on. A column that holds nothing there (a feature that looks back, in the first
    weeks; one that is new) becomes a constant: boosted trees cannot bin it.
    """
    numeric, empty = _filled(rows, definition.features.numeric)
    categorical, unheard = _filled(rows, definition.features.categorical)
    constant = SimpleImputer(strategy="constant", fill_value=0.0, keep_empty_features=True)
    values, names = _boosted_columns() if candidate == "boosted" else _linear_columns(len(rows))
    unknown = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-1)
    steps = [
        ("numeric", values, numeric),
        ("empty", constant, empty),
        ("categorical", names, categorical),
        ("unheard", unknown, unheard),
    ]
    return ColumnTransformer([step for step in steps if step[2]], verbose_feature_names_out=False)


def _filled(rows: pd.DataFrame, names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Columns that hold something, and those that hold nothing."""
    filled = [name for name in names if rows[name].notna().any()]
    return filled, [name for name in names if name not in filled]


def _boosted_columns() -> tuple[Any, Any]:
    """Trees need neither scales nor medians, and split codes as often as they need to.

    The trees' own handling of categories, and target means with a seeded split, would be saved with types that nobody
    should have to trust (`functools.partial`, splitters); on the flights codes do as well. One never seen is missing.
    """
    missing = float("nan")
    return "passthrough", OrdinalEncoder(
        handle_unknown="use_encoded_value",
        unknown_value=missing,
        encoded_missing_value=missing,
        max_categories=MAX_CATEGORIES,
    )


def _linear_columns(rows: int) -> tuple[Any, Any]:
    """Medians for nulls, which get a column of their own, then ranks; rare and unknown categories share a column.

    A rank ends where the training rows end: what lies beyond counts as the largest seen. A line through the values
    themselves would go on, and on the flights a model of the winter was surest, and most wrong, in the first hot week.
    """
    ranks = QuantileTransformer(n_quantiles=min(QUANTILES, rows), subsample=None)
    return make_pipeline(SimpleImputer(strategy="median", add_indicator=True), ranks, StandardScaler()), OneHotEncoder(
        handle_unknown="infrequent_if_exist",
        max_categories=MAX_CATEGORIES,
        min_frequency=RARE,
        sparse_output=False,
    )


def estimator(candidate: Candidate, definition: ModelDefinition, params: Params) -> BaseEstimator:
    """The candidate's last step, not fitted yet, with `params` as `suggest` gives them.

    The absolute error is fitted as such, every other loss by the likelihood it belongs to. Rounds of boosting are a
    hyperparameter: on the flights, stopping early on weeks unlike those before stopped after some ten rounds.
    """
    if candidate == "linear":
        return _linear(definition.task, definition.loss, params["strength"])
    binary = definition.task == "binary"
    make: Callable[..., BaseEstimator] = HistGradientBoostingClassifier if binary else HistGradientBoostingRegressor
    absolute = definition.loss == "absolute_error"
    return make(
        loss="absolute_error" if absolute else "log_loss" if binary else "squared_error",
        learning_rate=params["learning_rate"],
        max_leaf_nodes=params["max_leaf_nodes"],
        min_samples_leaf=params["min_samples_leaf"],
        l2_regularization=params["l2"],
        max_iter=params["iterations"],
        categorical_features=None,
        early_stopping=False,
        random_state=definition.training.seed,
    )


def _linear(task: Task, loss: Loss, strength: float) -> BaseEstimator:
    """Linear model; `strength` is the L2 penalty, against the sum of the rows' losses."""
    if task == "binary":
        return LogisticRegression(C=1.0 / strength, max_iter=300)
    inner = (
        HuberRegressor(epsilon=1.01, alpha=strength, max_iter=300)
        if loss == "absolute_error"
        else Ridge(alpha=strength)
    )
    return TransformedTargetRegressor(regressor=inner, transformer=StandardScaler())


def assemble_pipeline(features: ColumnTransformer, model: BaseEstimator) -> Pipeline:
    """The two steps as one pipeline, fitted where they are fitted."""
    return Pipeline([("features", features), ("model", model)])
