"""What a model may predict: the tasks, the losses that judge each, and the classes of several.

The names of classes are texts. A whole number is named by its digits, so that 3 in a definition, an integer column and
the text `3` are one class.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

ColumnType = Literal["string", "integer", "float", "boolean", "timestamp"]
Task = Literal["binary", "regression", "multiclass"]
Loss = Literal["brier", "log_loss", "absolute_error", "squared_error", "poisson", "cost"]
LOSSES: dict[Task, tuple[Loss, ...]] = {
    "binary": ("brier", "log_loss", "cost"),
    "regression": ("squared_error", "absolute_error", "poisson"),
    "multiclass": ("brier", "log_loss", "cost"),
}
Disparity = Literal[
    "equalized_odds_difference",
    "equal_opportunity_difference",
    "demographic_parity_difference",
    "mean_absolute_error_difference",
]
DISPARITIES: dict[Task, tuple[Disparity, ...]] = {
    "binary": ("equalized_odds_difference", "equal_opportunity_difference", "demographic_parity_difference"),
    "regression": ("mean_absolute_error_difference",),
    "multiclass": ("equalized_odds_difference", "equal_opportunity_difference", "demographic_parity_difference"),
}
PROBABILITY = "probability_"
"""What the name of a column begins with that holds the probability of one class; the class follows."""
_WHOLE = re.compile(r"0|-?[1-9][0-9]*")
FEWEST_CLASSES, MOST_CLASSES = 3, 100
"""Classes that a multiclass definition may name, and that a training may learn: each is a column of predictions."""


def _class_name(value: Any) -> Any:
    """A class as text: whole numbers are named by their digits."""
    if isinstance(value, bool):
        raise ValueError(f"class {value} is true or false to YAML; put quotes round it, if it is text")
    return str(value) if isinstance(value, int) else value


ClassName = Annotated[str, Field(min_length=1, max_length=200), BeforeValidator(_class_name)]


def check_classes(target: str, kind: ColumnType, classes: Sequence[str], beside: Iterable[str]) -> None:
    """Raise ValueError if a target of type `kind` cannot have `classes`.

    Args:
        target: its name.
        kind: its type.
        classes: as declared; empty if each training learns them.
        beside: columns that stand beside predictions.
    """
    if kind not in ("string", "integer"):
        raise ValueError(
            f"target {target!r} of feed.tables.labels is of type {kind}; classes are of type string or integer: "
            "declare it so, and have it landed so"
        )
    twice = sorted({name for name in classes if classes.count(name) > 1})
    if twice:
        raise ValueError(f"classes names {', '.join(twice)} twice")
    if 0 < len(classes) < FEWEST_CLASSES:
        raise ValueError(f"classes names {len(classes)}; several classes are {FEWEST_CLASSES} or more, two are binary")
    odd = [name for name in classes if kind == "integer" and not _WHOLE.fullmatch(name)]
    if odd:
        raise ValueError(f"classes names {', '.join(odd)}, which the integer column {target!r} cannot hold")
    taken = sorted({name for name in beside if name.startswith(PROBABILITY)})
    if taken:
        raise ValueError(
            f"rename {', '.join(taken)}: names that begin with {PROBABILITY} are those of a multiclass prediction"
        )
