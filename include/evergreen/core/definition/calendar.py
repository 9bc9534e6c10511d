"""Partition keys and the periods they stand for.

The key of a day, a week or a month is its first day, in the calendar's time zone. The key of an hour is the hour in
UTC: in local time one hour of autumn has the same name as the next. All instants are UTC.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, TypeGuard

from evergreen.core.definition import local_days
from evergreen.core.definition.local_days import UTC
from evergreen.core.names import PartitionKey
from evergreen.errors import PartitionKeyError

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

KEY_FORMAT = "%Y-%m-%d"
HOUR_FORMAT = "%Y-%m-%dT%H"
KEY_PATTERN = r"\d{4}-\d{2}-\d{2}(T\d{2})?"
"""Of the keys of all calendars, as a regular expression; the colons of a whole time are no part of a file's name"""
YEARS = (1000, 9000)
"""Of keys: what comes a few periods before or after one of them is still a date that Python knows"""
Unit = Literal["hour", "day", "week", "month"]
UNITS: tuple[Unit, ...] = ("hour", "day", "week", "month")
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
WEEKDAYS: tuple[Weekday, ...] = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_HOUR = dt.timedelta(hours=1)


@dataclass(frozen=True)
class Period:
    """The half-open interval [start, end) of one partition."""

    key: PartitionKey
    start: dt.datetime
    end: dt.datetime


@dataclass(frozen=True)
class Calendar:
    """The sequence of a model's partitions. Its methods take any text as a key, and give keys.

    Weeks begin on `week_start`, months on the first, days at midnight in `timezone` (docs/time-and-identity.md).
    `start` is the first partition's first day; `end`, if given, the last partition's. Of hours, they are the days of
    the first and of the last.
    """

    unit: Unit
    start: dt.date
    end: dt.date | None = None
    timezone: str = UTC
    week_start: Weekday = "monday"

    @cached_property
    def _zone(self) -> ZoneInfo | None:
        """The zone of the days; None if it is UTC, which needs no looking up."""
        return None if self.timezone == UTC else local_days.zone_of(self.timezone)

    @property
    def cron(self) -> str:
        """Cron expression of the instants at which periods begin, in `timezone`; of hours, in UTC."""
        weekday = (WEEKDAYS.index(self.week_start) + 1) % 7
        return {"hour": "0 * * * *", "day": "0 0 * * *", "week": f"0 0 * * {weekday}", "month": "0 0 1 * *"}[self.unit]

    @property
    def key_format(self) -> str:
        """Format of the keys, for `strftime`."""
        return HOUR_FORMAT if self.unit == "hour" else KEY_FORMAT

    @property
    def key_in_words(self) -> str:
        """What a key is, for people."""
        if self.unit == "hour":
            return "the hour in UTC, YYYY-MM-DDTHH"
        return "YYYY-MM-DD" if self.unit == "day" else f"the first day of the {self.unit}, YYYY-MM-DD"

    @property
    def is_local(self) -> bool:
        """Whether periods begin at local midnights, so that they are not all of the same length."""
        return self._zone is not None and self.unit != "hour"

    @cached_property
    def first_key(self) -> PartitionKey:
        """Key of the first partition."""
        return self.key_of(self.start)

    @cached_property
    def last_key(self) -> PartitionKey | None:
        """Key of the last partition, or None if the feed goes on."""
        if self.end is None or self.unit != "hour":
            return self.key_of(self.end) if self.end else None
        return PartitionKey(
            (self.midnight(self.end + dt.timedelta(days=1)) - dt.timedelta(microseconds=1)).strftime(HOUR_FORMAT)
        )

    def first_day(self, day: dt.date) -> dt.date:
        """First day of the period that holds `day`; of hours, `day` itself."""
        if self.unit == "week":
            return day - dt.timedelta(days=(day.weekday() - WEEKDAYS.index(self.week_start)) % 7)
        return day.replace(day=1) if self.unit == "month" else day

    def key_of(self, instant: dt.date | dt.datetime) -> PartitionKey:
        """Key of the period that holds `instant` (a date is one of the calendar's; a naive datetime is in UTC)."""
        if not isinstance(instant, dt.datetime):
            if self._zone is None and self.unit != "hour":
                return PartitionKey(self.first_day(instant).strftime(KEY_FORMAT))
            instant = self.midnight(self.first_day(instant))
        instant = instant.astimezone(dt.UTC) if instant.tzinfo else instant.replace(tzinfo=dt.UTC)
        if self.unit == "hour":
            return PartitionKey(instant.strftime(HOUR_FORMAT))
        if self._zone is None:
            return PartitionKey(self.first_day(instant.date()).strftime(KEY_FORMAT))
        return self._local_key_of(instant)

    def _local_key_of(self, instant: dt.datetime) -> PartitionKey:
        key = PartitionKey(self.first_day(instant.astimezone(self._zone).date()).strftime(KEY_FORMAT))
        # Clocks that show the same times twice around midnight show a date before or after it is there to stay.
        if instant < self._start(key):
            return self._shifted(key, -1)
        following = self._shifted(key, 1)
        return following if instant >= self._start(following) else key

    def parse(self, key: str) -> dt.date:
        """First day of the partition `key`; of an hour, its day in the calendar's time zone.

        Raises:
            PartitionKeyError: not a key (`key_in_words`), outside of `YEARS`, or not the first day of a period.
        """
        if self.unit == "hour":
            return self._hour(key).astimezone(self._zone or dt.UTC).date()
        try:
            day = dt.date.fromisoformat(key)
        except ValueError:
            raise PartitionKeyError(
                f"partition key {key[:40]!r} is not a date; write it as YYYY-MM-DD, the first day of the {self.unit}"
            ) from None
        self._check_year(key, day)
        if day.strftime(KEY_FORMAT) != key or self.first_day(day) != day:
            raise PartitionKeyError(
                f"partition key {key!r} is not the first day of a {self.unit}; did you mean {self.key_of(day)}?"
            )
        if self.unit == "day" and day in self._skipped:
            raise PartitionKeyError(
                f"partition key {key!r}: {self.timezone} skipped this day; the next one is {self.key_of(day)}"
            )
        return day

    def _hour(self, key: str) -> dt.datetime:
        """The instant at which the hour `key` begins; raises as `parse`."""
        try:
            instant = dt.datetime.fromisoformat(key).replace(tzinfo=dt.UTC)
        except ValueError:
            instant = None
        if instant is None or instant.strftime(HOUR_FORMAT) != key:
            raise PartitionKeyError(f"partition key {key[:40]!r} is not an hour; write it as YYYY-MM-DDTHH, in UTC")
        self._check_year(key, instant)
        return instant

    def _check_year(self, key: str, day: dt.date) -> None:
        if not YEARS[0] <= day.year <= YEARS[1]:
            raise PartitionKeyError(
                f"partition key {key!r}: only years from {YEARS[0]} to {YEARS[1]} are reckoned with; correct the key"
            )

    @cached_property
    def _skipped(self) -> frozenset[dt.date]:
        return frozenset() if self._zone is None else local_days.skipped(self._zone)

    def shift(self, key: str, periods: int) -> PartitionKey:
        """Key of the partition `periods` after `key` (before it, if negative)."""
        self.parse(key)
        return self._shifted(key, periods)

    def _shifted(self, key: str, periods: int) -> PartitionKey:
        """The same of a key that is known to be one."""
        if self.unit == "hour":
            return PartitionKey((_instant(key) + periods * _HOUR).strftime(HOUR_FORMAT))
        day = dt.date.fromisoformat(key)
        if self.unit == "month":
            months = day.year * 12 + day.month - 1 + periods
            return PartitionKey(dt.date(months // 12, months % 12 + 1, 1).strftime(KEY_FORMAT))
        step = dt.timedelta(days=7 if self.unit == "week" else 1)
        there = day + periods * step
        if self.unit == "day" and self._skipped:
            there = self._past_skipped(day, there)
        return PartitionKey(there.strftime(KEY_FORMAT))

    def _past_skipped(self, day: dt.date, there: dt.date) -> dt.date:
        """`there`, counted from `day` over days that are no partitions."""
        one = dt.timedelta(days=1 if there >= day else -1)
        for gone in sorted(self._skipped, reverse=there < day):
            if min(day, there) <= gone <= max(day, there):
                there += one
        return there

    def year_before(self, key: str) -> PartitionKey:
        """Key of the partition of the same weekday (and hour), or of the same month, a year before `key`."""
        if self.unit == "month":
            return self.shift(key, -12)
        if self.unit == "hour":
            return self.shift(key, -24 * 364)
        return self.key_of(self.parse(key) - dt.timedelta(days=364))

    def season(self, key: str, count: int) -> list[PartitionKey]:
        """The `count` partitions around the one a year before `key`, oldest first; none that is `key` or later."""
        centre = self.year_before(key)
        wanted = [self.shift(centre, n) for n in range(-(count // 2), count - count // 2)]
        return [k for k in wanted if k < key]

    def period(self, key: str) -> Period:
        """The interval of the partition `key`, as aware UTC datetimes."""
        following = self.shift(key, 1)
        return Period(PartitionKey(key), self._start(key), self._start(following))

    def clock_time(self, key: str) -> dt.datetime:
        """What the calendar's clocks show as the partition `key` begins: the bound of a backfill that holds it.

        Airflow takes a bound's clock time in the zone of the DAG, whatever zone the bound has itself.
        """
        if self.is_local:
            return dt.datetime.combine(self.parse(key), dt.time(), dt.UTC)
        return self.period(key).start

    def keys(self, first: str, last: str) -> list[PartitionKey]:
        """All keys from `first` through `last`, in order; empty if `last` is before `first`."""
        self.parse(last)
        self.parse(first)
        found, key = [], PartitionKey(first)
        while key <= last:
            found.append(key)
            key = self._shifted(key, 1)
        return found

    def distance(self, first: str, last: str) -> int:
        """How many partitions `last` is after `first` (before it, if negative), without a walk between them."""
        self.parse(last)
        self.parse(first)
        if self.unit == "hour":
            return (_instant(last) - _instant(first)) // _HOUR
        start, end = dt.date.fromisoformat(first), dt.date.fromisoformat(last)
        if self.unit == "month":
            return (end.year - start.year) * 12 + end.month - start.month
        days = (end - start).days
        if self.unit == "week":
            return days // 7
        gone = sum(min(start, end) < day < max(start, end) for day in self._skipped)
        return days - gone if days >= 0 else days + gone

    def contains(self, key: str) -> TypeGuard[PartitionKey]:
        """Whether `key` is one of the model's partitions (between `start` and `end`)."""
        self.parse(key)
        return self.first_key <= key and (self.last_key is None or key <= self.last_key)

    def due(self, key: str, delay: int = 0) -> dt.datetime:
        """Instant at which the partition `key` is due to land: the end of its period, `delay` periods later."""
        return self._start(self.shift(key, 1 + delay))

    def look_back(self, key: str, span: int | dt.timedelta, delay: int) -> list[PartitionKey]:
        """Keys of the label partitions of `span` that were due before the period of `key` began, oldest first.

        Labels of a partition land `delay` periods after its end, so the newest usable one is `key - 1 - delay`. `span`
        is how many there are, or how long before the period of `key` they lie, if only in part. Partitions before the
        model's `start` do not exist and are left out.
        """
        newest = self.shift(key, -1 - delay)
        if isinstance(span, dt.timedelta):
            oldest = self.key_of(self._start(key) - span)
            return self.keys(max(oldest, self.first_key), newest) if self.first_key <= newest else []
        keys = [self.shift(newest, -n) for n in range(span - 1, -1, -1)]
        return [k for k in keys if k >= self.first_key]

    def most_partitions(self, span: int | dt.timedelta) -> int:
        """How many partitions a look-back of `span` reaches at most."""
        if not isinstance(span, dt.timedelta):
            return span
        shortest = {"hour": 1, "day": 23, "week": 7 * 24 - 1, "month": 28 * 24 - 1}[
            self.unit
        ]  # over a change of clocks
        return span // dt.timedelta(hours=shortest) + 2

    def _start(self, key: str) -> dt.datetime:
        """The first instant of a key that is known to be one."""
        return _instant(key) if self.unit == "hour" else self.midnight(dt.date.fromisoformat(key))

    def midnight(self, day: dt.date) -> dt.datetime:
        """The instant at which `day` begins, in UTC."""
        if self._zone is None:
            return dt.datetime.combine(day, dt.time(), dt.UTC)
        return local_days.begin(self._zone, day)


def _instant(hour: str) -> dt.datetime:
    return dt.datetime.fromisoformat(hour).replace(tzinfo=dt.UTC)
