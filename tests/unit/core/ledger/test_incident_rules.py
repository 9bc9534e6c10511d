"""When a cause that is met again is told again."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.core.ledger.incident_rules import (
    calm,
    fingerprint,
    general,
    general_name,
    is_later,
    is_told,
    next_step,
    returns,
)  # fmt: skip

NOW = dt.datetime(2026, 11, 30, tzinfo=dt.UTC)
DAY, HOUR = dt.timedelta(days=1), dt.timedelta(hours=1)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("price: 3 of 600 rows (0.5 %)", "price: 17 of 1,204 rows (1.4 %)"),
        ("no rows for 2024-01-01", "no rows for 2025-12-29"),
        ("not a date: 'abc'", "not a date: '31.12.'"),
        ("<Connection at 0x7f01>", "<Connection at 0x7fa2bc>"),
        ("column price_20240101 is missing", "column price_20240108 is missing"),
    ],
)
def test_numbers_keys_and_samples_make_no_other_cause(one, other):
    assert general(one) == general(other)


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("pm10", "pm25", False), ("V1", "V17", False), ("sensor_1, sensor_2", "sensor_1, sensor_7", False),
        ("temp_2m", "temp_10m", False), ("rate_2023", "rate_2024", False), ("a1b2c3d4", "a1b2c3d5", False),
        ("price_20240101", "price_20240108", True), ("price_202401", "price_202402", True),
        ("price_2024-01-01", "price_2024-01-08", True), ("price_20240101", "cost_20240101", False),
    ],
)  # fmt: skip
def test_digits_of_a_column_belong_to_its_name_unless_they_may_be_a_date(one, other, alike):
    assert (general_name(one) == general_name(other)) == alike


def test_kind_scope_and_faults_do():
    names = {
        fingerprint("quarantine", "inputs", ["missing price"]), fingerprint("quarantine", "labels", ["missing price"]),
        fingerprint("late_feed", "inputs", ["missing price"]), fingerprint("quarantine", "inputs", ["missing store"]),
        fingerprint("quarantine", "inputs", ["missing price", "missing store"]),
    }  # fmt: skip
    assert len(names) == 5


@given(st.lists(st.text(), max_size=5))
def test_the_order_of_faults_and_their_repetition_say_nothing(faults):
    assert fingerprint("k", "s", faults) == fingerprint("k", "s", [*faults[::-1], *faults])


@given(st.integers(0, 50_000))
def test_the_next_step_is_the_next_power_of_ten(told):
    step = next_step(told)
    assert step > told
    assert step == 10 or step // 10 <= told
    assert set(str(step)[1:]) == {"0"}


@pytest.mark.parametrize("partitions", [1, 20, 99, 100, 5000])
def test_without_time_going_by_the_number_of_mails_is_logarithmic(partitions):
    mails = told = 1
    for count in range(2, partitions + 1):
        if is_told(partitions=count, told=told, mails=mails, told_at=NOW, now=NOW):
            mails, told = mails + 1, count
    assert mails == len(str(partitions))


def test_while_it_grows_it_is_told_after_a_day_then_two_four_and_each_week():
    mails, told_at, days = 1, NOW, []
    for hour in range(1, 24 * 40):
        now = NOW + hour * HOUR
        if is_told(partitions=2, told=2, mails=mails, told_at=told_at, now=now):
            mails, told_at = mails + 1, now
            days.append(hour / 24)
    assert days == [1, 3, 7, 14, 21, 28, 35]


def test_one_that_comes_and_goes_has_to_be_well_for_longer_each_time_and_a_day_at_most():
    assert [calm(n) / HOUR for n in range(8)] == [0, 1, 2, 4, 8, 16, 24, 24]
    assert calm(10_000) == DAY
    assert returns(0, NOW - HOUR, NOW) == 1
    assert returns(4, NOW - 6 * DAY, NOW) == 5
    assert returns(4, NOW - 7 * DAY, NOW) == 0


def test_later_than_all_its_partitions():
    assert is_later("2024-02-01", ["2024-01-01", "2024-01-31", None])
    assert not is_later("2024-01-15", ["2024-01-01", "2024-01-31"])
    assert not is_later(None, ["2024-01-01"])
    assert is_later(None, [None])
