"""Has the way the columns depend on each other changed, whatever became of each by itself?

Every column is turned into scores within its own sample (`scores`), so that a shift of one column moves nothing here
and only the dependence, the copula, is left to compare. Each pair of scores of two columns has a correlation in each
sample; of two ranks it is Spearman's. Two tests are made of their differences:

- *pairs*: the largest change of a correlation among all pairs (Bonferroni), which names who changed;
- *pattern*: whether the dependences of the reference hold as a whole, each weighted by its size. The weights come from
  one half of the reference and are tested on the other and on the current rows, and the other way round. It finds many
  weak dependences that come or go together.

Standard errors are those of a correlation by its influence function (Devlin, Gnanadesikan and Kettenring 1975) with the
factor for ranks of Bonett and Wright (2000); rows of one day count as many as they are worth (`two_sample`). Tails are
Student's: few days, or few rows that carry a correlation (kurtosis), leave few degrees of freedom. A dependence of
three columns that no two of them show is not seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from evergreen.loop.monitoring.drift import two_sample
from evergreen.loop.monitoring.drift.rank_scores import Column, Floats, Part, Scores, scores
from evergreen.loop.monitoring.drift.two_sample import Clusters

FEWEST_ROWS = 50
"""Rows of a sample below which dependence is not judged."""
SMALLEST_VARIANCE = 0.02
"""Least variance of a pair's influence: columns that nearly repeat each other are not found by their rounding alone."""
MOST_ROWS = 10_000
"""Rows of each sample that are looked at, which bounds the time: a change of correlation of 0.1 needs far fewer."""
LOOKED_AT = 40
"""Pairs whose tails are worked out; p-values of the others, which stand out less, are not needed."""
MOST_CLUSTERS = 400
"""Clusters of a sample from which the resemblance of their rows is estimated."""

FEWEST_BLOCKS = 3
"""Runs as long as the current rows that the reference must have, for the differences between them to be known."""


@dataclass(frozen=True)
class PairChange:
    """How the dependence of two columns changed."""

    parts: tuple[Part, Part]
    before: float
    """Correlation in the reference; of two ranks Spearman's"""
    now: float
    p_value: float
    """Adjusted for all pairs (Bonferroni)"""
    design_effect: float

    @property
    def effect(self) -> float:
        """Twice the change: Cohen (1988) calls a difference of correlations (q) of 0.1 small, and a shift of 0.2 sd."""
        return 2 * abs(self.now - self.before)


@dataclass(frozen=True)
class Pattern:
    """Whether the dependences of the reference hold as a whole."""

    ratio: float
    """How strong they are now, as a multiple of what they were: 1 is no change, 0 is gone"""
    change: float
    """Mean change of correlation, towards stronger, each pair weighted by its correlation in the reference"""
    p_value: float
    design_effect: float

    @property
    def effect(self) -> float:
        """Twice the mean change, on the scale of `PairChange.effect`."""
        return 2 * abs(self.change)


@dataclass(frozen=True)
class Dependence:
    """Both tests; their p-values are not yet adjusted for each other or for the other tests of the check."""

    pairs: tuple[PairChange, ...]
    """Of each pair of columns the most certain change, the most certain first"""
    pattern: Pattern
    compared: int
    """Pairs of scores"""


@dataclass(frozen=True)
class _Moments:
    """Sums over rows where both scores are known, k x k (u the row's, v the column's); of disjoint rows they add up."""

    rows: Floats
    uv: Floats
    u2: Floats
    u2v2: Floats
    u3v: Floats
    u4: Floats

    def __add__(self, other: _Moments) -> _Moments:
        return _Moments(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))

    @property
    def scale(self) -> Floats:
        """Root of the product of both mean squares."""
        return np.asarray(np.maximum(np.sqrt(self.u2 * self.u2.T) / np.maximum(self.rows, 1), 1e-12), np.float64)

    @property
    def correlation(self) -> Floats:
        return np.asarray(self.uv / np.maximum(self.rows, 1) / self.scale, np.float64)

    @property
    def per_square(self) -> Floats:
        """1 / mean square of u where v is known."""
        return np.asarray(self.rows / np.maximum(self.u2, 1e-12), np.float64)

    @property
    def influence(self) -> Floats:
        """Sum of the influence squared: of uv/scale - r (u^2/its mean + v^2/its mean) / 2."""
        g, r, s = 1 / self.scale, self.correlation, self.per_square
        crossed = r * g * (s * self.u3v + s.T * self.u3v.T)
        return np.asarray(
            g**2 * self.u2v2 - crossed + r**2 / 4 * (s**2 * self.u4 + s.T**2 * self.u4.T + 2 * s * s.T * self.u2v2),
            np.float64,
        )


def compare(columns: Sequence[Column], clusters: Clusters | None) -> Dependence | None:
    """Test whether the columns depend on each other as they did; None if no pair can be compared.

    Args:
        columns: all of the same rows: n of the reference, m current.
        clusters: of the rows, or None if each stands for itself.
    """
    if not columns or min(len(columns[0].reference), len(columns[0].current)) < FEWEST_ROWS:
        return None
    columns, clusters = _bounded(columns, clusters)
    parts, before, now = scores(columns)
    owner = np.array([part.column for part in parts], dtype=object)
    foreign = owner[:, None] != owner[None, :]
    if not len(parts) or not foreign.any():
        return None
    half = _half(len(before.values), clusters)
    halves, current = (_moments(before, half), _moments(before, ~half)), _moments(now)
    reference = halves[0] + halves[1]
    pairs = _pairs(parts, (before, now), (reference, current), np.argwhere(np.tril(foreign)), clusters)
    pattern = _pattern((before, now), half, halves, current, foreign, clusters)
    return Dependence(pairs, pattern, int(np.tril(foreign).sum()))


def _bounded(columns: Sequence[Column], clusters: Clusters | None) -> tuple[Sequence[Column], Clusters | None]:
    """At most `MOST_ROWS` rows of each sample, the same ones each time."""
    sizes = (len(columns[0].reference), len(columns[0].current))
    if max(sizes) <= MOST_ROWS:
        return columns, clusters
    rng = np.random.default_rng(0)
    one, two = (np.sort(rng.choice(n, min(n, MOST_ROWS), replace=False)) for n in sizes)
    kept = [Column(c.name, c.categorical, c.reference.iloc[one], c.current.iloc[two]) for c in columns]
    return kept, clusters and (clusters[0][one], clusters[1][two])


def _half(rows: int, clusters: Clusters | None) -> NDArray[np.bool_]:
    """Half of the reference: every other cluster, or rows at random if most current rows' clusters are in it too.

    Halves by cluster would then be nearer to the current rows than to each other; by row, they would be nearer to each
    other than to current rows of other days.
    """
    if clusters is not None and np.isin(clusters[1], clusters[0]).mean() < 0.5:
        odd = np.unique(clusters[0], return_inverse=True)[1] % 2 == 1
        if 0.25 <= odd.mean() <= 0.75:
            return np.asarray(odd, np.bool_)
    return np.asarray(np.random.default_rng(0).permutation(rows) % 2 == 1, np.bool_)


def _moments(sample: Scores, rows: NDArray[np.bool_] | None = None) -> _Moments:
    u, known = (sample.values, sample.known) if rows is None else (sample.values[rows], sample.known[rows])
    u2 = u * u
    return _Moments(known.T @ known, u.T @ u, u2.T @ known, u2.T @ u2, (u2 * u).T @ u, (u2 * u2).T @ known)


def _pairs(
    parts: Sequence[Part],
    samples: tuple[Scores, Scores],
    moments: tuple[_Moments, _Moments],
    pairs: NDArray[np.intp],
    clusters: Clusters | None,
) -> tuple[PairChange, ...]:
    """The changes of correlation that stand out, one for each pair of columns."""
    at = (pairs[:, 0], pairs[:, 1])
    one, two = moments
    n, m = np.maximum(one.rows[at], 1), np.maximum(two.rows[at], 1)
    before, now = one.correlation[at], two.correlation[at]
    mean = (before * n + now * m) / (n + m)
    variance = (one.influence[at] + two.influence[at]) / (n + m) * (1 + mean**2 / 2)
    design, known = (matrix[at] for matrix in _design(samples, moments, clusters))
    # a pair that is seldom known together has too few rows to be judged
    z = np.abs(now - before) / np.sqrt(np.maximum(variance, SMALLEST_VARIANCE) * design * (1 / n + 1 / m))
    z = np.where(np.minimum(n, m) < FEWEST_ROWS, 0.0, z)
    worth = np.minimum(n, m) / design
    first = np.argsort(student.sf(z, np.maximum(np.minimum(worth - 1, known), 1)), kind="stable")[:LOOKED_AT]
    found: dict[frozenset[str], PairChange] = {}
    changes = []
    for k in first:
        i, j = pairs[k]
        freedom = max(min(worth[k] - 1, known[k], 2 * worth[k] / _excess(samples, moments, i, j)), 1.0)
        p = min(1.0, len(pairs) * 2 * float(student.sf(z[k], freedom)))
        changes.append(PairChange((parts[i], parts[j]), float(before[k]), float(now[k]), p, float(design[k])))
    for change in sorted(changes, key=lambda c: c.p_value):
        found.setdefault(frozenset(part.column for part in change.parts), change)
    return tuple(found.values())


def _excess(samples: tuple[Scores, Scores], moments: tuple[_Moments, _Moments], i: int, j: int) -> float:
    """Kurtosis of a pair's influence less 1, at least the normal's 2, with which rows are degrees of freedom."""
    squares = []
    for sample, moment in zip(samples, moments, strict=True):
        u, v, r = sample.values[:, i], sample.values[:, j], moment.correlation[i, j]
        own = r / 2 * (moment.per_square[i, j] * u * u + moment.per_square[j, i] * v * v)
        both = sample.known[:, i] * sample.known[:, j] > 0
        squares.append((u * v / moment.scale[i, j] - own)[both] ** 2)
    square = np.concatenate(squares)
    return max(float((square**2).mean() / max(square.mean() ** 2, 1e-12)) - 1, 2.0)


def _design(
    samples: tuple[Scores, Scores], moments: tuple[_Moments, _Moments], clusters: Clusters | None
) -> tuple[Floats, Floats]:
    """Design effect of each pair, and the degrees of freedom that it is known with, both k x k.

    The larger one of single clusters and of blocks of them: dependences change from week to week more than from day to
    day, and if the current rows are one week, it is weighed against how much the reference's own weeks differ. Few
    blocks tell little about one pair, so none is taken to be steadier than the median pair. Freedom is Satterthwaite's
    (1946), of a variance of which the part between clusters is known with their number less one for each sample.
    """
    k = samples[0].values.shape[1]
    design, freedom = np.ones((k, k)), np.full((k, k), np.inf)
    for level in (clusters, clusters and _blocks(clusters)):
        if level is None or two_sample.spread(level) <= 1:
            continue
        own = _design_of(samples, moments, level)
        own = np.maximum(own, np.median(own[np.tril_indices(k, -1)]))
        groups = sum(len(np.unique(code)) for code in level)
        known = max(groups - 2, 1) * (own / np.maximum(own - 1, 1e-9)) ** 2
        freedom = np.where(own >= design, known, freedom)
        design = np.maximum(design, own)
    return design, freedom


def _blocks(clusters: Clusters) -> Clusters | None:
    """The reference in runs of as many clusters as the current rows have; None if there are not enough of them."""
    before, now = np.unique(clusters[0], return_inverse=True), np.unique(clusters[1])
    if len(now) < 2 or np.isin(now, before[0]).any() or len(before[0]) < FEWEST_BLOCKS * len(now):
        return None
    blocks = len(before[0]) // len(now)
    code = np.minimum(before[1] // len(now), blocks - 1)
    return code, np.full(len(clusters[1]), blocks)


def _design_of(samples: tuple[Scores, Scores], moments: tuple[_Moments, _Moments], clusters: Clusters) -> Floats:
    """Design effect of each pair, k x k: how much of its influence is common to the rows of a cluster."""
    k = samples[0].values.shape[1]
    spread = two_sample.spread(clusters)
    between, total, size = np.zeros((k, k)), np.zeros((k, k)), 0.0
    free_between = free_within = 0
    for sample, moment, code in zip(samples, moments, clusters, strict=True):
        groups = _groups(code)
        for rows in groups:
            part = _influence_sums(sample, moment, rows)
            between, total = between + part[0] ** 2 / len(rows), total + part[1]
        counts = np.array([len(rows) for rows in groups], dtype=np.float64)
        size += counts.sum() - float((counts**2).sum()) / counts.sum()
        free_between, free_within = free_between + len(groups) - 1, free_within + int(counts.sum()) - len(groups)
    if free_between == 0 or free_within == 0:
        return np.full((k, k), spread)
    typical = size / free_between
    mean_between, mean_within = between / free_between, np.maximum(total - between, 0) / free_within
    icc = (mean_between - mean_within) / np.maximum(mean_between + (typical - 1) * mean_within, 1e-12)
    return np.asarray(1 + np.clip(icc, 0, 1) * (spread - 1), np.float64)


def _groups(code: NDArray[np.int64]) -> list[NDArray[np.intp]]:
    """Rows of each cluster; of `MOST_CLUSTERS` of them, evenly picked, if there are more."""
    order = np.argsort(code, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(code[order])) + 1)
    return groups[:: -(-len(groups) // MOST_CLUSTERS)]


def _influence_sums(sample: Scores, moment: _Moments, rows: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Sum of the influence over `rows`, and of its square, k x k."""
    here = _moments(Scores(sample.values[rows], sample.known[rows]))
    g, r, s = 1 / moment.scale, moment.correlation, moment.per_square
    own = r / 2 * (s * here.u2 + s.T * here.u2.T)
    crossed = r * g * (s * here.u3v + s.T * here.u3v.T)
    fourth = s**2 * here.u4 + s.T**2 * here.u4.T + 2 * s * s.T * here.u2v2
    return g * here.uv - own, g**2 * here.u2v2 - crossed + r**2 / 4 * fourth


def _pattern(
    samples: tuple[Scores, Scores],
    half: NDArray[np.bool_],
    halves: tuple[_Moments, _Moments],
    current: _Moments,
    foreign: NDArray[np.bool_],
    clusters: Clusters | None,
) -> Pattern:
    """Test the sum over pairs of (correlation in one half of the reference) x (change from the other half to now)."""
    n, m = len(samples[0].values), len(samples[1].values)
    influence, change, size, total = np.zeros(n + m), 0.0, 0.0, 0.0
    for rows, tested, weights in ((half, halves[0], halves[1]), (~half, halves[1], halves[0])):
        w = weights.correlation * foreign / 2
        change += float((w * (current.correlation - tested.correlation)).sum()) / 2
        size += float((w * tested.correlation).sum()) / 2
        total += float(np.abs(w).sum()) / 2
        share = n / max(2 * int(rows.sum()), 1)
        influence[np.flatnonzero(rows)] = share * _influence(samples[0], tested, w, rows)
        influence[n:] += _influence(samples[1], current, w) / 2
    grouped = [c for c in (clusters, clusters and _blocks(clusters)) if c is not None]
    design = max([two_sample.design_effect_of(influence[:, None], c) for c in grouped], default=1.0)
    variance = float(influence[:n].var() / n + influence[n:].var() / m) * design
    z = abs(change) / np.sqrt(max(variance, 1e-300))
    free = [len(np.unique(c[0])) - 1 for c in grouped if two_sample.spread(c) > 1]
    p = float(2 * student.sf(z, max(min([n / 2 / design - 1, m / design - 1, *free]), 1.0)))
    # if the halves disagree there is no pattern that could hold
    return (
        Pattern(1 + change / size, change / total, min(p, 1.0), design) if size > 0 else Pattern(1.0, 0.0, 1.0, design)
    )


def _influence(sample: Scores, moment: _Moments, weights: Floats, rows: NDArray[np.bool_] | None = None) -> Floats:
    """Influence of each row on the sum of `weights` times correlations."""
    u, known = (sample.values, sample.known) if rows is None else (sample.values[rows], sample.known[rows])
    mixed = (u * (u @ (weights / moment.scale))).sum(axis=1)
    own = (u * u * (known @ (weights * moment.correlation * moment.per_square).T)).sum(axis=1)
    return np.asarray(mixed - own, np.float64)
