"""Bounds stand near an end that is reached again and again, far from one that moves, and on nothing that only grows."""

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

from evergreen.core.definition.model import ColumnType
from evergreen.loop.intake.comparisons.profile import profile
from evergreen.tools.propose.bounds import bounds_of, runs_on
from evergreen.tools.propose.observed import ColumnFacts

DICE = np.random.default_rng(2)


def facts(partitions, kind: ColumnType = "integer"):
    found = ColumnFacts(kind)
    for values in partitions:
        series = pd.Series(list(values), dtype="Int64" if kind == "integer" else "float64")
        found.add(series, profile(series.to_frame("c"), {"c": kind}).columns["c"])
    return found


def days(count, make):
    return [make(day) for day in range(count)]


@pytest.mark.parametrize(
    ("partitions", "most"),
    [
        (days(8, lambda _: list(range(24)) * 5), 29),  # an hour
        (days(8, lambda _: [1, 2, 3, 4] * 30), 5),  # a season
        (days(8, lambda _: DICE.integers(0, 101, 2_000)), 130),  # a percentage
    ],
)
def test_what_is_reached_in_every_partition_is_the_columns_own_end(partitions, most):
    found = bounds_of(facts(partitions))
    assert found is not None
    assert found.least == 0
    assert found.high < found.most <= most


def test_an_end_that_moves_leaves_room_and_a_trend_more():
    still = facts(days(12, lambda _: DICE.normal(50, 5, 500)), "float")
    grows = facts(days(12, lambda day: DICE.normal(50 + 8 * day, 5, 500)), "float")
    one, other = bounds_of(still), bounds_of(grows)
    assert one is not None
    assert other is not None
    assert 100 < one.most < 400, "a unit that changed lies outside, and a warmer day within"
    assert other.trend
    assert other.most > 4 * other.high
    assert not one.trend


@pytest.mark.parametrize(
    ("partitions", "kind", "grows"),
    [
        (days(10, lambda day: range(100 * day, 100 * day + 100)), "integer", True),  # ids
        (days(10, lambda day: [2020 + day // 4] * 50), "integer", True),  # years
        (days(10, lambda day: np.linspace(day, day + 1, 50)), "float", True),  # a meter
        (days(10, lambda _: range(24)), "integer", False),
        (days(10, lambda day: DICE.normal(10 + day, 6, 200)), "float", False),  # a spring
        (days(3, lambda day: range(100 * day, 100 * day + 100)), "integer", False),  # too few to know
    ],
)
def test_what_only_ever_grows(partitions, kind, grows):
    assert runs_on(facts(partitions, kind)) is grows


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(-1000, 1000), min_size=1, max_size=8), min_size=1, max_size=8))
def test_bounds_hold_all_that_was_seen(partitions):
    found = bounds_of(facts(partitions))
    assert found is not None
    assert found.least <= found.low <= found.high <= found.most
