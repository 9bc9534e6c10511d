"""One way to fit and to ask every kind of candidate: the built-in ones and those of the team.

Built-in kinds read a float64 matrix, which their first step makes of a `model_frame`. A team's estimator reads the
frame itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

from evergreen.core.definition.model import Task
from evergreen.core.definition.training import BUILT_IN
from evergreen.errors import RefusedError
from evergreen.loop.training.classes import codes, learned, name_classes
from evergreen.loop.training.estimators import built_in
from evergreen.loop.training.estimators.columns import as_codes, as_ranks, as_they_are
from evergreen.loop.training.estimators.own import Given, Own, Rows, load_own, where
from evergreen.loop.training.estimators.spaces import Params, Space

if TYPE_CHECKING:
    import pandas as pd

    from evergreen.core.definition import ModelDefinition
    from evergreen.loop.training.examples import Examples
    from evergreen.loop.training.losses import Floats

_SEEDS = 2**31
_FLOAT_TARGETS = ("linear", "boosted")
"""Kinds whose classes have always been 0.0 and 1.0: their models stay as they were, to the bit."""


def space_of(definition: ModelDefinition, kind: str) -> tuple[Space, Params]:
    """The space of a kind and its first trial.

    Raises:
        DefinitionError: it is the team's, and `candidates.py` does not define it.
    """
    if kind in BUILT_IN:
        return built_in.SPACES[kind], built_in.START[kind]
    own = load_own(definition, kind)
    return own.space, own.start


def first_step(kind: str, definition: ModelDefinition, rows: pd.DataFrame) -> ColumnTransformer:
    """Columns of a `model_frame` to what the kind's estimator reads. Not fitted, unless the kind is the team's."""
    columns = definition.features.numeric, definition.features.categorical
    if kind not in BUILT_IN:
        return as_they_are(*columns, rows)
    return as_ranks(*columns, rows) if kind == "linear" else as_codes(*columns, rows)


def fit_step(kind: str, features: ColumnTransformer, rows: pd.DataFrame) -> Any:
    """The fitted step's output for the rows that it is fitted on: float64 matrix; of the team's kinds `rows` itself."""
    return rows if kind not in BUILT_IN else np.asarray(features.fit_transform(rows), dtype=np.float64)


def apply_step(kind: str, features: ColumnTransformer, rows: pd.DataFrame) -> Any:
    """The fitted step's output for other rows."""
    return rows if kind not in BUILT_IN else np.asarray(features.transform(rows), dtype=np.float64)


def fit_estimator(kind: str, definition: ModelDefinition, params: Params, matrix: Any, examples: Examples) -> Any:
    """The kind's estimator with these hyperparameters, fitted on `matrix`, which a first step made of `examples`.

    Raises:
        RefusedError: the team's estimator cannot be made or fitted; or a library is not installed.
    """
    if kind in BUILT_IN:
        exact = kind in _FLOAT_TARGETS and definition.task == "binary"
        target = examples.target if exact else _target(definition, examples)
        made = built_in.make(kind, definition, params, len(classes_of(definition, examples)))
        return built_in.settle(made.fit(matrix, target))
    own = load_own(definition, kind)
    classes = classes_of(definition, examples)
    estimator = make_own(own, definition, params, examples.features, classes)
    try:
        target = _target(definition, examples)
        return built_in.settle(estimator.fit(matrix, target, **_weights(own, estimator, examples, target)))
    except (MemoryError, RefusedError):
        raise
    except Exception as error:
        raise _refused(own, definition, f"fit() on {len(examples):,} rows with {shown(params)}", error) from error


def classes_of(definition: ModelDefinition, examples: Examples) -> tuple[str, ...]:
    """The classes that an estimator fitted on `examples` predicts, in the order of its probabilities.

    None if the task is not multiclass. `examples` are `teachable`.
    """
    return learned(definition, examples.target) if definition.task == "multiclass" else ()


def make_own(
    own: Own, definition: ModelDefinition, params: Params, rows: pd.DataFrame, classes: tuple[str, ...] = ()
) -> Any:
    """The estimator that the team's function returns.

    Raises:
        RefusedError: it raised, or returned something that cannot be fitted.
    """
    training = definition.training
    given = Given(
        task=definition.task, loss=definition.training_loss, numeric=tuple(definition.features.numeric),
        categorical=tuple(definition.features.categorical), seed=training.seed % _SEEDS, threads=built_in.THREADS,
        rows=rows, classes=classes,
    )  # fmt: skip
    try:
        estimator = own.make(given, **params)
    except ImportError as error:
        raise RefusedError(
            f"candidate {own.name}: {where(error, definition)}: {built_in.not_installed(error)}"
        ) from error
    except Exception as error:
        raise _refused(own, definition, f"with {shown(params)} its function", error) from error
    if not callable(getattr(estimator, "fit", None)):
        raise RefusedError(
            f"candidate {own.name}: its function returned {type(estimator).__name__}, which has no fit(); it must "
            "return an estimator of scikit-learn's kind"
        )
    return estimator


def predict_with(model: Any, matrix: Any, task: Task) -> Floats:
    """Probability of 1 (binary) or value (regression) of each row, float64; multiclass: of each class, rows x K."""
    if task == "multiclass":
        return np.asarray(model.predict_proba(matrix), dtype=np.float64)
    predicted = model.predict_proba(matrix)[:, 1] if task == "binary" else model.predict(matrix)
    return np.asarray(predicted, dtype=np.float64)


def assemble(features: ColumnTransformer, model: Any, classes: tuple[str, ...] = ()) -> Pipeline:
    """The two fitted steps as one pipeline, which keeps the names of the classes it predicts, if it has several."""
    pipeline: Pipeline = name_classes(Pipeline([("features", features), ("model", model)]), classes)
    return pipeline


def shown(params: Params) -> str:
    """Hyperparameters in words."""
    words = (f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in params.items())
    return ", ".join(words) or "no hyperparameters"


def _target(definition: ModelDefinition, examples: Examples) -> Any:
    """Classes as numbers from 0 of type int64: XGBoost takes no others, and CatBoost keeps the type in the model."""
    if definition.task == "multiclass":
        return codes(examples.target, classes_of(definition, examples)).astype(np.int64)
    return examples.target.astype(np.int64) if definition.task == "binary" else examples.target


def _weights(own: Own, estimator: Any, examples: Examples, target: Any) -> dict[str, Any]:
    if own.weights is None:
        return {}
    rows = Rows(examples.features, np.asarray(target, dtype=np.float64), examples.event_time, examples.key)
    weights = np.asarray(own.weights(rows), dtype=np.float64)
    if weights.shape != (len(examples),) or not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
        raise RefusedError(
            f"candidate {own.name}: weights() must return a finite number not below 0 for each of the "
            f"{len(examples):,} rows, not all of them 0; it returned an array of shape {weights.shape}"
        )
    name = f"{estimator.steps[-1][0]}__sample_weight" if isinstance(estimator, Pipeline) else "sample_weight"
    return {name: weights}


def _refused(own: Own, definition: ModelDefinition, what: str, error: Exception) -> RefusedError:
    return RefusedError(
        f"candidate {own.name}: {where(error, definition)}: {what} raised {type(error).__name__}: {error}"
    )
