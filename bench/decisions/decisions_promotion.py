"""D1 and D2: challengers that are no better, and challengers that are, before our gate and the usual ones.

python -m bench.decisions.decisions_promotion [PAIRS]    PAIRS equal pairs or some more (default 300), half an hour

Pairs are refits of one candidate on resampled rows, or resampled days, of one window; which of the two is the champion
is drawn. Those whose losses over the sixteen weeks that follow agree within 1 % are equal, and pairs are drawn until
there are enough of these; the others are given beside them, as one of the two really is better for a while. A better
challenger is a real model beside its own predictions made 5 % worse, or a real later model whose gain over all that
follows is 5 % or more.

A look is what the loop does with one challenger: the gate on two held-out weeks and, where that refuses it for want of
proof, the comparison in the shadow as the labels of the next two weeks land. Of eight looks each is a further
challenger of the same champion, with the alpha that is left for it; gains are those of a first challenger.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from bench.decisions.decisions_policy import MODEL, WAYS, Floats, Rng, flights, served, worsened
from bench.lib.report import number_asked, write
from evergreen.core.names import PartitionKey
from evergreen.loop.champion.evaluation import gate
from evergreen.loop.champion.evaluation.paired_test import compare
from evergreen.loop.monitoring.rivals import regret_test
from evergreen.loop.training.estimators.built_in import START
from evergreen.loop.training.examples import Examples, concatenate
from evergreen.loop.training.learn import fit_pipeline
from evergreen.loop.training.search import Trial
from evergreen.tools.backtest.challengers import Fits

SEED = 20130108
LOOKS, HELD_OUT, WITHIN = 8, MODEL.gate.holdout, 4
GAIN = 0.05
EQUAL = 0.01
"""Difference of the losses over all looks, relative to the champion's, up to which a pair is equal."""
ALPHAS, RIVAL_ALPHAS = (0.002, 0.005, 0.01, 0.02, 0.05), (0.02, 0.05, 0.1, 0.2)
Weeks = list[NDArray[np.intp]]


@dataclass(frozen=True)
class Pair:
    """Two models on the same rows, week by week; `day` numbers the days."""

    target: Floats
    champion: Floats
    challenger: Floats
    day: NDArray[np.intp]
    weeks: Weeks

    def rows(self, first: int, count: int) -> NDArray[np.intp]:
        """Positions of the rows of `count` weeks."""
        return np.concatenate(self.weeks[first : first + count])

    def losses(self, rows: NDArray[np.intp]) -> tuple[Floats, Floats]:
        """Brier losses of champion and challenger."""
        target = self.target[rows]
        return (self.champion[rows] - target) ** 2, (self.challenger[rows] - target) ** 2


# ---- our gate and the usual ones


@dataclass(frozen=True)
class Look:
    """What our loop sees of one challenger: the gate, then a look at each further week of labels."""

    gate: float
    """Two-sided p value; 1 if the challenger is no better"""
    shadow: tuple[float, ...]
    """The same after each further week; 1 if the gain is below `rival_margin` too"""
    worse: float
    """Two-sided p value at the gate of a challenger that loses more; 1 if it does not"""


def look_at(pair: Pair, first: int) -> Look:
    """What our loop sees of one challenger whose held-out weeks begin with `first`."""
    ours, theirs = pair.losses(rows := pair.rows(first, HELD_OUT))
    found = compare(ours, theirs, pair.day[rows], alpha=MODEL.gate.alpha)
    last = min(WITHIN, len(pair.weeks) - first)
    shadow = [_regret(pair, pair.rows(first, count)) for count in range(HELD_OUT + 1, last + 1)]
    return Look(
        found.p_value if found.delta > 0 else 1.0,
        tuple(r.p_value if r.relative >= MODEL.monitoring.rival_margin else 1.0 for r in shadow),
        found.p_value if found.delta < 0 else 1.0,
    )


def promoted(seen: Look, earlier: int, alpha: float, rival_alpha: float) -> bool:
    """Whether the gate or the shadow promotes the challenger of a champion that has met `earlier` others."""
    level, rival_level = gate.level(alpha, earlier), gate.level(rival_alpha, earlier)
    if seen.gate < level:
        return True
    shadowed = seen.worse >= level
    return shadowed and any(p < regret_test.level(rival_level, n) for n, p in enumerate(seen.shadow, 1))


def _regret(pair: Pair, rows: NDArray[np.intp]) -> regret_test.RegretResult:
    ours, theirs = pair.losses(rows)
    clusters = []
    for day in np.unique(pair.day[rows]):
        own = pair.day[rows] == day
        clusters.append(
            regret_test.PairedCluster(str(day), int(own.sum()), float(ours[own].mean()), float(theirs[own].mean()))
        )
    return regret_test.judge(clusters, alpha=MODEL.monitoring.rival_alpha, margin=0.0, look=1)


def lower(pair: Pair, rows: NDArray[np.intp]) -> bool:
    """The lower mean loss wins."""
    ours, theirs = pair.losses(rows)
    return bool(theirs.mean() < ours.mean())


def auc(pair: Pair, rows: NDArray[np.intp]) -> bool:
    """An AUC higher by 0.01."""
    from sklearn.metrics import roc_auc_score

    target = pair.target[rows]
    return bool(roc_auc_score(target, pair.challenger[rows]) > roc_auc_score(target, pair.champion[rows]) + 0.01)


def row_test(pair: Pair, rows: NDArray[np.intp]) -> bool:
    """A paired t test that takes rows for independent, 95 %, which is what a bootstrap of rows comes to."""
    ours, theirs = pair.losses(rows)
    return _t_test(ours - theirs)


def day_test(pair: Pair, rows: NDArray[np.intp]) -> bool:
    """A paired t test of days, 95 %."""
    ours, theirs = pair.losses(rows)
    sums, sizes = np.bincount(pair.day[rows], ours - theirs), np.bincount(pair.day[rows])
    return _t_test(sums[sizes > 0] / sizes[sizes > 0])


def _t_test(values: Floats) -> bool:
    if not values.any():
        return False
    found = stats.ttest_1samp(values, 0.0)
    return bool(found.statistic > 0 and found.pvalue < 0.05)


USUAL: dict[str, Callable[[Pair, NDArray[np.intp]], bool]] = {
    "lower loss": lower,
    "AUC + 0.01": auc,
    "t test of rows, 95 %": row_test,
    "t test of days, 95 %": day_test,
}


# ---- D1: equal models


def drawn_pairs(fits: Fits, wanted: int) -> list[Pair]:
    """Pairs of the windows that leave enough weeks to look at, round by round until `wanted` of them are equal.

    Each round draws as many of each window, candidate and way, so that none is preferred because its pairs agree.
    """
    keys, rng, pairs, equal = fits.history.keys, np.random.default_rng(SEED), list[Pair](), 0
    usable = [a for a in fits.by_as_of if len([k for k in keys if k > a]) >= LOOKS * HELD_OUT]
    while equal < wanted:
        if len(pairs) > 10 * wanted:
            raise RuntimeError(f"{equal} of {len(pairs)} pairs are equal: {wanted} cannot be had")
        found = [pair for as_of in usable for pair in _round(fits, as_of, rng)]
        pairs, equal = pairs + found, equal + sum(gap(pair) <= EQUAL for pair in found)
        print(f"equal pairs: {equal} of {wanted}, {len(pairs)} drawn", file=sys.stderr)
    return pairs


def _round(fits: Fits, as_of: PartitionKey, rng: Rng) -> list[Pair]:
    """A pair of each candidate and way of resampling, made from one window."""
    train = concatenate([fits.history[k].examples for k in fits.by_as_of[as_of].train_keys])
    after = [fits.history[k].examples for k in fits.history.keys if k > as_of][: LOOKS * HELD_OUT]
    ways = [(candidate, by_day) for candidate in ("linear", "boosted") for by_day in (False, True)]
    return [_equal(candidate, train, after, by_day, rng) for candidate, by_day in ways]


def _equal(candidate: Any, train: Examples, after: list[Examples], by_day: bool, rng: Rng) -> Pair:
    rows = concatenate(after)
    one, other = (_refit(candidate, train, by_day, rng).predict_proba(rows.features)[:, 1] for _ in range(2))
    return _pair(rows, one, other, [len(part) for part in after])


def _refit(candidate: Any, train: Examples, by_day: bool, rng: Rng) -> Any:
    if by_day:
        groups = [np.flatnonzero(train.cluster == day) for day in np.unique(train.cluster)]
        drawn = np.concatenate([groups[i] for i in rng.integers(0, len(groups), len(groups))])
    else:
        drawn = rng.integers(0, len(train), len(train))
    sample = train.take(np.sort(drawn))
    definition = MODEL.model_copy(
        update={"training": MODEL.training.model_copy(update={"seed": int(rng.integers(2**31))})}
    )
    return fit_pipeline(definition, Trial(candidate, 0, START[candidate], 0.0, []), sample)


def _pair(rows: Examples, champion: Floats, challenger: Floats, sizes: list[int]) -> Pair:
    day = np.unique(rows.cluster.astype(str), return_inverse=True)[1]
    ends = np.cumsum(sizes)
    weeks = [np.arange(end - size, end) for end, size in zip(ends, sizes, strict=True)]
    return Pair(rows.target, champion, challenger, day, weeks)


def gap(pair: Pair) -> float:
    """Relative difference of the two models' losses over all weeks, without sign."""
    ours, theirs = pair.losses(np.arange(len(pair.target)))
    return float(abs(theirs.mean() / ours.mean() - 1))


def measure_equal(pairs: list[Pair]) -> dict[str, Any]:
    """False promotions a look and within all looks: of all pairs, and of those that turn out equal."""
    found = {"equal": _measure([p for p in pairs if gap(p) <= EQUAL]), "all": _measure(pairs)}
    return {**found, "gap_quartiles": np.quantile([gap(p) for p in pairs], (0.25, 0.5, 0.75)).tolist()}


def _measure(pairs: list[Pair]) -> dict[str, Any]:
    seen = [[look_at(pair, HELD_OUT * n) for n in range(LOOKS)] for pair in pairs]
    ours = {
        f"{alpha} {rival}": _rates([[promoted(s, n, alpha, rival) for n, s in enumerate(looks)] for looks in seen])
        for alpha in ALPHAS
        for rival in RIVAL_ALPHAS
    }
    usual = {
        name: _rates([[test(p, p.rows(HELD_OUT * n, HELD_OUT)) for n in range(LOOKS)] for p in pairs])
        for name, test in USUAL.items()
    }
    return {"ours": ours, "usual": usual, "pairs": len(pairs)}


def _rates(promotions: list[list[bool]]) -> dict[str, float]:
    found = np.array(promotions)
    return {"first": float(found[:, 0].mean()), "look": float(found.mean()), "within": float(found.any(axis=1).mean())}


# ---- D2: better challengers


def planted(fits: Fits) -> dict[str, list[Pair]]:
    """By way: a model beside its own worse predictions, over four weeks from each start."""
    found: dict[str, list[Pair]] = {way: [] for way in WAYS}
    for as_of in list(fits.by_as_of)[4:20:4]:
        rows, keys = served(fits, as_of), [k for k in fits.history.keys if k > as_of]
        parts = [fits.history[k].examples for k in keys]
        for way in WAYS:
            worse = worsened(rows, way, 1 / (1 - GAIN))
            if worse is None:
                continue
            whole = _pair(concatenate(parts), worse, rows.prediction, [len(p) for p in parts])
            found[way] += [_cut(whole, first, WITHIN) for first in range(len(keys) - WITHIN + 1)]
    return {way: pairs for way, pairs in found.items() if pairs}


def real(fits: Fits) -> list[Pair]:
    """A champion and a later challenger that loses 5 % less over the eight weeks that follow its labels."""
    found, made = [], list(fits.by_as_of)
    for place, as_of in enumerate(made):
        for later in made[place + 4 :: 2]:
            holdout = fits.by_as_of[later].holdout_keys
            keys = [k for k in fits.history.keys if k >= holdout[0]][: 2 * WITHIN + HELD_OUT]
            if len(keys) < 2 * WITHIN:
                continue
            parts = [fits.history[k].examples for k in keys]
            ours, theirs = (np.concatenate([fits.labelled_predictions(a, k) for k in keys]) for a in (as_of, later))
            pair = _pair(concatenate(parts), ours, theirs, [len(p) for p in parts])
            champion, challenger = pair.losses(np.arange(len(ours)))
            if challenger.mean() <= (1 - GAIN) * champion.mean():
                found.append(_cut(pair, 0, WITHIN))
    return found


def _cut(pair: Pair, first: int, count: int) -> Pair:
    rows, sizes = pair.rows(first, count), [len(w) for w in pair.weeks[first : first + count]]
    ends = np.cumsum(sizes)
    weeks = [np.arange(end - size, end) for end, size in zip(ends, sizes, strict=True)]
    return Pair(pair.target[rows], pair.champion[rows], pair.challenger[rows], pair.day[rows], weeks)


def measure_better(fits: Fits) -> dict[str, Any]:
    """Promotions within `WITHIN` weeks of labels, by kind of gain."""
    kinds, found = {**planted(fits), "a real later model": real(fits)}, {}
    for kind, pairs in kinds.items():
        seen = [look_at(pair, 0) for pair in pairs]
        ours = {f"{a} {r}": float(np.mean([promoted(s, 0, a, r) for s in seen])) for a in ALPHAS for r in RIVAL_ALPHAS}
        usual = {
            name: float(np.mean([any(test(p, p.rows(0, n)) for n in range(HELD_OUT, WITHIN + 1)) for p in pairs]))
            for name, test in USUAL.items()
        }
        found[kind] = {"ours": ours, "usual": usual, "pairs": len(pairs)}
        print(f"better challengers: {kind}: {len(pairs)} pairs", file=sys.stderr)
    return found


def main() -> None:
    """Measure and write the result."""
    warnings.filterwarnings("ignore")
    wanted, started = int(number_asked("equal pairs", 300, __doc__)), time.monotonic()
    fits = flights()
    equal, better = measure_equal(drawn_pairs(fits, wanted)), measure_better(fits)
    default = f"{MODEL.gate.alpha} {MODEL.monitoring.rival_alpha}"
    bars: dict[str, Any] = {}
    for bar, part, limit in (("D1 a look", "look", 0.05), ("D1 within 8 looks", "within", 0.10)):
        value = equal["equal"]["ours"][default][part]
        usual = {name: rates[part] for name, rates in equal["equal"]["usual"].items()}
        bars[bar] = {"value": value, "bar": f"<= {limit}", "reached": value <= limit, "usual": usual}
    for kind, rates in better.items():
        value = rates["ours"][default]
        bars[f"D2 {kind}"] = {"value": value, "bar": ">= 0.8", "reached": value >= 0.8, "usual": rates["usual"]}
    measured = {
        "equal": equal, "better": better, "trade_off": "ours, by 'alpha rival_alpha'", "seed": SEED,
        "seconds": round(time.monotonic() - started),
    }  # fmt: skip
    write("decisions_promotion", bars=bars, measured=measured)


if __name__ == "__main__":
    main()
