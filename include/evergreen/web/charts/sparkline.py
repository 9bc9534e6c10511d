"""A loss's last months in the width of a word. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evergreen.core.ledger.views.standings import Lost
from evergreen.web.charts.scale import around, runs

WIDTH, HEIGHT, EDGE = 160, 36, 3


@dataclass(frozen=True)
class Sparkline:
    """Polylines in `WIDTH` by `HEIGHT` pixels."""

    realised: tuple[str, ...]
    estimated: tuple[str, ...]
    last: tuple[float, float]
    """Place of the newest loss"""
    words: str
    width: int = WIDTH
    height: int = HEIGHT


def sparkline(losses: Sequence[Lost]) -> Sparkline | None:
    """The losses, oldest first, with what was estimated; None if there are fewer than two."""
    if len(losses) < 2:
        return None
    realised = [one.loss for one in losses]
    estimated = [one.estimated for one in losses]
    scale = around([*realised, *(e for e in estimated if e is not None)], start=HEIGHT - EDGE, end=EDGE)
    step = (WIDTH - 2 * EDGE) / (len(losses) - 1)
    xs = [round(EDGE + n * step, 1) for n in range(len(losses))]

    def lines(values: Sequence[float | None]) -> tuple[str, ...]:
        return tuple(" ".join(f"{xs[n]},{scale.place(value)}" for n, value in run) for run in runs(values))

    words = f"Loss of {len(losses)} partitions, {losses[0].key} to {losses[-1].key}: "
    words += f"{realised[0]:.4g} at first, {min(realised):.4g} to {max(realised):.4g}, {realised[-1]:.4g} now"
    return Sparkline(lines(realised), lines(estimated), (xs[-1], scale.place(realised[-1])), words)
