"""The timetable of partitions that begin at local midnights.

`CronPartitionTimetable` counts cron ticks back to name a partition: over the change of spring that loses one key and
makes another twice. This one asks the model's calendar, which the rest of the package asks too.

It builds on what Airflow documents for timetables of one's own (`airflow.timetables.base.Timetable`, registered by a
plugin); what each method must do for a partitioned one is written there and in
`airflow.timetables.trigger.CronPartitionTimetable`, whose behaviour it has otherwise.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import pendulum
from airflow.exceptions import InvalidPartitionKeyError
from airflow.plugins_manager import AirflowPlugin
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction, Timetable

from evergreen.core.definition.calendar import Calendar
from evergreen.core.definition.local_days import begin, zone_of
from evergreen.errors import PartitionKeyError

if TYPE_CHECKING:
    from airflow.utils.types import DagRunType
    from pendulum import DateTime

_ANY_DAY = dt.date(2000, 1, 1)
"""A calendar needs a start. Which runs there are says the DAG's `start_date`."""


class LocalPeriodTimetable(Timetable):
    """One run for each partition of a calendar, at the instant its table is due.

    Args:
        unit: `day`, `week` or `month`.
        timezone: name of the zone at whose midnights partitions begin.
        week_start: weekday on which weeks begin.
        delay: periods between the end of a partition and its run.
    """

    partitioned = True

    def __init__(self, unit: str, timezone: str, week_start: str = "monday", delay: int = 0) -> None:
        self.unit, self.timezone, self.week_start, self.delay = unit, timezone, week_start, delay
        self._calendar = Calendar(unit, _ANY_DAY, None, timezone, week_start)  # type: ignore[arg-type]
        self.description = f"{self.summary}, {delay} {unit}s after the end of each" if delay else self.summary

    @property
    def summary(self) -> str:
        """What Airflow's lists show."""
        return f"each {self.unit} of {self.timezone}"

    def serialize(self) -> dict[str, Any]:
        """The arguments of this timetable, as JSON."""
        return {
            "unit": self.unit, "timezone": self.timezone, "week_start": self.week_start, "delay": self.delay,
        }  # fmt: skip

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Timetable:
        """The reverse of `serialize`."""
        return cls(**data)

    def __eq__(self, other: object) -> bool:
        """Whether both make the same runs."""
        return isinstance(other, LocalPeriodTimetable) and self.serialize() == other.serialize()

    def __hash__(self) -> int:
        """As `__eq__` compares."""
        return hash(tuple(self.serialize().values()))

    def infer_manual_data_interval(self, *, run_after: DateTime) -> DataInterval:
        """A run by hand has no interval but its instant: its partition is what it was given."""
        return DataInterval.exact(run_after)

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """Never asked: runs of partitions have no data interval."""
        raise NotImplementedError("partitioned runs are asked for by next_dagrun_info_v2")

    def next_dagrun_info_v2(
        self, *, last_dagrun_info: DagRunInfo | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """The run after the last one; without catch-up, not before the newest that is due. None after the DAG's end."""
        candidates = [] if restriction.catchup else [self._newest_due(now())]
        if last_dagrun_info is not None:
            candidates.append(self._first_due(last_dagrun_info.run_after, later=True))
        elif restriction.earliest is None and restriction.catchup:
            candidates.append(self._first_due(now(), later=False))
        if restriction.earliest is not None and not (restriction.catchup and last_dagrun_info is not None):
            candidates.append(self._first_due(restriction.earliest, later=False))
        key = max(candidates)
        run_after = _pendulum(self._calendar.due(key, self.delay))
        if restriction.latest is not None and run_after > restriction.latest:
            return None
        begins = _pendulum(self._calendar.period(key).start)
        return DagRunInfo(run_after=run_after, data_interval=None, partition_date=begins, partition_key=key)

    def _newest_due(self, instant: dt.datetime) -> str:
        """Key of the newest partition that is due at `instant`."""
        return self._calendar.shift(self._calendar.key_of(instant), -1 - self.delay)

    def _first_due(self, instant: dt.datetime, *, later: bool) -> str:
        """Key of the first partition that is due at `instant` or later; with `later`, not at it."""
        key = self._newest_due(instant)
        at = self._calendar.due(key, self.delay)
        return key if at == instant and not later else self._calendar.shift(key, 1)

    def iter_partition_dagrun_infos(self, *, earliest: dt.datetime, latest: dt.datetime) -> Iterable[DagRunInfo]:
        """For a backfill: each partition that begins between the two clock times, which are taken in the zone."""
        first, last = (self.localize_partition_datetime(bound) for bound in (earliest, latest))
        for key, begins in self._from(first):
            if begins > last:
                return
            yield DagRunInfo(run_after=begins, data_interval=None, partition_date=begins, partition_key=key)

    def _from(self, instant: dt.datetime) -> Iterator[tuple[str, DateTime]]:
        """Keys and beginnings of the partitions that begin at `instant` or later, in order."""
        key = self._calendar.key_of(instant)
        if self._calendar.period(key).start < instant:
            key = self._calendar.shift(key, 1)
        while True:
            yield key, _pendulum(self._calendar.period(key).start)
            key = self._calendar.shift(key, 1)

    def localize_partition_datetime(self, dt: dt.datetime) -> DateTime:
        """The instant at which the zone's clocks show what `dt` shows, whatever zone it has itself."""
        shown, zone = dt.replace(tzinfo=None), zone_of(self.timezone)
        if shown == shown.replace(hour=0, minute=0, second=0, microsecond=0):
            return _pendulum(begin(zone, shown.date()))
        return _pendulum(shown.replace(tzinfo=zone))

    def _decode_partition_date(self, partition_key: str) -> dt.datetime:
        try:
            return _pendulum(self._calendar.period(partition_key).start)
        except PartitionKeyError as error:
            raise InvalidPartitionKeyError(str(error)) from None

    def generate_run_id(
        self, *, run_type: DagRunType, run_after: DateTime, data_interval: DataInterval | None, **extra: Any
    ) -> str:
        """A name that says when and which partition, and that no two runs have."""
        from airflow.utils.strings import get_random_string

        parts = [run_after.isoformat(), extra.get("partition_key"), get_random_string()]
        return run_type.generate_run_id(suffix="__".join(part for part in parts if part))


def now() -> DateTime:
    """The instant at which a run is asked for."""
    return pendulum.now("UTC")


def _pendulum(instant: dt.datetime) -> DateTime:
    return pendulum.instance(instant.astimezone(dt.UTC), tz="UTC")


class EvergreenTimetables(AirflowPlugin):
    """Lets the scheduler read the timetable back that a DAG file wrote."""

    name = "evergreen_timetables"
    timetables = [LocalPeriodTimetable]  # noqa: RUF012 -- Airflow reads lists of the class
