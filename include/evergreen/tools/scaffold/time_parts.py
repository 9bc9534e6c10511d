"""Columns that together say when an event was: a year with its month, day and hour, or a date with its hour. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import pandas as pd

from evergreen.core.definition.local_days import Clock
from evergreen.core.definition.made import EVENT_TIME, MOST_TIME_PARTS, calendar_parts
from evergreen.core.definition.model import ColumnType
from evergreen.core.frames import on_the_clock
from evergreen.core.text import plain
from evergreen.errors import BadInputError
from evergreen.loop.intake.failures import UnfitFileError
from evergreen.loop.intake.reading.made_columns import event_times, numbers_of
from evergreen.tools.scaffold.notes import Note

_YEAR = re.compile(r"year|yr", re.IGNORECASE)
_YEARS = (1500, 2200)
"""Whole numbers between these, in a column that a person calls the time, are years"""
_FINER: tuple[tuple[str, tuple[str, ...], tuple[int, int]], ...] = (
    ("month", ("month", "mon", "mnth", "mth", "mo", "mm"), (1, 12)),
    ("day", ("day", "dom", "dd", "mday", "day_of_month", "dayofmonth"), (1, 31)),
    ("hour", ("hour", "hr", "hh", "hour_of_day"), (0, 23)),
)
"""Part, what its column is called, and its numbers"""
_QUARTERS = ("quarter", ("quarter", "qtr", "quart", "q"), (1, 4))
_OTHER_PARTS = (
    "week",
    "wk",
    "weeknum",
    "week_of_year",
    "weekofyear",
    "isoweek",
    "yday",
    "doy",
    "day_of_year",
    "dayofyear",
)
"""What columns beside a year are called that make no time with it here"""


def named(time: str, types: Mapping[str, ColumnType]) -> tuple[str, ...]:
    """The columns that `--time` names: several with commas between them, unless one is called so."""
    if time in types or "," not in time:
        return (time,)
    return tuple(part.strip() for part in time.split(",") if part.strip())


def choose(time: str, types: Mapping[str, ColumnType], frame: pd.DataFrame, timezone: str) -> tuple[str, ...]:
    """The columns of the event time that `--time` names or that belong to it; empty if it is one column of times.

    Raises:
        BadInputError: several are named, and there are too many or one is not in the file.
    """
    names = named(time, types)
    if len(names) > 1:
        lacking = [name for name in names if name not in types]
        if lacking or len(names) > MOST_TIME_PARTS:
            raise BadInputError(
                f"--time {time!r}: "
                + (f"the file has no column {', '.join(lacking)}" if lacking else "four columns are the most")
                + "; name one column of times, a date and a time of day, or a year, month, day and hour"
            )
        return names
    kind = types.get(time)
    if kind == "integer" and _are_years(frame[time]):
        return _with_finer(time, types, frame)
    if kind == "timestamp":
        hour = _hour_beside(on_the_clock(frame[time], timezone), types, frame)
        return (time, hour) if hour else ()
    return ()


def _are_years(values: pd.Series) -> bool:
    known = values.dropna()
    return bool(len(known)) and bool(known.between(*_YEARS).all())


def _with_finer(year: str, types: Mapping[str, ColumnType], frame: pd.DataFrame) -> tuple[str, ...]:
    found = [year]
    for part, names, bounds in _FINER:
        column = _called(names, year, types)
        if column is None or not _is_whole(frame[column], bounds, part):
            break
        found.append(column)
    if len(found) == 1:
        part, names, bounds = _QUARTERS
        column = _called(names, year, types)
        if column is not None and _is_whole(frame[column], bounds, part):
            found.append(column)
    if len(found) > 2 and not _are_dates(frame, found[:3]):
        found = found[:2]
    return tuple(found)


def _called(names: Sequence[str], year: str, types: Mapping[str, ColumnType]) -> str | None:
    """The column of whole numbers or texts called as one of `names`, or as `year` with that in place of *year*."""
    wanted = {*names, *(_YEAR.sub(name, year).lower() for name in names if _YEAR.search(year))}
    fit = (name for name, kind in types.items() if kind in ("integer", "string"))
    return next((name for name in fit if name.lower() in wanted), None)


def _is_whole(values: pd.Series, bounds: tuple[int, int], part: str) -> bool:
    """Whether each of `values` is a number of the `part`, or, of a month or quarter, a name of one."""
    if part not in ("month", "quarter") and not pd.api.types.is_integer_dtype(values.dtype):
        return False
    try:
        numbers = numbers_of(values, part, part)
    except UnfitFileError:
        return False
    return bool(numbers.notna().all() and numbers.between(*bounds).all())


def _are_dates(frame: pd.DataFrame, names: Sequence[str]) -> bool:
    try:
        event_times(frame, names, Clock())
    except UnfitFileError:
        return False
    return True


def _hour_beside(dates: pd.Series, types: Mapping[str, ColumnType], frame: pd.DataFrame) -> str | None:
    """The column of the hours from 0 to 23 beside a column of dates alone; None if there is none, or it is constant."""
    known = dates.dropna()
    if known.empty or not (known == known.dt.normalize()).all():
        return None
    _, names, bounds = _FINER[-1]
    column = _called(names, "", types)
    if column is None or not _is_whole(frame[column], bounds, "hour") or frame[column].nunique() < 2:
        return None
    return column


def joined(names: Sequence[str], frame: pd.DataFrame, clock: Clock) -> pd.Series:
    """The event time of each row.

    Raises:
        BadInputError: a value is missing, or values are no time together.
    """
    for name in names:
        if frame[name].isna().any():
            raise BadInputError(f"--time {name!r} is missing in {frame[name].isna().sum():,} rows; fill or remove them")
    try:
        return event_times(frame, names, clock)
    except UnfitFileError as error:
        raise BadInputError(f"--time {', '.join(names)}: {error}") from None


def check(names: Sequence[str], types: Mapping[str, ColumnType], frame: pd.DataFrame) -> None:
    """Raise BadInputError if no event time can be made of the columns, or the file has one of its own."""
    kinds = [types[name] for name in names]
    date_and_clock = len(names) == 2 and kinds[0] == "timestamp" and kinds[1] in ("integer", "string", "timestamp")
    texts = [part for part, kind in zip(calendar_parts(names), kinds, strict=True) if kind != "integer"]
    if not date_and_clock and (set(texts) - {"month", "quarter"} or not set(kinds) <= {"integer", "string"}):
        told = ", ".join(f"{plain(name)} is {kind}" for name, kind in zip(names, kinds, strict=True))
        raise BadInputError(
            f"--time {', '.join(names)}: {told}; an event time is made of a date and a time of day, or of whole "
            "numbers: a year, month (or its name), day and hour, in this order, or a year and a quarter"
        )
    if not date_and_clock and not _are_years(frame[names[0]]):
        known = frame[names[0]].dropna()
        shown = f"{known.min()} to {known.max()}" if len(known) else "no value"
        raise BadInputError(
            f"--time {', '.join(names)}: {names[0]} holds {shown}, and the first of several columns of numbers is the "
            "year, with all four digits; without a year nothing says when a row was: write one into the file"
        )
    if EVENT_TIME in types:
        raise BadInputError(
            f"--time {', '.join(names)}: the file has a column {EVENT_TIME!r} too, as Evergreen calls the time that it "
            f"makes of them; rename it, or give --time {EVENT_TIME}"
        )


def note(asked: str, names: Sequence[str], types: Mapping[str, ColumnType]) -> Note:
    """What is said of the columns that were taken."""
    if len(names) == 1:
        text = f"{names[0]} holds years: each event is taken for the first instant of its year"
        other = next((name for name in types if name.lower() in _OTHER_PARTS), None)
        if other:
            text += (
                f". {other} stands beside it and is not read as a part of the time: write a date of both into the "
                "file, such as 2013-01-07, and name that"
            )
    else:
        more = "" if "," in asked else f" ({', '.join(names[1:])} found beside it)"
        text = f"the time of an event is made of {', '.join(names)}{more}"
    return Note("calendar", f"{text}; feed.event_time in model.yaml", tuple(names))
