"""Which partitions a batch is compared with."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.core.definition.calendar import Calendar
from evergreen.loop.monitoring.reference_window import choose_reference

WEEKS = Calendar("week", dt.date(2012, 1, 2))
ALL = WEEKS.keys("2012-01-02", "2013-12-30")


def test_training_is_what_the_champion_was_made_of():
    found = choose_reference("training", WEEKS, "2013-06-03", ALL)
    assert (found.kind, found.keys) == ("training", ())


def test_rolling_is_the_newest_partitions_before():
    found = choose_reference("rolling", WEEKS, "2013-06-03", ALL, window=3, gap=1)
    assert found.keys == ("2013-05-06", "2013-05-13", "2013-05-20")
    assert found.sentence == "the partitions before it: 3 from 2013-05-06 through 2013-05-20"


@pytest.mark.parametrize(
    ("unit", "key", "keys"),
    [
        ("week", "2013-06-03", ("2012-05-28", "2012-06-04", "2012-06-11")),
        ("month", "2013-06-01", ("2012-05-01", "2012-06-01", "2012-07-01")),
        ("day", "2013-06-03", ("2012-06-03", "2012-06-04", "2012-06-05")),
    ],
)
def test_season_is_around_the_same_time_a_year_before(unit, key, keys):
    calendar = Calendar(unit, dt.date(2012, 1, 1 if unit != "week" else 2))
    found = choose_reference("season", calendar, key, calendar.keys(keys[0], key), window=3)
    assert found.keys == keys


def test_a_first_year_has_no_season_and_says_so():
    found = choose_reference("season", WEEKS, "2013-06-03", ALL[60:], window=8)
    assert found.kind == "training"
    assert "of the 8 partitions of a season reference have landed" in found.sentence


@given(st.sampled_from(ALL), st.sampled_from(["rolling", "season"]), st.integers(1, 80), st.integers(0, 5))
def test_a_reference_is_landed_in_order_and_before_the_partition(key, kind, window, gap):
    found = choose_reference(kind, WEEKS, key, ALL, window=window, gap=gap)
    assert list(found.keys) == sorted(set(found.keys) & set(ALL))
    assert all(k < key for k in found.keys)
