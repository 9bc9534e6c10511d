"""What each drifted input does to the predictions and to the loss that is estimated from them.

The values of one column are exchanged with those of the reference, all else stays, and the champion predicts again. The
exchange moves as little as it can (the monotone rearrangement, which is the optimal transport of one dimension): the
row with the median of now gets the median of the reference; of a category that has become frequent, as many rows as are
too many get one that has become rare. A column that has not moved is left as it is, so that its effect is zero. What is
left is what the move of this column alone does.

By this, inputs are ranked: what has moved far and moves no prediction can wait.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from evergreen.core.definition import ModelDefinition
from evergreen.core.spelling import spelled
from evergreen.core.text import number, plain
from evergreen.loop.monitoring.drift.detect import numbers
from evergreen.loop.monitoring.loss.estimated import Learned
from evergreen.loop.training.classes import Names, as_columns, classes_in
from evergreen.loop.training.decide import Rule, chosen
from evergreen.loop.training.losses import Floats

MOST_ROWS = 4000
"""Of the partition, drawn with a fixed seed: a mean of as many is close enough to rank by"""
MOST_COLUMNS = 20
"""Drifted inputs that are weighed, the strongest first: each costs two predictions of `MOST_ROWS` rows"""
Predict = Callable[[pd.DataFrame], Floats]


@dataclass(frozen=True)
class Impact:
    """What one input's move does."""

    name: str
    change: float
    """Mean absolute change of a prediction, in its units; of several classes the probability that changes its class"""
    shift: float
    """Mean change of a prediction: above 0 if the move raises them; of several classes that of `most`"""
    loss: float | None
    """Change of the estimated mean loss; None if none can be estimated"""
    most: str = ""
    """Of several classes the one whose mean probability changes most"""

    @property
    def mean(self) -> str:
        """The mean change in words, with the class that it is of: '+0.2 in the mean of swap'."""
        return f"{self.shift:+.2g} in the mean" + (f" of {plain(self.most)}" if self.most else "")

    @property
    def sentence(self) -> str:
        """In words: 'moves a prediction by 0.021 on average (+0.018 in the mean)'."""
        said = f"moves a prediction by {number(self.change)} on average ({self.mean})"
        return said if self.loss is None else f"{said} and the estimated loss by {self.loss:+.2g}"


def weigh(
    definition: ModelDefinition,
    predict: Predict,
    names: Sequence[str],
    *,
    reference: pd.DataFrame,
    current: pd.DataFrame,
    holdout: pd.DataFrame,
    learned: Learned | None,
    rule: Rule | None = None,
) -> tuple[Impact, ...]:
    """The impact of each of `names`, the largest change of predictions first. Pure, if `predict` is.

    Args:
        definition: names the features, the task and the loss.
        predict: the champion: features of n rows to n predictions.
        names: drifted inputs, the strongest first; what is no feature column (the joint dependence) is left out.
        reference: what the partition was compared with.
        current: the partition: the features that the champion reads.
        holdout: the champion's: its columns name the classes.
        learned: what estimates losses, fitted to that holdout; None if it is too small.
        rule: how the champion chooses.
    """
    chosen = [n for n in names if n in definition.features.columns and n in reference and n in current][:MOST_COLUMNS]
    if not chosen:
        return ()
    classes = classes_in(holdout.columns) if definition.task == "multiclass" else ()
    rows = current.sample(min(len(current), MOST_ROWS), random_state=0)
    now = predict(rows)
    base = _estimated(learned, rows, now, classes, rule)
    found = []
    for name in chosen:
        exchanged = rows.assign(**{name: exchange(reference[name], rows[name], name in definition.features.numeric)})
        then = predict(exchanged)
        before = _estimated(learned, exchanged, then, classes, rule)
        loss = None if base is None or before is None else base - before
        found.append(_impact(name, now - then, loss, classes))
    return tuple(sorted(found, key=lambda one: -one.change))


def _impact(name: str, moved: Floats, loss: float | None, classes: Names) -> Impact:
    """`moved`: change of each prediction: rows, or rows x classes."""
    if not classes:
        return Impact(name, float(np.abs(moved).mean()), float(moved.mean()), loss)
    means = moved.mean(axis=0)
    most = int(np.abs(means).argmax())
    return Impact(name, float(np.abs(moved).sum(axis=1).mean() / 2), float(means[most]), loss, classes[most])


def _estimated(
    learned: Learned | None, rows: pd.DataFrame, predicted: Floats, classes: Names, rule: Rule | None
) -> float | None:
    if learned is None:
        return None
    choice = chosen(learned.definition, rule, predicted, classes)
    return learned.mean(rows.assign(**as_columns(predicted, classes, choice)))


def exchange(reference: pd.Series[Any], current: pd.Series[Any], numeric: bool) -> pd.Series[Any]:
    """`current` with the distribution of `reference`, nulls included, moved as little as that needs.

    Args:
        reference: values of the reference, of any length above 0.
        current: values of the rows; index and length are kept.
        numeric: whether they are numbers (float64 is given back); else categories (object, with None).
    """
    if numeric:
        return _exchange_numbers(numbers(reference), numbers(current))
    return _exchange_categories(spelled(reference), spelled(current))


def _exchange_numbers(reference: pd.Series[float], current: pd.Series[float]) -> pd.Series[float]:
    """By ranks. Rows that are null beyond the reference's share get its values; if it has more, some lose theirs.

    Ties are broken at random: a value that many rows share is moved in as many of them as it must be.
    """
    dice, known = np.random.default_rng(0), reference.dropna().to_numpy("float64")
    values = current.to_numpy("float64", copy=True)
    null = np.isnan(values)
    too_many = int(null.sum()) - round((1 - len(known) / len(reference)) * len(values))
    kept = np.flatnonzero(~null)
    if len(known) and len(kept):
        order = np.lexsort((dice.random(len(kept)), values[kept]))
        ranks = (np.arange(len(kept)) + 0.5) / len(kept)
        values[kept[order]] = np.quantile(known, ranks, method="inverted_cdf")
    if too_many > 0 and len(known):
        values[dice.permutation(np.flatnonzero(null))[:too_many]] = dice.choice(known, too_many)
    if too_many < 0:
        values[dice.permutation(kept)[:-too_many]] = np.nan
    return pd.Series(values, index=current.index)


def _exchange_categories(reference: pd.Series[Any], current: pd.Series[Any]) -> pd.Series[Any]:
    """Rows of categories that are too frequent, at random, get those that are too rare; null is a category."""
    dice = np.random.default_rng(0)
    codes, names = pd.factorize(pd.concat([reference, current], ignore_index=True), use_na_sentinel=False)
    before, now = codes[: len(reference)], codes[len(reference) :].copy()
    shares = np.bincount(before, minlength=len(names)) / len(before)
    goals = np.floor(shares * len(now)).astype(int)
    short = np.argsort(goals - shares * len(now), kind="stable")[: len(now) - goals.sum()]
    goals[short] += 1  # the largest remainders, so that the goals add up to all rows
    counts = np.bincount(now, minlength=len(names))
    free = [dice.permutation(np.flatnonzero(now == n))[: max(0, counts[n] - goals[n])] for n in range(len(names))]
    wanted = np.repeat(np.arange(len(names)), np.maximum(0, goals - counts))
    now[np.concatenate(free)] = dice.permutation(wanted)
    texts = np.array([None if pd.isna(name) else name for name in names], dtype=object)
    return pd.Series(texts[now], index=current.index, dtype=object)
