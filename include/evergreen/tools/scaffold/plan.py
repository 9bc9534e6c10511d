"""From what a file holds to what a model's first definition says. Pure."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from evergreen.core.definition.calendar import Calendar, Unit
from evergreen.core.definition.model import RESERVED, ColumnType, Task
from evergreen.core.definition.sections import MonitoringSection
from evergreen.core.definition.training import TrainingSection
from evergreen.core.text import plain
from evergreen.errors import BadInputError

FEWEST_ROWS = 200
"""Rows that an ordinary partition should have: below, a slice is not judged (`gate.slice_min_rows`)."""
FEWEST_PERIODS = 8
"""Partitions that a file should give: as many as a partition is compared with"""
_UNITS: tuple[Unit, ...] = ("day", "week", "month")
_SAMPLE = 5
_STRAYS = 0.1
"""Share of values that are no numbers up to which a column of text was probably meant to hold numbers"""
_ROOM = 1.5
"""Times `training.min_rows` that a training window should hold, so that a thin season is no reason not to train"""


@dataclass(frozen=True)
class Asked:
    """What the person says about the file."""

    name: str
    target: str
    time: str
    entity: str | None = None
    later: tuple[str, ...] = ()
    """Columns beside the target that are known only afterwards"""
    period: Unit | None = None
    label_delay: int = 1
    owner: str = "data-science"
    mail: str = "data-science@example.com"


@dataclass(frozen=True)
class Plan:
    """What the definition will say.

    Attributes:
        left_out: inputs column -> why it is no feature; it lands all the same.
        derived: feature -> what it is, of the event time.
        start: first day of the first whole period.
        end: first day of the last whole one where the file ends in the past, else None.
        rows: median rows of a partition that has any.
        window: `training.window`, where the default holds too few rows; else None.
        min_new_rows: `monitoring.min_new_rows`, where the default is long in landing; else None.
        covered: share of rows that have a target.
        hours: events have a time of day; else dates alone.
        unread: column of the file that cannot be used -> why; it is in no table.
        csv: `feed.csv`, where text files are written otherwise than by default.
        nearly: column of text -> the few values that keep it from being one of numbers.
    """

    asked: Asked
    task: Task
    entity: str
    inputs: dict[str, ColumnType]
    labels: dict[str, ColumnType]
    numeric: list[str]
    categorical: list[str]
    derived: dict[str, str]
    left_out: dict[str, str]
    period: Unit
    start: dt.date
    end: dt.date | None
    rows: int
    window: int | None
    min_new_rows: int | None
    covered: float
    hours: bool
    nearly: dict[str, str]
    unread: dict[str, str] = field(default_factory=dict)
    csv: dict[str, Any] = field(default_factory=dict)


def plan(asked: Asked, types: Mapping[str, ColumnType], frame: pd.DataFrame, today: dt.date) -> Plan:
    """What follows from the file's columns `types` and its rows `frame`, in which a missing target is null.

    Raises:
        BadInputError: a column is missing, or cannot be what it was said to be.
    """
    for what, name in (("target", asked.target), ("time", asked.time), *(("later", c) for c in asked.later)):
        if name not in types:
            raise BadInputError(f"--{what} {name!r}: the file has no such column; it has {', '.join(types)}")
    times = _times(asked, types, frame)
    entity = _entity(asked, types, frame)
    task = _task(asked.target, types[asked.target], frame[asked.target])
    afterwards = (asked.target, *asked.later)
    inputs = {name: kind for name, kind in types.items() if name not in afterwards}
    period = asked.period or _period(times)
    counts = times.map(Calendar(period, dt.date.min).key_of).value_counts()
    rows = int(counts.median())
    numeric, categorical, left_out = _features(inputs, frame, (entity, asked.time))
    start, end = _ends(period, times, today)
    return Plan(
        asked=asked,
        task=task,
        entity=entity,
        inputs=inputs,
        labels={name: types[name] for name in (entity, asked.time, *afterwards)},
        numeric=numeric,
        categorical=categorical,
        derived=_derived(times, {*types}),
        left_out=left_out,
        period=period,
        start=start,
        end=end,
        rows=rows,
        window=_window(rows),
        min_new_rows=_min_new_rows(rows),
        covered=float(frame[asked.target].notna().mean()),
        hours=times.dt.hour.nunique() > 1,
        nearly=_nearly({name: kind for name, kind in types.items() if name != entity}, frame),
    )


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


def _entity(asked: Asked, types: Mapping[str, ColumnType], frame: pd.DataFrame) -> str:
    others = [n for n, k in types.items() if k in ("string", "integer") and n not in (asked.target, *asked.later)]
    if asked.entity is None:
        found = next((n for n in others if frame[n].notna().all() and frame[n].is_unique), None)
        if found is None:
            raise BadInputError(
                "no column of text or whole numbers names each row: labels land later and find their inputs by it. "
                "Add one that the producer will land too, or say with --entity which is unique within a partition"
            )
        return found
    if asked.entity not in others:
        raise BadInputError(f"--entity {asked.entity!r}: name a column of text or whole numbers: {', '.join(others)}")
    if frame[asked.entity].isna().any():
        raise BadInputError(f"--entity {asked.entity!r} is missing in {frame[asked.entity].isna().sum():,} rows")
    return asked.entity


def _task(target: str, kind: ColumnType, values: pd.Series) -> Task:
    known = values.dropna()
    if known.empty:
        raise BadInputError(f"--target {target!r} has no value in any row")
    if kind == "boolean" or (kind == "integer" and known.isin([0, 1]).all()):
        return "binary"
    if kind in ("integer", "float"):
        return "regression"
    shown = ", ".join(repr(v) for v in known.drop_duplicates().head(_SAMPLE))
    raise BadInputError(
        f"--target {target!r} holds {shown}; it must be true/false or 0/1 (binary) or numbers (regression), in this "
        "file and in what the producer lands"
    )


def _period(times: pd.Series) -> Unit:
    """The shortest period of which the median partition has enough rows to be judged, else the longest that recurs."""
    longest: Unit = _UNITS[0]
    for unit in _UNITS:
        rows = times.map(Calendar(unit, dt.date.min).key_of).value_counts()
        if len(rows) >= FEWEST_PERIODS:
            longest = unit
        if longest == unit and rows.median() >= FEWEST_ROWS:
            return unit
    return longest


def _ends(period: Unit, times: pd.Series, today: dt.date) -> tuple[dt.date, dt.date | None]:
    """First day of the first whole period and, where the file ends in the past, of the last."""
    calendar = Calendar(period, dt.date.min)
    first, last = times.min().date(), times.max().date()
    start = calendar.parse(calendar.key_of(first))
    if start != first:
        start = calendar.parse(calendar.shift(calendar.key_of(first), 1))
    following = calendar.parse(calendar.shift(calendar.key_of(last), 1))
    whole = following - dt.timedelta(days=1) == last
    end = calendar.parse(calendar.key_of(last)) if whole else calendar.parse(calendar.shift(calendar.key_of(last), -1))
    if end < start:
        raise BadInputError(
            f"the file covers {first} to {last}, which is not one whole {period}; give a longer one or another --period"
        )
    return start, end if following <= today else None


def _features(
    inputs: Mapping[str, ColumnType], frame: pd.DataFrame, named: tuple[str, str]
) -> tuple[list[str], list[str], dict[str, str]]:
    """Numeric features, categorical ones, and why other columns are none."""
    numeric, categorical, left_out = [], [], {}
    for name, kind in inputs.items():
        if name in named:
            continue
        distinct, known = frame[name].nunique(), int(frame[name].notna().sum())
        if name in RESERVED:
            left_out[name] = "Evergreen has a column of this name; rename it in features.py"
        elif kind == "timestamp":
            left_out[name] = "a time; make numbers of it in features.py"
        elif distinct < 2:
            left_out[name] = "never differs"
        elif kind != "string":
            numeric.append(name)
        elif distinct > known / 2:
            left_out[name] = f"{distinct:,} different texts in {known:,} rows"
        else:
            categorical.append(name)
    return numeric, categorical, left_out


def _nearly(types: Mapping[str, ColumnType], frame: pd.DataFrame) -> dict[str, str]:
    """What is no number in the columns of text that hold hardly anything else, as `nil` where a value is missing."""
    found = {}
    for name in (name for name, kind in types.items() if kind == "string"):
        known = frame[name].dropna().astype(str)
        strays = known[pd.to_numeric(known, errors="coerce").isna()]
        if 0 < len(strays) <= _STRAYS * len(known):
            shown = ", ".join(repr(plain(value, 20)) for value in strays.drop_duplicates().head(_SAMPLE))
            found[name] = f"{shown} in {len(strays):,} of {len(known):,} rows"
    return found


def _derived(times: pd.Series, taken: set[str]) -> dict[str, str]:
    """Features of the event time, under names that no column has."""
    found = {"event_weekday": "0 is Monday", "event_hour": "UTC"}
    if times.dt.hour.nunique() < 2:
        del found["event_hour"]
    if times.dt.dayofweek.nunique() < 2:
        del found["event_weekday"]
    return {name: about for name, about in found.items() if name not in taken}


def _window(rows: int) -> int | None:
    fields = TrainingSection.model_fields
    needed = math.ceil(_ROOM * fields["min_rows"].default / max(rows, 1))
    return min(needed, 520) if needed > fields["window"].default else None


def _min_new_rows(rows: int) -> int | None:
    fields = MonitoringSection.model_fields
    due = max(1, rows * fields["refresh"].default)
    return due if due < fields["min_new_rows"].default else None
