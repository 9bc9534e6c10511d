"""Calendars of hours and of local days: ten years of five zones, instant by instant."""

import datetime as dt
import itertools
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.core.definition import Calendar
from evergreen.core.definition.calendar import KEY_PATTERN, UNITS, WEEKDAYS
from evergreen.core.store import layout
from evergreen.errors import PartitionKeyError

ZONES = {
    "America/New_York": 2015,
    "Europe/Berlin": 2015,
    "Australia/Lord_Howe": 2015,  # half an hour
    "Africa/Casablanca": 2015,  # around Ramadan
    "Pacific/Apia": 2006,  # no 2011-12-30
    "Asia/Tehran": 2013,  # midnight itself is skipped, until 2022
    "America/St_Johns": 2003,  # back at a minute past midnight, until 2011
    "America/Sao_Paulo": 2010,  # midnight itself is skipped, until 2019
}
"""Zone -> first of the ten years"""
INSTANTS = st.integers(788_918_400, 2_082_758_400).map(lambda second: dt.datetime.fromtimestamp(second, dt.UTC))
"""Of 1995 to 2035"""


CUTS = [(zone, year, unit) for zone, year in ZONES.items() for unit in ("day", "week", "month")]


@pytest.mark.parametrize(("zone", "year", "unit"), [*CUTS, ("Australia/Lord_Howe", 2023, "hour")])
def test_ten_years_are_cut_into_partitions_without_gap_or_overlap(zone, year, unit):
    years = 1 if unit == "hour" else 9  # hours are those of UTC, whatever the zone
    calendar = Calendar(unit, dt.date(year, 1, 1), dt.date(year + years, 12, 1), timezone=zone)
    keys = calendar.keys(calendar.first_key, calendar.last_key)
    assert keys == sorted(set(keys))
    assert all(layout.join(key) == key for key in keys)
    periods = [calendar.period(key) for key in keys]
    assert all(a.end == b.start for a, b in itertools.pairwise(periods))
    second = dt.timedelta(seconds=1)
    for one in periods:
        assert one.start < one.end
        assert calendar.key_of(one.start) == calendar.key_of(one.end - second) == one.key
        assert calendar.due(one.key) == one.end
        if unit != "hour":
            day, before = dt.date.fromisoformat(one.key), (one.start - second).astimezone(ZoneInfo(zone)).date()
            twice = (
                one.start.astimezone(ZoneInfo(zone)).fold == 1
            )  # its midnight: the second before is of the same date
            assert before < day or (twice and before == day)


@given(st.sampled_from(list(ZONES)), st.sampled_from(UNITS), st.sampled_from(WEEKDAYS), INSTANTS)
def test_every_instant_lies_in_the_period_of_its_key_and_of_no_other(zone, unit, weekday, instant):
    calendar = Calendar(unit, dt.date(1990, 1, 1), timezone=zone, week_start=weekday)
    key = calendar.key_of(instant)
    before, own, after = (calendar.period(calendar.shift(key, n)) for n in (-1, 0, 1))
    assert before.end == own.start <= instant < own.end == after.start
    if unit == "week":
        assert dt.date.fromisoformat(key).weekday() == WEEKDAYS.index(weekday)


@given(st.sampled_from(list(ZONES)), st.sampled_from(UNITS), INSTANTS, st.integers(-400, 400))
def test_shifting_there_and_back_returns_and_counts_partitions(zone, unit, instant, periods):
    calendar = Calendar(unit, dt.date(1990, 1, 1), timezone=zone)
    key = calendar.key_of(instant)
    there = calendar.shift(key, periods)
    assert calendar.shift(there, -periods) == key
    assert len(calendar.keys(min(key, there), max(key, there))) == abs(periods) + 1


@given(st.sampled_from(list(ZONES)), st.sampled_from(UNITS), INSTANTS, st.integers(0, 8), st.integers(0, 5))
def test_look_back_never_reads_labels_due_after_the_period_began(zone, unit, instant, count, delay):
    calendar = Calendar(unit, dt.date(1980, 1, 1), timezone=zone)
    key = calendar.key_of(instant)
    looked = calendar.look_back(key, count, delay)
    assert len(looked) == count
    assert all(calendar.due(k, delay) <= calendar.period(key).start for k in looked)
    if looked:
        assert calendar.due(calendar.shift(looked[-1], 1), delay) > calendar.period(key).start


@pytest.mark.parametrize("zone", ZONES)
def test_a_day_is_as_long_as_the_clocks_of_its_zone_say(zone):
    days = Calendar("day", dt.date(ZONES[zone], 1, 1), timezone=zone)
    periods = [days.period(k) for k in days.keys(days.first_key, days.shift(days.first_key, 3650))]
    lengths = {(one.end - one.start) / dt.timedelta(hours=1) for one in periods}
    half = 0.5 if zone == "Australia/Lord_Howe" else 1
    assert lengths == {24 - half, 24, 24 + half}


def test_the_days_of_spring_and_autumn():
    berlin = Calendar("day", dt.date(2024, 1, 1), timezone="Europe/Berlin")
    spring, autumn = berlin.period("2024-03-31"), berlin.period("2024-10-27")
    assert (spring.start, spring.end) == (_utc("2024-03-30T23:00"), _utc("2024-03-31T22:00"))
    assert (autumn.start, autumn.end) == (_utc("2024-10-26T22:00"), _utc("2024-10-27T23:00"))


def test_a_day_whose_midnight_is_skipped_begins_when_it_does():
    days = Calendar("day", dt.date(2018, 1, 1), timezone="America/Sao_Paulo")
    assert days.period("2018-11-04").start == _utc("2018-11-04T03:00")  # the clocks show 01:00
    assert days.key_of(_utc("2018-11-04T02:59:59")) == "2018-11-03"


def test_a_day_that_a_zone_skipped_is_no_partition():
    days = Calendar("day", dt.date(2011, 1, 1), timezone="Pacific/Apia")
    assert days.keys("2011-12-28", "2012-01-01") == ["2011-12-28", "2011-12-29", "2011-12-31", "2012-01-01"]
    with pytest.raises(PartitionKeyError, match="Pacific/Apia skipped this day; the next one is 2011-12-31"):
        days.parse("2011-12-30")
    assert Calendar("day", dt.date(2011, 1, 1)).parse("2011-12-30")


def test_keys_of_hours_are_in_utc_and_name_the_doubled_hour_of_autumn_twice():
    hours = Calendar("hour", dt.date(2024, 10, 27), dt.date(2024, 10, 27), timezone="Europe/Berlin")
    assert (hours.first_key, hours.last_key) == ("2024-10-26T22", "2024-10-27T22")
    assert len(hours.keys(hours.first_key, hours.last_key)) == 25
    assert hours.contains("2024-10-27T22")
    assert not hours.contains("2024-10-27T23")


@pytest.mark.parametrize("key", ["2024-01-01", "2024-01-01T24", "2024-01-01T5", "2024-01-01T05:00", "2024-01-01 05"])
def test_what_is_no_hour_is_refused(key):
    with pytest.raises(PartitionKeyError, match="YYYY-MM-DDTHH"):
        Calendar("hour", dt.date(2024, 1, 1)).parse(key)


@given(st.sampled_from(UNITS), INSTANTS)
def test_the_pattern_of_keys_knows_all_of_them(unit, instant):
    import re

    assert re.fullmatch(KEY_PATTERN, Calendar(unit, dt.date(2000, 1, 1)).key_of(instant))


def test_the_season_of_an_hour_is_the_same_hour_of_the_same_weekday():
    hours = Calendar("hour", dt.date(2020, 1, 1))
    assert hours.season("2024-05-06T07", 3) == ["2023-05-08T06", "2023-05-08T07", "2023-05-08T08"]


def _utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)
