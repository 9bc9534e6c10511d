"""No group of rows, such as people of one sex, may fare much worse than another under the challenger. Pure.

**What differs** is a rate of each group: of rows predicted true (demographic parity), of those among the rows that are
true (equal opportunity), of both those and the ones among the rows that are not (equalized odds; Hardt, Price and
Srebro 2016), or the mean absolute error. Fairlearn's MetricFrame takes the rates and their largest difference. Of
several classes each is taken against the rest, and a row is predicted to be of its most probable class.

**Chance**: fairlearn's bootstrap draws rows, but rows of one day fail together. The difference between two groups is
therefore written as a mean over rows (the linear terms of a difference of two means) and gets the gate's own interval,
clustered by day. All pairs of groups, rates and columns share one level (Bonferroni).

**Allowed** is `max_difference`. If the champion differs as much between two groups, this is no reason to refuse either:
the champion would still serve.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evergreen.core.definition.model import Disparity, FairnessSection
from evergreen.core.text import fixed_percent, plain
from evergreen.loop.champion.evaluation.guards import NEAR, Guard, State, groups
from evergreen.loop.champion.evaluation.paired_test import Estimate, estimate
from evergreen.loop.training.losses import Floats

ALPHA = 0.1
"""Two-sided, over all pairs together: a challenger that differs by what is allowed fails in at most half of this."""
FEWEST_DAYS = 5
"""Clusters that a group must have rows in to be judged"""
TOLD, KEPT = 3, 20
"""Pairs of groups in the guard's sentence, and in its detail."""


PairState = Literal["within", "no_worse", "within_chance", "close", "failed"]
"""Allowed; at most the champion's; perhaps chance; hardly chance; certainly too much."""


class _Rate(NamedTuple):
    """What is taken of each group: the mean of `values` over its rows."""

    name: str
    rows: NDArray[np.intp]
    """Positions of the rows that count"""
    champion: Floats
    challenger: Floats


@dataclass(frozen=True)
class _Pair:
    """Two groups of one column, the one with the higher rate first."""

    column: str
    rate: str
    groups: tuple[str, str]
    rates: tuple[float, float]
    """The challenger's"""
    rows: tuple[int, int]
    difference: float
    at_least: float | None
    """Lower end of its interval"""
    champion: float
    """The champion's difference between them, without sign"""
    state: PairState


def fairness(
    section: FairnessSection | None,
    metric: Disparity,
    columns: Mapping[str, pd.Series],
    target: Floats,
    champion: Floats,
    challenger: Floats,
    clusters: NDArray[Any],
    classes: Sequence[str] = (),
) -> Guard:
    """Between no two groups with enough rows may a rate differ by more than is allowed, beyond chance.

    Args:
        section: the definition's `gate.fairness`; None if it names no groups.
        metric: what must not differ.
        columns: the columns named by `section.by`, each as long as the target.
        target: true values; 0 or 1 for a binary task, the number of the class for several.
        champion: its predictions, float64, of the same rows.
        challenger: its predictions of the same rows.
        clusters: what each row fails together with.
        classes: names of a multiclass task's classes; predictions are then rows x classes.
    """
    if section is None:
        return Guard("fairness", "not_applicable", "the definition names no groups", [])
    if classes:
        rates = _rates_of_classes(metric, target, champion, challenger, classes)
    else:
        rates = _rates(metric, section.threshold, target, champion, challenger)
    found = list(_judge(section, columns, rates, clusters))
    if not found:
        named = " or ".join(section.by)
        few = f"no two groups of {named} have {section.min_rows} rows or more, on {FEWEST_DAYS} days or more"
        return Guard("fairness", "not_applicable", few, [])
    found.sort(key=lambda pair: (pair.state != "failed", -pair.difference))
    state, sentence = _sentence(found, section, metric)
    detail = [{**pair.__dict__, "groups": list(pair.groups)} for pair in found[:KEPT]]
    return Guard("fairness", state, sentence, detail, close=any(pair.state == "close" for pair in found))


def _rates(metric: Disparity, threshold: float, target: Floats, champion: Floats, challenger: Floats) -> list[_Rate]:
    everyone = np.arange(len(target))
    if metric == "mean_absolute_error_difference":
        ours, theirs = np.abs(target - champion), np.abs(target - challenger)
        scale = float(ours.mean()) if len(ours) else 0.0
        return [_Rate("mean absolute error", everyone, ours / (scale or 1.0), theirs / (scale or 1.0))]
    ours, theirs = (np.asarray(p >= threshold, dtype=np.float64) for p in (champion, challenger))
    return _rates_of(metric, target == 1, ours, theirs)


def _rates_of_classes(
    metric: Disparity, target: Floats, champion: Floats, challenger: Floats, classes: Sequence[str]
) -> list[_Rate]:
    """The rates of each class against the rest, with its name."""
    ours, theirs = champion.argmax(axis=1), challenger.argmax(axis=1)
    found = []
    for number, name in enumerate(classes):
        taken = ((model == number).astype(np.float64) for model in (ours, theirs))
        rates = _rates_of(metric, target == number, *taken)
        found += [rate._replace(name=f"{rate.name} of {plain(name)}") for rate in rates]
    return found


def _rates_of(metric: Disparity, is_true: NDArray[np.bool_], ours: Floats, theirs: Floats) -> list[_Rate]:
    everyone, true, false = np.arange(len(is_true)), np.flatnonzero(is_true), np.flatnonzero(~is_true)
    wanted = {
        "demographic_parity_difference": [("rate of rows predicted true", everyone)],
        "equal_opportunity_difference": [("true positive rate", true)],
        "equalized_odds_difference": [("true positive rate", true), ("false positive rate", false)],
    }
    return [_Rate(name, rows, ours[rows], theirs[rows]) for name, rows in wanted[metric]]


def _judge(
    section: FairnessSection, columns: Mapping[str, pd.Series], rates: list[_Rate], clusters: NDArray[Any]
) -> Iterator[_Pair]:
    parts = [
        (name, rate, values, _large(values, clusters[rate.rows], section.min_rows))
        for name, column in columns.items()
        for rate in rates
        for values in [_labels(column)[rate.rows]]
    ]
    pairs = sum(len(large) * (len(large) - 1) // 2 for *_, large in parts)
    for name, rate, values, large in parts:
        if len(large) < 2:
            continue
        ours, theirs = (_by_group(taken, values, large) for taken in (rate.champion, rate.challenger))
        for pair in combinations(large, 2):
            high, low = sorted(pair, key=lambda group: -theirs["rate"][group])
            rows = np.flatnonzero((values == high) | (values == low))
            codes, _ = pd.factorize(clusters[rate.rows][rows], sort=True)
            first = values[rows] == high
            own, other = (_terms(taken[rows], first, codes) for taken in (rate.challenger, rate.champion))
            turned = other if other.mean() >= 0 else -other  # how far the champion's are apart, whichever is higher
            seen = estimate(own, codes, alpha=ALPHA / pairs)
            more = estimate(own - turned, codes, alpha=ALPHA / pairs)
            near = [estimate(v, codes, alpha=min(0.5, NEAR * ALPHA / pairs)) for v in (own, own - turned)]
            yield _Pair(
                column=name,
                rate=rate.name,
                groups=(high, low),
                rates=(float(theirs["rate"][high]), float(theirs["rate"][low])),
                rows=(int(theirs["rows"][high]), int(theirs["rows"][low])),
                difference=seen.mean,
                at_least=seen.low,
                champion=abs(float(ours["rate"][high] - ours["rate"][low])),
                state=_state(section.max_difference, seen, more, near),
            )


def _labels(column: pd.Series) -> NDArray[np.object_]:
    """The name of each row's group; nulls are a group too."""
    named = np.empty(len(column), dtype=object)
    for value, rows in groups(column):
        named[rows] = value
    return named


def _large(values: NDArray[np.object_], clusters: NDArray[Any], min_rows: int) -> list[str]:
    """Groups with enough rows, on enough days: a group of two days differs by those two days."""
    found = pd.DataFrame({"group": values, "day": clusters}).groupby("group")["day"].agg(["size", "nunique"])
    return [str(name) for name, (rows, days) in zip(found.index, found.to_numpy(), strict=True)
            if rows >= min_rows and days >= FEWEST_DAYS]  # fmt: skip


def _by_group(taken: Floats, values: NDArray[np.object_], large: list[str]) -> pd.DataFrame:
    """Columns `rate` and `rows`, one row a group."""
    from fairlearn.metrics import MetricFrame, count, mean_prediction

    rows = np.flatnonzero(np.isin(values, large))
    frame = MetricFrame(
        metrics={"rate": mean_prediction, "rows": count},
        y_true=taken[rows],
        y_pred=taken[rows],
        sensitive_features=pd.Series(values[rows], name="group"),
    )
    return pd.DataFrame(frame.by_group)


def _terms(values: Floats, first: NDArray[np.bool_], codes: NDArray[np.intp]) -> Floats:
    """One value a row, whose mean is the difference of the two groups' means.

    What leaving out a day would change is scaled to the day's share of its group, so that `estimate`, which knows its
    share of all rows, comes to the jackknife error of the difference: a day that is most of a group tells little.
    """
    shares = np.bincount(codes) / len(values)
    terms = np.empty_like(values)
    for chosen, sign in ((first, 1.0), (~first, -1.0)):
        own, days = values[chosen], codes[chosen]
        held = np.bincount(days, minlength=len(shares)) / len(own)
        weight = (1 - shares[days]) / (1 - held[days])
        terms[chosen] = sign * (own - own.mean()) * len(values) / len(own) * weight
    difference = values[first].mean() - values[~first].mean()
    return np.asarray(difference + terms - terms.mean(), dtype=np.float64)


def _state(allowed: float, seen: Estimate, more: Estimate, near: list[Estimate]) -> PairState:
    if seen.mean <= allowed:
        return "within"
    if more.mean <= 0:
        return "no_worse"
    if seen.low is not None and seen.low > allowed and more.low is not None and more.low > 0:
        return "failed"
    least, worse = (found.low for found in near)
    return "close" if least is not None and worse is not None and least > allowed and worse > 0 else "within_chance"


def _sentence(found: list[_Pair], section: FairnessSection, metric: Disparity) -> tuple[State, str]:
    allowed = f"{fixed_percent(section.max_difference)} allowed"
    broken = [pair for pair in found if pair.state == "failed"]
    if broken:
        more = f" and {len(broken) - TOLD} more pairs of groups" if len(broken) > TOLD else ""
        return "failed", f"{'; '.join(_tell(pair, metric) for pair in broken[:TOLD])}{more}; {allowed}"
    told = f"of {len(found)} pairs of groups the farthest apart: {_tell(found[0], metric)}"
    return "passed", f"{told}; {allowed}{_why(found[0])}"


def _why(worst: _Pair) -> str:
    return {
        "within": "",
        "no_worse": ", and the champion's are no closer",
        "close": ", and chance can hardly be excluded",
        "within_chance": ", but that can be chance, or no more than the champion's",
    }[worst.state]


def _tell(pair: _Pair, metric: Disparity) -> str:
    """Who differs from whom, and by how much, in words."""
    high, low = (f"{pair.column} = {group}" for group in pair.groups)
    if metric == "mean_absolute_error_difference":
        shown, unit = [f"{rate:.2f}" for rate in pair.rates], " in parts of the champion's"
    else:
        shown, unit = [fixed_percent(rate) for rate in pair.rates], ""
    return (
        f"the {pair.rate}{unit} is {shown[0]} for {high} ({pair.rows[0]:,} rows) and {shown[1]} for {low} "
        f"({pair.rows[1]:,} rows), {fixed_percent(pair.difference)} apart (champion: {fixed_percent(pair.champion)})"
    )
