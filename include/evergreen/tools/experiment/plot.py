"""The picture of an experiment: what the variant saves in each round, and over all of them."""

from __future__ import annotations

from pathlib import Path

from evergreen.tools.experiment.result import Result, sentence

BETTER, WORSE, INK, FAINT = "#0072b2", "#d55e00", "#1f2933", "#d5dbe1"
"""Of Okabe and Ito's palette: told apart by readers who do not see red and green as different"""


def draw(result: Result, path: Path) -> None:
    """Write the picture to `path`; its suffix (.png, .svg, .pdf) says in which format."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.2), layout="constrained", facecolor="white")
    axes = figure.subplots()
    saved = [100 * part.relative for part in result.rounds]
    axes.bar(range(len(saved)), saved, color=[BETTER if value > 0 else WORSE for value in saved], width=0.6)
    axes.axhline(0, color=INK, linewidth=0.8)
    found = result.comparison
    if found.relative_low is not None and found.relative_high is not None:
        low, high = 100 * found.relative_low, 100 * found.relative_high
        label = f"all rounds, {100 * (1 - found.alpha):.4g} % interval"
        axes.axhspan(low, high, color=FAINT, zorder=0, label=label)
        axes.axhline(100 * found.relative, color=INK, linewidth=1, linestyle="--", label="all rounds")
        axes.legend(frameon=False, fontsize=8)
    axes.set_xticks(range(len(saved)), [part.as_of for part in result.rounds], rotation=30, ha="right", fontsize=8)
    axes.set_xlabel("labels through", color=INK)
    axes.set_ylabel(f"{result.title} saved, %", color=INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.set_title(_wrapped(sentence(result)), loc="left", fontsize=9, color=INK)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=140)


def _wrapped(text: str) -> str:
    from textwrap import fill

    return fill(text, 110)
