"""The section `decision` of `model.yaml`: which class is chosen for a prediction, and what each outcome costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from pydantic import Field, model_validator

from evergreen.core.definition.sections import Section
from evergreen.core.definition.tasks import ClassName, Task

CHOICE = "choice"
"""Column that holds the chosen class beside a prediction"""
OUTCOMES = ("true_negative", "false_positive", "false_negative", "true_positive")
"""Of a binary task, in the order of a table whose rows are the truth and whose columns are the choice"""
BINARY = ("false", "true")
DEFAULT_POSITIVES = 20
"""Rows of the rarer class that the gate needs of a model with a `decision`, if `gate.min_positives` is left out"""


@dataclass(frozen=True)
class Costs:
    """What each choice costs for each truth: `table[truth][choice]`, in `unit` a row; a benefit is below 0."""

    classes: tuple[str, ...]
    """Truths, and choices; `false` and `true` of a binary task"""
    table: tuple[tuple[float, ...], ...]
    unit: str

    @property
    def avoidable(self) -> tuple[tuple[float, ...], ...]:
        """What each choice costs more than the right one. Below them a row for truths that are none of `classes`.

        Such a row costs as much as the dearest mistake that its choice can be.
        """
        known = [tuple(cost - row[truth] for cost in row) for truth, row in enumerate(self.table)]
        return (*known, tuple(max(column) for column in zip(*known, strict=True)))

    @property
    def bayes_threshold(self) -> float:
        """Probability from which on true is the choice of least expected cost (Elkan 2001); of a binary task."""
        (right, false_alarm), (missed, hit) = self.table
        return (false_alarm - right) / ((false_alarm - right) + (missed - hit))


class DecisionSection(Section):
    """Which class is chosen for a prediction; it stands beside the score in the column `choice` (docs/costs.md).

    A fixed `threshold`, or what each outcome costs; left out, predictions are scores only.
    """

    threshold: float | None = Field(default=None, ge=0, le=1)
    """Of a binary task: probability from which on true is chosen. Left out, each training tunes it by the costs."""
    costs: dict[ClassName, float | dict[ClassName, float]] = Field(default={}, exclude_if=lambda value: not value)
    """What a row costs, in `unit`; a benefit is a number below 0. Binary: of `true_positive`, `false_positive`,
    `true_negative` and `false_negative` (0 if left out). Multiclass: truth -> chosen class -> cost, of all `classes`;
    the right choice costs 0 if left out."""
    unit: str = Field(default="", max_length=20, pattern=r"^[^\s].*$|^$", exclude_if=lambda value: not value)
    """What the costs are in, such as EUR."""

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.threshold is None and not self.costs:
            raise ValueError("decision needs a threshold, or costs: what each outcome costs (docs/costs.md)")
        if self.costs and not self.unit:
            raise ValueError("costs need a unit: name what they are in, as in `unit: EUR`")
        if self.unit and not self.costs:
            raise ValueError("unit is what costs are in, and there are none: remove it, or give costs")
        numbers = [n for row in self.costs.values() for n in (row.values() if isinstance(row, dict) else (row,))]
        if not all(math.isfinite(number) and abs(number) <= 1e12 for number in numbers):
            raise ValueError("costs must be finite numbers, at most 1e12")
        return self

    def priced(self, classes: Sequence[str]) -> Costs | None:
        """The costs as a table, or None if there are none; `classes` are those of a multiclass task."""
        if not self.costs:
            return None
        if not classes:
            found = [float(self.costs.get(name, 0.0)) for name in OUTCOMES]  # type: ignore[arg-type]
            return Costs(BINARY, ((found[0], found[1]), (found[2], found[3])), self.unit)
        rows: Mapping[str, Any] = self.costs
        return Costs(
            tuple(classes),
            tuple(tuple(float(rows[t].get(c, 0.0)) for c in classes) for t in classes),
            self.unit,
        )


def check_decision(decision: DecisionSection, task: Task, classes: Sequence[str]) -> None:
    """Raise ValueError if the section does not fit the task, or its costs leave nothing to decide."""
    if task == "regression":
        raise ValueError(
            "decision chooses a class, and task 'regression' predicts a value: remove it. A threshold on a value is "
            "the reader's own; to learn the decision itself, land a boolean target and set task to binary"
        )
    if task == "binary":
        _check_binary(decision)
        return
    if decision.threshold is not None:
        raise ValueError(
            "decision.threshold is for two classes; of several the class of least expected cost is chosen: give costs"
        )
    if not classes:
        raise ValueError("decision.costs need `classes`: name them at the top level, in their order")
    _check_matrix(decision, classes)


def _check_binary(decision: DecisionSection) -> None:
    odd = [name for name, cost in decision.costs.items() if name not in OUTCOMES or isinstance(cost, dict)]
    if odd:
        raise ValueError(f"decision.costs of a binary task are numbers for {', '.join(OUTCOMES)}; not: {listed(odd)}")
    costs = decision.priced(())
    if costs is None:
        return
    (right, false_alarm), (missed, hit) = costs.table
    if false_alarm <= right:
        raise ValueError(
            f"a false_positive costs {false_alarm:g} and a true_negative {right:g}: then choosing true never costs "
            "more and there is nothing to decide; a wrong choice has to cost more than the right one"
        )
    if missed <= hit:
        raise ValueError(
            f"a false_negative costs {missed:g} and a true_positive {hit:g}: then choosing false never costs more and "
            "there is nothing to decide; a wrong choice has to cost more than the right one"
        )


def _check_matrix(decision: DecisionSection, classes: Sequence[str]) -> None:
    for truth in classes:
        row = decision.costs.get(truth)
        if not isinstance(row, dict):
            raise ValueError(f"decision.costs lacks what each choice costs if {truth!r} is the truth")
        missing = [name for name in classes if name != truth and name not in row]
        if missing:
            raise ValueError(f"decision.costs of {truth!r} lacks the choice of {listed(missing)}")
    odd = {name for row in decision.costs.values() if isinstance(row, dict) for name in row} | set(decision.costs)
    if strangers := sorted(odd - set(classes)):
        raise ValueError(f"decision.costs names {listed(strangers)}, which is not among classes")
    costs = decision.priced(classes)
    if costs is None:
        return
    for truth, more in zip(classes, costs.avoidable, strict=False):
        if (least := min(more)) < 0:
            raise ValueError(
                f"if {truth!r} is the truth, choosing {classes[more.index(least)]!r} costs less than choosing "
                f"{truth!r}: the right choice has to be the cheapest"
            )
    if not any(cost for more in costs.avoidable for cost in more):
        raise ValueError("all choices cost the same: there is nothing to decide")


def listed(names: Sequence[str]) -> str:
    """The names, quoted, separated by commas."""
    return ", ".join(repr(name) for name in names)
