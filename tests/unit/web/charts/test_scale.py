"""From values to places."""

import math

from hypothesis import given
from hypothesis import strategies as st

from evergreen.web.charts.scale import around, runs, spread_labels, ticks

VALUES = st.floats(-1e9, 1e9, allow_nan=False).map(lambda value: round(value, 6))


@given(st.lists(VALUES, min_size=1, max_size=20))
def test_a_scale_holds_all_its_values_in_their_order(values):
    scale = around(values, start=250, end=30)
    places = [scale.place(value) for value in sorted(values)]
    assert places == sorted(places, reverse=True)
    assert all(30 <= place <= 250 for place in places)
    if min(values) >= 0:
        assert scale.low >= 0


def test_a_scale_of_nothing_and_of_what_is_no_number():
    assert around([], start=100, end=0).place(0.5) == 54.5
    assert around([math.nan, math.inf, 1.0], start=100, end=0).high < 2


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_are_inside_and_few(low, width):
    found = ticks(low, low + width)
    room = 1e-6 * max(abs(low), width, 1)
    assert all(low - room <= tick <= low + width + room for tick in found)
    assert 1 <= len(found) <= 9


def test_ticks_are_round():
    assert ticks(0.13, 0.27) == [0.15, 0.2, 0.25]
    assert ticks(0, 1000) == [0, 250, 500, 750, 1000]


@given(st.integers(0, 500), st.integers(1, 12))
def test_labels_are_few_and_the_last_is_among_them(count, most):
    found = spread_labels(count, most)
    assert len(found) <= most
    assert not count or found[-1] == count - 1


def test_runs_end_at_what_is_not_known():
    assert runs([1.0, None, 2.0, 3.0, math.nan]) == [[(0, 1.0)], [(2, 2.0), (3, 3.0)]]
