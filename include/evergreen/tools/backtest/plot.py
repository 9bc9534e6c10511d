"""The picture of a replay: what each policy lost, what it saved, and when it trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evergreen.tools.backtest.result import Outcome
from evergreen.tools.backtest.simulate import Replay

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#7a8691", "#e69f00", "#cc79a7", "#009e73", "#1f2933", "#0072b2", "#d55e00", "#56b4e9")
"""Okabe and Ito's palette, with greys: told apart by readers who do not see red and green as different."""
OURS = "evergreen"
INK, FAINT = "#1f2933", "#d5dbe1"
SMOOTH = 4


def draw(outcome: Outcome, path: Path) -> None:
    """Write the picture to `path`; its suffix (.png, .svg, .pdf) says in which format."""
    from matplotlib.figure import Figure

    count = len(outcome.replays)
    figure = Figure(figsize=(11, 6.4 + 0.26 * count), layout="constrained", facecolor="white")
    top, middle, strip = figure.subplots(3, 1, sharex=True, height_ratios=(3, 2.2, 0.34 * count))
    title = outcome.title
    keys = outcome.losses.keys
    figure.suptitle(
        f"{outcome.model}: replay of {len(keys)} partitions, {keys[0]} to {keys[-1]}", x=0.01, ha="left", fontsize=13,
        fontweight="bold", color=INK,
    )  # fmt: skip
    _losses(top, outcome, title)
    _saved(middle, outcome, title)
    _trainings(strip, outcome)
    for axes in (top, middle, strip):
        _quiet(axes)
    places = np.unique(np.linspace(0, len(keys) - 1, 14).astype(int))
    strip.set_xticks(places, [keys[p] for p in places], rotation=30, ha="right", fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=140)


def _line(place: int, replay: Replay) -> dict[str, Any]:
    """Our own line is wide and lies below the others: one that runs along it can still be seen."""
    ours = replay.policy == OURS
    return {"color": COLOURS[place % len(COLOURS)], "linewidth": 3.2 if ours else 1.3, "zorder": 2 if ours else 3}


def _losses(axes: Axes, outcome: Outcome, title: str) -> None:
    """Running means, drawn over the partitions' own losses: weeks differ far more than policies do."""
    for place, replay in enumerate(outcome.replays):
        values = np.array([step.loss for step in replay.steps])
        axes.plot(values, color=COLOURS[place % len(COLOURS)], alpha=0.25, linewidth=0.8)
        smooth = np.array([values[max(0, n - SMOOTH + 1) : n + 1].mean() for n in range(len(values))])
        axes.plot(smooth, label=f"{replay.policy} ({values.mean():.4f})", **_line(place, replay))
    words = f"{title}, mean of the last {SMOOTH} partitions; pale: of each (lower is better)"
    axes.set_title(words, loc="left", fontsize=10, color=INK)
    axes.legend(frameon=False, fontsize=9, ncols=min(5, len(outcome.replays)), labelcolor=INK, loc="upper left")


def _saved(axes: Axes, outcome: Outcome, title: str) -> None:
    base = np.array([outcome.losses.table[outcome.losses.first, key] for key in outcome.losses.keys])
    for place, replay in enumerate(outcome.replays):
        saved = np.cumsum(base - np.array([step.loss for step in replay.steps]))
        axes.plot(saved, **_line(place, replay))
    axes.axhline(0, color=FAINT, linewidth=1)
    axes.set_title(f"{title} saved over the first model so far (higher is better)", loc="left", fontsize=10, color=INK)


def _trainings(axes: Axes, outcome: Outcome) -> None:
    """One row a policy: a full dot for a promotion, a ring for a refusal, a cross for a rollback."""
    names = []
    for place, replay in enumerate(outcome.replays):
        colour, row = COLOURS[place % len(COLOURS)], -place
        names.append(f"{replay.policy} ({replay.trainings})")
        full = [n for n, s in enumerate(replay.steps) if s.ending == "promoted" or s.wish.kind == "promote"]
        rings = [n for n, s in enumerate(replay.steps) if s.ending == "refused"]
        crosses = [n for n, s in enumerate(replay.steps) if s.wish.kind == "rollback"]
        axes.scatter(full, [row] * len(full), color=colour, s=26)
        axes.scatter(rings, [row] * len(rings), facecolors="none", edgecolors=colour, s=26)
        axes.scatter(crosses, [row] * len(crosses), color=colour, marker="x", s=36)
    axes.set_yticks([-n for n in range(len(names))], names, fontsize=9)
    axes.set_ylim(-len(names) + 0.4, 0.6)
    axes.set_title(
        "Trainings: promoted (full), refused (ring); taken back (cross)", loc="left", fontsize=10, color=INK
    )  # fmt: skip


def _quiet(axes: Axes) -> None:
    axes.grid(axis="x", color=FAINT, linewidth=0.5)
    axes.tick_params(colors=INK, length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
