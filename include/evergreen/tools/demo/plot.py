"""The plot of a model's life: realised loss by partition, with the champion's changes marked."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from evergreen.tools.demo.summary import Summary, Week


def plot_losses(summary: Summary, loss_name: str, path: Path) -> None:
    """Write the plot as PNG: the champion's loss, the never-retrained first model's, and each change of champion."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    weeks = [week for week in summary.weeks if week.loss is not None]
    figure, axes = plt.subplots(figsize=(10, 4.5), layout="constrained")
    keys = [week.key for week in weeks]
    axes.plot(keys, [w.first_model_loss for w in weeks], "--", color="#8a8a8a", label="first model, never retrained")
    axes.plot(keys, [w.loss for w in weeks], "-o", color="#1b7f3b", label="champion")
    for week in _changes(weeks):
        axes.axvline(week.key, color="#1b7f3b", alpha=0.35)
        axes.annotate(
            f"version {week.version}", (week.key, 1), xycoords=("data", "axes fraction"), xytext=(3, -12),
            textcoords="offset points", fontsize=8, color="#1b7f3b",
        )  # fmt: skip
    axes.set(ylabel=f"{loss_name} (lower is better)", title=f"{summary.model}: realised loss by partition")
    axes.tick_params(axis="x", rotation=60, labelsize=8)
    axes.grid(axis="y", alpha=0.25)
    axes.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _changes(weeks: list[Week]) -> list[Week]:
    """The first week of each champion but the first."""
    return [after for before, after in pairwise(weeks) if before.version != after.version]
