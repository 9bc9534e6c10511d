"""The classes of a multiclass task: their names, their numbers, and probabilities of them as columns. Pure.

A target of several classes is text wherever data is read and written, so that versions that know other classes can be
held against the same labels. Only while something is fitted or measured are classes numbers, 0 to K - 1, in one order
that this module decides: libraries sort names each in its own way, and XGBoost takes nothing else. A label whose class
a version does not know has the number `UNSEEN`: the version gave it no probability at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evergreen.core.definition.decision import CHOICE
from evergreen.core.definition.tasks import MOST_CLASSES, PROBABILITY
from evergreen.errors import BadInputError
from evergreen.loop.training.losses import UNSEEN, Floats, Targets

if TYPE_CHECKING:
    from evergreen.core.definition import ModelDefinition
    from evergreen.loop.training.examples import Examples

FEWEST_ROWS = 10
"""Rows of a class without which it is not learned: nothing can be said of fewer, and folds may hold none of them."""
SUM_TOLERANCE = 1e-4
"""By how much probabilities of all classes may sum to other than 1: some libraries reckon in float32."""
PREDICTION = "prediction"
_NAMES = "evergreen_classes"
"""Attribute of a fitted pipeline that holds the names of its classes; it is saved with the model."""
Names = tuple[str, ...]


def learned(definition: ModelDefinition, target: Targets) -> Names:
    """Names of the classes that rows with this `target` (text) teach, in the order of their numbers.

    Those that the definition declares and, if it declares none, all; of these the ones with `FEWEST_ROWS` rows or more.
    The order is the declared one, else that of whole numbers if all are, else that of texts.

    Raises:
        BadInputError: there are more than `MOST_CLASSES`.
    """
    places, values = pd.factorize(np.asarray(target, dtype=object))  # by hash: sorting a million texts takes a second
    counts = np.bincount(places, minlength=len(values))
    found = {str(value) for value, count in zip(values, counts, strict=True) if count >= FEWEST_ROWS}
    if definition.classes:
        return tuple(name for name in definition.classes if name in found)
    if len(found) > MOST_CLASSES:
        raise BadInputError(
            f"target {definition.target!r} of {definition.name} has {len(found):,} classes with {FEWEST_ROWS} rows or "
            f"more, and {MOST_CLASSES} can be learned at most: name those that matter in `classes` of model.yaml, or "
            "have the producer join rare ones"
        )
    return in_order(found)


def in_order(names: Iterable[str]) -> Names:
    """The names, each once: as numbers if all are whole numbers, else as texts."""
    found = sorted(set(names))
    try:
        return tuple(sorted(found, key=int))
    except ValueError:
        return tuple(found)


def codes(target: Targets, classes: Sequence[str]) -> Floats:
    """The number of each row's class, float64; `UNSEEN` for a class that is none of `classes`."""
    numbers = {name: float(number) for number, name in enumerate(classes)}
    places, values = pd.factorize(np.asarray(target, dtype=object))
    known = np.array([numbers.get(str(value), UNSEEN) for value in values], dtype=np.float64)
    return known[places] if len(values) else np.empty(0, dtype=np.float64)


def numbered(target: Targets, classes: Sequence[str]) -> Floats:
    """What losses are measured against: `codes` if there are classes, else the target as it is."""
    return codes(target, classes) if classes else np.asarray(target, dtype=np.float64)


def teachable(definition: ModelDefinition, rows: Examples) -> Examples:
    """The rows whose class is learned from them; all of them if the task is not multiclass."""
    if definition.task != "multiclass":
        return rows
    known = codes(rows.target, learned(definition, rows.target)) != UNSEEN
    return rows if known.all() else rows.take(np.flatnonzero(known))


def align(prediction: Floats, own: Sequence[str], classes: Sequence[str]) -> Floats:
    """Probabilities of `own` as those of `classes`, rows x len(classes): a class that is not among `own` has 0.

    `prediction` itself if there are no classes. `classes` must hold all of `own`.
    """
    if not classes or tuple(own) == tuple(classes):
        return prediction
    found = np.zeros((len(prediction), len(classes)), dtype=np.float64)
    found[:, [list(classes).index(name) for name in own]] = prediction
    return found


def union(*several: Sequence[str]) -> Names:
    """All classes, in the order of the first of `several`, then those that only later ones have."""
    return tuple(dict.fromkeys(name for names in several for name in names))


def most_probable(prediction: Floats, classes: Sequence[str]) -> NDArray[np.object_]:
    """Name of the class of highest probability in each row; of equal ones the first."""
    names = np.array(classes, dtype=object)
    return names[prediction.argmax(axis=1)] if len(prediction) else np.empty(0, dtype=object)


def as_columns(
    prediction: Floats, classes: Sequence[str], choice: NDArray[Any] | None = None
) -> dict[str, NDArray[Any]]:
    """A prediction as the columns of a table: `prediction`, and for several classes `probability_<class>` of each.

    Without classes `prediction` is the number itself (float64), else the name of the most probable class. The chosen
    class of each row, if there is one, stands in `choice`.
    """
    beside = {} if choice is None else {CHOICE: choice}
    if not classes:
        return {PREDICTION: prediction, **beside}
    shares = {f"{PROBABILITY}{name}": prediction[:, number] for number, name in enumerate(classes)}
    return {PREDICTION: most_probable(prediction, classes), **beside, **shares}


def nothing(classes: Sequence[str]) -> Floats:
    """The prediction of no rows."""
    return np.empty((0, len(classes)) if classes else 0, dtype=np.float64)


def columns_in(names: Iterable[str], *, decided: bool = False) -> list[str]:
    """Those of `names` that hold a prediction: the reverse of `as_columns`, in their order; `decided`: and a choice."""
    own = (PREDICTION, CHOICE) if decided else (PREDICTION,)
    return [name for name in names if name in own or name.startswith(PROBABILITY)]


def classes_in(names: Iterable[str]) -> Names:
    """The classes whose probabilities stand in columns of these names, in their order."""
    return tuple(name.removeprefix(PROBABILITY) for name in names if name.startswith(PROBABILITY))


def read(task: str, frame: pd.DataFrame) -> tuple[Floats, Names]:
    """The predictions that stand in a table, and their classes: rows (float64) or rows x classes; none if one number.

    Raises:
        BadInputError: they are of another task: the definition has changed since the version was made.
    """
    several = not pd.api.types.is_numeric_dtype(frame[PREDICTION])  # the name of the most probable class
    if len(frame) and several != (task == "multiclass"):
        held = "classes" if several else "numbers"
        raise BadInputError(
            f"these predictions are {held}: they were made before the model's task became {task}. Trigger its train "
            "DAG for a version of that task; the base rate stands in for the champion there"
        )
    if task != "multiclass":
        return frame[PREDICTION].to_numpy("float64"), ()
    classes = classes_in(frame.columns)
    return frame[[f"{PROBABILITY}{name}" for name in classes]].to_numpy("float64"), classes


def name_classes(pipeline: Any, classes: Sequence[str]) -> Any:
    """The fitted pipeline with the names of its classes, if it has some."""
    if classes:
        setattr(pipeline, _NAMES, list(classes))
    return pipeline


def names_of(pipeline: Any) -> Names:
    """The classes of a fitted pipeline, in the order of its probabilities; empty if its task is another."""
    return tuple(getattr(pipeline, _NAMES, ()))
