"""The built-in kinds: their spaces, their first settings, and the estimators that these make.

Each runs on one thread, so that a task takes one core and a model is the same on any number of them. Rounds of boosting
are a hyperparameter and nothing stops early: on the flights, stopping on weeks unlike those before stopped after some
ten rounds, and with one class in a part the libraries' scores are 1, 0 or no number.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sklearn.base import BaseEstimator
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import HuberRegressor, LogisticRegression, PoissonRegressor, Ridge
from sklearn.preprocessing import StandardScaler

from evergreen.core.definition.model import Loss, Task
from evergreen.errors import RefusedError
from evergreen.loop.training.estimators.spaces import Choice, Float, Integer, Params, Space

if TYPE_CHECKING:
    from evergreen.core.definition import ModelDefinition

THREADS = 1
MODULES = {"lightgbm": "lightgbm", "xgboost": "xgboost", "catboost": "catboost"}
"""What the kinds that are extras of the package import."""
DISTRIBUTIONS = {"lightgbm": "lightgbm", "xgboost": "xgboost-cpu", "catboost": "catboost"}
"""Where these modules come from."""
_SEEDS = 2**31
"""LightGBM, XGBoost and CatBoost read their seed as a signed 32-bit number."""

_COUNTED_ROWS = 10_000
"""scikit-learn's Poisson regression weighs the penalty against the rows' mean; so that it is about their sum."""

SPACES: dict[str, Space] = {
    "linear": {"strength": Float(1e-2, 1e3, log=True)},
    "boosted": {
        "iterations": Integer(30, 120, log=True),
        "learning_rate": Float(0.04, 0.15, log=True),
        "max_leaf_nodes": Integer(6, 32, log=True),
        "min_samples_leaf": Integer(30, 300, log=True),
        "l2": Float(0.1, 30.0, log=True),
    },
    "forest": {
        "min_samples_leaf": Integer(5, 200, log=True),
        "max_features": Float(0.2, 1.0),
        "trees": Choice(100, 50, 200),
    },
    "lightgbm": {
        "iterations": Integer(30, 200, log=True),
        "learning_rate": Float(0.03, 0.15, log=True),
        "leaves": Integer(6, 48, log=True),
        "min_leaf_rows": Integer(20, 300, log=True),
        "l2": Float(0.1, 30.0, log=True),
    },
    "xgboost": {
        "iterations": Integer(30, 200, log=True),
        "learning_rate": Float(0.03, 0.15, log=True),
        "depth": Integer(2, 8),
        "min_child_weight": Float(1.0, 100.0, log=True),
        "l2": Float(0.1, 30.0, log=True),
    },
    "catboost": {
        "iterations": Integer(50, 300, log=True),
        "learning_rate": Float(0.03, 0.15, log=True),
        "depth": Integer(3, 8),
        "l2": Float(0.5, 30.0, log=True),
    },
}
"""In the order in which a trial asks."""
START: dict[str, Params] = {
    "linear": {"strength": 30.0},
    "boosted": {"iterations": 50, "learning_rate": 0.07, "max_leaf_nodes": 20, "min_samples_leaf": 80, "l2": 3.0},
    "forest": {"min_samples_leaf": 20, "max_features": 0.5, "trees": 100},
    "lightgbm": {"iterations": 60, "learning_rate": 0.07, "leaves": 20, "min_leaf_rows": 80, "l2": 3.0},
    "xgboost": {"iterations": 60, "learning_rate": 0.07, "depth": 4, "min_child_weight": 10.0, "l2": 3.0},
    "catboost": {"iterations": 100, "learning_rate": 0.07, "depth": 5, "l2": 3.0},
}
"""Each kind's first trial: a sound setting, so that few trials are enough."""


def library(kind: str) -> Any:
    """The module that a kind of an extra is made with.

    Raises:
        RefusedError: it is not installed; the message names the extra.
    """
    try:
        return importlib.import_module(MODULES[kind])
    except ImportError as error:
        raise RefusedError(f"candidate {kind}: {not_installed(error)}") from error


def not_installed(error: ImportError) -> str:
    """What is missing and how to install it, in words."""
    missing = (error.name or "").partition(".")[0]
    if missing in MODULES:
        return f"{missing} is not installed; where trainings and scoring run: pip install 'evergreen[{missing}]'"
    return f"{missing or error} is not installed; install it where trainings and scoring run"


def make(kind: str, definition: ModelDefinition, params: Params, classes: int = 0) -> BaseEstimator:
    """The last step of a built-in kind, not fitted yet, with `params` as its space gives them.

    The absolute error and counts are fitted as such if the library can, every other loss by the likelihood it belongs
    to. A multiclass task of which the rows to fit hold two `classes` is fitted as a binary one.

    Raises:
        RefusedError: the kind is an extra that is not installed.
    """
    task: Task = "binary" if classes == 2 else definition.task
    return _MAKERS[kind](task, definition.training_loss, params, definition.training.seed)


def settle(model: BaseEstimator) -> BaseEstimator:
    """The fitted model without what CatBoost notes in it of the moment: an id and the time."""
    if type(model).__module__.partition(".")[0] == "catboost":
        notes = model.get_metadata()
        for name in ("train_finish_time", "model_guid"):
            notes[name] = ""
    return model


def _linear(task: Task, loss: Loss, params: Params, seed: int) -> BaseEstimator:
    """Linear model; `strength` is the L2 penalty, against the sum of the rows' losses."""
    strength = params["strength"]
    if loss == "poisson":
        return PoissonRegressor(alpha=strength / _COUNTED_ROWS, max_iter=300)
    if task != "regression":
        return LogisticRegression(C=1.0 / strength, max_iter=300)
    inner = (
        HuberRegressor(epsilon=1.01, alpha=strength, max_iter=300)
        if loss == "absolute_error"
        else Ridge(alpha=strength)
    )
    return TransformedTargetRegressor(regressor=inner, transformer=StandardScaler())


def _boosted(task: Task, loss: Loss, params: Params, seed: int) -> BaseEstimator:
    value = task == "regression"
    classes: Callable[..., BaseEstimator] = HistGradientBoostingRegressor if value else HistGradientBoostingClassifier
    return classes(
        loss=loss if loss in ("absolute_error", "poisson") else "squared_error" if value else "log_loss",
        learning_rate=params["learning_rate"],
        max_leaf_nodes=params["max_leaf_nodes"],
        min_samples_leaf=params["min_samples_leaf"],
        l2_regularization=params["l2"],
        max_iter=params["iterations"],
        categorical_features=None,
        early_stopping=False,
        random_state=seed,
    )


def _forest(task: Task, loss: Loss, params: Params, seed: int) -> BaseEstimator:
    """Random forest. Of regression it fits means, also for the absolute error: medians in trees take no nulls."""
    classes: Callable[..., BaseEstimator] = RandomForestRegressor if task == "regression" else RandomForestClassifier
    more = {"criterion": "poisson"} if loss == "poisson" else {}
    return classes(
        **more,
        n_estimators=params["trees"],
        min_samples_leaf=params["min_samples_leaf"],
        max_features=params["max_features"],
        n_jobs=THREADS,
        random_state=seed,
    )


def _lightgbm(task: Task, loss: Loss, params: Params, seed: int) -> BaseEstimator:
    module = library("lightgbm")
    classes: Callable[..., BaseEstimator] = module.LGBMRegressor if task == "regression" else module.LGBMClassifier
    return classes(
        objective={"absolute_error": "regression_l1", "poisson": "poisson"}.get(loss, task),
        n_estimators=params["iterations"],
        learning_rate=params["learning_rate"],
        num_leaves=params["leaves"],
        min_child_samples=params["min_leaf_rows"],
        reg_lambda=params["l2"],
        deterministic=True,  # regression is not without
        force_row_wise=True,  # else the way is chosen by the clock
        n_jobs=THREADS,
        random_state=seed % _SEEDS,
        verbosity=-1,
    )


def _xgboost(task: Task, loss: Loss, params: Params, seed: int) -> BaseEstimator:
    module = library("xgboost")
    classes: Callable[..., BaseEstimator] = module.XGBRegressor if task == "regression" else module.XGBClassifier
    aims = {"binary": "binary:logistic", "multiclass": "multi:softprob", "regression": "reg:squarederror"}
    return classes(
        objective={"absolute_error": "reg:absoluteerror", "poisson": "count:poisson"}.get(loss, aims[task]),
        n_estimators=params["iterations"],
        learning_rate=params["learning_rate"],
        max_depth=params["depth"],
        min_child_weight=params["min_child_weight"],
        reg_lambda=params["l2"],
        tree_method="hist",
        n_jobs=THREADS,
        random_state=seed % _SEEDS,
    )


def _catboost(task: Task, loss: Loss, params: Params, seed: int) -> BaseEstimator:
    module = library("catboost")
    classes: Callable[..., BaseEstimator] = (
        module.CatBoostRegressor if task == "regression" else module.CatBoostClassifier
    )
    aims = {"binary": "Logloss", "multiclass": "MultiClass", "regression": "RMSE"}
    return classes(
        loss_function={"absolute_error": "MAE", "poisson": "Poisson"}.get(loss, aims[task]),
        iterations=params["iterations"],
        learning_rate=params["learning_rate"],
        depth=params["depth"],
        l2_leaf_reg=params["l2"],
        thread_count=THREADS,  # another number gives other last bits
        random_seed=seed % _SEEDS,
        allow_writing_files=False,
        verbose=False,
    )


_MAKERS: dict[str, Callable[[Task, Loss, Params, int], BaseEstimator]] = {
    "linear": _linear,
    "boosted": _boosted,
    "forest": _forest,
    "lightgbm": _lightgbm,
    "xgboost": _xgboost,
    "catboost": _catboost,
}
