"""Both models on the same held-out rows: predictions, losses, and the guards that judge them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from evergreen.core.definition import ModelDefinition
from evergreen.loop.champion.evaluation import guards
from evergreen.loop.champion.evaluation.fairness import fairness
from evergreen.loop.champion.evaluation.guards import Guard
from evergreen.loop.training.classes import Names, align, learned, numbered, teachable, union
from evergreen.loop.training.examples import Examples
from evergreen.loop.training.losses import Floats, constant_prediction, row_losses


@dataclass(frozen=True)
class Predicted:
    """What one model predicts, and the classes it knows; none if the task is not multiclass."""

    values: Floats
    classes: Names = ()


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

    @property
    def target(self) -> Floats:
        """What the losses are measured against: numbers of `classes` if there are some."""
        return numbered(self.examples.target, self.classes)


def base_rate(definition: ModelDefinition, train: Examples, rows: int) -> Predicted:
    """The constant prediction of least loss on the training labels: of several classes, their shares."""
    if definition.task != "multiclass":
        return Predicted(constant_prediction(definition.loss, train.target, rows))
    taught = teachable(definition, train)
    classes = learned(definition, taught.target)
    target = numbered(taught.target, classes)
    return Predicted(constant_prediction(definition.loss, target, rows, len(classes)), classes)


def score(definition: ModelDefinition, rows: Examples, champion: Predicted, challenger: Predicted) -> Scores:
    """Both models on the same rows. Of several classes each keeps what it knows: others have the probability 0."""
    loss, classes = definition.loss, union(challenger.classes, champion.classes)
    ours, theirs = (align(one.values, one.classes, classes) for one in (champion, challenger))
    target = numbered(rows.target, classes)
    return Scores(
        examples=rows,
        champion=ours,
        challenger=theirs,
        champion_losses=row_losses(loss, target, ours),
        challenger_losses=row_losses(loss, target, theirs),
        classes=classes,
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


def by_cluster(scores: Scores) -> list[list[Any]]:
    """For each cluster, in order: its name, rows, mean loss of the champion and of the challenger."""
    losses = pd.DataFrame({"champion": scores.champion_losses, "challenger": scores.challenger_losses})
    groups = losses.groupby(np.asarray(scores.examples.cluster, dtype=object), sort=True)
    means, sizes = groups.mean(), groups.size()
    return [
        [str(name), int(sizes[name]), float(means["champion"][name]), float(means["challenger"][name])]
        for name in sizes.index
    ]
