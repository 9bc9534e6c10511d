"""Float noise is no drift, and a true change is one still."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from evergreen.core.definition.load import load_definition
from evergreen.loop.monitoring.drift import detect, two_sample, wording
from evergreen.loop.monitoring.drift.rounding import ROUNDING, as_one

SUM = 0.1 + 0.2


def effect(before, now):
    found = two_sample.compare_numbers(*(pd.Series(part) for part in as_one(np.asarray(before), np.asarray(now))), 1.0)
    return found.effect


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ([0.3] * 300, [SUM] * 200),
        ([SUM] * 300, [0.3] * 200),
        ([0.3] * 300, [float(np.float32(0.3))] * 200),
        ([float(np.float32(19.99))] * 300, [19.99] * 200),
        ([0.1, 0.2, 0.3] * 100, [0.1, 0.2, SUM] * 80),
        ([0.1, 0.2, 0.3] * 100, [float(np.float32(x)) for x in (0.1, 0.2, 0.3)] * 40 + [0.1, 0.2, SUM] * 40),
        ([0.0] * 300, [0.3 - 0.2 - 0.1] * 200),
        ([0.0, 1.5] * 150, [0.3 - 0.2 - 0.1, 1.5] * 100),
        ([1e9 + 0.1] * 300, [1e9 + 0.1 + 1.2e-7] * 200),
        ([0.3, np.nan] * 150, [SUM, np.nan] * 100),
        ([-0.3] * 300, [-SUM] * 200),
    ],
)
def test_rounding_is_no_difference(before, now):
    one, other = (part[~np.isnan(part)] for part in as_one(np.asarray(before), np.asarray(now)))
    assert effect(one, other) == 0.0
    assert "still" in wording.change_of_numbers(one, other)


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ([0.3] * 300, [0.3001] * 200),
        ([0.3] * 300, [0.3 * (1 + 1e-6)] * 200),
        ([1_700_000_000.0] * 300, [1_700_000_100.0] * 200),
        ([1_700_000_000.5] * 300, [1_700_000_100.5] * 200),
        ([1e-9] * 300, [2e-9] * 200),
        ([0.0] * 300, [1e-9] * 200),
    ],
)
def test_a_change_that_is_small_and_true_is_seen(before, now):
    assert effect(before, now) == two_sample.LARGEST_EFFECT


NUMBERS = st.lists(st.floats(-1e12, 1e12).filter(lambda x: x == 0 or abs(x) > 1e-6), min_size=1, max_size=30)


def at_the_edge(values):
    """Whether two of `values` lie about one rounding apart: a group may begin between one and its neighbour in ulps."""
    distinct = np.unique(values)
    near = ROUNDING * np.maximum(np.abs(distinct), np.median(np.abs(distinct)))
    gaps = np.diff(distinct)
    return bool(((gaps > 0.5 * near[1:]) & (gaps < 2 * near[1:])).any())


@example(values=[1e12, 1e12 + 8], ulps=1)
@given(values=NUMBERS, ulps=st.integers(-4, 4))
def test_a_sample_some_ulps_away_is_the_same_sample(values, ulps):
    before = np.asarray(values)
    assume(not at_the_edge(before))
    now = before.copy()
    for _ in range(abs(ulps)):
        now = np.nextafter(now, np.inf if ulps > 0 else -np.inf)
    one, other = as_one(before, now)
    assert (one == other).all() or ((before == np.trunc(before)).all() and (now == np.trunc(now)).all())


@given(values=NUMBERS)
def test_nothing_moves_further_than_single_precision_and_order_stays(values):
    before = np.sort(np.asarray(values))
    one, other = as_one(before, before.astype(np.float32).astype(float))
    assert (np.diff(one) >= 0).all()
    usual = np.median(np.abs(np.unique(np.concatenate([before, before.astype(np.float32).astype(float)]))))
    assert (np.abs(one - before) <= 1e-7 * np.abs(before) + 1e-12 * usual + 1e-15).all()
    if not (before == np.trunc(before)).all():
        assert np.array_equal(one, other)


@given(values=st.lists(st.integers(-(2**53), 2**53), min_size=1, max_size=20))
def test_whole_numbers_stay_as_they_are(values):
    numbers = np.asarray(values, float)
    assert np.array_equal(as_one(numbers, numbers + 1)[0], numbers)


def test_whole_number_categories_of_an_earlier_release_are_the_same_categories():
    definition = load_definition("nyc_flights")
    name = definition.features.categorical[0]
    found = detect._labels(pd.Series(["20.0", "30.0", None], name=name), pd.Series(["20", "30", None], name=name))
    assert found[0].equals(found[1])
