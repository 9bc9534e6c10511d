"""What choices came to, once the truth is known: counts, precision, recall, F1 and money. Pure.

A rate that divides by nothing is None: of a part without a positive there is no recall.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evergreen.loop.training import classes as naming
from evergreen.loop.training.decide import Choice, avoidable_costs, money
from evergreen.loop.training.losses import Floats, Targets

if TYPE_CHECKING:
    from evergreen.core.definition import ModelDefinition


def outcomes(
    definition: ModelDefinition, target: Targets, choice: Choice, prediction: Floats | None = None
) -> dict[str, Any]:
    """Figures of one part of the data, as JSON.

    Binary: `rows`, `positives`, `chosen` (as true), the counts of the four outcomes, `precision`, `recall`, `f1` and,
    with `prediction` (probabilities), `average_precision`. Several classes: `rows`, `accuracy`, `confusion` (counts by
    truth and choice; the last row is of other truths) and `by_class`. With costs also `money` (what all choices cost; a
    benefit is below 0), `avoidable` (what the right ones would have saved) and `unit`.

    Args:
        definition: the model; it has a `decision`.
        target: true values: float64, or names of classes.
        choice: for each row.
        prediction: scores of a binary task.
    """
    several = definition.task == "multiclass"
    found = _of_classes(definition, target, choice) if several else _of_two(target, choice, prediction)
    costs = definition.costs
    if costs is None:
        return found
    return found | {
        "money": float(money(costs, target, choice).sum()),
        "avoidable": float(avoidable_costs(costs, target, choice).sum()),
        "unit": costs.unit,
    }


def flat(found: dict[str, Any]) -> dict[str, float]:
    """The defined figures as metrics: `decision.precision`, of several classes `decision.class.<name>.precision`."""
    named = {f"decision.{name}": value for name, value in found.items() if isinstance(value, int | float)}
    metric_names = _metric_names(found)
    for name, rates in found.get("by_class", {}).items():
        named.update({f"decision.class.{metric_names[name]}.{rate}": value for rate, value in rates.items()})
    return {name: float(value) for name, value in named.items() if value is not None}


def _metric_names(found: dict[str, Any]) -> dict[str, str]:
    from evergreen.loop.training.diagnostics import metric_names

    names = list(found.get("by_class", {}))
    return dict(zip(names, metric_names(names), strict=True))


def sentence(found: dict[str, Any]) -> str:
    """The figures in words, without a capital and a full stop."""
    if "positives" in found:
        said = (
            f"of {found['positives']:,} positives among {found['rows']:,} rows {found['true_positive']:,} were chosen, "
            f"and {found['false_positive']:,} others: precision {percent(found['precision'])}, recall "
            f"{percent(found['recall'])}, F1 {percent(found['f1'])}"
        )
    else:
        said = f"{percent(found['accuracy'])} of {found['rows']:,} rows were chosen right"
    return f"{said}; {in_money(found)}" if "money" in found else said


def in_money(found: dict[str, Any]) -> str:
    """What the choices cost, or brought in."""
    unit, sum_ = found["unit"], found["money"]
    said = f"they cost {sum_:,.2f} {unit}" if sum_ >= 0 else f"they brought in {-sum_:,.2f} {unit}"
    return f"{said}; the right choices would have saved {found['avoidable']:,.2f} {unit}"


def percent(rate: float | None) -> str:
    """A rate in words; `undefined` if it divides by nothing."""
    return "undefined" if rate is None else f"{100 * rate:.1f} %"


def _of_two(target: Targets, choice: Choice, prediction: Floats | None) -> dict[str, Any]:
    true, said = np.asarray(target, dtype=np.float64) > 0.5, np.asarray(choice, dtype=bool)
    hit, positives, flagged = int((true & said).sum()), int(true.sum()), int(said.sum())
    found: dict[str, Any] = {
        "rows": len(true),
        "positives": positives,
        "chosen": flagged,
        "true_positive": hit,
        "false_positive": flagged - hit,
        "true_negative": len(true) - positives - flagged + hit,
        "false_negative": positives - hit,
        **_rates(hit, flagged, positives),
    }
    if prediction is not None:
        found["average_precision"] = average_precision(np.asarray(true, dtype=np.float64), prediction)
    return found


def _rates(hit: int, chosen: int, true: int) -> dict[str, float | None]:
    return {
        "precision": hit / chosen if chosen else None,
        "recall": hit / true if true else None,
        "f1": 2 * hit / (chosen + true) if true else None,
    }


def average_precision(target: Floats, prediction: Floats) -> float | None:
    """Area below the precision-recall curve, as steps; None without a positive."""
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(target, prediction)) if target.any() else None


def _of_classes(definition: ModelDefinition, target: Targets, choice: Choice) -> dict[str, Any]:
    names = definition.classes
    table = _confusion(naming.codes(target, names), naming.codes(choice, names), len(names))
    right, rows = np.diag(table[: len(names)]), int(table.sum())
    by_class = {
        name: _rates(int(right[n]), int(table[:, n].sum()), int(table[n].sum())) for n, name in enumerate(names)
    }
    return {
        "rows": rows,
        "accuracy": float(right.sum() / rows) if rows else None,
        "classes": list(names),
        "confusion": table.tolist(),
        "by_class": by_class,
    }


def _confusion(truth: Floats, choice: Floats, known: int) -> NDArray[np.int64]:
    """(K + 1) x (K + 1): the last row and column are of classes that the definition does not name."""
    places = np.where(truth < 0, known, truth) * (known + 1) + np.where(choice < 0, known, choice)
    counts = np.bincount(places.astype(np.intp), minlength=(known + 1) ** 2)
    return counts.reshape(known + 1, known + 1).astype(np.int64)
