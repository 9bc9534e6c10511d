"""Columns that give the target away: alone, two together, in another unit, or as another model's prediction. Pure.

What is known only afterwards makes a model that is too good to be true. A file cannot say when a column was known, so
what is found here is asked and not decided. Strength is Spearman's rank correlation for numbers and the area under the
ROC curve (AUC) for 0/1; both come from ranks, so that any monotone change of unit is the same. For two columns the
squared multiple correlation of the target with every pair is taken from the matrix of correlations, on the values and
on their logarithms (products and ratios), and only the best pairs are ranked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evergreen.core.definition.model import ColumnType, Task
from evergreen.tools.scaffold.notes import Note

ALONE = 0.98
"""Rank correlation, or AUC, above which a column alone gives the target: an honest feature does not come so close"""
TOGETHER = 0.99
"""The same for two columns: there are many pairs, of which one is best by chance"""
_PREDICTED = 0.9
"""The same for a column that is called like a prediction"""
_CALLED = re.compile(r"(^|[^a-z])(y_?hat|pred|preds|predicted|prediction|proba|prob|forecast|fitted)([^a-z]|$)", re.I)
_ROWS, _PAIR_ROWS = 20_000, 3_000
_COLUMNS = 400
"""Numbers that are tried in pairs: 400 make 80,000"""
_BEST = 60
"""Pairs that are ranked, of those with the highest multiple correlation"""
_TOLD = 5
_FEWEST = 50
_BINS = 60
"""Of equal size, that a column of numbers is cut into to look up the class"""

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class _Column:
    name: str
    values: Numbers
    """NaN if it is missing"""
    strength: float


def leaks(
    target: str,
    task: Task,
    features: Mapping[str, ColumnType],
    frame: pd.DataFrame,
) -> list[Note]:
    """What `features` of `frame` say of the target that they should not know.

    At most `_ROWS` rows are looked at, evenly taken; a file of a million rows and one of a thousand columns take
    seconds.
    """
    known = frame[frame[target].notna()]
    known = known.iloc[:: max(1, len(known) // _ROWS)]
    if len(known) < _FEWEST:
        return []
    if task == "multiclass":
        return _of_classes(target, features, known)
    truth = known[target].to_numpy("float64")
    columns = [_column(name, kind, known[name], truth, task) for name, kind in features.items()]
    alone = [c for c in columns if c.strength > ALONE or (_CALLED.search(c.name) and c.strength > _PREDICTED)]
    notes = [_alone(c, target, truth, task) for c in sorted(alone, key=lambda c: -c.strength)]
    gone = [_by_absence(name, known[name], truth) for name in features] if task == "binary" else []
    notes += [_absent(name, target, found) for name, found in zip(features, gone, strict=False) if found > ALONE]
    told = {column.name for column in alone}
    rest = [c for c in columns if c.name not in told and features[c.name] in ("integer", "float", "boolean")]
    return notes + _pairs(rest, target, truth, task)


def _of_classes(target: str, features: Mapping[str, ColumnType], known: pd.DataFrame) -> list[Note]:
    """Columns that alone give the class: how often a row has the most frequent class of its value, or of its bin.

    Bins and classes are learned from every other row and looked up for the rest; 0 is what the most frequent class of
    all gives, 1 is no mistake.
    """
    truth = known[target].astype("object").astype(str).to_numpy()
    learnt = np.arange(len(truth)) % 2 == 0
    usual = float((truth[~learnt] == pd.Series(truth[learnt]).mode()[0]).mean())
    found = []
    for name, kind in features.items():
        values = known[name]
        if kind not in ("string", "boolean"):
            values = pd.qcut(values.astype("float64").rank(method="first"), _BINS, labels=False)
        texts = values.astype("object").where(values.notna(), "").astype(str).to_numpy()
        if len(set(texts)) > len(texts) / 5:
            continue  # nearly each value is another: nothing can be looked up
        best = pd.Series(truth[learnt]).groupby(texts[learnt]).agg(lambda own: own.mode().iloc[0])
        right = float((pd.Series(texts[~learnt]).map(best).to_numpy() == truth[~learnt]).mean())
        gained = (right - usual) / (1 - usual) if usual < 1 else 0.0
        if gained > ALONE or (_CALLED.search(name) and gained > _PREDICTED):
            found.append((gained, name, right))
    return [
        Note(
            "leak", f"{name} alone gives {target} in {right:.1%} of rows: known before? If not, --later {name}", (name,)
        )
        for _, name, right in sorted(found, reverse=True)
    ]


def _column(name: str, kind: ColumnType, values: pd.Series, truth: Numbers, task: Task) -> _Column:
    if kind == "string":
        numbers, told = _by_category(values, truth)
        return _Column(name, numbers, strength(numbers[told], truth[told], task))
    numbers = values.to_numpy("float64", na_value=np.nan)
    return _Column(name, numbers, strength(numbers, truth, task))


def _by_category(values: pd.Series, truth: Numbers) -> tuple[Numbers, NDArray[np.bool_]]:
    """The mean target of each value's rows, taken from every other row, and which rows it was not taken from."""
    texts = values.astype("object").where(values.notna(), "").astype(str).to_numpy()
    learnt = np.arange(len(truth)) % 2 == 0
    means = pd.Series(truth[learnt]).groupby(texts[learnt]).mean()
    return pd.Series(texts).map(means).to_numpy("float64"), ~learnt


def strength(numbers: Numbers, truth: Numbers, task: Task) -> float:
    """How well `numbers` rank as `truth` does, from 0.5 or 0 (not at all) to 1; NaN are left out.

    Spearman's correlation without its sign, or the AUC of the better direction (Hanley and McNeil, Radiology, 1982).
    """
    there = np.isfinite(numbers)
    if there.sum() < max(_FEWEST, 0.3 * len(numbers)):
        return 0.0
    values, wanted = numbers[there], truth[there]
    if (values == values[0]).all() or (wanted == wanted[0]).all():
        return 0.0
    ranks = pd.Series(values).rank().to_numpy()
    if task == "binary":
        positive = wanted > 0.5
        ones, zeros = int(positive.sum()), int((~positive).sum())
        if min(ones, zeros) < 5:
            return 0.0
        auc = (ranks[positive].sum() - ones * (ones + 1) / 2) / (ones * zeros)
        return float(max(auc, 1 - auc))
    found = np.corrcoef(ranks, pd.Series(wanted).rank().to_numpy())[0, 1]
    return float(abs(found)) if np.isfinite(found) else 0.0


def _alone(column: _Column, target: str, truth: Numbers, task: Task) -> Note:
    name, measure = column.name, "AUC" if task == "binary" else "rank correlation"
    how = f"alone gives {target} ({measure} {min(column.strength, 0.9999):.4g})"
    if _is_linear(column.values, truth) and task == "regression":
        how = f"alone gives {target}: it is the same in another unit"
    elif _CALLED.search(name):
        how = f"alone gives {target} ({measure} {min(column.strength, 0.9999):.3g}; named like a prediction)"
    return Note("leak", f"{name} {how}: known before? If not, --later {name}", (name,))


def _is_linear(values: Numbers, truth: Numbers) -> bool:
    there = np.isfinite(values)
    if there.sum() < _FEWEST or np.ptp(values[there]) == 0 or np.ptp(truth[there]) == 0:
        return False
    return bool(abs(np.corrcoef(values[there], truth[there])[0, 1]) > 1 - 1e-9)


def _by_absence(name: str, values: pd.Series, truth: Numbers) -> float:
    gone = values.isna().to_numpy()
    return strength(gone.astype("float64"), truth, "binary") if 5 <= gone.sum() <= len(gone) - 5 else 0.0


def _absent(name: str, target: str, found: float) -> Note:
    text = f"whether {name} is there alone gives {target} (AUC {min(found, 0.9999):.4g}): known before? If not, "
    return Note("leak", f"{text}--later {name}", (name,))


def _pairs(columns: Sequence[_Column], target: str, truth: Numbers, task: Task) -> list[Note]:
    """Notes on two columns whose sum, difference, ratio or product gives the target, the strongest first."""
    used = [c for c in columns if np.isfinite(c.values).mean() > 0.5 and np.nanstd(c.values) > 0]
    if len(used) > _COLUMNS:
        least = sorted((c.strength for c in used), reverse=True)[_COLUMNS]
        used = [c for c in used if c.strength > least]
    if len(used) < 2:
        return []
    step = max(1, len(truth) // _PAIR_ROWS)
    matrix, wanted = np.column_stack([c.values[::step] for c in used]), truth[::step]
    found = []
    for one, other in _likely(matrix, wanted):
        best = max(used[one].strength, used[other].strength)
        score, how = _combined(matrix[:, one], matrix[:, other], wanted, task, used[one].name, used[other].name)
        if score > TOGETHER and 1 - score < 0.5 * (1 - best):
            found.append((score, used[one].name, used[other].name, how))
    notes, said = [], set[str]()
    for _, one_name, other_name, how in sorted(found, key=lambda item: -item[0]):
        if said & {one_name, other_name}:
            continue  # a third column that is nearly one of the two says nothing new
        said |= {one_name, other_name}
        text = f"{how} gives {target}: are both known before? If not, --later {one_name} or --later {other_name}"
        notes.append(Note("leak", text, (one_name, other_name)))
    return notes[:_TOLD]


def _likely(matrix: Numbers, truth: Numbers) -> list[tuple[int, int]]:
    """The pairs with the highest multiple correlation, on values and, for what is above 0, on logarithms."""
    pairs = dict.fromkeys(_top(matrix, truth))
    positive = np.nanmin(matrix, axis=0) > 0
    if positive.sum() >= 2:
        logs = np.flatnonzero(positive)
        wanted = np.log(truth) if truth.min() > 0 else truth
        pairs |= dict.fromkeys((int(logs[a]), int(logs[b])) for a, b in _top(np.log(matrix[:, logs]), wanted))
    return list(pairs)


def _top(matrix: Numbers, truth: Numbers) -> list[tuple[int, int]]:
    filled = np.where(np.isfinite(matrix), matrix, np.nanmean(matrix, axis=0))
    spread = filled.std(axis=0)
    scaled = (filled - filled.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    wanted = (truth - truth.mean()) / (truth.std() or 1.0)
    between = scaled.T @ scaled / len(wanted)
    own = scaled.T @ wanted / len(wanted)
    one, other = np.triu_indices(len(own), 1)
    r1, r2, r12 = own[one], own[other], between[one, other]
    left = 1 - r12**2
    squared = np.where(left > 1e-9, (r1**2 + r2**2 - 2 * r1 * r2 * r12) / np.where(left > 1e-9, left, 1.0), 0.0)
    best = np.argsort(-squared, kind="stable")[:_BEST]
    return [(int(one[n]), int(other[n])) for n in best]


def _combined(one: Numbers, other: Numbers, truth: Numbers, task: Task, name: str, second: str) -> tuple[float, str]:
    """The strongest of sum, difference, ratios, product and weighted sum of two columns."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        made = {
            f"{name} + {second}": one + other,
            f"{name} - {second}": one - other,
            f"{name} * {second}": one * other,
            f"{name} / {second}": one / other,
            f"{second} / {name}": other / one,
        }
    weighted = _weighted(one, other, truth)
    if weighted is not None:
        made[f"a weighted sum of {name} and {second}"] = weighted
    scores = {how: strength(np.where(np.isfinite(v), v, np.nan), truth, task) for how, v in made.items()}
    best = max(scores, key=lambda how: scores[how])
    return scores[best], best


def _weighted(one: Numbers, other: Numbers, truth: Numbers) -> Numbers | None:
    there = np.isfinite(one) & np.isfinite(other)
    if there.sum() < _FEWEST:
        return None
    parts = np.column_stack([one, other, np.ones(len(one))])
    weights = np.linalg.lstsq(parts[there], truth[there], rcond=None)[0]
    return np.asarray(parts @ weights, dtype="float64")
