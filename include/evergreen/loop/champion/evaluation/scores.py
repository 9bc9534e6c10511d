"""Both models on the same held-out rows: predictions, losses, and the guards that judge them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from evergreen.core.definition import ModelDefinition
from evergreen.loop.champion.evaluation import guards
from evergreen.loop.champion.evaluation.fairness import fairness
from evergreen.loop.champion.evaluation.guards import Guard
from evergreen.loop.training.classes import Names, align, learned, numbered, teachable, union
from evergreen.loop.training.decide import Choice, Rule, chosen, losses_of
from evergreen.loop.training.examples import Examples
from evergreen.loop.training.losses import Floats, Targets, constant_prediction
from evergreen.loop.training.outcomes import outcomes


@dataclass(frozen=True)
class Predicted:
    """What one model predicts, and the classes it knows; none if the task is not multiclass."""

    values: Floats
    classes: Names = ()
    rule: Rule | None = None
    """The version's own, by which it chooses; None if it has none"""


@dataclass(frozen=True)
class Scores:
    """Held-out rows that neither model was trained on, with both models' predictions and row losses.

    Predictions of a multiclass task are probabilities of the same `classes`: rows x classes.
    """

    examples: Examples
    champion: Floats
    challenger: Floats
    champion_losses: Floats
    challenger_losses: Floats
    classes: Names = ()
    """Of a multiclass task: those that either model knows"""
    choices: tuple[Choice | None, Choice | None] = (None, None)
    """What champion and challenger choose, each by its own rule; None without a `decision`"""

    @property
    def target(self) -> Floats:
        """What the losses are measured against: numbers of `classes` if there are some."""
        return numbered(self.examples.target, self.classes)


def base_rate(definition: ModelDefinition, train: Examples, rows: int) -> Predicted:
    """The constant prediction of least loss on the training labels: of several classes, their shares."""
    if definition.task != "multiclass":
        return Predicted(constant_prediction(definition.training_loss, train.target, rows))
    taught = teachable(definition, train)
    classes = learned(definition, taught.target)
    target = numbered(taught.target, classes)
    return Predicted(constant_prediction(definition.training_loss, target, rows, len(classes)), classes)


def score(definition: ModelDefinition, rows: Examples, champion: Predicted, challenger: Predicted) -> Scores:
    """Both models on the same rows. Of several classes each keeps what it knows: others have the probability 0.

    By cost each is charged for what it chooses by its own rule.
    """
    classes = union(challenger.classes, champion.classes)
    ours, theirs = (align(one.values, one.classes, classes) for one in (champion, challenger))
    choices = [chosen(definition, one.rule, one.values, one.classes) for one in (champion, challenger)]
    return Scores(
        examples=rows,
        champion=ours,
        challenger=theirs,
        champion_losses=losses_of(definition, rows.target, ours, classes, choices[0]),
        challenger_losses=losses_of(definition, rows.target, theirs, classes, choices[1]),
        classes=classes,
        choices=(choices[0], choices[1]),
    )


def judge_guards(definition: ModelDefinition, scores: Scores) -> tuple[Guard, Guard, Guard]:
    """The guards that judge predictions on held-out rows: slices, calibration, fairness. Pure."""
    gate, rows = definition.gate, scores.examples
    columns = {name: (rows.features if name in rows.features else rows.extra)[name] for name in gate.columns}
    sliced = {name: columns[name] for name in gate.slices}
    grouped = {name: columns[name] for name in (gate.fairness.by if gate.fairness else ())}
    champion, challenger, target, classes = scores.champion, scores.challenger, scores.target, scores.classes
    return (
        guards.slices(sliced, scores.champion_losses, scores.challenger_losses, rows.cluster, gate),
        guards.calibration(definition.task, target, champion, challenger, gate, classes),
        fairness(gate.fairness, definition.disparity, grouped, target, champion, challenger, rows.cluster, classes),
    )


def rarer(definition: ModelDefinition, scores: Scores) -> int:
    """Rows of the class that has fewer, of a binary task; all rows of another."""
    if definition.task != "binary":
        return len(scores.examples)
    positives = int((scores.target > 0.5).sum())
    return min(positives, len(scores.examples) - positives)


def decided(definition: ModelDefinition, scores: Scores) -> dict[str, Any]:
    """What the choices of both came to: `champion` and `challenger`, and `slices`; empty without a `decision`."""
    ours, theirs = scores.choices
    if ours is None or theirs is None or not len(scores.examples):
        return {}
    rows, binary = scores.examples, definition.task == "binary"
    columns = {name: (rows.features if name in rows.features else rows.extra)[name] for name in definition.gate.slices}
    return {
        "champion": outcomes(definition, rows.target, ours, scores.champion if binary else None),
        "challenger": outcomes(definition, rows.target, theirs, scores.challenger if binary else None),
        "slices": by_slice(definition, columns, rows.target, theirs),
    }


def by_slice(
    definition: ModelDefinition, columns: Mapping[str, pd.Series], target: Targets, choice: Choice
) -> list[dict[str, Any]]:
    """What choices came to on each slice, as the guard divides the rows: `column`, `value` and `outcomes`."""
    return [
        {"column": name, "value": value, **outcomes(definition, target[rows], choice[rows])}
        for name, column in columns.items()
        for value, rows in guards.groups(column)
    ]


def by_cluster(scores: Scores) -> list[list[Any]]:
    """For each cluster, in order: its name, rows, mean loss of the champion and of the challenger."""
    losses = pd.DataFrame({"champion": scores.champion_losses, "challenger": scores.challenger_losses})
    groups = losses.groupby(np.asarray(scores.examples.cluster, dtype=object), sort=True)
    means, sizes = groups.mean(), groups.size()
    return [
        [str(name), int(sizes[name]), float(means["champion"][name]), float(means["challenger"][name])]
        for name in sizes.index
    ]
