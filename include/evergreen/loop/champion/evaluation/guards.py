"""What a challenger must not break, however good its loss. Pure; every guard says what it saw, also if it passes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evergreen.core.definition.model import GateSection, Task
from evergreen.core.text import fixed_percent, plain
from evergreen.loop.champion.evaluation.paired_test import FEWEST_CLUSTERS, compare
from evergreen.loop.training.classes import SUM_TOLERANCE
from evergreen.loop.training.diagnostics import calibration_error, chance_calibration_error
from evergreen.loop.training.losses import Floats

State = Literal["passed", "failed", "not_applicable"]
Name = Literal["slices", "calibration", "fairness", "latency", "size", "signature"]
REQUIRED: tuple[Name, ...] = ("slices", "calibration", "fairness", "latency", "size", "signature")
"""The gate promotes nothing unless each of these has answered."""

SLICE_ALPHA = 0.1
"""Two-sided, over all slices together: one that is no worse fails the guard in at most half of this."""
SLICE_BINS = 4
MANY_VALUES = 20
"""A numeric column with more distinct values is sliced at its quartiles."""
MISSING = "(missing)"
NEAR = 3
"""A guard that would fail at this many times its level has passed closely."""
NEARLY = 0.9
"""So has one that uses up this part of what is allowed, if chance has no part in it."""
LARGEST = 1e150
"""Beyond it the square of a prediction is no number any more."""

CANNOT_PREDICT = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError)
"""What a model raises that was made for other columns, or by another release of its library."""


@dataclass(frozen=True)
class Guard:
    """The answer of one guard: its sentence stands in decisions and mails."""

    name: Name
    state: State
    sentence: str
    detail: list[dict[str, Any]]
    close: bool = False
    """It has passed, but so narrowly that other rows, or another machine, might have said no"""


def slices(
    columns: Mapping[str, pd.Series],
    champion_losses: Floats,
    challenger_losses: Floats,
    clusters: NDArray[Any],
    gate: GateSection,
) -> Guard:
    """No slice with enough rows may lose more than `slice_margin` of the champion's loss there, beyond chance.

    A slice fails if its loss rises by more than the margin and the rise is certain at a level that allows for the
    number of slices looked at (Bonferroni): with twenty slices of a few hundred rows, some rise by chance always.

    Args:
        columns: the columns named by `gate.slices`, each as long as the losses.
        champion_losses: float64, one a row.
        challenger_losses: of the same rows.
        clusters: what each row fails together with.
        gate: the definition's gate.
    """
    if not columns:
        return Guard("slices", "not_applicable", "the definition names no slices", [])
    named = [(name, value, rows) for name, column in columns.items() for value, rows in groups(column)]
    tested = [item for item in named if item[2].size >= gate.slice_min_rows]
    small = len(named) - len(tested)
    usual = abs(float(champion_losses.mean())) if len(champion_losses) else 0.0
    detail, close = [], False
    for column, value, rows in tested:
        alpha = SLICE_ALPHA / len(tested)
        found = compare(champion_losses[rows], challenger_losses[rows], clusters[rows], alpha=alpha)
        # A champion that loses nothing there, as money can be: the rise is in parts of what it loses elsewhere.
        rise = -found.relative if found.champion_loss or not usual else -found.delta / usual
        beyond = rise > gate.slice_margin
        worse = beyond and found.verdict == "worse"
        close = close or (beyond and not worse and found.p_value < NEAR * alpha)
        detail.append(
            {
                "column": column,
                "value": value,
                "rows": found.rows,
                "champion": found.champion_loss,
                "challenger": found.challenger_loss,
                "rise": rise,
                "days": found.clusters,
                "failed": worse,
            }
        )
    return Guard("slices", *_slices_sentence(detail, small, gate), detail, close)


def _slices_sentence(detail: list[dict[str, Any]], small: int, gate: GateSection) -> tuple[State, str]:
    left_out = f"; {small} with fewer than {gate.slice_min_rows} rows not judged" if small else ""
    if not detail:
        return "not_applicable", f"no slice has {gate.slice_min_rows} rows or more"
    broken = [d for d in detail if d["failed"]]
    if broken:
        told = ", ".join(
            f"{d['column']} = {plain(d['value'])} by {fixed_percent(d['rise'])} ({d['rows']:,} rows)"
            for d in broken[:5]
        )
        more = f" and {len(broken) - 5} more" if len(broken) > 5 else ""
        return "failed", f"the loss rises on {told}{more}, beyond the {fixed_percent(gate.slice_margin, 0)} allowed"
    blind = sum(d["days"] < FEWEST_CLUSTERS for d in detail)
    days = f"; {blind} lie within one day, so chance cannot be told" if blind else ""
    worst = max(detail, key=lambda d: d["rise"])
    return "passed", (
        f"none of {len(detail)} slices is certain to lose more than {fixed_percent(gate.slice_margin, 0)}; the largest "
        f"change is {fixed_percent(worst['rise'])} on {worst['column']} = {plain(worst['value'])}{left_out}{days}"
    )


def groups(column: pd.Series) -> list[tuple[str, NDArray[np.intp]]]:
    """Named values of a column with the positions of their rows; nulls are a value too."""
    named = column.reset_index(drop=True)
    if pd.api.types.is_numeric_dtype(named) and not pd.api.types.is_bool_dtype(named):
        named = named.astype("float64")
        if named.nunique() > MANY_VALUES:
            named = pd.qcut(named, SLICE_BINS, duplicates="drop", precision=4)
    text = named.astype("object").where(named.notna(), MISSING).astype(str)
    return [(str(value), np.asarray(rows)) for value, rows in sorted(text.groupby(text).indices.items())]


def calibration(
    task: Task,
    target: Floats,
    champion: Floats,
    challenger: Floats,
    gate: GateSection,
    classes: Sequence[str] = (),
) -> Guard:
    """The challenger's expected calibration error may exceed the champion's by `calibration_margin` at most.

    Of several `classes`, whose numbers the target has, this holds for each against the rest; there what chance gives
    probabilities that are right is taken off first, as the worst of many classes is often worse by chance.
    """
    if task == "regression":
        return Guard("calibration", "not_applicable", "calibration is judged for binary and multiclass tasks only", [])
    if not len(target):
        return Guard("calibration", "not_applicable", "there are no rows to judge it on", [])
    if task == "multiclass":
        return _calibration_of_each(target, champion, challenger, gate, classes)
    ours, theirs = calibration_error(target, champion), calibration_error(target, challenger)
    sentence = f"calibration error {theirs:.3f} against {ours:.3f}, {gate.calibration_margin:.3f} more allowed"
    detail = [{"champion": ours, "challenger": theirs}]
    return _limited("calibration", theirs - ours, gate.calibration_margin, sentence, detail)


def _calibration_of_each(
    target: Floats, champion: Floats, challenger: Floats, gate: GateSection, classes: Sequence[str]
) -> Guard:
    detail: list[dict[str, Any]] = []
    for number, name in enumerate(classes):
        true = (target == number).astype(np.float64)
        ours, theirs = (_beyond_chance(true, model[:, number]) for model in (champion, challenger))
        detail.append({"class": name, "champion": ours, "challenger": theirs})
    worst = max(detail, key=lambda one: one["challenger"] - one["champion"])
    ours, theirs = worst["champion"], worst["challenger"]
    sentence = (
        f"of {len(classes)} classes, each against the rest, {plain(worst['class'])} changes most: calibration error "
        f"beyond chance {theirs:.3f} against {ours:.3f}, {gate.calibration_margin:.3f} more allowed"
    )
    return _limited("calibration", theirs - ours, gate.calibration_margin, sentence, detail)


def _beyond_chance(true: Floats, predicted: Floats) -> float:
    return max(0.0, calibration_error(true, predicted) - chance_calibration_error(predicted))


def latency(milliseconds: float | None, gate: GateSection) -> Guard:
    """1,000 rows must be predicted within `max_latency_ms`; the fastest of several tries counts; None: not tried."""
    if milliseconds is None:
        return Guard("latency", "not_applicable", "a model that cannot predict was not timed", [])
    sentence = f"1,000 rows are predicted in {milliseconds:.1f} ms, {gate.max_latency_ms:,.4g} ms allowed"
    return _limited("latency", milliseconds, gate.max_latency_ms, sentence, [{"milliseconds": milliseconds}])


def unknown(name: Name) -> Guard:
    """A guard that asks for more than predictions, of a model of which only these are known."""
    return Guard(name, "not_applicable", f"only its predictions land here: its {name} is not known", [])


def size(file_bytes: int | None, gate: GateSection) -> Guard:
    """The registered model file must not be larger than `max_model_mb`; one whose size nobody knows fails."""
    if file_bytes is None:
        return Guard("size", "failed", "the size of the model file is not known: it did not come from the registry", [])
    megabytes = file_bytes / 1e6
    sentence = f"the model file has {megabytes:.3g} MB, {gate.max_model_mb:,.4g} MB allowed"
    return _limited("size", megabytes, gate.max_model_mb, sentence, [{"bytes": file_bytes}])


def _limited(name: Name, value: float, limit: float, sentence: str, detail: list[dict[str, Any]]) -> Guard:
    """Passed up to `limit`, closely from `NEARLY` of it on; a value that is no number fails."""
    failed = not value <= limit
    return Guard(name, "failed" if failed else "passed", sentence, detail, close=not failed and value > NEARLY * limit)


def signature(
    task: Task,
    expected: Sequence[str],
    reads: Sequence[str],
    predict: Callable[[], Any],
    rows: int,
    classes: int = 0,
) -> tuple[Guard, Floats | None]:
    """The model reads exactly the definition's features, and gives every row a usable number (a probability).

    Args:
        task: the definition's.
        expected: feature columns of the definition.
        reads: feature columns of the model.
        predict: predicts `rows` rows; asked only if the columns are right. What it raises is the model's fault.
        rows: how many predictions there must be.
        classes: of a multiclass task, how many the model knows.

    Returns:
        The guard's answer and, if it passes, the predictions.
    """
    faults = []
    strange, missing = set(reads) - set(expected), set(expected) - set(reads)
    if strange:
        faults.append(f"it reads {', '.join(sorted(strange))}, which the definition does not name")
    if missing:
        faults.append(f"it does not read {', '.join(sorted(missing))}")
    found = None
    if not faults:
        try:
            found = np.asarray(predict())
        except CANNOT_PREDICT as error:
            faults.append(unable(error))
        else:
            faults += unfit(task, found, rows, classes)
    if faults or found is None:
        return Guard("signature", "failed", "; ".join(faults), []), None
    sentence = f"it reads the {len(expected)} features of the definition and predicts every row"
    return Guard("signature", "passed", sentence, []), found.astype(np.float64)


def unable(error: Exception) -> str:
    """The clause about a model that raised `error` in place of predicting."""
    return f"it cannot predict ({type(error).__name__}: {str(error)[:200]})"


def unfit(task: Task, prediction: NDArray[Any], rows: int, classes: int = 0) -> list[str]:
    """What is wrong with the predictions of `rows` rows, one clause a fault; nothing if a model can serve."""
    if prediction.dtype.kind not in "fiub":
        return [f"its predictions are of type {prediction.dtype}, not numbers"]
    if task == "multiclass" and (classes < 2 or prediction.ndim != 2 or prediction.shape[1] != classes):
        return [f"it knows {classes} classes and gave predictions of shape {prediction.shape} for {rows:,} rows"]
    if task != "multiclass" and prediction.ndim != 1:
        return [f"it gave predictions of shape {prediction.shape} for {rows:,} rows, not one a row"]
    faults = []
    if len(prediction) != rows:
        faults.append(f"it gave {len(prediction):,} predictions for {rows:,} rows")
    values = prediction.astype(np.float64)
    usable = np.abs(values) <= LARGEST  # false for NaN
    if unusable := int((~usable).sum()):
        faults.append(f"{unusable:,} of {values.size:,} predictions are no usable numbers (NaN, infinite or huge)")
    if task != "regression" and (outside := int(((values < 0) | (values > 1))[usable].sum())):
        faults.append(f"{outside:,} of {values.size:,} predictions are no probabilities: outside 0 to 1")
    if task == "multiclass" and not faults and (off := int((np.abs(values.sum(axis=1) - 1) > SUM_TOLERANCE).sum())):
        faults.append(f"the probabilities of {off:,} of {len(values):,} rows do not sum to 1")
    return faults
