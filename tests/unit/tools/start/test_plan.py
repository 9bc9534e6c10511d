"""Which partitions make the first champion."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.core.definition import load_definition
from evergreen.core.definition.calendar import Calendar
from evergreen.errors import BadInputError, NotReadyError
from evergreen.loop.champion.promotion import first_served
from evergreen.tools.start.plan import (
    MOST_CHECKED,
    Landed,
    choose_first,
    key_of,
    labels_due,
    needed,
)

FLIGHTS = load_definition("nyc_flights")
WEEKS = FLIGHTS.partitions


def landed(count, labelled=None):
    keys = tuple(WEEKS.shift("2013-01-07", n) for n in range(count))
    return Landed(keys, keys[: count if labelled is None else labelled])


@given(st.integers(min_value=needed(FLIGHTS), max_value=200))
def test_enough_is_left_to_learn_from_and_to_check(count):
    chosen = choose_first(FLIGHTS, landed(count), None)
    both = landed(count).both
    before, after = both.index(chosen[0]) + 1, count - both.index(chosen[0]) - 1
    assert before >= needed(FLIGHTS)
    assert after <= MOST_CHECKED
    assert after >= min(FLIGHTS.monitoring.refresh + 2, count - needed(FLIGHTS))
    assert chosen == tuple(both[before - 1 :]), "the next ones are tried if the rows are too few"


def test_a_person_names_the_date():
    assert choose_first(FLIGHTS, landed(30), "2013-03-04") == ("2013-03-04",)
    # labels have landed for fewer than were asked for
    assert choose_first(FLIGHTS, landed(30, labelled=8), "2013-06-03") == (WEEKS.shift("2013-01-07", 7),)


@pytest.mark.parametrize("asked", [None, "2013-01-07"])
def test_too_few_are_said(asked):
    with pytest.raises(NotReadyError, match=r"too few partitions of nyc_flights .* are needed, 2 of them held out"):
        choose_first(FLIGHTS, landed(3), asked)


def test_labels_come_with_the_inputs_after_them():
    assert first_served(FLIGHTS, "2013-01-07") == WEEKS.shift("2013-01-07", FLIGHTS.feed.label_delay)
    due = WEEKS.shift("2013-02-04", -FLIGHTS.feed.label_delay)
    assert labels_due(FLIGHTS, [due], "2013-02-04") == [due]
    assert labels_due(FLIGHTS, [], "2013-02-04") == []


def test_what_lies_after_the_last_partition_is_left_alone():
    found = landed(10, labelled=9).through("2013-01-21")
    assert (len(found.inputs), len(found.labels)) == (3, 3)
    assert landed(10).through(None) == landed(10)


def test_keys_and_days_name_partitions():
    assert key_of(WEEKS, "2013-01-09", "--as-of") == "2013-01-07"
    hours = Calendar("hour", WEEKS.start)
    assert key_of(hours, "2013-01-09T05", "--as-of") == "2013-01-09T05"
    with pytest.raises(BadInputError, match=r"--through 'soon' is neither a partition key"):
        key_of(WEEKS, "soon", "--through")
