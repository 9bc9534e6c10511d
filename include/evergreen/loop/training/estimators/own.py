"""A model's `candidates.py`: what it imports, and how it is loaded and named by a hash of its bytes."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from sklearn.compose import ColumnTransformer

from evergreen.core.definition.load import CANDIDATES
from evergreen.core.definition.model import Loss, Task
from evergreen.core.definition.team_code import spec_of
from evergreen.core.definition.training import BUILT_IN
from evergreen.errors import DefinitionError
from evergreen.loop.training.estimators.columns import as_codes, as_ranks
from evergreen.loop.training.estimators.spaces import Choice, Float, Integer, Params, Space, middle
from evergreen.loop.training.estimators.trusted import OWN_MODULE

if TYPE_CHECKING:
    import pandas as pd

    from evergreen.core.definition import ModelDefinition

Floats = np.ndarray[tuple[int], np.dtype[np.float64]]
Make = TypeVar("Make", bound=Callable[..., Any])
MARK = "__evergreen_candidate__"


@dataclass(frozen=True)
class Given:
    """What a function of `candidates.py` is given beside the hyperparameters.

    The estimator that it returns is fitted on a DataFrame with the columns `columns`, in that order: `numeric` ones
    float64 with NaN for null, `categorical` ones text (object) with NaN for null; and on a target that is 0 or 1
    (binary, int64), 0 to K - 1 (multiclass, int64) or float64 without nulls (regression). It predicts such frames, with
    values that were not there.
    """

    task: Task
    loss: Loss
    """What the search and the gate judge by"""
    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    seed: int
    """For `random_state`: one seed gives one model. Below 2**31, as some libraries need it."""
    threads: int
    """For `n_jobs`: how many the task may take"""
    rows: pd.DataFrame = field(repr=False)
    """The rows that the estimator will be fitted on, to look at and not to change"""
    classes: tuple[str, ...] = ()
    """Of a multiclass task: the name of each class, in the order of its number; none of another task"""

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns in their order: `numeric`, then `categorical`."""
        return self.numeric + self.categorical


@dataclass(frozen=True)
class Rows:
    """The rows that an estimator is about to be fitted on, for a function that weighs them."""

    features: pd.DataFrame
    """Columns as `Given` says"""
    target: Floats
    """float64; of a multiclass task the number of the class"""
    event_time: pd.Series
    """datetime64[us, UTC]"""
    key: np.ndarray[tuple[int], np.dtype[np.object_]]
    """Partition key of each row"""


Weigh = Callable[[Rows], Any]


@dataclass(frozen=True)
class Own:
    """A candidate that a team has written."""

    name: str
    make: Callable[..., Any]
    space: Space
    start: Params
    weights: Weigh | None


def candidate(
    name: str, *, space: Space | None = None, start: Mapping[str, Any] | None = None, weights: Weigh | None = None
) -> Callable[[Make], Make]:
    """Say that a function makes the estimator that `training.candidates` calls `name`.

    The function gets a `Given` and, by name, a value for each hyperparameter of `space`; it returns an estimator or a
    pipeline of scikit-learn's kind that is not fitted yet.

    Args:
        name: lower case letters, digits and underscores; none of the built-in kinds.
        space: the hyperparameters, each an `Integer`, a `Float` or a `Choice`; none if it has none.
        start: the first trial: a known good value for each of them; by default the middle of each range.
        weights: gets the `Rows` to fit on and returns a weight for each, not below 0; without it all count alike.

    Raises:
        ValueError: a name, a space or a start that cannot be.
    """
    ranges = dict(space or {})
    if not (name.isidentifier() and name.islower()) or name in BUILT_IN:
        raise ValueError(
            f"candidate {name!r}: a name has lower case letters, digits and underscores, and is not one of the "
            f"built-in kinds {', '.join(BUILT_IN)}"
        )
    for part, value in ranges.items():
        if not isinstance(value, Integer | Float | Choice):
            raise ValueError(f"candidate {name!r}: space[{part!r}] is {value!r}; use Integer, Float or Choice")
    first = _first(name, ranges, start)

    def mark(function: Make) -> Make:
        _check_signature(function, name, list(ranges))
        setattr(function, MARK, Own(name, function, ranges, first, weights))
        return function

    return mark


def _first(name: str, ranges: Space, start: Mapping[str, Any] | None) -> dict[str, Any]:
    """The first trial, in the order of `ranges`."""
    first = dict(middle(ranges) if start is None else start)
    if list(first) != list(ranges):
        first = {part: first[part] for part in ranges if part in first} | first
    if set(first) != set(ranges):
        raise ValueError(f"candidate {name!r}: start names {sorted(first)}, and space {sorted(ranges)}")
    outside = [part for part, value in first.items() if not ranges[part].holds(value)]
    if outside:
        raise ValueError(f"candidate {name!r}: start has {outside[0]} {first[outside[0]]!r}, which lies outside space")
    return first


def codes(given: Given) -> ColumnTransformer:
    """A first step for trees: numbers as they are, categories as codes, as the built-in kinds read them.

    It gives a float64 array whose columns are `given.columns` if none is empty throughout. Nulls, rare categories
    (beyond the 200 most frequent) and categories that training has not seen are NaN or share a code.
    """
    return as_codes(given.numeric, given.categorical, given.rows)


def ranks(given: Given) -> ColumnTransformer:
    """A first step for linear models and neighbours: scaled ranks without nulls, and zeros and ones for categories."""
    return as_ranks(given.numeric, given.categorical, given.rows)


def source_hash(definition: ModelDefinition) -> str | None:
    """SHA-256, hex, of the model's `candidates.py`; None if the definition names none of its candidates.

    Raises:
        DefinitionError: the file is missing.
    """
    return hashlib.sha256(_source(definition)).hexdigest() if definition.training.own_candidates else None


def load_own(definition: ModelDefinition, name: str) -> Own:
    """The candidate `name` of the model's `candidates.py`; one version of the file is run once in a process.

    Raises:
        DefinitionError: the file is missing, cannot be imported or does not define it.
    """
    path = definition.folder / CANDIDATES
    module = _execute(path, hashlib.sha256(_source(definition)).hexdigest(), definition.name)
    found: dict[str, Own] = {}
    for value in vars(module).values():
        own = getattr(value, MARK, None)
        if not isinstance(own, Own) or found.get(own.name) is own:
            continue
        if own.name in found:
            raise DefinitionError(f"{path}: two functions define the candidate {own.name!r}; give one another name")
        found[own.name] = own
    if name not in found:
        raise DefinitionError(
            f"{path}: no function defines the candidate {name!r}, which training.candidates of model.yaml names; it "
            f"defines {', '.join(sorted(found)) or 'none'}. Write @candidate({name!r}) above one (docs/candidates.md)"
        )
    return found[name]


def where(error: BaseException, definition: ModelDefinition) -> str:
    """`path:line` of the deepest frame of `error` in the model's `candidates.py`; the path if there is none."""
    path = str(definition.folder / CANDIDATES)
    if isinstance(error, SyntaxError) and error.filename == path:
        return f"{path}:{error.lineno}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    return f"{path}:{lines[-1]}" if lines else path


def _source(definition: ModelDefinition) -> bytes:
    path = definition.folder / CANDIDATES
    try:
        return path.read_bytes()
    except OSError:
        raise DefinitionError(
            f"{path} is missing; it defines {', '.join(definition.training.own_candidates)}, which training.candidates "
            "of model.yaml names (docs/candidates.md)"
        ) from None


@lru_cache(maxsize=64)
def _execute(path: Path, digest: str, model: str) -> ModuleType:
    name = f"{OWN_MODULE}{model}"
    spec = spec_of(name, path)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)  # dataclasses look their module up there
    try:
        spec.loader.exec_module(module)  # type: ignore[union-attr]
    except Exception as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else 1
        raise DefinitionError(f"{path}:{line}: cannot be imported: {type(error).__name__}: {error}") from error
    return module


def _check_signature(function: Callable[..., Any], name: str, parts: list[str]) -> None:
    try:
        inspect.signature(function).bind(None, **dict.fromkeys(parts))
    except TypeError as error:
        raise ValueError(
            f"candidate {name!r}: {getattr(function, '__name__', 'it')} is called with what is given and "
            f"{', '.join(parts) or 'no hyperparameters'}, which it does not take: {error}"
        ) from None
