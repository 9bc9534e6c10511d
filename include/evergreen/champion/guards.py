"""What a challenger must not break, however good its loss. Pure; every guard says what it saw, also where it passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evergreen.champion.comparison import FEWEST_CLUSTERS, compare
from evergreen.definition.model import GateSection, Task
from evergreen.training.diagnostics import calibration_error
from evergreen.training.losses import Floats

State = Literal["passed", "failed", "not_applicable"]
Name = Literal["slices", "calibration", "latency", "signature"]
REQUIRED: tuple[Name, ...] = ("slices", "calibration", "latency", "signature")
"""The gate promotes nothing unless each of these has answered."""

SLICE_ALPHA = 0.1
"""Two-sided, over all slices together: one that is no worse fails the guard in at most half of this."""
SLICE_BINS = 4
MANY_VALUES = 20
"""A numeric column with more distinct values is sliced at its quartiles."""
MISSING = "(missing)"


def percent(part: float, digits: int = 1) -> str:
    """A part of one in words: 0.041 is '4.1 %'."""
    return f"{100 * part:.{digits}f} %"


@dataclass(frozen=True)
class Guard:
    """The answer of one guard: its sentence stands in decisions and mails."""

    name: Name
    state: State
    sentence: str
    detail: list[dict[str, Any]]


def slices(
    columns: Mapping[str, pd.Series],
    champion_losses: Floats,
    challenger_losses: Floats,
    clusters: NDArray[Any],
    gate: GateSection,
) -> Guard:
    """No slice with enough rows may lose more than `slice_margin` of the champion's loss there, beyond chance.

    A slice fails where its loss rises by more than the margin and the rise is certain at a level that allows for the
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
    named = [(name, value, rows) for name, column in columns.items() for value, rows in _values(column)]
    tested = [item for item in named if item[2].size >= gate.slice_min_rows]
    small = len(named) - len(tested)
    detail = []
    for column, value, rows in tested:
        found = compare(champion_losses[rows], challenger_losses[rows], clusters[rows], alpha=SLICE_ALPHA / len(tested))
        worse = found.verdict == "worse" and -found.relative > gate.slice_margin
        detail.append(
            {
                "column": column,
                "value": value,
                "rows": found.rows,
                "champion": found.champion_loss,
                "challenger": found.challenger_loss,
                "rise": -found.relative,
                "days": found.clusters,
                "failed": worse,
            }
        )
    return Guard("slices", *_slices_sentence(detail, small, gate), detail)


def _slices_sentence(detail: list[dict[str, Any]], small: int, gate: GateSection) -> tuple[State, str]:
    left_out = f"; {small} with fewer than {gate.slice_min_rows} rows not judged" if small else ""
    if not detail:
        return "not_applicable", f"no slice has {gate.slice_min_rows} rows or more"
    broken = [d for d in detail if d["failed"]]
    if broken:
        told = ", ".join(
            f"{d['column']} = {d['value']} by {percent(d['rise'])} ({d['rows']:,} rows)" for d in broken[:5]
        )
        more = f" and {len(broken) - 5} more" if len(broken) > 5 else ""
        return "failed", f"the loss rises on {told}{more}, beyond the {percent(gate.slice_margin, 0)} allowed"
    blind = sum(d["days"] < FEWEST_CLUSTERS for d in detail)
    days = f"; {blind} lie within one day, so chance cannot be told" if blind else ""
    worst = max(detail, key=lambda d: d["rise"])
    return "passed", (
        f"none of {len(detail)} slices is certain to lose more than {percent(gate.slice_margin, 0)}; the largest "
        f"change is {percent(worst['rise'])} on {worst['column']} = {worst['value']}{left_out}{days}"
    )


def _values(column: pd.Series) -> list[tuple[str, NDArray[np.intp]]]:
    """Named values of a column with the positions of their rows; nulls are a value too."""
    named = column.reset_index(drop=True)
    if pd.api.types.is_numeric_dtype(named) and not pd.api.types.is_bool_dtype(named):
        named = named.astype("float64")
        if named.nunique() > MANY_VALUES:
            named = pd.qcut(named, SLICE_BINS, duplicates="drop", precision=4)
    text = named.astype("object").where(named.notna(), MISSING).astype(str)
    return [(str(value), np.asarray(rows)) for value, rows in sorted(text.groupby(text).indices.items())]


def calibration(task: Task, target: Floats, champion: Floats, challenger: Floats, gate: GateSection) -> Guard:
    """The challenger's expected calibration error may exceed the champion's by `calibration_margin` at most."""
    if task != "binary":
        return Guard("calibration", "not_applicable", "calibration is judged for binary tasks only", [])
    if not len(target):
        return Guard("calibration", "not_applicable", "there are no rows to judge it on", [])
    ours, theirs = calibration_error(target, champion), calibration_error(target, challenger)
    failed = theirs > ours + gate.calibration_margin
    sentence = f"calibration error {theirs:.3f} against {ours:.3f}, {gate.calibration_margin:.3f} more allowed"
    return Guard("calibration", "failed" if failed else "passed", sentence, [{"champion": ours, "challenger": theirs}])


def latency(milliseconds: float, gate: GateSection) -> Guard:
    """1,000 rows must be predicted within `max_latency_ms`; the fastest of several tries counts."""
    failed = not milliseconds <= gate.max_latency_ms
    sentence = f"1,000 rows are predicted in {milliseconds:.1f} ms, {gate.max_latency_ms:.0f} ms allowed"
    return Guard("latency", "failed" if failed else "passed", sentence, [{"milliseconds": milliseconds}])


def signature(task: Task, expected: Sequence[str], reads: Sequence[str], prediction: Floats, rows: int) -> Guard:
    """The model reads exactly the definition's features, and gives every row a finite number (a probability)."""
    faults = []
    missing, strange = set(reads) - set(expected), set(expected) - set(reads)
    if missing:
        faults.append(f"it reads {', '.join(sorted(missing))}, which the definition does not name")
    if strange:
        faults.append(f"it does not read {', '.join(sorted(strange))}")
    if len(prediction) != rows:
        faults.append(f"it gave {len(prediction):,} predictions for {rows:,} rows")
    unfit = int((~np.isfinite(prediction)).sum())
    if unfit:
        faults.append(f"{unfit:,} predictions are no finite numbers")
    if task == "binary" and (outside := int(((prediction < 0) | (prediction > 1)).sum())):
        faults.append(f"{outside:,} predictions are no probabilities")
    sentence = "; ".join(faults) or f"it reads the {len(expected)} features of the definition and predicts every row"
    return Guard("signature", "failed" if faults else "passed", sentence, [])
