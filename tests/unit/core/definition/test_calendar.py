"""The calendar: keys, periods, due times and what a partition may look back on."""

import datetime as dt
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.core.definition import Calendar
from evergreen.errors import PartitionKeyError

UNITS = st.sampled_from(["day", "week", "month"])
DAYS = st.dates(dt.date(1990, 1, 1), dt.date(2090, 1, 1))


@given(UNITS, DAYS)
def test_a_day_lies_in_the_period_of_its_key(unit, day):
    calendar = Calendar(unit, day)
    period = calendar.period(calendar.key_of(day))
    assert period.start.date() <= day < period.end.date()


@given(UNITS, DAYS, st.integers(-60, 60))
def test_shifting_there_and_back_returns(unit, day, periods):
    calendar = Calendar(unit, day)
    key = calendar.key_of(day)
    assert calendar.shift(calendar.shift(key, periods), -periods) == key


@given(UNITS, DAYS, st.integers(-60, 60))
def test_the_distance_is_what_shifts(unit, day, periods):
    calendar = Calendar(unit, day)
    key = calendar.key_of(day)
    assert calendar.distance(key, calendar.shift(key, periods)) == periods


@given(DAYS.map(lambda day: dt.datetime(day.year, day.month, day.day, 13, tzinfo=dt.UTC)), st.integers(-5000, 5000))
def test_the_distance_of_hours(instant, periods):
    calendar = Calendar("hour", dt.date(1990, 1, 1))
    key = calendar.key_of(instant)
    assert calendar.distance(key, calendar.shift(key, periods)) == periods


@given(st.dates(dt.date(2011, 12, 20), dt.date(2012, 1, 10)), st.integers(-20, 20))
def test_the_distance_over_a_day_that_a_zone_skipped(day, periods):
    calendar = Calendar("day", dt.date(2011, 1, 1), timezone="Pacific/Apia")
    key = "2011-12-31" if day == dt.date(2011, 12, 30) else day.isoformat()
    assert calendar.distance(key, calendar.shift(key, periods)) == periods


@given(UNITS, DAYS, st.integers(0, 40))
def test_keys_are_contiguous_periods(unit, day, count):
    calendar = Calendar(unit, day)
    first = calendar.key_of(day)
    keys = calendar.keys(first, calendar.shift(first, count))
    assert len(keys) == count + 1
    assert all(calendar.period(a).end == calendar.period(b).start for a, b in itertools.pairwise(keys))


@given(UNITS, DAYS, st.integers(0, 8), st.integers(0, 5))
def test_look_back_never_reads_labels_due_after_the_period_began(unit, day, count, delay):
    calendar = Calendar(unit, dt.date(1980, 1, 1))
    key = calendar.key_of(day)
    looked = calendar.look_back(key, count, delay)
    assert len(looked) == count
    assert all(calendar.due(k, delay) <= calendar.period(key).start for k in looked)
    if looked:
        assert calendar.due(calendar.shift(looked[-1], 1), delay) > calendar.period(key).start


def test_look_back_stops_at_the_first_partition():
    calendar = Calendar("week", dt.date(2013, 1, 7))
    assert calendar.look_back("2013-01-07", 4, 1) == []
    assert calendar.look_back("2013-02-04", 4, 1) == ["2013-01-07", "2013-01-14", "2013-01-21"]


def test_an_instant_is_taken_in_utc():
    new_york = dt.timezone(dt.timedelta(hours=-5))
    assert Calendar("week", dt.date(2013, 1, 7)).key_of(dt.datetime(2013, 1, 13, 20, tzinfo=new_york)) == "2013-01-14"


def test_contains_knows_start_and_end():
    calendar = Calendar("week", dt.date(2013, 1, 7), dt.date(2013, 1, 21))
    assert [calendar.contains(k) for k in ("2012-12-31", "2013-01-07", "2013-01-21", "2013-01-28")] == [
        False, True, True, False,
    ]  # fmt: skip


@pytest.mark.parametrize("key", ["", "2013-1-7", "20130107", "2013-W02-1", "../../etc", "2013-01-07 ", "2013-02-30"])
def test_a_malformed_key_is_refused_with_the_format(key):
    with pytest.raises(PartitionKeyError, match=r"YYYY-MM-DD|not the first day"):
        Calendar("week", dt.date(2013, 1, 7)).parse(key)


@pytest.mark.parametrize(
    ("unit", "key"), [("day", "9999-12-31"), ("week", "9999-12-27"), ("month", "9999-12-01"), ("month", "0001-01-01")]
)
def test_a_key_at_the_end_of_all_dates_is_refused(unit, key):
    with pytest.raises(PartitionKeyError, match="only years from 1000 to 9000 are reckoned with"):
        Calendar(unit, dt.date(2013, 1, 7)).contains(key)


@pytest.mark.parametrize(("unit", "key"), [("day", "9000-12-31"), ("week", "9000-12-29"), ("month", "9000-12-01")])
def test_the_last_key_that_is_taken_has_an_end(unit, key):
    calendar = Calendar(unit, dt.date(2013, 1, 7))
    assert calendar.period(key).end.year == 9001
    assert calendar.due(key, 3).year == 9001


def test_a_key_inside_a_period_names_the_right_one():
    with pytest.raises(PartitionKeyError, match="did you mean 2013-01-07"):
        Calendar("week", dt.date(2013, 1, 7)).parse("2013-01-09")
