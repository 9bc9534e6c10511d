"""When a drop counts as late."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.core.definition import load_definition
from evergreen.core.text import span
from evergreen.loop.intake.lateness import terms

DEFINITION = load_definition("nyc_flights")
KEY = "2013-04-15"
instants = st.datetimes(timezones=st.just(dt.UTC)).filter(lambda instant: instant.year < 9999)


@given(since=instants, table=st.sampled_from(["inputs", "labels"]))
def test_the_grace_period_counts_from_the_due_time_and_from_the_beginning_of_the_wait(since, table):
    asked = terms(DEFINITION, table, KEY, since)
    grace = DEFINITION.feed.grace
    assert asked.late_from >= asked.due + grace
    assert asked.late_from >= since + grace
    assert asked.late_from in (asked.due + grace, since + grace)


def test_a_backfill_of_the_past_is_not_late_at_once():
    began = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)
    assert terms(DEFINITION, "inputs", KEY, began).late_from == began + dt.timedelta(hours=6)


def test_who_waits_early_waits_for_the_due_time_first():
    began = dt.datetime(2013, 4, 16, tzinfo=dt.UTC)
    assert terms(DEFINITION, "inputs", KEY, began).late_from == dt.datetime(2013, 4, 22, 6, tzinfo=dt.UTC)
    assert terms(DEFINITION, "labels", KEY, began).late_from == dt.datetime(2013, 4, 29, 6, tzinfo=dt.UTC)


def test_the_terms_are_a_sentence():
    began = dt.datetime(2013, 4, 22, 0, 0, 5, tzinfo=dt.timezone(dt.timedelta(0)))
    assert terms(DEFINITION, "inputs", KEY, began).in_words() == (
        "inputs of 2013-04-15 were due at 2013-04-22 00:00:00 UTC and have been waited for since 2013-04-22 00:00:05 "
        "UTC; with a grace period of 6 h they count as late from 2013-04-22 06:00:05 UTC on"
    )


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (2, "2 s"),
        (45.26, "45.3 s"),
        (5400, "90 min"),
        (27000, "7.5 h"),
        (86400, "24 h"),
        (604800, "7 days"),
    ],
)
def test_spans_read_well(seconds, words):
    assert span(dt.timedelta(seconds=seconds)) == words
