"""The rules that every table of every feed keeps, whatever its expectations say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from evergreen.core.definition import ModelDefinition, Period
from evergreen.core.definition.model import FeedSection, TableName
from evergreen.core.spelling import spelled
from evergreen.core.text import plain
from evergreen.loop.intake.failures import SAMPLE, Failure, breach, unfit

RULES_VERSION = 1
"""Part of every suite's hash. Raise it with any change to what intake accepts, so that verdicts are given again.

A rule for some tables only is better named in `judge.verdict_hash` for these: raising it gives all tables new verdicts.
"""
UNDECLARED = "undeclared_class"
"""The one structural rule that warns"""
READING_VERSION = 3
"""Part of the hash that a quarantined verdict is kept under. Raise it when the reading takes files that it refused:
they can be validated again, while verdicts that accepted stay (`judge.recorded_hash`)."""


def check_structure(
    frame: pd.DataFrame, definition: ModelDefinition, table: TableName, period: Period
) -> list[Failure]:
    """What is structurally wrong with `frame`, a table with the definition's columns and dtypes; empty if nothing.

    Rows there are; the entity is there and unique; the event time is there and within [period.start, period.end); a
    label has its target, which is 0 or 1 if the task is binary. That a class is not among those declared is a warning:
    it is the truth all the same, which the version that serves did not know.
    """
    if frame.empty:
        return [
            unfit("rows", f"the table has no rows; {period.key} should have some", observed="0 rows", expected="rows")
        ]
    feed = definition.feed
    failures = [
        *(_missing(frame, name, "have no value; every row needs its own") for name in feed.id_columns),
        _repeated(frame, feed),
        *(_missing(frame, name, "have no value; every row needs its time") for name in feed.time_columns),
        _foreign(frame, feed.event_time, period),
    ]
    if table == "labels":
        failures.append(_missing(frame, definition.target, "have no value; leave rows without ground truth out"))
    if asks_for_classes(definition, table):
        failures.append(_no_class(frame, definition.target))
    if asks_for_counts(definition, table):
        failures.append(_below_zero(frame, definition.target))
    if definition.classes and table == "labels":
        failures.append(_undeclared(frame, definition))
    return [failure for failure in failures if failure]


def asks_for_classes(definition: ModelDefinition, table: TableName) -> bool:
    """Whether `table` has numbers that must be 0 or 1: a binary target, unless its type holds nothing else. Pure."""
    if table != "labels" or definition.task != "binary":
        return False
    return definition.feed.tables["labels"].columns[definition.target] != "boolean"


def asks_for_counts(definition: ModelDefinition, table: TableName) -> bool:
    """Whether `table` has a target that must not be below 0, because its loss is that of counts. Pure."""
    return table == "labels" and definition.loss == "poisson"


def _below_zero(frame: pd.DataFrame, target: str) -> Failure | None:
    values = frame[target]
    rows = np.flatnonzero((values.notna() & (values < 0)).fillna(False).to_numpy(dtype=bool))
    if not len(rows):
        return None
    return breach(
        "count_target",
        target,
        "are below 0, and gate.loss poisson is that of counts",
        rows=rows,
        total=len(frame),
        expected="0 or more",
        sample=values.iloc[rows].drop_duplicates().head().tolist(),
    )


def _missing(frame: pd.DataFrame, column: str, sentence: str) -> Failure | None:
    rows = np.flatnonzero(frame[column].isna().to_numpy())
    if not len(rows):
        return None
    return breach("not_null", column, sentence, rows=rows, total=len(frame), expected="no missing values")


def _no_class(frame: pd.DataFrame, target: str) -> Failure | None:
    values = frame[target]
    rows = np.flatnonzero((values.notna() & ~values.isin((0, 1))).to_numpy())
    if not len(rows):
        return None
    return breach(
        "binary_target",
        target,
        "are neither 0 nor 1, which a binary task predicts",
        rows=rows,
        total=len(frame),
        expected="0 or 1, true or false",
        sample=values.iloc[rows].drop_duplicates().head().tolist(),
    )


def _undeclared(frame: pd.DataFrame, definition: ModelDefinition) -> Failure | None:
    names = spelled(frame[definition.target])
    rows = np.flatnonzero((names.notna() & ~names.isin(definition.classes)).to_numpy())
    if not len(rows):
        return None
    found = breach(
        UNDECLARED,
        definition.target,
        "are of a class that `classes` of model.yaml does not name: they count as lost and are not learned",
        rows=rows,
        total=len(frame),
        expected=", ".join(map(plain, definition.classes[:SAMPLE])),
        sample=names.iloc[rows].drop_duplicates().head().tolist(),
        hint="name it there if it is a class",
    )
    return replace(found, severity="warning", bad=None)


def _repeated(frame: pd.DataFrame, feed: FeedSection) -> Failure | None:
    values = frame[feed.entity]
    again = values.duplicated(keep="first") & values.notna()
    rows = np.flatnonzero(again.to_numpy())
    if not len(rows):
        return None
    # The same row again is one too many. Rows that say different things of one entity are all in doubt.
    contradicted = values[again & ~frame.duplicated(keep="first")]
    doubtful = np.flatnonzero((again | values.isin(contradicted)).to_numpy())
    return breach(
        "entity_unique",
        " and ".join(feed.id_columns),
        "repeat the identifier of an earlier row",
        rows=rows,
        total=len(frame),
        expected="unique values",
        sample=values.iloc[rows].drop_duplicates().head().tolist(),
        bad=doubtful,
    )


def _foreign(frame: pd.DataFrame, column: str, period: Period) -> Failure | None:
    times = frame[column]
    rows = np.flatnonzero(((times < period.start) | (times >= period.end)).to_numpy())
    if not len(rows):
        return None
    span = f"{times.min():%Y-%m-%d %H:%M} to {times.max():%Y-%m-%d %H:%M}"
    expected = f"{period.start:%Y-%m-%d %H:%M} to before {period.end:%Y-%m-%d %H:%M} UTC"
    return breach(
        "within_period",
        column,
        f"lie outside the period of {period.key} ({expected}); the file covers {plain(span)}",
        rows=rows,
        total=len(frame),
        expected=expected,
    )
