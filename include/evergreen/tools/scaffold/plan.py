"""From what a file holds to what a model's first definition says. Pure."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from evergreen.core.definition.calendar import Unit
from evergreen.core.definition.local_days import UTC
from evergreen.core.definition.made import CONTENT
from evergreen.core.definition.model import ColumnType, GateSection, Task
from evergreen.core.definition.sections import MonitoringSection
from evergreen.core.definition.training import TrainingSection
from evergreen.core.frames import on_the_clock
from evergreen.errors import BadInputError
from evergreen.tools.scaffold import columns, identity, periods, targets
from evergreen.tools.scaffold.leaks import leaks
from evergreen.tools.scaffold.notes import Note

_SAMPLE = 5
HOURLY = {"training": 336, "holdout": 168, "cool_down": 72, "refresh": 168, "max_age": 2016}
"""Partitions of an hour that are fitted on (two weeks), held out (one: rows of one day fail together), and so on: the
defaults are meant for days and weeks"""
_ROOM = 1.5
"""Times `training.min_rows` that a training window should hold, so that a thin season is no reason not to train"""


@dataclass(frozen=True)
class Asked:
    """What the person says about the file."""

    name: str
    target: str
    time: str
    entity: str | tuple[str, ...] | None = None
    """Column that names a row, or columns that together do"""
    later: tuple[str, ...] = ()
    """Columns beside the target that are known only afterwards"""
    period: Unit | None = None
    label_delay: int = 1
    owner: str = "data-science"
    mail: str = "data-science@example.com"
    start: dt.date | None = None
    """A day of the first partition"""
    end: str | None = None
    """A day of the last partition, or `last`: the file's last whole one. None: the feed goes on"""
    task: Task | None = None
    """None: what the target's values make it"""
    timezone: str = UTC
    """Of the days, and of times without a zone"""
    time_parts: tuple[str, ...] = ()
    """Columns that `time` is made of, if it is none of the file"""

    @property
    def time_columns(self) -> tuple[str, ...]:
        """The file's columns that say when an event was."""
        return self.time_parts or (self.time,)


@dataclass(frozen=True)
class Plan:
    """What the definition will say.

    Attributes:
        joined: inputs columns that the entity is made of; empty if it is a column of the file, or the row's content.
        content: the entity is the row's content.
        repeated_hour: which of two equal clock times is meant, if the file has some; else None.
        left_out: inputs column -> why it is no feature; it lands all the same.
        derived: feature -> what it is, of the event time.
        start: first day of the first whole period.
        end: first day of the last one, if an end was asked for.
        last: first day of the file's last whole period.
        rows: median rows of a partition that has any.
        window: `training.window`, if the default holds too few rows; else None.
        min_new_rows: `monitoring.min_new_rows`, if the default is long in landing; else None.
        covered: share of rows that have a target.
        complete: `feed.labels.complete`, where so few rows have a target that it cannot be learned; else None.
        hours: events come at all times of a period, so that its ends can be asked for; else dates or office hours.
        unread: column of the file that cannot be used -> why; it is in no table.
        csv: `feed.csv`, if text files are written otherwise than by default.
        nearly: column of text -> the few values that keep it from being one of numbers.
        max_bad_rows: share of a partition's rows that may be copies of others; 0 if the file has none.
        why: `row` and `calendar` -> the reason for that choice.
        notes: what a person should know, in the order of the summary.
    """

    asked: Asked
    task: Task
    entity: str
    joined: tuple[str, ...]
    content: bool
    inputs: dict[str, ColumnType]
    labels: dict[str, ColumnType]
    numeric: list[str]
    categorical: list[str]
    derived: dict[str, str]
    left_out: dict[str, str]
    period: Unit
    start: dt.date
    end: dt.date | None
    last: dt.date
    rows: int
    window: int | None
    min_new_rows: int | None
    covered: float
    complete: float | None
    hours: bool
    nearly: dict[str, str]
    max_bad_rows: float
    why: dict[str, str]
    notes: tuple[Note, ...]
    unread: dict[str, str] = field(default_factory=dict)
    csv: dict[str, Any] = field(default_factory=dict)
    repeated_hour: str | None = None


def plan(asked: Asked, types: Mapping[str, ColumnType], frame: pd.DataFrame) -> Plan:
    """What follows from the file's columns `types` and its rows `frame`, in which a missing target is null.

    Raises:
        BadInputError: a column is missing, or cannot be what it was said to be.
    """
    _check_columns(asked, types)
    times = _times(asked, types, frame)
    odd, kind = columns.spellings(types, frame), types[asked.target]
    task, about_task = targets.task_of(asked.target, kind, frame[asked.target], asked.task, odd.get(asked.target))
    predicted: ColumnType = "integer" if task == "multiclass" and kind == "float" else kind
    calendar = periods.choose(asked.time, times, asked.period, asked.start, asked.end, asked.timezone)
    afterwards = (asked.target, *asked.later)
    inputs = {name: kind for name, kind in types.items() if name not in afterwards}
    named = identity.choose(
        identity.Rows(types, frame, asked.time, list(inputs), {*odd, *asked.time_parts}, asked.timezone),
        _ids(asked, types),
        calendar.unit,
    )
    named = _landed(named, asked)
    partitions = periods.first_days(times, calendar.unit, asked.timezone)
    means = columns.meaning(inputs, frame, (named.column, asked.time), asked.time, odd | _year(asked, types))
    inputs = {name: kind for name, kind in inputs.items() if name not in _made(asked)}
    given = {name: types[name] for name in (*means.numeric, *means.categorical)}
    complete, about_labels = targets.complete(asked.target, frame[asked.target].notna(), partitions)
    return Plan(
        asked=asked,
        task=task,
        entity=named.column,
        joined=named.parts,
        content=named.content,
        inputs=inputs,
        labels=_labels(asked, types, _ids_of(named, inputs)) | {asked.target: predicted},
        numeric=means.numeric,
        categorical=means.categorical,
        derived=_derived(times, {*types}, asked),
        left_out=means.left_out,
        period=calendar.unit,
        start=calendar.start,
        end=calendar.end,
        last=calendar.last,
        rows=calendar.rows,
        window=_window(calendar.rows, calendar.unit),
        min_new_rows=_min_new_rows(calendar.rows, calendar.unit),
        covered=float(frame[asked.target].notna().mean()),
        complete=complete,
        hours=periods.are_covered(times, partitions, calendar.unit, asked.timezone),
        nearly=columns.nearly_numbers({n: k for n, k in types.items() if n != named.column and n not in odd}, frame),
        max_bad_rows=_max_bad_rows(frame[_ids_of(named, inputs)], partitions) if named.twice else 0.0,
        why={"row": named.why, "calendar": calendar.why},
        notes=(
            *about_task,
            *_few_for_the_gate(task, asked.target, frame, calendar.rows, calendar.unit),
            *about_labels,
            *_few_for_a_training(frame[asked.target].notna(), partitions, calendar),
            *named.notes,
            *calendar.notes,
            *leaks(asked.target, task, given, frame),
            *means.notes,
        ),
    )


def _check_columns(asked: Asked, types: Mapping[str, ColumnType]) -> None:
    for what, name in (("target", asked.target), ("time", asked.time), *(("later", c) for c in asked.later)):
        if name not in types:
            raise BadInputError(f"--{what} {name!r}: the file has no such column; it has {', '.join(types)}")


def _labels(asked: Asked, types: Mapping[str, ColumnType], ids: list[str]) -> dict[str, ColumnType]:
    """Columns of the labels: what names a row, when it was, the truth, and what else is known only then."""
    return {name: types[name] for name in (*ids, *asked.time_columns, asked.target, *asked.later)}


def _few_for_the_gate(task: Task, target: str, frame: pd.DataFrame, rows: int, unit: Unit) -> list[Note]:
    """Of a binary task with a rare class: whether what the gate holds out has enough of it."""
    if task != "binary":
        return []
    values = frame[target]
    holdout = HOURLY["holdout"] if unit == "hour" else GateSection.model_fields["holdout"].default
    labelled = round(rows * float(values.notna().mean()))
    return targets.for_the_gate(target, values.dropna().astype("float64"), labelled, unit, holdout)


def _few_for_a_training(known: pd.Series, partitions: pd.Series, calendar: periods.Chosen) -> list[Note]:
    """Whether the file has what a first training needs."""
    counts = partitions[known & (partitions >= pd.Timestamp(calendar.start))].value_counts().sort_index()
    hours = calendar.unit == "hour"
    holdout = HOURLY["holdout"] if hours else GateSection.model_fields["holdout"].default
    window = _window(calendar.rows, calendar.unit) or TrainingSection.model_fields["window"].default
    return targets.for_a_training([int(count) for count in counts], calendar.unit, holdout, window)


def _made(asked: Asked) -> tuple[str, ...]:
    """The event time, if no file has it."""
    return (asked.time,) if asked.time_parts else ()


def _year(asked: Asked, types: Mapping[str, ColumnType]) -> dict[str, str]:
    """Why the first column of an event time is no feature."""
    first = asked.time_parts[0] if asked.time_parts else None
    return {first: "the year of the event: every later one is new"} if first and types[first] == "integer" else {}


def _landed(named: identity.Identity, asked: Asked) -> identity.Identity:
    """The identity by columns that land: the event time is made of others."""
    if not asked.time_parts or asked.time not in named.parts:
        return named
    parts = [n for part in named.parts for n in (asked.time_parts if part == asked.time else (part,))]
    return replace(named, parts=tuple(dict.fromkeys(parts)), notes=named.notes)


def _ids_of(named: identity.Identity, inputs: Mapping[str, ColumnType]) -> list[str]:
    """The columns by which labels find their rows."""
    return list(inputs) if named.content else list(named.parts or (named.column,))


def _times(asked: Asked, types: Mapping[str, ColumnType], frame: pd.DataFrame) -> pd.Series:
    values = frame[asked.time]
    if types[asked.time] != "timestamp":
        shown = ", ".join(repr(v) for v in values.dropna().head(_SAMPLE))
        raise BadInputError(
            f"--time {asked.time!r} holds {shown}; it must hold timestamps such as 2013-01-07T06:00:00Z or dates such "
            "as 2013-01-07 (a .parquet file: of type timestamp or date). Convert it first"
        )
    if values.isna().any():
        raise BadInputError(f"--time {asked.time!r} is missing in {values.isna().sum():,} rows; fill or remove them")
    return values


def _ids(asked: Asked, types: Mapping[str, ColumnType]) -> tuple[str, ...]:
    """The columns asked for: a text with commas names several, unless a column is called so."""
    given = (asked.entity,) if isinstance(asked.entity, str) else asked.entity or ()
    names: list[str] = []
    for text in given:
        names += [text] if text in (*types, CONTENT) else [part.strip() for part in text.split(",") if part.strip()]
    unknown = [name for name in names if name not in (*types, CONTENT)]
    if len(names) > 1 and unknown:
        raise BadInputError(f"--id {', '.join(unknown)}: the file has no such column; it has {', '.join(types)}")
    return tuple(dict.fromkeys(names))


def _max_bad_rows(names: pd.DataFrame, partitions: pd.Series) -> float:
    """Twice the largest share of rows that share a name in a partition of the file, in hundredths; half at most."""
    worst = float(names.duplicated(keep=False).groupby(partitions).mean().max())
    return min(0.5, max(0.01, math.ceil(200 * worst) / 100))


def _derived(instants: pd.Series, taken: set[str], asked: Asked) -> dict[str, str]:
    """Features of the event time, under names that no column has. An hour that a column holds is one already."""
    zone = asked.timezone
    found, times = {"event_weekday": "0 is Monday", "event_hour": zone}, on_the_clock(instants, zone)
    if times.dt.hour.nunique() < 2 or len(asked.time_parts) > 1:
        del found["event_hour"]
    if times.dt.dayofweek.nunique() < 2:
        del found["event_weekday"]
    return {name: about for name, about in found.items() if name not in taken}


def _window(rows: int, unit: Unit) -> int | None:
    fields = TrainingSection.model_fields
    needed = math.ceil(_ROOM * fields["min_rows"].default / max(rows, 1))
    if unit == "hour":
        return min(max(int(needed), HOURLY["training"]), 2000)
    return min(needed, 520) if needed > fields["window"].default else None


def _min_new_rows(rows: int, unit: Unit) -> int | None:
    fields = MonitoringSection.model_fields
    due = max(1, rows * (HOURLY["refresh"] if unit == "hour" else fields["refresh"].default))
    return due if due < fields["min_new_rows"].default else None
