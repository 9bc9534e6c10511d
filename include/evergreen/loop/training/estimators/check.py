"""What an estimator must not do: each fault is found by name on a few rows, before anything is tuned.

`fit` asks for it before it tunes, and again for the model that it made.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from evergreen.core.definition.model import Task
from evergreen.core.definition.training import BUILT_IN
from evergreen.errors import RefusedError
from evergreen.loop.training.classes import FEWEST_ROWS, SUM_TOLERANCE, teachable
from evergreen.loop.training.estimators import built_in, kinds
from evergreen.loop.training.estimators.own import load_own
from evergreen.loop.training.estimators.spaces import Params
from evergreen.loop.training.estimators.trusted import trusted_types
from evergreen.loop.training.model_files import Predictor, freeze, strangers_in, thaw

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

    from evergreen.core.definition import ModelDefinition
    from evergreen.loop.training.examples import Examples
    from evergreen.loop.training.losses import Floats

FIT_ROWS = 2_000
PROBE_ROWS = 200
ALONE_ROWS = 10
"""Rows that are predicted one by one as well."""
ALONE_TOLERANCE = 1e-9
"""Difference, to the largest prediction, that a row alone may have from its batch: linear algebra adds up in
another order. Trees have none."""

_CLASSES = (["0", "1"], ["0.0", "1.0"], ["False", "True"])


def check_candidates(definition: ModelDefinition, older: Examples, newer: Examples) -> None:
    """Refuse what the definition's candidates must not do. `older` are rows to fit on, `newer` rows to predict.

    Raises:
        DefinitionError: `candidates.py` is missing, cannot be imported or does not define one of them.
        RefusedError: a candidate is not installed, is not deterministic, predicts no numbers or no probabilities,
            changes its input, or cannot be saved safely. The message begins with its name.
    """
    for kind in definition.training.candidates:
        if kind in built_in.MODULES:
            built_in.library(kind)
    for kind in definition.training.own_candidates:
        load_own(definition, kind)
    for kind in definition.training.own_candidates:
        check_candidate(definition, kind, older, newer)


def check_candidate(definition: ModelDefinition, kind: str, older: Examples, newer: Examples) -> None:
    """The same for one candidate of any kind, with the settings of its first trial."""
    seed, task = definition.training.seed, definition.task
    older = teachable(definition, older)
    least = FEWEST_ROWS if task == "multiclass" else 2
    fit_on = older.sample(FIT_ROWS, seed) if task == "regression" else older.sample_of_each(FIT_ROWS, seed, least)
    probe = newer.sample(PROBE_ROWS, seed).features
    params = kinds.space_of(definition, kind)[1]
    model, features = _fitted(definition, kind, params, fit_on)
    classes = kinds.classes_of(definition, fit_on)
    found = _asked(definition, kind, model, kinds.apply_step(kind, features, probe), len(classes))
    again, _ = _fitted(definition, kind, params, fit_on)
    if found.tobytes() != kinds.predict_with(again, kinds.apply_step(kind, features, probe), definition.task).tobytes():
        raise RefusedError(
            f"candidate {kind} is not deterministic: two fits on the same {len(fit_on):,} rows with one seed predict "
            "differently; give every part that draws at random given.seed as its random_state, and given.threads"
        )
    pipeline = kinds.assemble(features, model, classes)
    check_saved(definition, kind, pipeline, freeze_or_refuse(kind, pipeline), probe)


def check_saved(definition: ModelDefinition, kind: str, pipeline: Pipeline, data: bytes, probe: pd.DataFrame) -> None:
    """Load a frozen model with the types it may hold, and compare what both predict of `probe`, columns reversed.

    A team's model must also give numbers if all is null or new, and the same for a row alone as in its batch.

    Raises:
        RefusedError: it cannot be loaded so, predicts otherwise, or gives no number if a value is new.
    """
    trusted = trusted_types(definition)
    _check_types(kind, data, trusted)
    try:
        loaded = Predictor(thaw(data, trusted, what=f"candidate {kind}"), 0)
    except RefusedError:
        raise
    except Exception as error:
        raise RefusedError(f"candidate {kind} cannot be saved: loading its file raised {_words(error)}") from error
    made = Predictor(pipeline, 0)
    if made.predict(probe).tobytes() != loaded.predict(probe[list(probe.columns)[::-1]]).tobytes():
        raise RefusedError(f"candidate {kind} cannot be saved: loaded from its file it predicts other numbers")
    if kind not in BUILT_IN:
        _check_strange(definition, kind, loaded, probe)
        _check_alone(kind, loaded, probe)


def freeze_or_refuse(kind: str, pipeline: Pipeline) -> bytes:
    """The pipeline as a skops file.

    Raises:
        RefusedError: it holds something that skops cannot write.
    """
    try:
        return freeze(pipeline)
    except Exception as error:
        raise RefusedError(f"candidate {kind} cannot be saved: writing its file raised {_words(error)}") from error


def sound(kind: str, task: Task, predicted: Floats, rows: int, classes: int = 0) -> Floats:
    """`predicted`, if it has a finite number for each row, for a binary task a probability.

    For a multiclass task it must have a probability of each of `classes` classes, which sum to 1.

    Raises:
        RefusedError: it has not.
    """
    several = task == "multiclass"
    if predicted.shape != ((rows, classes) if several else (rows,)):
        needed = f"one for each of the {classes} classes, in the order of their numbers" if several else "one each"
        raise RefusedError(
            f"candidate {kind} predicts {predicted.shape} numbers for {rows:,} rows; it must give {needed}"
        )
    strange = int((~np.isfinite(predicted)).sum())
    if strange:
        raise RefusedError(
            f"candidate {kind} predicts no finite number for {strange:,} of {rows:,} rows; numeric columns hold NaN "
            "for null: impute it, or take an estimator that reads it"
        )
    if task != "regression" and rows and not 0 <= predicted.min() <= predicted.max() <= 1:
        raise RefusedError(
            f"candidate {kind} predicts from {predicted.min():.4g} to {predicted.max():.4g}, which are no "
            f"probabilities; task is {task}: predict_proba() must lie within 0 and 1"
        )
    if several and rows and (off := float(np.abs(predicted.sum(axis=1) - 1).max())) > SUM_TOLERANCE:
        raise RefusedError(
            f"candidate {kind} predicts probabilities of all classes that sum to other than 1, by up to {off:.4g}: "
            "predict_proba() must divide them by their sum"
        )
    return predicted


def _fitted(definition: ModelDefinition, kind: str, params: Params, rows: Examples) -> tuple[Any, Any]:
    """The estimator fitted on a copy of the rows, which it must leave as it is, and the step before it."""
    features = kinds.first_step(kind, definition, rows.features)
    copied = rows.features.copy()
    target = rows.target.copy()
    model = kinds.fit_estimator(kind, definition, params, kinds.fit_step(kind, features, copied), rows)
    _check_unchanged(kind, "fit()", rows.features, copied)
    if target.tobytes() != rows.target.tobytes():
        raise RefusedError(f"candidate {kind} changes the target that it is fitted on: fit() must copy it first")
    return model, features


def _asked(definition: ModelDefinition, kind: str, model: Any, matrix: Any, classes: int) -> Floats:
    """What the model predicts, if it has what it takes and leaves its input alone."""
    task = definition.task
    name = "predict" if task == "regression" else "predict_proba"
    if not callable(getattr(model, name, None)):
        raise RefusedError(
            f"candidate {kind}: {type(model).__name__} has no {name}(), which task {definition.task} needs"
            + ("; wrap it in sklearn.calibration.CalibratedClassifierCV" if name == "predict_proba" else "")
        )
    _check_classes(definition, kind, model, classes)
    before = matrix.copy()
    raw = _calling(kind, name, lambda: np.asarray(getattr(model, name)(matrix)))
    if isinstance(matrix, pd.DataFrame):
        _check_unchanged(kind, f"{name}()", before, matrix)
    if task == "binary" and (raw.ndim != 2 or raw.shape[1] != 2):
        raise RefusedError(
            f"candidate {kind}: predict_proba() gives an array of shape {raw.shape}; it must be (rows, 2)"
        )
    predicted = np.asarray(raw[:, 1] if task == "binary" else raw, dtype=np.float64)
    return sound(kind, task, predicted, len(before), classes)


def _check_classes(definition: ModelDefinition, kind: str, model: Any, several: int) -> None:
    classes = getattr(model, "classes_", None)
    allowed = ([str(number) for number in range(several)],) if definition.task == "multiclass" else _CLASSES
    if definition.task == "regression" or classes is None or [str(c) for c in np.ravel(classes)] in allowed:
        return
    wanted = "0 and 1" if definition.task == "binary" else f"0 to {several - 1}"
    raise RefusedError(
        f"candidate {kind} has the classes {', '.join(map(str, classes))}; they must be {wanted} in this order, as the "
        "target is"
    )


def _check_unchanged(kind: str, what: str, before: pd.DataFrame, after: pd.DataFrame) -> None:
    if list(before.columns) != list(after.columns):
        raise RefusedError(
            f"candidate {kind} changes its input: after {what} the columns are {', '.join(map(str, after.columns))}, "
            f"before they were {', '.join(before.columns)}; work on X.copy()"
        )
    if len(before) != len(after) or not before.equals(after):
        changed = [c for c in before.columns if len(before) != len(after) or not before[c].equals(after[c])]
        raise RefusedError(
            f"candidate {kind} changes its input: {what} wrote into {', '.join(changed) or 'its index'}; "
            "work on X.copy()"
        )


def _check_types(kind: str, data: bytes, trusted: tuple[str, ...]) -> None:
    from evergreen.loop.training.estimators.trusted import refusal

    strangers = strangers_in(data, trusted)
    if strangers:
        raise RefusedError(f"candidate {kind} cannot be saved safely: {refusal(strangers)}")


def _check_strange(definition: ModelDefinition, kind: str, loaded: Predictor, probe: pd.DataFrame) -> None:
    """Nulls everywhere, and categories that training has not seen: a feed has them sooner or later."""
    nulls, new = probe.head(3).copy(), probe.head(3).copy()
    for name in definition.features.numeric:
        nulls[name] = np.nan
    for name in definition.features.categorical:
        nulls[name], new[name] = np.nan, "never seen"
    for what, rows in (("of nulls", nulls), ("with categories never seen", new)):
        predicted = _calling(kind, f"predicting rows {what}", partial(loaded.predict, rows))
        try:
            sound(kind, definition.task, predicted, len(rows), len(loaded.classes))
        except RefusedError as error:
            raise RefusedError(f"{error} (rows {what})") from None


def _check_alone(kind: str, loaded: Predictor, probe: pd.DataFrame) -> None:
    rows = probe.head(ALONE_ROWS)
    together = loaded.predict(probe)[: len(rows)]
    alone = np.array([loaded.predict(rows.iloc[[n]])[0] for n in range(len(rows))])
    apart = np.abs(alone - together)
    if len(rows) and apart.max() > ALONE_TOLERANCE * max(1.0, float(np.abs(together).max())):
        one, other = alone.ravel()[apart.argmax()], together.ravel()[apart.argmax()]
        raise RefusedError(
            f"candidate {kind} predicts {one:.6g} for a row alone and {other:.6g} "
            "for it in a batch: a prediction must depend on its own row only"
        )


def _calling(kind: str, what: str, call: Callable[[], Any]) -> Any:
    try:
        return call()
    except MemoryError:
        raise
    except Exception as error:
        raise RefusedError(f"candidate {kind}: {what} raised {_words(error)}") from error


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
