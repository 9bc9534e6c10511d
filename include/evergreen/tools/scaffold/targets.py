"""What a target's values make it: a probability, a number, or nothing that can be predicted. Pure."""

from __future__ import annotations

import math

import pandas as pd

from evergreen.core.definition.model import ColumnType, Task
from evergreen.core.text import percent, plain, share
from evergreen.errors import BadInputError
from evergreen.loop.intake.labels.maturity import FLOOR, allowance
from evergreen.tools.scaffold.notes import Note

_SAMPLE = 5
_FEW = 10
"""Different whole numbers up to which a target may be a code of classes"""
_EACH = 5
"""Rows of each, on average, from which on they recur and are no accident of a short file"""
_RARE_SHARE, _RARE_ROWS = 0.05, 100
"""Of the rarer class: below either it is said"""


def task_of(target: str, kind: ColumnType, values: pd.Series) -> tuple[Task, list[Note]]:
    """Binary or regression, with what is to be said of it; `values` may have gaps.

    Raises:
        BadInputError: there is no value, only one, or values that are neither numbers nor true and false.
    """
    known = values.dropna()
    if known.empty:
        raise BadInputError(f"--target {target!r} has no value in any row")
    if kind in ("string", "timestamp"):
        shown = ", ".join(repr(v) for v in known.drop_duplicates().head(_SAMPLE))
        raise BadInputError(
            f"--target {target!r} holds {shown}; it must be true/false or 0/1 (binary) or numbers (regression), in "
            "this file and in what the producer lands"
        )
    distinct = known.nunique()
    if distinct < 2:
        raise BadInputError(
            f"--target {target!r} is {_shown(known.iloc[0])} in all {len(known):,} rows that have it: nothing can be "
            "learned from what never differs. Give a file with other outcomes too, or another --target"
        )
    if kind == "boolean" or (kind == "integer" and known.isin([0, 1]).all()):
        return "binary", _rare(target, known.astype("float64"))
    return "regression", _few_values(target, kind, known, distinct)


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
            f"{target} holds only {listed}: taken as a number (regression). If these are classes, several classes are "
            "not to be had: write 0/1 for one of them against the others"
        )
    return [Note("task", text, (target,))]


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.12g}" if isinstance(value, float | int) else plain(value, 20)
