"""Stamps set the calendar: what they mean, what does not belong, and what is a part of a partition."""

import datetime as dt

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.core.definition.calendar import Calendar
from evergreen.errors import BadInputError
from evergreen.tools.scaffold.periods import UNITS, by_meaning, choose, first_days, strays

BETWEEN = (pd.Timestamp("1900-01-01").to_pydatetime(), pd.Timestamp("2200-01-01").to_pydatetime())


def stamps(*texts):
    return pd.Series(pd.to_datetime(list(texts), utc=True).astype("datetime64[us, UTC]"))


def every(first, count, each=1, **step):
    """`count` stamps from `first`, `step` apart, each `each` times."""
    start = pd.Timestamp(first)
    return stamps(*(start + n * pd.DateOffset(**step) for n in range(count) for _ in range(each)))


@given(st.lists(st.datetimes(*BETWEEN), min_size=1, max_size=20))
def test_the_first_day_of_a_partition_is_that_of_the_calendar(moments):
    times = stamps(*moments)
    for unit in UNITS:
        calendar = Calendar(unit, dt.date.min)
        keys = [calendar.key_of(moment.replace(tzinfo=dt.UTC)) for moment in moments]
        assert list(first_days(times, unit).dt.strftime("%Y-%m-%d")) == keys


@pytest.mark.parametrize(
    ("times", "unit"),
    [
        (every("2024-01-01", 6, months=1), "month"),
        (every("2023-11-30", 5, months=1) + pd.offsets.MonthEnd(0), "month"),
        (every("2024-01-05", 8, days=7), "week"),  # Fridays
        (every("2024-01-05", 40, days=1), None),
        (every("2024-01-01 06:00", 6, months=1), None),
        (stamps("2024-01-01", "2024-02-01"), None),
        (every("2024-01-17", 9, months=1), "month"),  # whatever day it is
    ],
)
def test_stamps_that_recur_on_one_day_mean_a_period(times, unit):
    found = by_meaning(times)
    assert (found and found[0]) == unit


def test_quarters_are_months_of_which_most_never_come():
    found = choose("at", every("2020-01-01", 12, months=3), None)
    assert found.unit == "month"
    assert any("a quarter apart" in note.text and "most never come" in note.text for note in found.notes)


def test_the_shorter_period_that_was_asked_for_is_taken_and_the_meaning_said():
    found = choose("at", every("2024-01-01", 6, months=1), "day")
    assert (found.unit, found.why) == (
        "day",
        "as asked; but each stamp is a month's first day: --period month would fit",
    )


def test_one_stray_date_does_not_set_the_calendar():
    times = pd.concat([every("2024-01-01", 100, each=3, days=1), stamps("1970-01-01", "2099-12-31")], ignore_index=True)
    assert list(times[strays(times)].dt.year) == [1970, 2099]
    found = choose("at", times, "week")
    assert found.start == dt.date(2024, 1, 1)
    assert found.last < dt.date(2024, 5, 1)
    assert "2099-12-31 (1 row)" in found.notes[0].text
    assert "2 of 302" in found.notes[0].text


def test_a_long_pause_of_a_feed_is_no_stray():
    times = pd.concat([every("2015-01-01", 60, days=1), every("2020-01-01", 60, days=1)], ignore_index=True)
    assert not strays(times).any()


def test_partial_partitions_are_said_with_what_is_done():
    times = every("2024-01-06", 30, each=10, days=1)  # from a Saturday on; the last week has five days
    found = choose("at", times, "week")
    assert found.start == dt.date(2024, 1, 8)
    assert "the first week, 2024-01-01, is partial (20 rows, 70 in an ordinary one)" in found.notes[0].text
    assert choose("at", times, "week", start=dt.date(2024, 1, 3)).start == dt.date(2024, 1, 1)
    cut = choose("at", every("2024-01-01", 16, each=10, days=1), "week")
    assert cut.last == dt.date(2024, 1, 8)
    assert "the last week, 2024-01-15, is partial (20 rows" in cut.notes[-1].text


def test_the_end_is_what_was_asked_for():
    times = every("2024-01-01", 70, each=10, days=1)
    assert choose("at", times, "week").end is None
    assert choose("at", times, "week", end="last").end == dt.date(2024, 3, 4)
    assert choose("at", times, "week", end="2024-02-29").end == dt.date(2024, 2, 26)
    with pytest.raises(BadInputError, match="--end 'soon': write a date"):
        choose("at", times, "week", end="soon")
    with pytest.raises(BadInputError, match="lies before the calendar's start"):
        choose("at", times, "week", end="2023-01-01")
