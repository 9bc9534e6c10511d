"""What a hyperparameter may be: the space that a search draws from."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import optuna

Params = dict[str, Any]
GRID_POINTS = 4
"""Values of a range that a grid takes, both ends among them."""


@dataclass(frozen=True)
class Integer:
    """A whole number from `low` to `high`, both included; with `log` small ones are tried as often as large ones.

    Raises:
        ValueError: the range is empty, or reaches below 1 with `log`.
    """

    low: int
    high: int
    log: bool = False

    def __post_init__(self) -> None:
        for end in (self.low, self.high):
            if not isinstance(end, int) or isinstance(end, bool):
                raise ValueError(f"Integer({self.low!r}, {self.high!r}): both ends must be whole numbers")
        _check_range(self, 1)

    def suggest(self, trial: optuna.Trial, name: str) -> int:
        """The value that `trial` proposes."""
        return int(trial.suggest_int(name, self.low, self.high, log=self.log))

    def points(self) -> list[int]:
        """The values of a grid, smallest first."""
        return sorted({min(max(round(value), self.low), self.high) for value in _spread(self)})

    def middle(self) -> int:
        """A value to begin with."""
        return round(_middle(self))

    def holds(self, value: object) -> bool:
        """Whether `value` lies in the space."""
        return isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high


@dataclass(frozen=True)
class Float:
    """A number from `low` to `high`; with `log` small ones are tried as often as large ones.

    Raises:
        ValueError: the range is empty or not finite, or reaches down to 0 with `log`.
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        _check_range(self, 0)

    def suggest(self, trial: optuna.Trial, name: str) -> float:
        """The value that `trial` proposes."""
        return float(trial.suggest_float(name, self.low, self.high, log=self.log))

    def points(self) -> list[float]:
        """The values of a grid, smallest first."""
        return [min(max(value, self.low), self.high) for value in _spread(self)]

    def middle(self) -> float:
        """A value to begin with."""
        return _middle(self)

    def holds(self, value: object) -> bool:
        """Whether `value` lies in the space."""
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high


class Choice:
    """One of some values: texts, numbers, yes or no, or None.

    Raises:
        ValueError: there are no values, or one of another type, which the ledger could not keep.
    """

    def __init__(self, *options: str | float | bool | None) -> None:
        if not options:
            raise ValueError("Choice() needs values to choose from")
        strange = [value for value in options if not isinstance(value, str | int | float | bool | None)]
        if strange:
            raise ValueError(f"Choice: {strange[0]!r} is no text, number, yes or no, or None; name it and look it up")
        self.options = options

    def suggest(self, trial: optuna.Trial, name: str) -> Any:
        """The value that `trial` proposes."""
        return trial.suggest_categorical(name, self.options)

    def points(self) -> list[Any]:
        """The values of a grid: all of them."""
        return list(self.options)

    def middle(self) -> Any:
        """A value to begin with: the first."""
        return self.options[0]

    def holds(self, value: object) -> bool:
        """Whether `value` is one of them."""
        return any(type(value) is type(option) and value == option for option in self.options)


Space = Mapping[str, Integer | Float | Choice]


def suggest(space: Space, trial: optuna.Trial) -> Params:
    """The hyperparameters that `trial` proposes, asked for in the order of the space: the draws depend on it."""
    return {name: part.suggest(trial, name) for name, part in space.items()}


def middle(space: Space) -> Params:
    """Hyperparameters to begin with if none are given."""
    return {name: part.middle() for name, part in space.items()}


def grid(space: Space) -> list[Params]:
    """Every combination of the values of a grid, the last name changing fastest."""
    values = itertools.product(*(part.points() for part in space.values()))
    return [dict(zip(space, each, strict=True)) for each in values]


def _check_range(part: Integer | Float, lowest: int) -> None:
    shown = f"{type(part).__name__}({part.low!r}, {part.high!r})"
    if not (math.isfinite(part.low) and math.isfinite(part.high) and part.low <= part.high):
        raise ValueError(f"{shown}: the first number must not be above the second, and both must be finite")
    if part.log and (part.low < lowest or part.low <= 0):
        raise ValueError(f"{shown} with log=True must begin above 0")


def _spread(part: Integer | Float) -> list[float]:
    shares = [number / (GRID_POINTS - 1) for number in range(GRID_POINTS)]
    if part.log:
        return [part.low * (part.high / part.low) ** share for share in shares]
    return [part.low + (part.high - part.low) * share for share in shares]


def _middle(part: Integer | Float) -> float:
    return math.sqrt(part.low * part.high) if part.log else (part.low + part.high) / 2
