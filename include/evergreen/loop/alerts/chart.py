"""Charts of mails and pages. Drawn on a light card, so that they read the same in dark mode."""

from __future__ import annotations

import io
import textwrap
import threading
import warnings
from typing import TYPE_CHECKING, Literal

from evergreen.core.ledger.outbox import Chart

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_BARS = 20
MAIL_WIDTH = 4.4
"""Inches: narrow, so that the words stay readable when a phone scales the picture down."""
MAX_TICKS = 8
INK, FAINT, CARD = "#1f2933", "#d5dbe1", "#ffffff"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
"""Okabe and Ito's palette: told apart by readers who do not see red and green as different."""
_STYLE = {"text.parse_math": False, "svg.hashsalt": "evergreen", "svg.fonttype": "none", "font.family": "DejaVu Sans"}
"""No formulas: a hostile name may hold dollar signs."""
_DRAWING = threading.Lock()
"""matplotlib's settings belong to the process, and pages are drawn in threads."""


def draw(chart: Chart, form: Literal["png", "svg"] = "png", *, width: float = MAIL_WIDTH) -> bytes:
    """The chart as an image, `width` inches wide (PNG: 200 pixels an inch); the same chart gives the same bytes."""
    from matplotlib import rc_context

    with _DRAWING, rc_context(_STYLE):
        return _saved(_figure(chart, width), form)


def _figure(chart: Chart, width: float) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    height = _bars_height(chart) if chart.kind == "bars" else 0.55 * width if width <= MAIL_WIDTH else 0.36 * width
    figure = Figure(figsize=(width, height), facecolor=CARD, layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.06))
    axes = figure.add_subplot()
    (_bars if chart.kind == "bars" else _lines)(axes, chart)
    title = textwrap.fill(_short(chart.title, 96), int(11 * width))
    figure.suptitle(title, x=0.08 / width, ha="left", fontsize=10, color=INK, fontweight="bold")
    _quiet(axes, grid="x" if chart.kind == "bars" else "y")
    if len(chart.series) > 1:
        axes.legend(frameon=False, fontsize=8, labelcolor=INK)
    return figure


def describe(chart: Chart) -> str:
    """The chart in words, for readers and mail programs that show no images."""
    said = []
    for series in chart.series:
        pairs = [f"{x} {value:.4g}" for x, value in zip(chart.x, series.values, strict=False) if value is not None]
        said.append(f"{series.name}: {', '.join(pairs[:MAX_BARS])}{', ...' if len(pairs) > MAX_BARS else ''}")
    return f"{chart.title}. {'; '.join(said)}."


def _bars(axes: Axes, chart: Chart) -> None:
    """Horizontal bars, the first on top: column names are long and phones are narrow."""
    labels = chart.x[:MAX_BARS]
    thick = 0.8 / max(len(chart.series), 1)
    for n, series in enumerate(chart.series):
        places = [row + (n - (len(chart.series) - 1) / 2) * thick for row in range(len(labels))]
        values = [value if value is not None else 0.0 for value in series.values[:MAX_BARS]]
        values += [0.0] * (len(labels) - len(values))
        axes.barh(places, values, height=thick, color=COLOURS[n % len(COLOURS)], label=_short(series.name))
    axes.set_yticks(range(len(labels)), [_short(label) for label in labels])
    axes.invert_yaxis()
    axes.set_xlabel(_short(chart.y_label), fontsize=9, color=INK)


def _lines(axes: Axes, chart: Chart) -> None:
    for n, series in enumerate(chart.series):
        values = [float("nan") if value is None else value for value in series.values]
        places = range(min(len(values), len(chart.x)))
        colour = COLOURS[n % len(COLOURS)]
        axes.plot(places, values[: len(places)], marker="o", markersize=3, color=colour, label=_short(series.name))
    step = max(1, -(-len(chart.x) // MAX_TICKS))
    shown = range(0, len(chart.x), step)
    axes.set_xticks(shown, [_short(chart.x[place]) for place in shown], rotation=30, ha="right")
    axes.set_ylabel(_short(chart.y_label), fontsize=9, color=INK)
    axes.margins(y=0.15)
    if all(value >= 0 for series in chart.series for value in series.values if value is not None):
        axes.set_ylim(bottom=max(0.0, axes.get_ylim()[0]))  # there is nothing below zero to leave room for
    if chart.marks:
        low, high = axes.get_ylim()
        axes.set_ylim(low, high + 0.3 * (high - low))
    for mark in chart.marks:
        if mark.x in chart.x:
            _mark(axes, chart.x.index(mark.x), mark.label)


def _mark(axes: Axes, place: int, label: str) -> None:
    axes.axvline(place, color=INK, linewidth=1, linestyle=(0, (4, 3)))
    axes.annotate(
        _short(label), (place, 1), xycoords=("data", "axes fraction"), xytext=(3, -3), textcoords="offset points",
        rotation=90, ha="left", va="top", fontsize=7, color=INK,
    )  # fmt: skip


def _bars_height(chart: Chart) -> float:
    rows = min(len(chart.x), MAX_BARS) * (1 + 0.35 * (len(chart.series) - 1))
    return 0.9 + 0.26 * max(rows, 2)


def _quiet(axes: Axes, *, grid: Literal["x", "y"]) -> None:
    axes.set_facecolor(CARD)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(colors=INK, labelsize=8, length=0)
    axes.grid(axis=grid, color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)


def _saved(figure: Figure, form: Literal["png", "svg"]) -> bytes:
    out = io.BytesIO()
    dated = {"Software": None} if form == "png" else {"Date": None, "Creator": None}
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message="Glyph .* missing from font"
        )  # shown as a box; no news for a task's log
        figure.savefig(out, format=form, dpi=200, metadata=dated)
    return out.getvalue()


def _short(label: str, length: int = 32) -> str:
    line = " ".join(label.split())
    return line if len(line) <= length else line[: length - 1] + "\N{HORIZONTAL ELLIPSIS}"
