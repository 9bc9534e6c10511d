"""Times that landed without a zone, as instants: they are what the clocks of the calendar's time zone show.

In autumn an hour is shown twice: which one is meant is said (`calendar.repeated_hour`), or the rows are refused. In
spring an hour is never shown: a time in it proves that the times are of another zone, and its rows are refused. A date
is no time of day: it is the instant at which its day begins, also if the clocks skip midnight or show it twice.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, cast

import numpy as np
import pandas as pd
import pyarrow as pa

from evergreen.core.definition.local_days import Clock, begin, zone_of
from evergreen.loop.intake.failures import refuse_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Micros = NDArray[np.int64]

_DAY = 86_400_000_000
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_YEARS = (-62_100_000_000_000_000, 253_300_000_000_000_000)
"""Microseconds from 1970 to the years 2 and 9996: nearer to the ends of time a zone has no offset"""


def instants(
    name: str,
    shown: pd.Series,
    clock: Clock,
    bare: NDArray[np.bool_] | None = None,
    days: NDArray[np.bool_] | None = None,
) -> pd.Series:
    """The instants at which the clocks show what `shown` does.

    Args:
        name: of the column, for messages.
        shown: datetime64[us, UTC], in which the time of day is what the file says, without regard to a zone.
        clock: the zone, and which of two equal times is meant.
        bare: rows without a zone; others are instants already. All by default.
        days: rows that say a day and no time of day. None by default.

    Returns:
        datetime64[us, UTC] with the same index.

    Raises:
        UnfitFileError: rows have times that the zone's clocks skip, or show twice and nothing says which is meant.
    """
    if clock.is_utc:
        return shown
    chosen = np.asarray(shown.notna() if bare is None else shown.notna() & bare, dtype=bool)
    values = cast("Micros", shown.dt.tz_localize(None).to_numpy("datetime64[us]").astype(np.int64))
    codes, distinct = pd.factorize(values[chosen])
    first, second = _both(np.asarray(distinct, dtype=np.int64), clock)
    missing, twice = np.zeros(len(shown), dtype=bool), np.zeros(len(shown), dtype=bool)
    missing[chosen], twice[chosen] = (first > second)[codes], (first < second)[codes]
    only_days = np.ones(len(shown), dtype=bool) if clock.only_days else days
    begun, begins = _begun(values, missing | twice, only_days, clock)
    _refuse(name, shown, missing & ~begun, twice & ~begun, clock)
    values = values.copy()
    values[chosen] = (second if clock.repeated_hour == "second" else first)[codes]
    values[begun] = begins
    found = pd.Series(values.view("datetime64[us]"), index=shown.index).dt.tz_localize("UTC")
    return found.where(shown.notna())


def _begun(
    shown: Micros, odd: NDArray[np.bool_], days: NDArray[np.bool_] | None, clock: Clock
) -> tuple[NDArray[np.bool_], Micros]:
    """Which rows are days whose time `odd` says to be no instant, or two; and when these days began.

    Of all other days midnight is one instant. A day that never was is none of them.
    """
    found, begins, zone = np.zeros(len(shown), dtype=bool), list[int](), zone_of(clock.timezone)
    rows = np.flatnonzero(odd & days) if days is not None else ()
    for row in rows:
        day = (_EPOCH + dt.timedelta(microseconds=int(shown[row]))).date()
        at = begin(zone, day)
        if at < begin(zone, day + dt.timedelta(days=1)):
            found[row] = True
            begins.append((at - _EPOCH) // dt.timedelta(microseconds=1))
    return found, np.array(begins, dtype=np.int64)


def _refuse(name: str, shown: pd.Series, missing: NDArray[np.bool_], twice: NDArray[np.bool_], clock: Clock) -> None:
    texts = pa.array(shown.dt.strftime("%Y-%m-%d %H:%M:%S"), pa.string(), from_pandas=True)
    zone = clock.timezone
    refuse_rows(
        name, texts, pa.array(missing), f"are times that the clocks of {zone} skip",
        f"times of {zone}", rule="local_time",
        hint="they are of another zone, or of none with summer time: declare that (calendar.timezone), or land times "
        "with their zone, such as 2013-01-07T06:00:00Z",
    )  # fmt: skip
    if clock.repeated_hour == "refuse":
        refuse_rows(
            name, texts, pa.array(twice), f"are times that the clocks of {zone} show twice",
            f"times that {zone} has once", rule="local_time",
            hint="say which is meant (calendar.repeated_hour: first or second), or land times with their zone",
        )  # fmt: skip


def _both(shown: Micros, clock: Clock) -> tuple[Micros, Micros]:
    """First and last instant at which the clocks show each of `shown`; the first is the later one if they never do.

    The offset of the day before and of the day after are the only two that a time can have: the changes of a zone lie
    further apart than two days (PEP 495 tells the two readings of a time apart in the same way).
    """
    near = np.clip(shown, *_YEARS)
    readings = [shown - _offset(near + side * _DAY, clock) for side in (-1, 1)]
    fits = [_offset(np.clip(one, *_YEARS), clock) == shown - one for one in readings]
    early, late = np.minimum(*readings), np.maximum(*readings)
    only = np.where(fits[0], readings[0], readings[1])
    first = np.where(fits[0] & fits[1], early, only)
    last = np.where(fits[0] & fits[1], late, only)
    never = ~(fits[0] | fits[1])
    return np.where(never, late, first), np.where(never, early - 1, last)


def _offset(micros: Micros, clock: Clock) -> Micros:
    """What the zone's clocks are ahead of UTC at each instant."""
    at = pd.DatetimeIndex(micros.view("datetime64[us]")).tz_localize("UTC")
    local = at.tz_convert(zone_of(clock.timezone)).tz_localize(None).to_numpy("datetime64[us]")
    return cast("Micros", local.astype(np.int64) - micros)
