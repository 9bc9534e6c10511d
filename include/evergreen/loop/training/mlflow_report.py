"""What MLflow is told of a challenger: metrics, curves by step, and figures, all from rows it had not seen."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evergreen.loop.training import diagnostics, plots
from evergreen.loop.training.classes import numbered
from evergreen.loop.training.decide import chosen
from evergreen.loop.training.estimators.kinds import predict_with
from evergreen.loop.training.learn import Learned
from evergreen.loop.training.losses import TITLES, Floats, mean_loss
from evergreen.loop.training.outcomes import flat, outcomes

if TYPE_CHECKING:
    from evergreen.core.definition import ModelDefinition

IMPORTANCE_ROWS = 3000
IMPORTANCE_REPEATS = 2


@dataclass(frozen=True)
class Picture:
    """Numbers about the validation part.

    `metrics` are single figures; `curves` have one value a step, from step 0.
    """

    metrics: dict[str, float]
    curves: dict[str, list[float]]
    importances: dict[str, float]
    calibration: list[diagnostics.Bin] = field(default_factory=list)
    by_class: dict[str, list[diagnostics.Bin]] = field(default_factory=dict)
    """Calibration of each class against the rest, of a multiclass task"""
    confusion: NDArray[np.int64] | None = None
    """As `diagnostics.confusion`, of a multiclass task"""


def describe(definition: ModelDefinition, learned: Learned) -> Picture:
    """Numbers about how the challenger behaves on the window's newest partitions, when fitted on the older ones."""
    target, prediction = learned.validation_target, learned.validation_prediction
    figures = diagnostics.metrics(definition.task, target, prediction, learned.classes)
    found = {f"validation.{k}": v for k, v in figures.items()}
    if definition.training_loss == "poisson":
        found["validation.poisson"] = mean_loss("poisson", target, prediction)
    if (choice := chosen(definition, learned.rule, prediction, learned.classes)) is not None:
        came_to = outcomes(definition, learned.validation.target, choice)
        found |= {f"validation.{name}": value for name, value in flat(came_to).items()}
    curves = _tuning_curves(learned)
    bins: list[diagnostics.Bin] = []
    if definition.task == "binary":
        bins = diagnostics.calibration_curve(target, prediction)
        curves.update(diagnostics.discrimination(target, prediction))
        curves["calibration.predicted"] = [b.predicted for b in bins]
        curves["calibration.observed"] = [b.observed for b in bins]
    if learned.best.candidate == "boosted":
        curves["learning.validation_loss"] = learning_curve(definition, learned)
    importances = permutation_importances(definition, learned)
    found.update({f"importance.{name}": value for name, value in importances.items()})
    if definition.task != "multiclass":
        return Picture(found, curves, importances, bins)
    each = {
        name: diagnostics.calibration_curve(*diagnostics.against_rest(target, prediction, number))
        for number, name in enumerate(learned.classes)
    }
    return Picture(found, curves, importances, bins, each, diagnostics.confusion(target, prediction))


def _tuning_curves(learned: Learned) -> dict[str, list[float]]:
    curves: dict[str, list[float]] = {}
    for trial in learned.trials:
        curves.setdefault(f"tuning.{trial.candidate}.loss", []).append(trial.loss)
    return curves


def learning_curve(definition: ModelDefinition, learned: Learned) -> list[float]:
    """Loss on the validation part after each boosting round, on at most `IMPORTANCE_ROWS` of its rows."""
    part = learned.validation.sample(IMPORTANCE_ROWS, definition.training.seed)
    features, model = learned.validation_model.named_steps["features"], learned.validation_model.named_steps["model"]
    matrix = np.asarray(features.transform(part.features), dtype=np.float64)
    binary, target = definition.task == "binary", numbered(part.target, learned.classes)
    value = definition.task == "regression"
    stages: Any = model.staged_predict(matrix) if value else model.staged_predict_proba(matrix)
    predictions = (stage[:, 1] if binary else stage for stage in stages)
    return [mean_loss(definition.training_loss, target, np.asarray(p, dtype=np.float64)) for p in predictions]


def permutation_importances(definition: ModelDefinition, learned: Learned) -> dict[str, float]:
    """Rise of the mean loss when a feature is shuffled among rows (Breiman 2001), on rows the model had not seen."""
    part = learned.validation.sample(IMPORTANCE_ROWS, definition.training.seed)
    draw, target = np.random.default_rng(definition.training.seed), numbered(part.target, learned.classes)

    def loss(features: Any) -> float:
        predicted: Floats = predict_with(learned.validation_model, features, definition.task)
        return mean_loss(definition.training_loss, target, predicted)

    base, found = loss(part.features), {}
    for name in definition.features.columns:
        rises = []
        for _ in range(IMPORTANCE_REPEATS):
            shuffled = part.features.copy(deep=False)
            shuffled[name] = part.features[name].to_numpy()[draw.permutation(len(part))]
            rises.append(loss(shuffled) - base)
        found[name] = float(np.mean(rises))
    return found


def draw(definition: ModelDefinition, learned: Learned, picture: Picture, folder: Path) -> None:
    """Write the figures as PNG files into `folder`."""
    title, metrics = TITLES[definition.training_loss], picture.metrics
    plots.save(plots.tuning(learned.trials, title), folder / "tuning.png")
    plots.save(plots.importances(picture.importances, title), folder / "importances.png")
    if "learning.validation_loss" in picture.curves:
        curve = picture.curves["learning.validation_loss"]
        plots.save(plots.learning(curve, title), folder / "learning.png")
    if definition.task == "regression":
        figure = plots.residuals(learned.validation.target, learned.validation_prediction)
        plots.save(figure, folder / "residuals.png")
        return
    if definition.task == "multiclass":
        _draw_classes(learned, picture, folder)
        return
    plots.save(
        plots.calibration(picture.calibration, metrics["validation.calibration_error"]), folder / "calibration.png"
    )
    if "roc.true_positive_rate" in picture.curves:
        figure = plots.discrimination(
            picture.curves,
            metrics["validation.target_mean"],
            metrics["validation.roc_auc"],
            metrics["validation.average_precision"],
        )
        plots.save(figure, folder / "discrimination.png")


def _draw_classes(learned: Learned, picture: Picture, folder: Path) -> None:
    """The confusion matrix, as a figure and as JSON, and the calibration of each class."""
    table = picture.confusion
    if table is None:
        return
    plots.save(plots.confusion(table, learned.classes), folder / "confusion.png")
    plots.save(plots.classes_calibration(picture.by_class), folder / "calibration.png")
    said = {"classes": list(learned.classes), "rows_are": "true classes, then unseen ones", "counts": table.tolist()}
    (folder / "confusion.json").write_text(json.dumps(said, indent=1), encoding="utf-8")
