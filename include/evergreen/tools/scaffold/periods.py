"""From a file's stamps to a calendar: how long a partition is, with which it begins, and what does not belong. Pure."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from evergreen.core.definition.calendar import UNITS as ALL_UNITS
from evergreen.core.definition.calendar import YEARS, Calendar, Unit
from evergreen.core.definition.local_days import UTC
from evergreen.core.frames import on_the_clock
from evergreen.core.text import share
from evergreen.errors import BadInputError
from evergreen.tools.scaffold.notes import Note

FEWEST_ROWS = 200
"""Rows that an ordinary partition should have: below, a slice is not judged (`gate.slice_min_rows`)."""
FEWEST_PERIODS = 8
"""Partitions that a file should give: as many as a partition is compared with"""
UNITS: tuple[Unit, ...] = ("day", "week", "month")
"""Periods that are proposed for their number of rows; an hour is, if the stamps mean hours"""
_MEANT = 3
"""Different stamps from which on their pattern (a month's first days, one weekday) is no accident"""
_A_DAY = 24
_STRAY_GAP = pd.Timedelta(days=2 * 365)
_STRAY_SHARE = 0.001
_STRAY_FEW = 3
_UNCOVERED = 0.1
_PARTIAL = 0.5
"""Share of the median partition's rows below which a first or last partition is a part of one"""


@dataclass(frozen=True)
class Chosen:
    """A calendar, and why.

    Attributes:
        unit: length of a partition.
        start: first day of the first whole partition.
        end: first day of the last one, if one was asked for.
        last: first day of the last whole partition of the file.
        rows: median rows of a partition that has any.
        why: the reason for `unit`, a few words.
        notes: strays and partial partitions.
    """

    unit: Unit
    start: dt.date
    end: dt.date | None
    last: dt.date
    rows: int
    why: str
    notes: tuple[Note, ...]


def first_days(times: pd.Series, unit: Unit, zone: str = UTC) -> pd.Series:
    """First day (a naive midnight of `zone`) of the partition of each instant of `times`, datetime64[us, UTC].

    Of hours, the hour in UTC.
    """
    if unit == "hour":
        hours: pd.Series = on_the_clock(times, UTC).dt.floor("h")
        return hours
    days: pd.Series = on_the_clock(times, zone).dt.normalize()
    if unit == "week":
        days = days - pd.to_timedelta(days.dt.dayofweek, unit="D")
    elif unit == "month":
        days = days - pd.to_timedelta(days.dt.day - 1, unit="D")
    return days


def are_covered(times: pd.Series, partitions: pd.Series, unit: Unit, zone: str = UTC) -> bool:
    """Whether events reach within a tenth of a partition's ends, in all but a tenth of the partitions."""
    if times.dt.hour.nunique() < 2:
        return False
    days = {"hour": 1 / 24, "day": 1, "week": 7, "month": 30}[unit]
    shown = on_the_clock(times, UTC if unit == "hour" else zone)
    hours = (shown - partitions).dt.total_seconds() / 3600
    found = hours.groupby(partitions).agg(["min", "max"])
    inner = found.iloc[1:-1] if len(found) > 2 else found
    gap = np.maximum(inner["min"], 24 * days - inner["max"])
    return bool((gap > 2.4 * days).mean() <= _UNCOVERED)


def strays(times: pd.Series) -> pd.Series:
    """Which of `times` lie years away from all others, and are hardly any: a typing error, or a word for nothing."""
    known = times.dropna()
    found: pd.Series = pd.Series(False, index=times.index)
    if len(known) < FEWEST_PERIODS:
        return found
    year = times.dt.year
    found = found | (year < YEARS[0]) | (year > YEARS[1])
    ordered = known.sort_values(kind="stable")
    most = max(_STRAY_FEW, int(_STRAY_SHARE * len(known)))
    most = min(most, len(known) // FEWEST_PERIODS)
    gaps = ordered.diff()
    for position in np.flatnonzero((gaps > _STRAY_GAP).to_numpy()):
        edge = ordered.iloc[position]
        if position <= most:
            found = found | (times < edge)
        elif len(ordered) - position <= most:
            found = found | (times >= edge)
    return found


def stray_notes(name: str, times: pd.Series, wild: pd.Series) -> list[Note]:
    """What is said of them."""
    if not wild.any():
        return []
    days = times[wild].dt.strftime("%Y-%m-%d").value_counts()
    shown = ", ".join(f"{day} ({count:,} row{'s' * (count > 1)})" for day, count in days.head(5).items())
    rest = times[~wild]
    text = (
        f"{name} is years away from all others in {share(int(wild.sum()), len(times))} rows: {shown}; the others are "
        f"{rest.min():%Y-%m-%d} to {rest.max():%Y-%m-%d}. The calendar is set by the others, and `feed land` leaves "
        "these rows out: correct or remove them"
    )
    return [Note("calendar", text, (name,))]


def choose(
    name: str,
    times: pd.Series,
    asked: Unit | None,
    start: dt.date | None = None,
    end: str | None = None,
    zone: str = UTC,
) -> Chosen:
    """The calendar of a file whose event times are `times` (column `name`, no value missing).

    `asked`, `start` and `end` are what the person said; `end` is a date, or `last` for the file's last whole partition.
    `zone` is the time zone of the days.

    Raises:
        BadInputError: the file holds no whole partition, or `start` or `end` contradicts it.
    """
    wild = strays(times)
    kept = times[~wild]
    meant = by_meaning(kept, zone)
    unit, why = _unit(kept, asked, meant, zone)
    counts = first_days(kept, unit, zone).value_counts().sort_index()
    rows = int(counts.median())
    first, last, notes = _whole_days(counts, zone) if unit == "hour" else _whole(counts, rows, unit)
    notes = [*stray_notes(name, times, wild), *notes]
    if asked is None and meant is not None and meant[2]:
        notes.append(Note("calendar", meant[2], (name,)))
    begin = _aligned(unit, start, "--start") if start else first
    until = _end(unit, end, last)
    if until is not None and until < begin:
        raise BadInputError(f"--end {until} lies before the calendar's start, {begin}; give a later one, or none")
    return Chosen(unit, begin, until, last, rows, why, tuple(notes))


def by_meaning(times: pd.Series, zone: str = UTC) -> tuple[Unit, str, str] | None:
    """The period that the stamps themselves mean, with the reason and what else is to be said; None if none does.

    Stamps without an hour that are each a month's first (or last) day mean months; those of one weekday mean weeks.
    Whole hours, of which each has as many rows as a partition should have, mean hours.
    """
    known = times.dropna()
    days = pd.DatetimeIndex(on_the_clock(pd.Series(known.unique()), zone))
    if len(days) < _MEANT or (days != days.normalize()).any():
        return _hours(known)
    for which, mark in (("first", days.is_month_start), ("last", days.is_month_end)):
        if mark.all():
            rare = days.month.nunique() if len(days) > _MEANT else 12
            steps = {1: "a year", 2: "half a year", 4: "a quarter"}
            step = steps.get(rare) if _evenly(days, rare) else None
            more = (
                f"the stamps are {step} apart: partitions of a month are the longest there are, and most never come"
                if step
                else ""
            )
            return "month", f"each stamp is a month's {which} day", more
    if days.dayofweek.nunique() == 1:
        return "week", f"each stamp is a {days[0].day_name()}", ""
    gap = pd.Series(days.sort_values()).diff().median().days
    usual: tuple[tuple[Unit, int, int], ...] = (("week", 7, 7), ("month", 28, 31))
    for unit, least, most in usual:
        if least <= gap <= most and first_days(pd.Series(days).dt.tz_localize("UTC"), unit).is_unique:
            return unit, f"there is one stamp a {unit}", ""
    return None


def _hours(times: pd.Series) -> tuple[Unit, str, str] | None:
    """That the stamps mean hours; None if some lie within an hour, or hours are rarer than days."""
    rows = times.value_counts()
    hours = pd.Series(rows.index).sort_values()
    if len(rows) < _A_DAY or rows.median() < FEWEST_ROWS or (hours != hours.dt.floor("h")).any():
        return None
    if hours.diff().median() != pd.Timedelta(hours=1):
        return None
    return "hour", f"each stamp is a whole hour, and an ordinary one has {rows.median():,.0f} rows", ""


def _evenly(days: pd.DatetimeIndex, months: int) -> bool:
    """Whether `months` different months of the year are a year's equal parts."""
    found = sorted(days.month.unique())
    return len(found) == months and (months == 1 or len({b - a for a, b in pairwise(found)}) == 1)


def _unit(times: pd.Series, asked: Unit | None, meant: tuple[Unit, str, str] | None, zone: str) -> tuple[Unit, str]:
    if asked is not None:
        said = f"; but {meant[1]}: --period {meant[0]} would fit" if meant and _shorter(asked, meant[0]) else ""
        return asked, f"as asked{said}"
    return (meant[0], meant[1]) if meant else _by_rows(times, zone)


def _shorter(one: Unit, other: Unit) -> bool:
    return ALL_UNITS.index(one) < ALL_UNITS.index(other)


def _by_rows(times: pd.Series, zone: str) -> tuple[Unit, str]:
    """The shortest period of which the median partition has enough rows to be judged, else the longest that recurs."""
    longest: Unit = UNITS[0]
    for unit in UNITS:
        rows = first_days(times, unit, zone).value_counts()
        if len(rows) >= FEWEST_PERIODS:
            longest = unit
        if longest == unit and rows.median() >= FEWEST_ROWS:
            return unit, f"the shortest with {FEWEST_ROWS} rows or more in an ordinary one"
    return longest, f"the longest of which the file has {FEWEST_PERIODS} or more"


def _whole(counts: pd.Series, rows: int, unit: Unit) -> tuple[dt.date, dt.date, list[Note]]:
    """First and last partition that are not a part of one, by their rows, and what is said of those that are."""
    days, notes = list(counts.index), []
    low, high = 0, len(days) - 1
    if len(days) > 2 and counts.iloc[0] < _PARTIAL * rows:
        low = 1
        text = (
            f"the first {unit}, {days[0]:%Y-%m-%d}, is partial ({counts.iloc[0]:,} rows, {rows:,} in an ordinary one): "
            f"the calendar begins with the next one. --start {days[0]:%Y-%m-%d} keeps it"
        )
        notes.append(Note("calendar", text))
    if len(days) > 2 and counts.iloc[-1] < _PARTIAL * rows:
        high -= 1
        text = (
            f"the last {unit}, {days[-1]:%Y-%m-%d}, is partial ({counts.iloc[-1]:,} rows, {rows:,} in an ordinary "
            "one): `feed land` lands it as it is; land it again when it is whole, and it becomes its second version"
        )
        notes.append(Note("calendar", text))
    return days[low].date(), days[high].date(), notes


def _whole_days(counts: pd.Series, zone: str) -> tuple[dt.date, dt.date, list[Note]]:
    """First and last day that have an hour of rows at their beginning and at their end, and what is said of others."""
    hours = pd.Series(counts.index).dt.tz_localize("UTC")
    first, last = on_the_clock(hours.iloc[[0, -1]], zone)
    begin, end = first.date(), last.date()
    calendar = Calendar("day", begin, timezone=zone)
    notes, hour, one = [], pd.Timedelta(hours=1), dt.timedelta(days=1)
    if hours.iloc[0] >= calendar.midnight(begin) + hour and end - begin > one:
        begin += one
        notes.append(Note("calendar", f"the first day, {begin - one}, is partial: the calendar begins with the next"))
    if hours.iloc[-1] + hour < calendar.midnight(end + one) and end > begin:
        notes.append(Note("calendar", f"the last day, {end}, is partial: its hours land as far as they are there"))
        end -= one
    return begin, end, notes


def _end(unit: Unit, asked: str | None, last: dt.date) -> dt.date | None:
    if asked is None:
        return None
    if asked == "last":
        return last
    try:
        return _aligned(unit, dt.date.fromisoformat(asked), "--end")
    except ValueError:
        raise BadInputError(
            f"--end {asked!r}: write a date as YYYY-MM-DD, or `last` for the file's last whole {unit}"
        ) from None


def _aligned(unit: Unit, day: dt.date, option: str) -> dt.date:
    if not YEARS[0] <= day.year <= YEARS[1]:
        raise BadInputError(f"{option} {day}: only years from {YEARS[0]} to {YEARS[1]} are reckoned with")
    return Calendar(unit, dt.date.min).first_day(day)
