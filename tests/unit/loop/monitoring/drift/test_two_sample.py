"""The tests hold their level at any pair of sizes, and count rows of one day as what they are worth."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, fisher_exact

from evergreen.loop.monitoring.drift import two_sample

counts = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=1, max_size=12)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_holm_never_lowers_a_p_value_and_keeps_their_order(p_values):
    adjusted = two_sample.holm(p_values)
    assert all(raw <= new <= 1 for raw, new in zip(p_values, adjusted, strict=True))
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(np.array(adjusted)[order]) >= 0).all()


def test_holm_agrees_with_the_textbook():
    assert two_sample.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(counts)
@settings(max_examples=60, deadline=None)
def test_a_category_p_value_is_a_probability(pairs):
    table = np.array(pairs).T
    if (table.sum(axis=1) == 0).any():
        return
    assert two_sample.category_log_p(table) <= 0
    assert two_sample.unseen_log_p(table) <= 0
    assert 0 <= two_sample.share_distance(table) <= math.pi


@given(st.integers(1, 400), st.integers(1, 400), st.data())
@settings(max_examples=100, deadline=None)
def test_missing_values_are_judged_by_fishers_exact_test(n, m, data):
    a, b = data.draw(st.integers(0, n)), data.draw(st.integers(0, m))
    reference, current = np.arange(n) < a, np.arange(m) < b
    ours = math.exp(two_sample.missing_log_p(reference, current))
    table = [[a, n - a], [b, m - b]]
    tails = [fisher_exact(table, alternative=side).pvalue for side in ("less", "greater")]
    assert ours == pytest.approx(min(1.0, 2 * min(tails)), rel=1e-6, abs=1e-300)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "m", "categories"), [(1000, 100, 5), (300, 3000, 40), (20_000, 300, 2000)])
def test_categories_hold_their_level(n, m, categories):
    rng = np.random.default_rng(n)
    weights = rng.dirichlet(np.full(categories, 0.4))
    alarms = 0
    for _ in range(100):
        table = np.stack([rng.multinomial(n, weights), rng.multinomial(m, weights)])
        alarms += two_sample.category_log_p(table[:, table.sum(axis=0) > 0]) <= math.log(0.05)
    assert binomtest(alarms, 100, 0.05, alternative="greater").pvalue > 0.001


def test_identifiers_that_never_come_again_are_no_drift():
    table = np.stack([np.r_[np.ones(1500), np.zeros(500)], np.r_[np.zeros(1500), np.ones(500)]]).astype(np.int64)
    assert two_sample.category_log_p(table) == 0


def test_all_new_categories_are_drift_however_many_they_are():
    table = np.stack([np.r_[np.full(100, 50), np.zeros(100)], np.r_[np.zeros(100), np.full(100, 10)]]).astype(np.int64)
    assert two_sample.unseen_log_p(table) < math.log(1e-100)


def test_a_new_category_is_judged_by_its_share():
    one_row = np.array([[2500, 2499, 0], [500, 499, 1]])
    five_per_cent = np.array([[2500, 2500, 0], [475, 475, 50]])
    assert two_sample.category_log_p(one_row) > math.log(0.1)
    assert two_sample.category_log_p(five_per_cent) < math.log(1e-20)


def test_days_dealt_at_random_cost_nothing():
    rng = np.random.default_rng(2)
    days = rng.integers(0, 50, 6000)
    values = rng.normal(0, 1, 50)[days]
    assert two_sample.design_effect(values, (days[:5000], days[5000:]), categorical=False) == pytest.approx(1, abs=0.3)


def test_rows_of_whole_days_are_worth_as_many_as_there_are_days():
    rng = np.random.default_rng(3)
    days = np.repeat(np.arange(77), 100)
    values = rng.normal(0, 1, 77)[days]
    effect = two_sample.design_effect(values, (days[:7000], days[7000:]), categorical=False)
    assert effect == pytest.approx(100, rel=0.05)


def test_rows_that_do_not_depend_on_their_day_keep_their_worth():
    rng = np.random.default_rng(4)
    days = np.repeat(np.arange(77), 100)
    codes = rng.integers(0, 5, 7700).astype(float)
    assert two_sample.design_effect(codes, (days[:7000], days[7000:]), categorical=True) < 1.5


def test_a_shift_between_the_samples_is_not_taken_for_resemblance():
    rng = np.random.default_rng(5)
    days = np.repeat(np.arange(77), 100)
    values = rng.normal(0, 1, 7700) + 3 * (days >= 70)
    assert two_sample.design_effect(values, (days[:7000], days[7000:]), categorical=False) < 1.5
