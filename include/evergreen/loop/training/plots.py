"""Pictures of a training run, drawn without pyplot: no global state, no window."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from evergreen.loop.training.diagnostics import Bin
from evergreen.loop.training.losses import Floats
from evergreen.loop.training.search import Trial

_DPI = 90
_LONGEST, _NUMBERED, _DRAWN = 20, 200, 10
"""Characters of a class's name, cells with a number in them, classes of which a curve is drawn."""


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG."""
    figure.savefig(path, dpi=_DPI)


def discrimination(curves: dict[str, list[float]], base_rate: float, area: float, precision: float) -> Figure:
    """ROC and precision-recall curves side by side."""
    figure, (left, right) = _axes(2)
    grid = np.linspace(0.0, 1.0, len(curves["roc.true_positive_rate"]))
    left.plot([0, 1], [0, 1], ":", color="grey")
    left.plot(grid, curves["roc.true_positive_rate"])
    left.set(title=f"ROC, area {area:.3f}", xlabel="false positive rate", ylabel="true positive rate")
    right.axhline(base_rate, linestyle=":", color="grey")
    right.plot(grid, curves["pr.precision"])
    right.set(title=f"Precision-recall, average {precision:.3f}", xlabel="recall", ylabel="precision", ylim=(0, 1.02))
    return figure


def calibration(bins: list[Bin], error: float) -> Figure:
    """Observed rate against predicted probability."""
    figure, (axis,) = _axes(1)
    predicted, observed = [b.predicted for b in bins], [b.observed for b in bins]
    top = max(*predicted, *observed) * 1.05 or 1.0
    axis.plot([0, top], [0, top], ":", color="grey")
    axis.plot(predicted, observed, "o-")
    axis.set(title=f"Calibration, expected error {error:.3f}", xlabel="predicted", ylabel="observed")
    return figure


def confusion(table: NDArray[np.int64], classes: Sequence[str]) -> Figure:
    """Rows by true and by most probable class, as shares of each true class; rows of unseen classes if there are."""
    shown = table if table[-1].any() else table[:-1]
    names = [name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…" for name in classes]
    true = [*names, "(unseen)"][: len(shown)]
    side = max(4.0, 0.45 * len(shown) + 2)
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axis = figure.subplots()
    shares = shown / np.maximum(shown.sum(axis=1, keepdims=True), 1)
    image = axis.imshow(shares, vmin=0, vmax=1, cmap="Blues")
    figure.colorbar(image, ax=axis, label="share of the true class")
    axis.set_xticks(range(len(names)), names, rotation=90, parse_math=False)
    axis.set_yticks(range(len(true)), true, parse_math=False)
    if shown.size <= _NUMBERED:
        for (row, column), count in np.ndenumerate(shown):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axis.text(column, row, f"{count:,}", ha="center", va="center", color=colour, fontsize=8)
    axis.set(title="Confusion matrix", xlabel="most probable", ylabel="true")
    return figure


def classes_calibration(curves: dict[str, list[Bin]]) -> Figure:
    """Observed rate against predicted probability of each class against the rest; the first ten are drawn."""
    figure, (axis,) = _axes(1)
    axis.plot([0, 1], [0, 1], ":", color="grey")
    for name, bins in list(curves.items())[:_DRAWN]:
        axis.plot([b.predicted for b in bins], [b.observed for b in bins], "o-", markersize=3, label=name[:_LONGEST])
    axis.set(title="Calibration of each class against the rest", xlabel="predicted", ylabel="observed")
    for text in axis.legend(fontsize=7).get_texts():
        text.set_parse_math(False)
    return figure


def residuals(target: Floats, prediction: Floats) -> Figure:
    """Predicted against true values, at most 2,000 evenly taken rows."""
    rows = np.unique(np.linspace(0, len(target) - 1, 2000).astype(int))
    figure, (axis,) = _axes(1)
    span = [float(target.min()), float(target.max())]
    axis.plot(span, span, ":", color="grey")
    axis.plot(target[rows], prediction[rows], ".", alpha=0.3)
    axis.set(title="Predicted against true", xlabel="true", ylabel="predicted")
    return figure


def tuning(trials: list[Trial], loss_title: str) -> Figure:
    """Loss of each trial by candidate, and the best so far."""
    figure, (axis,) = _axes(1)
    for candidate in dict.fromkeys(t.candidate for t in trials):
        own = [t for t in trials if t.candidate == candidate]
        numbers, losses = [t.number for t in own], [t.loss for t in own]
        (line,) = axis.plot(numbers, losses, "o", label=candidate)
        axis.step(numbers, np.minimum.accumulate(losses), where="post", color=line.get_color(), alpha=0.5)
    axis.set(title="Tuning", xlabel="trial", ylabel=f"{loss_title} on newer partitions")
    axis.legend()
    return figure


def learning(curve: list[float], loss_title: str) -> Figure:
    """Loss on the newest partitions by boosting round."""
    figure, (axis,) = _axes(1)
    axis.plot(range(1, len(curve) + 1), curve)
    axis.set(title="Learning curve", xlabel="boosting round", ylabel=f"{loss_title} on newer partitions")
    return figure


def importances(values: dict[str, float], loss_title: str) -> Figure:
    """What shuffling each feature costs."""
    names = sorted(values, key=values.__getitem__)
    figure = Figure(figsize=(7, 1.2 + 0.25 * len(names)), layout="constrained")
    axis = figure.subplots()
    axis.barh(names, [values[name] for name in names])
    axis.set(title="Permutation importance", xlabel=f"rise of the {loss_title} when the feature is shuffled")
    return figure


def _axes(count: int) -> tuple[Figure, tuple[Any, ...]]:
    figure = Figure(figsize=(5.5 * count, 4), layout="constrained")
    return figure, tuple(np.atleast_1d(figure.subplots(1, count)))
