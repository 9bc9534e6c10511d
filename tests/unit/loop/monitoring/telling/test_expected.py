"""What was to be expected of a loss: chance is not called bad, and a bad week is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evergreen.loop.monitoring.loss.estimated import Estimate
from evergreen.loop.monitoring.loss.harm_test import Cluster
from evergreen.loop.monitoring.telling.expected import Pair, expect, look_ahead


def days(rng, count=7, rise=0.0, expected=0.17, spread=0.02):
    """Days whose loss is what the model expects, but for chance and `rise`."""
    losses = expected + rise + spread * rng.normal(size=count)
    return [Cluster(str(n), 900, float(loss), expected) for n, loss in enumerate(losses)]


def test_the_week_of_the_demo_is_bad():
    rng = np.random.default_rng(0)
    before = [days(rng) for _ in range(6)]
    found = expect("2013-06-24", days(rng, rise=0.1), days(rng, 14), before, margin=0.1)
    assert found.above
    assert found.rise == pytest.approx(0.55, abs=0.2)
    quiet = expect("2013-07-01", days(rng), days(rng, 14), before, margin=0.1)
    assert not quiet.above
    assert quiet.high > quiet.expected


def test_a_harder_week_that_the_model_expects_is_not_bad():
    rng = np.random.default_rng(1)
    assert not expect("k", days(rng, expected=0.24), days(rng, 14), [], margin=0.1).above


def test_a_bad_week_does_not_excuse_the_next():
    rng = np.random.default_rng(2)
    before = [days(rng) for _ in range(6)] + [days(rng, rise=0.12), days(rng, rise=0.11)]
    assert expect("k", days(rng, rise=0.09), days(rng, 14), before, margin=0.1).above


def test_weeks_that_always_differ_are_expected_to_differ():
    rng = np.random.default_rng(3)
    before = [days(rng, rise=rise) for rise in (0.02, -0.03, 0.02, -0.02, 0.03, -0.03, 0.025)]
    assert not expect("k", days(rng, rise=0.03), days(rng, 14), before, margin=0.1).above


def test_nothing_is_expected_of_a_holdout_of_one_day():
    rng = np.random.default_rng(4)
    assert expect("k", days(rng), days(rng, 1), [], margin=0.1) is None
    assert expect("k", [], days(rng, 14), [], margin=0.1) is None


def test_chance_is_seldom_called_bad():
    rng = np.random.default_rng(5)
    lives = [expect("k", days(rng), days(rng, 14), [days(rng) for _ in range(8)], margin=0.0) for _ in range(600)]
    assert np.mean([one.above for one in lives]) <= 0.02


@given(seed=st.integers(0, 1000), rise=st.floats(0, 0.3))
@settings(max_examples=40)
def test_a_larger_loss_is_never_less_bad(seed, rise):
    rng = np.random.default_rng(seed)
    now, holdout, before = days(rng), days(rng, 14), [days(rng) for _ in range(3)]
    worse = [Cluster(c.name, c.rows, c.loss + rise, c.expected) for c in now]
    one, other = (expect("k", week, holdout, before, margin=0.1) for week in (now, worse))
    assert (one.expected, one.high) == (other.expected, other.high)
    assert other.above or not one.above


def estimate(loss, reach=0.005, holdout=0.17):
    return Estimate(loss, loss - reach, loss + reach, holdout, "CBPE", "")


def test_an_estimate_costs_only_if_estimates_have_been_right():
    right = [Pair(0.17, 0.172, 0.17), Pair(0.18, 0.178, 0.17), Pair(0.16, 0.161, 0.17), Pair(0.17, 0.169, 0.17)]
    assert look_ahead(estimate(0.21), right, margin=0.1).costs
    assert not look_ahead(estimate(0.21), right[:3], margin=0.1).costs, "nobody knows yet how good they are"
    wrong = [Pair(0.17, 0.25, 0.17), Pair(0.18, 0.11, 0.17), Pair(0.16, 0.22, 0.17), Pair(0.17, 0.10, 0.17)]
    assert not look_ahead(estimate(0.21), wrong, margin=0.1).costs
    assert not look_ahead(estimate(0.18), right, margin=0.1).costs, "below the margin"
    assert look_ahead(None, right, margin=0.1) is None
