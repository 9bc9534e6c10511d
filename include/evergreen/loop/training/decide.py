"""Which class a version chooses for each prediction, and what its choices cost. Pure.

**Binary**: true from a threshold on. By costs, the threshold of calibrated probabilities is Bayes's (Elkan 2001, "The
foundations of cost-sensitive learning"). Scores are not always calibrated, and the cheapest threshold of a validation
part with few positives is mostly luck. So what is tuned is not the threshold but the calibration: a logistic curve
through the validation part (Platt 1999) that is shrunk towards "as they are", and the threshold is where that curve
reaches Bayes's. With few positives it is Bayes's own; with many, whatever the scores need (docs/decisions/038).

**Several classes**: the class of least expected cost by the version's probabilities.

A version keeps its rule in its model file: costs and thresholds that change later are those of later versions.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evergreen.core.definition.decision import CHOICE, Costs
from evergreen.loop.training import classes as naming
from evergreen.loop.training.losses import CLIP, Floats, Targets, expected_loss, row_losses

if TYPE_CHECKING:
    from evergreen.core.definition import ModelDefinition

Choice = NDArray[Any]
"""The chosen class of each row: bool of a binary task, else the name of the class, as objects"""
How = Literal["fixed", "tuned", "bayes", "least_cost"]
SHIFT, BEND = 1.0, 0.5
"""Standard deviations of the normal priors on what is added to the log odds, and on what their slope differs from 1"""
FLATTEST = 0.05
"""Least slope of the curve: a flat one would reach Bayes's threshold nowhere"""
_RULE = "evergreen_decision"
"""Attribute of a fitted pipeline that holds its rule, as JSON; it is saved with the model."""


@dataclass(frozen=True)
class Rule:
    """How a version chooses."""

    how: How
    threshold: float | None = None
    """Of a binary task: true is chosen from here on"""
    bayes: float | None = None
    """What the threshold is by the costs if the probabilities are right"""
    positives: int | None = None
    """Rows of the validation part whose target is true; those that the threshold was tuned on"""
    costs: Costs | None = None
    """Of several classes: what is minimised"""

    def as_json(self) -> dict[str, Any]:
        """The rule as the ledger and MLflow keep it."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @property
    def words(self) -> str:
        """The rule in words, to follow on "chooses"."""
        if self.threshold is None:
            return "the class of least expected cost"
        why = {
            "fixed": "as the definition fixes it",
            "bayes": "Bayes's threshold of its costs",
            "tuned": f"tuned on {self.positives:,} positives of the validation partitions",
        }[self.how]
        beside = f"; {self.bayes:.4g} if its probabilities are right" if self.how != "bayes" and self.bayes else ""
        return f"true from a probability of {self.threshold:.4g} on ({why}{beside})"

    def choose(self, prediction: Floats, classes: Sequence[str] = ()) -> Choice:
        """The choice for each prediction: probabilities of true, or rows x `classes`."""
        if not classes and self.threshold is not None:
            return np.asarray(prediction >= self.threshold)
        if self.costs is None:
            raise ValueError("a rule of several classes needs costs")
        names = np.array(self.costs.classes, dtype=object)
        expected = _expected_of_each(self.costs, prediction, classes)
        return names[expected.argmin(axis=1)] if len(prediction) else np.empty(0, dtype=object)


def rule_from(known: dict[str, Any] | None) -> Rule | None:
    """The reverse of `Rule.as_json`."""
    if not known:
        return None
    costs = known.get("costs")
    if costs:
        table = tuple(tuple(float(cost) for cost in row) for row in costs["table"])
        costs = Costs(tuple(costs["classes"]), table, costs["unit"])
    return Rule(**{**known, "costs": costs})


def usual(definition: ModelDefinition) -> Rule | None:
    """The rule of versions that have none of their own, and of the base rate; None without a `decision`."""
    decision, costs = definition.decision, definition.costs
    if decision is None:
        return None
    if definition.task == "multiclass":
        return Rule("least_cost", costs=costs)
    bayes = costs.bayes_threshold if costs else None
    if decision.threshold is not None:
        return Rule("fixed", decision.threshold, bayes)
    return Rule("bayes", bayes, bayes)


def rule_for(definition: ModelDefinition, own: Rule | None) -> Rule | None:
    """How a version chooses: by its own rule if training gave it one; None if the definition has no `decision`."""
    if definition.decision is None:
        return None
    fits = own is not None and (own.costs is not None) == (definition.task == "multiclass")
    return own if fits else usual(definition)


def tuned(definition: ModelDefinition, target: Floats, prediction: Floats) -> Rule | None:
    """The rule of a new version, by what it predicts on the validation part.

    Args:
        definition: the model.
        target: true values of the validation part.
        prediction: of a model that has not seen it.
    """
    rule = usual(definition)
    if rule is None or definition.task == "multiclass":
        return rule
    rule = replace(rule, positives=int((target > 0.5).sum()))
    if rule.how == "fixed" or rule.bayes is None or np.unique(target).size < 2:
        return rule
    shift, slope = _curve(target, prediction)
    odds = (np.log(rule.bayes) - np.log1p(-rule.bayes) - shift) / slope
    return replace(rule, how="tuned", threshold=float(1 / (1 + np.exp(-np.clip(odds, -700, 700)))))


def _curve(target: Floats, prediction: Floats) -> tuple[float, float]:
    """Shift and slope of the log odds that fit the target best, under their priors."""
    from scipy.optimize import minimize
    from scipy.special import expit

    clipped = np.clip(prediction, CLIP, 1 - CLIP)
    odds = np.log(clipped) - np.log1p(-clipped)

    def loss(free: Floats) -> tuple[float, Floats]:
        shift, bend = free
        bent = shift + (1 + bend) * odds
        cost = float((np.logaddexp(0, bent) - target * bent).sum()) + (shift / SHIFT) ** 2 / 2 + (bend / BEND) ** 2 / 2
        rest = expit(bent) - target
        return cost, np.array([rest.sum() + shift / SHIFT**2, (rest * odds).sum() + bend / BEND**2])

    found = minimize(loss, np.zeros(2), jac=True, method="L-BFGS-B", bounds=[(None, None), (FLATTEST - 1, None)])
    return float(found.x[0]), 1 + float(found.x[1])


def name_rule(pipeline: Any, rule: Rule | None) -> Any:
    """The fitted pipeline with its rule, if it has one."""
    if rule is not None:
        setattr(pipeline, _RULE, json.dumps(rule.as_json(), sort_keys=True))
    return pipeline


def rule_in(pipeline: Any) -> Rule | None:
    """The rule of a fitted pipeline; None if its definition had no `decision`."""
    said = getattr(pipeline, _RULE, None)
    return rule_from(json.loads(said)) if said else None


def chosen(definition: ModelDefinition, rule: Rule | None, prediction: Floats, classes: Sequence[str]) -> Choice | None:
    """The choices of a version whose own rule is `rule`; None if the definition has no `decision`."""
    found = rule_for(definition, rule)
    return found.choose(prediction, classes) if found else None


def chosen_in(definition: ModelDefinition, frame: pd.DataFrame) -> Choice | None:
    """The choices that stand in a table of predictions; by the usual rule if it was written before there were any."""
    if definition.decision is None:
        return None
    if CHOICE in frame and not frame[CHOICE].isna().any():
        return frame[CHOICE].to_numpy(object if definition.task == "multiclass" else bool)
    prediction, classes = naming.read(definition.task, frame)
    return chosen(definition, None, prediction, classes)


def losses_of(
    definition: ModelDefinition, target: Targets, prediction: Floats, classes: Sequence[str], choice: Choice | None
) -> Floats:
    """The definition's loss of each row: `row_losses`, or by money what the right choice would have saved.

    Args:
        definition: the model.
        target: true values: float64; of a multiclass task the names of classes.
        prediction: probabilities or values, as `row_losses` takes them.
        classes: of a multiclass prediction.
        choice: for each row; needed if the loss is `cost`.
    """
    if definition.loss != "cost":
        return row_losses(definition.loss, naming.numbered(target, classes), prediction)
    if definition.costs is None or choice is None:
        raise ValueError("losses by cost need costs and choices")
    return avoidable_costs(definition.costs, target, choice)


def expected_losses(
    definition: ModelDefinition, prediction: Floats, classes: Sequence[str], choice: Choice | None
) -> Floats:
    """The loss that a version expects of each of its predictions; arguments as of `losses_of`."""
    if definition.loss != "cost":
        return expected_loss(definition.loss, prediction)
    if definition.costs is None or choice is None:
        raise ValueError("losses by cost need costs and choices")
    each = _expected_of_each(definition.costs, prediction, classes, unknown=True)
    return np.asarray(each[np.arange(len(each)), _codes(definition.costs, choice)], dtype=np.float64)


def avoidable_costs(costs: Costs, target: Targets, choice: Choice) -> Floats:
    """What each choice costs more than the right one: float64, 0 or more."""
    return _with_unknown(costs)[_codes(costs, target), _codes(costs, choice)]


def money(costs: Costs, target: Targets, choice: Choice) -> Floats:
    """What each choice costs: float64, a benefit is below 0. A class without costs is the dearest there is."""
    table = np.array(costs.table, dtype=np.float64)
    table = np.vstack([table, table.max(axis=0)])
    table = np.column_stack([table, table.max(axis=1)])
    return np.asarray(table[_codes(costs, target), _codes(costs, choice)], dtype=np.float64)


def _with_unknown(costs: Costs) -> Floats:
    """Avoidable costs, (K + 1) x (K + 1): the last row and column are of classes that have no costs."""
    table = np.array(costs.avoidable, dtype=np.float64)
    return np.column_stack([table, table.max(axis=1)])


def _codes(costs: Costs, names: Targets) -> NDArray[np.intp]:
    """Numbers of classes in `costs`; the last, -1, for one that it does not know."""
    if costs.classes == ("false", "true"):
        return np.asarray(names, dtype=np.float64).astype(np.intp)
    return naming.codes(names, costs.classes).astype(np.intp)


def _expected_of_each(costs: Costs, prediction: Floats, classes: Sequence[str], *, unknown: bool = False) -> Floats:
    """Expected avoidable cost of each choice: rows x choices, one more if `unknown`.

    Summed truth by truth: a matrix product may round a row otherwise in a batch than alone.
    """
    table = _with_unknown(costs) if unknown else np.array(costs.avoidable, dtype=np.float64)
    if not classes:
        return np.asarray((1 - prediction)[:, None] * table[0] + prediction[:, None] * table[1], dtype=np.float64)
    found = np.zeros((len(prediction), table.shape[1]), dtype=np.float64)
    for number, name in enumerate(classes):
        truth = costs.classes.index(name) if name in costs.classes else -1
        found += prediction[:, number, None] * table[truth]
    return found
