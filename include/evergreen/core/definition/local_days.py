"""When local days begin, as instants in UTC: right over every change of a zone's clocks that the tz database knows.

Source of the rules: the IANA time zone database through `zoneinfo` (PEP 615); how `fold` names one of two equal clock
times: PEP 495.
"""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

UTC = "UTC"
_NIGHT = dt.timedelta(hours=36)
_STEP = 20
"""Days between two looks for a skipped day: a zone that crosses the date line stays on its other side for longer"""
_SINCE, _UNTIL = dt.date(1880, 1, 1), dt.date(2100, 1, 1)
_DAY_LOST = dt.timedelta(hours=20)
"""Rise of the offset from UTC that only a move over the date line makes: all others are of a few hours"""


class Clock(NamedTuple):
    """How times without a zone are read."""

    timezone: str = UTC
    repeated_hour: Literal["refuse", "first", "second"] = "refuse"
    """Which of two instants is meant by a time that the clocks show twice"""
    only_days: bool = False
    """Whether the times say days: what the clocks show at a time of day does not count"""

    @property
    def is_utc(self) -> bool:
        """Whether a time without a zone is its instant as it stands."""
        return self.timezone == UTC


@lru_cache(maxsize=64)
def zone_of(name: str) -> ZoneInfo:
    """The time zone `name`, such as Europe/Berlin.

    Raises:
        ValueError: there is none of this name.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown, no relative path, a folder of zones
        raise ValueError(
            f"{name!r} is no time zone; name one of the IANA database, such as Europe/Berlin or UTC"
        ) from None


@lru_cache(maxsize=100_000)
def begin(zone: ZoneInfo, day: dt.date) -> dt.datetime:
    """The instant at which `day` begins in `zone`, aware, in UTC.

    If the clocks skip midnight, the day begins when they do. If midnight comes twice, it begins the second time: the
    time between was on the day before. A day that the zone has skipped (Pacific/Apia, 2011-12-30) begins when the
    next one does.
    """
    midnight = dt.datetime.combine(day, dt.time())
    last = midnight.replace(tzinfo=zone, fold=1).astimezone(dt.UTC)
    if last.astimezone(zone).replace(tzinfo=None) == midnight:
        return last
    low, high = (midnight.replace(tzinfo=dt.UTC) + side * _NIGHT for side in (-1, 1))
    # The clocks show less than midnight at `low`, and more at `high`: between them is the second at which they jump.
    while high - low > dt.timedelta(seconds=1):
        middle = (low + (high - low) / 2).replace(microsecond=0)
        if middle.astimezone(zone).replace(tzinfo=None) < midnight:
            low = middle
        else:
            high = middle
    return high


@lru_cache(maxsize=64)
def skipped(zone: ZoneInfo) -> frozenset[dt.date]:
    """The days that never were in `zone`, because it crossed the date line to the west."""
    found, day = set(), _SINCE
    offset = _offset(zone, day)
    while day < _UNTIL:
        later = day + dt.timedelta(days=_STEP)
        rise = _offset(zone, later) - offset
        if rise > _DAY_LOST:
            days = (day + dt.timedelta(days=n) for n in range(_STEP + 1))
            found |= {one for one in days if begin(zone, one) == begin(zone, one + dt.timedelta(days=1))}
        day, offset = later, offset + rise
    return frozenset(found)


def _offset(zone: ZoneInfo, day: dt.date) -> dt.timedelta:
    return dt.datetime.combine(day, dt.time(), dt.UTC).astimezone(zone).utcoffset() or dt.timedelta()
