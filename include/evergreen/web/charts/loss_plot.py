"""Realised loss by partition, with its interval, what was estimated, who served, and what was promoted. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evergreen.core.ledger.views.lines import DeploymentLine, LossLine
from evergreen.core.names import PartitionKey
from evergreen.web.charts.scale import Scale, around, runs, spread_labels, ticks

WIDTH, HEIGHT = 1080, 300
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 34, 48
LABELS = 9
NORMAL_95 = 1.96


@dataclass(frozen=True)
class Point:
    """One partition's realised loss."""

    x: float
    y: float
    low: float
    high: float
    """Ends of the interval, as places"""
    above: bool
    """Whether even the interval's lower end is above what was estimated"""
    said: str


@dataclass(frozen=True)
class Reign:
    """A stretch of partitions that one version served."""

    x: float
    width: float
    version: int
    said: str


@dataclass(frozen=True)
class LossPlot:
    """Places of all that is drawn, in pixels of `WIDTH` by `HEIGHT`; (0, 0) is the upper left corner."""

    title: str
    words: str
    """The same for who does not see it"""
    points: tuple[Point, ...]
    realised: tuple[str, ...]
    """Lines: `points` of SVG polylines, one for each stretch without a gap"""
    estimated: tuple[str, ...]
    bands: tuple[str, ...]
    """Intervals, as polygons"""
    reigns: tuple[Reign, ...]
    quarantined: tuple[tuple[float, str], ...]
    base_rate: tuple[float, str] | None
    x_labels: tuple[tuple[float, str], ...]
    y_labels: tuple[tuple[float, str], ...]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


def loss_plot(
    keys: Sequence[PartitionKey],
    losses: Mapping[PartitionKey, LossLine],
    estimates: Mapping[str, float],
    deployments: Sequence[DeploymentLine],
    *,
    title: str,
    quarantined: Mapping[PartitionKey, str] | None = None,
    base_rate: float | None = None,
) -> LossPlot | None:
    """The plot over the partitions `keys`; None before the first loss is known.

    Args:
        keys: all partitions of the stretch that is shown, in order.
        losses: realised loss by key.
        estimates: loss that was estimated before the labels landed, by key.
        deployments: who served, in order.
        title: of the plot, with the loss's name.
        quarantined: key -> why, of partitions that are in quarantine.
        base_rate: loss of the base rate when the first champion was judged.
    """
    shown = {key: losses[key] for key in keys if key in losses}
    if not shown:
        return None
    xs, kept_out = _columns(len(keys)), quarantined or {}
    scale = _scale(shown, [estimates[key] for key in keys if key in estimates], base_rate)
    realised = [shown[key].loss if key in shown else None for key in keys]
    return LossPlot(
        title=title,
        words=_words(title, shown, estimates),
        points=tuple(_point(xs[n], shown[k], estimates.get(k), scale) for n, k in enumerate(keys) if k in shown),
        realised=_lines(realised, xs, scale),
        estimated=_lines([estimates.get(key) for key in keys], xs, scale),
        bands=tuple(_band(run, keys, shown, xs, scale) for run in runs(realised) if len(run) > 1),
        reigns=tuple(_reigns(keys, deployments, xs)),
        quarantined=tuple((xs[n], kept_out[key]) for n, key in enumerate(keys) if key in kept_out),
        base_rate=(scale.place(base_rate), f"base rate {base_rate:.4g}") if base_rate is not None else None,
        x_labels=tuple((xs[n], keys[n]) for n in spread_labels(len(keys), LABELS)),
        y_labels=tuple((scale.place(value), f"{value:.6g}") for value in ticks(scale.low, scale.high)),
    )  # fmt: skip


def _columns(count: int) -> list[float]:
    width = (WIDTH - LEFT - RIGHT) / max(count, 1)
    return [round(LEFT + (n + 0.5) * width, 1) for n in range(count)]


def _scale(shown: Mapping[PartitionKey, LossLine], estimates: Sequence[float], base_rate: float | None) -> Scale:
    ends = [end for line in shown.values() for end in interval(line)]
    values = [*ends, *estimates, *([base_rate] if base_rate is not None else [])]
    return around(values, start=HEIGHT - BOTTOM, end=TOP)


def interval(line: LossLine) -> tuple[float, float]:
    """About 95 % of the mean loss by the spread of its clusters' means (rows of a day fail together); normal."""
    room = NORMAL_95 * (line.error or 0.0)
    return line.loss - room, line.loss + room


def _point(x: float, line: LossLine, estimate: float | None, scale: Scale) -> Point:
    low, high = interval(line)
    said = f"{line.key}: {line.loss:.4g}"
    said += f" ({low:.4g} to {high:.4g})" if line.error else ""
    said += f"; estimated {estimate:.4g}" if estimate is not None else ""
    said += f"; version {line.version}, {line.rows:,} rows"
    above = estimate is not None and bool(line.error) and low > estimate
    return Point(x, scale.place(line.loss), scale.place(low), scale.place(high), above, said)


def _lines(values: Sequence[float | None], xs: Sequence[float], scale: Scale) -> tuple[str, ...]:
    return tuple(" ".join(f"{xs[n]},{scale.place(value)}" for n, value in run) for run in runs(values))


def _band(
    run: list[tuple[int, float]],
    keys: Sequence[PartitionKey],
    shown: Mapping[PartitionKey, LossLine],
    xs: Sequence[float],
    scale: Scale,
) -> str:
    ends = [(xs[n], *(scale.place(end) for end in interval(shown[keys[n]]))) for n, _ in run]
    up = [f"{x},{high}" for x, _, high in ends]
    return " ".join([*up, *(f"{x},{low}" for x, low, _ in reversed(ends))])


def _reigns(keys: Sequence[PartitionKey], deployments: Sequence[DeploymentLine], xs: Sequence[float]) -> list[Reign]:
    """Of versions that were replaced before their first partition, none is drawn."""
    half = (WIDTH - LEFT - RIGHT) / max(len(keys), 1) / 2
    begun = [line for line in deployments if line.from_key is not None and keys and line.from_key <= keys[-1]]
    found = []
    for place, line in enumerate(begun):
        after = begun[place + 1] if place + 1 < len(begun) else None
        end = str(after.from_key) if after else None
        mine = [n for n, key in enumerate(keys) if key >= str(line.from_key) and (end is None or key < end)]
        if mine:
            left, right = xs[mine[0]] - half, xs[mine[-1]] + half
            said = f"version {line.version} from {line.from_key}: {line.decision.reason}"
            found.append(Reign(round(left, 1), round(right - left, 1), line.version, said))
    return found


def _words(title: str, shown: Mapping[PartitionKey, LossLine], estimates: Mapping[str, float]) -> str:
    told = []
    for key, line in list(shown.items())[-12:]:
        beside = f" (estimated {estimates[key]:.4g})" if key in estimates else ""
        told.append(f"{key} {line.loss:.4g}{beside}")
    return f"{title}. The newest: {', '.join(told)}."
