"""What a target's values make it: a probability, a number, one of several classes, or nothing to predict. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from evergreen.core.definition.decision import DEFAULT_POSITIVES
from evergreen.core.definition.model import ColumnType, GateSection, Task
from evergreen.core.definition.tasks import MOST_CLASSES
from evergreen.core.definition.training import FEWEST_TRAIN_PARTITIONS, TrainingSection
from evergreen.core.text import percent, plain, share
from evergreen.errors import BadInputError
from evergreen.loop.intake.labels.maturity import FLOOR, allowance
from evergreen.loop.training.classes import FEWEST_ROWS
from evergreen.tools.scaffold.columns import is_called
from evergreen.tools.scaffold.notes import Note

_SAMPLE = 5
_FEW = 10
"""Different whole numbers up to which a target may be a code of classes"""
_MOST_TEXTS = 20
"""Different texts up to which they are taken for classes"""
_TAIL = 0.05
"""Share of the rows below which the least frequent end of a row of numbers is the tail of counts"""
_EACH = 5
"""Rows of each, on average, from which on they recur and are no accident of a short file"""
_RARE_CLASS = 50
"""Rows of one class of several below which it is said"""
_RARE_SHARE, _RARE_ROWS = 0.05, 100
"""Of the rarer class: below either it is said"""


def task_of(
    target: str, kind: ColumnType, values: pd.Series, asked: Task | None = None, spelled: str | None = None
) -> tuple[Task, list[Note]]:
    """The task, with what is to be said of it.

    Args:
        target: its name.
        kind: its type.
        values: may have gaps.
        asked: the task that a person has named; else the values decide.
        spelled: what its texts are if they are none, such as numbers with a comma.

    Raises:
        BadInputError: there is no value, only one, or values that the task asked for, or no task, can predict.
    """
    known = values.dropna()
    if known.empty:
        raise BadInputError(f"--target {target!r} has no value in any row")
    distinct = known.nunique()
    if distinct < 2:
        raise BadInputError(
            f"--target {target!r} is {_shown(known.iloc[0])} in all {len(known):,} rows that have it: nothing can be "
            "learned from what never differs. Give a file with other outcomes too, or another --target"
        )
    truth = kind == "boolean" or (kind == "integer" and bool(known.isin([0, 1]).all()))
    task = asked or _by_values(target, kind, known, distinct, truth=truth, spelled=spelled)
    _check(target, kind, known, task, truth=truth)
    if task == "multiclass":
        return task, _classes(target, kind, known)
    if task == "binary":
        return task, _rare(target, known.astype("float64"))
    return task, [] if asked else _few_values(target, kind, known, distinct)


def _by_values(
    target: str, kind: ColumnType, known: pd.Series, distinct: int, *, truth: bool, spelled: str | None
) -> Task:
    if truth:
        return "binary"
    if kind in ("integer", "float"):
        return "multiclass" if kind == "integer" and _are_codes(target, known, distinct) else "regression"
    if kind == "string" and not spelled and distinct <= _MOST_TEXTS and len(known) >= _EACH * distinct:
        return "multiclass"
    shown = ", ".join(repr(v) for v in known.drop_duplicates().head(_SAMPLE))
    why = f": these are {spelled}" if spelled else ""
    many = f", or {_MOST_TEXTS} different texts at most that recur (multiclass; it has {distinct:,})"
    raise BadInputError(
        f"--target {target!r} holds {shown}{why}; it must be true/false or 0/1 (binary), numbers (regression)"
        f"{many if kind == 'string' and not spelled else ''}, in this file and in what the producer lands"
    )


def _are_codes(target: str, known: pd.Series, distinct: int) -> bool:
    """Whether few whole numbers name classes: they are called so, or are not spread as what is counted is.

    Counts and grades follow each other without a gap, their shares rise to one number and fall from there, and at one
    end, or both, few rows are left.
    """
    if not 2 < distinct <= _FEW or len(known) < FEWEST_ROWS * distinct:  # so few of each would not be learned
        return False
    if called := is_called(target):
        return called == "code"
    shares = known.value_counts(normalize=True).sort_index()
    numbers = [int(value) for value in shares.index]
    top = int(shares.to_numpy().argmax())
    rises = shares.iloc[: top + 1].is_monotonic_increasing and shares.iloc[top:].is_monotonic_decreasing
    tails = min(float(shares.iloc[0]), float(shares.iloc[-1])) < _TAIL
    counted = numbers[-1] - numbers[0] + 1 == distinct and rises and tails and distinct > 3
    return not counted


def _check(target: str, kind: ColumnType, known: pd.Series, task: Task, *, truth: bool) -> None:
    """Raise if the values are none that `task` can predict: a person may have asked for it."""
    distinct = known.nunique()
    if task == "binary" and not truth:
        raise BadInputError(
            f"--task binary: {target} holds {distinct:,} values, such as {_shown(known.iloc[0])}; write it as "
            "true/false or 0/1, in this file and in what the producer lands"
        )
    if task == "regression" and kind not in ("integer", "float"):
        raise BadInputError(f"--task regression: {target} is of type {kind}, and its values must be numbers")
    if task == "multiclass":
        whole = kind == "float" and bool((known == known.round()).all())
        if kind not in ("string", "integer") and not whole:
            raise BadInputError(f"--task multiclass: {target} is of type {kind}; classes are texts or whole numbers")
        if distinct > MOST_CLASSES:
            raise BadInputError(
                f"--task multiclass: {target} holds {distinct:,} values; {MOST_CLASSES} classes can be learned at most"
            )


def _classes(target: str, kind: ColumnType, known: pd.Series) -> list[Note]:
    """What the classes are, how it could be read otherwise, and which are rare."""
    counts = known.value_counts()
    values = [_shown(value) for value in sorted(counts.index)]
    listed = ", ".join(values[:-1]) + f" and {values[-1]}" if len(values) <= _MOST_TEXTS else f"{len(values)} values"
    otherwise = "; --task regression takes it as a number" if kind != "string" else ""
    if len(counts) == 2:
        otherwise = ": write true/false or 0/1 for a binary task, which has a threshold and a ROC curve"
    notes = [Note("task", f"{target} holds {listed}: taken as classes{otherwise}", (target,))]
    few = [f"{_shown(value)} ({count:,})" for value, count in counts.items() if count < _RARE_CLASS]
    if few:
        shown = ", ".join(few[:_SAMPLE]) + (f" and {len(few) - _SAMPLE} more" if len(few) > _SAMPLE else "")
        text = (
            f"rows of {target} are few for {shown}: a class with fewer than {FEWEST_ROWS} rows in a training is not "
            "learned, and what is learned of so few is uncertain"
        )
        notes.append(Note("task", text, (target,)))
    return notes


def complete(target: str, known: pd.Series, partitions: pd.Series) -> tuple[float | None, list[Note]]:
    """`feed.labels.complete` of a feed that labels the lesser part of its rows, with what is to be said; else None.

    Below a half, nothing is taken for usual by itself, since labels that come early look just so.

    Args:
        target: its name.
        known: bool, whether a row has a target.
        partitions: the first day of each row's partition.
    """
    found = known.groupby(partitions).agg(["mean", "size"])
    found = found[found["mean"] > 0]  # a partition without any label lands none
    middle = float(found["mean"].median())
    if middle >= FLOOR:
        return None, []
    room = min(allowance(list(found["mean"]), int(found["size"].median())), middle / 2)
    least = max(math.floor(1000 * (middle - room)) / 1000, 0.001)
    text = (
        f"{percent(middle)} of an ordinary partition's rows have {target}: labels count from {percent(least)} on "
        "(feed.labels.complete). If the others come later, set it to the share that has one in the end, and "
        "label_delay to when they do"
    )
    return least, [Note("task", text, (target,))]


def _rare(target: str, known: pd.Series) -> list[Note]:
    ones = int(known.sum())
    count, which = min((ones, "1"), (len(known) - ones, "0"))
    if count >= _RARE_SHARE * len(known) and count >= _RARE_ROWS:
        return []
    text = (
        f"{target} is {which} in only {share(count, len(known))} rows: a partition may hold none, and what is learned "
        "of so few is uncertain. A longer --period, or a longer history, gives more of them"
    )
    return [Note("task", text, (target,))]


def for_the_gate(target: str, known: pd.Series, rows: int, unit: str, holdout: int) -> list[Note]:
    """What a rare class means for the gate.

    Args:
        target: its name.
        known: its values, 0 and 1.
        rows: of an ordinary partition.
        unit: its period.
        holdout: partitions that the gate holds out.
    """
    rare = min(float(known.mean()), 1 - float(known.mean()))
    each = rare * rows
    if rare >= _RARE_SHARE or each * holdout >= DEFAULT_POSITIVES:
        return []
    most = next(bound.le for bound in GateSection.model_fields["holdout"].metadata if hasattr(bound, "le"))
    needed = math.ceil(DEFAULT_POSITIVES / each) if each else most + 1
    advice = f"set gate.holdout to {needed} or more, or take" if needed <= most else "take"
    text = (
        f"an ordinary {unit} has about {each:.1f} rows of the rarer class, so the gate judges on some "
        f"{each * holdout:.0f} of them. By costs (`decision`) it promotes nothing over a champion on fewer than "
        f"{DEFAULT_POSITIVES}: {advice} a longer --period"
    )
    return [Note("task", text, (target,))]


def for_a_training(labelled: Sequence[int], unit: str, holdout: int, window: int) -> list[Note]:
    """What is lacking until a first training can start.

    Args:
        labelled: labelled rows of each partition that has any, oldest first.
        unit: the period.
        holdout: partitions that the gate holds out.
        window: partitions that a training is fitted on.
    """
    train, least = labelled[:-holdout][-window:], TrainingSection.model_fields["min_rows"].default
    needed = FEWEST_TRAIN_PARTITIONS + holdout
    if len(train) >= FEWEST_TRAIN_PARTITIONS and sum(train) >= least:
        return []
    text = (
        f"too little for a first training: the file has labels of {len(labelled):,} {unit}{'s' * (len(labelled) != 1)} "
        f"and {sum(train):,} rows beside those held out; {needed} partitions ({holdout} of them held out) and "
        f"{least:,} rows (training.min_rows in model.yaml) are needed"
    )
    if len(labelled) < needed and unit != "hour":
        text += ". A shorter --period makes more partitions of the same rows"
    return [Note("training", text)]


def _few_values(target: str, kind: ColumnType, known: pd.Series, distinct: int) -> list[Note]:
    whole = kind == "integer" or bool((known == known.round()).all())
    if distinct > _FEW or (distinct > 2 and not (whole and len(known) >= _EACH * distinct)):
        return []
    values = [_shown(value) for value in sorted(known.unique())]
    listed = ", ".join(values[:-1]) + f" and {values[-1]}"
    if distinct == 2:
        text = f"{target} holds only {listed}: write 0/1 for a probability; taken as regression"
    else:
        text = (
            f"{target} holds only {listed}: taken as a number (regression). If these are classes, --task multiclass "
            "takes them so"
        )
    return [Note("task", text, (target,))]


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.12g}" if isinstance(value, float | int) else plain(value, 20)
