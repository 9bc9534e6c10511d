"""Partition keys and the periods they stand for. All instants are UTC."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal

from evergreen.errors import PartitionKeyError

KEY_FORMAT = "%Y-%m-%d"
YEARS = (1000, 9000)
"""Of keys: what comes a few periods before or after one of them is still a date that Python knows"""
Unit = Literal["day", "week", "month"]
CRON: dict[Unit, str] = {"day": "0 0 * * *", "week": "0 0 * * 1", "month": "0 0 1 * *"}


@dataclass(frozen=True)
class Period:
    """The half-open interval [start, end) of one partition."""

    key: str
    start: dt.datetime
    end: dt.datetime


@dataclass(frozen=True)
class Calendar:
    """The sequence of a model's partitions.

    Weeks begin on Monday, months on the first. `start` is the first partition's first day; `end`, if given, the
    last partition's.
    """

    unit: Unit
    start: dt.date
    end: dt.date | None = None

    @property
    def cron(self) -> str:
        """Cron expression of the instants at which periods begin."""
        return CRON[self.unit]

    def first_day(self, day: dt.date) -> dt.date:
        """First day of the period that holds `day`."""
        if self.unit == "week":
            return day - dt.timedelta(days=day.weekday())
        return day.replace(day=1) if self.unit == "month" else day

    def key_of(self, instant: dt.date | dt.datetime) -> str:
        """Key of the period that holds `instant` (an aware datetime is taken in UTC)."""
        if isinstance(instant, dt.datetime):
            instant = (instant.astimezone(dt.UTC) if instant.tzinfo else instant).date()
        return self.first_day(instant).strftime(KEY_FORMAT)

    def parse(self, key: str) -> dt.date:
        """First day of the partition `key`.

        Raises:
            PartitionKeyError: not `YYYY-MM-DD`, outside of `YEARS`, or not the first day of a period.
        """
        try:
            day = dt.date.fromisoformat(key)
        except ValueError:
            raise PartitionKeyError(
                f"partition key {key[:40]!r} is not a date; write it as YYYY-MM-DD, the first day of the {self.unit}"
            ) from None
        if not YEARS[0] <= day.year <= YEARS[1]:
            raise PartitionKeyError(
                f"partition key {key!r}: only years from {YEARS[0]} to {YEARS[1]} are reckoned with; correct the key"
            )
        if day.strftime(KEY_FORMAT) != key or self.first_day(day) != day:
            raise PartitionKeyError(
                f"partition key {key!r} is not the first day of a {self.unit}; did you mean {self.key_of(day)}?"
            )
        return day

    def shift(self, key: str, periods: int) -> str:
        """Key of the partition `periods` after `key` (before it, if negative)."""
        day = self.parse(key)
        if self.unit == "month":
            months = day.year * 12 + day.month - 1 + periods
            return dt.date(months // 12, months % 12 + 1, 1).strftime(KEY_FORMAT)
        step = dt.timedelta(days=7 if self.unit == "week" else 1)
        return (day + periods * step).strftime(KEY_FORMAT)

    def year_before(self, key: str) -> str:
        """Key of the partition of the same weekday or month a year before `key`."""
        if self.unit == "month":
            return self.shift(key, -12)
        return self.key_of(self.parse(key) - dt.timedelta(days=364))

    def season(self, key: str, count: int) -> list[str]:
        """The `count` partitions around the one a year before `key`, oldest first; none that is `key` or later."""
        centre = self.year_before(key)
        wanted = [self.shift(centre, n) for n in range(-(count // 2), count - count // 2)]
        return [k for k in wanted if k < key]

    def period(self, key: str) -> Period:
        """The interval of the partition `key`, as aware UTC datetimes."""
        following = self.shift(key, 1)
        return Period(key, _midnight(key), _midnight(following))

    def keys(self, first: str, last: str) -> list[str]:
        """All keys from `first` through `last`, in order; empty if `last` is before `first`."""
        self.parse(last)
        found, key = [], first
        while key <= last:
            found.append(key)
            key = self.shift(key, 1)
        return found

    def contains(self, key: str) -> bool:
        """Whether `key` is one of the model's partitions (between `start` and `end`)."""
        day = self.parse(key)
        return self.start <= day and (self.end is None or day <= self.end)

    def due(self, key: str, delay: int = 0) -> dt.datetime:
        """Instant at which the partition `key` is due to land: the end of its period, `delay` periods later."""
        return _midnight(self.shift(key, 1 + delay))

    def look_back(self, key: str, count: int, delay: int) -> list[str]:
        """Keys of the last `count` label partitions that were due before the period of `key` began, oldest first.

        Labels of a partition land `delay` periods after its end, so the newest usable one is `key - 1 - delay`.
        Partitions before the model's `start` do not exist and are left out.
        """
        newest = self.shift(key, -1 - delay)
        keys = [self.shift(newest, -n) for n in range(count - 1, -1, -1)]
        return [k for k in keys if self.parse(k) >= self.start]


def _midnight(key: str) -> dt.datetime:
    """The first instant of a key that is known to be one."""
    return dt.datetime.combine(dt.date.fromisoformat(key), dt.time(), dt.UTC)
