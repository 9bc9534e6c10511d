"""Regret: equal models are left alone however often one looks, a mistake is seen in days."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.loop.monitoring.loss.harm_test import Cluster
from evergreen.loop.monitoring.rivals.compare import Candidate, paired
from evergreen.loop.monitoring.rivals.compare import judge as judge_rival
from evergreen.loop.monitoring.rivals.regret_test import PairedCluster, judge, level

ALPHA, MARGIN = 0.05, 0.02


def days(rng, count, *, gain=0.0, spread=0.01, rows=800):
    """Days, each of its own level, on which the version before would have lost `gain` less, give or take `spread`."""
    level = rng.uniform(0.12, 0.25, count)
    cost = rng.normal(gain, spread, count)
    return [PairedCluster(f"{n:03d}", rows, level[n], level[n] - cost[n]) for n in range(count)]


def proven_within(clusters, weeks):
    return any(judge(clusters[: 7 * n], alpha=ALPHA, margin=MARGIN, look=n).proven for n in range(1, weeks + 1))


@pytest.mark.slow
def test_equal_models_are_left_alone_over_twenty_looks():
    rng = np.random.default_rng(1)
    taken_back = sum(proven_within(days(rng, 140), 20) for _ in range(200))
    assert taken_back <= 16  # 10 of 200 are promised at most; more than 16 would come in 3 % of runs at that


def test_a_costly_promotion_is_found_within_three_weeks():
    rng = np.random.default_rng(2)
    assert sum(proven_within(days(rng, 21, gain=0.02), 3) for _ in range(100)) >= 97


def test_a_better_champion_is_never_taken_back():
    result = judge(days(np.random.default_rng(3), 28, gain=-0.02), alpha=ALPHA, margin=MARGIN, look=4)
    assert not result.proven
    assert "would have lost" in result.sentence
    assert "more than the champion" in result.sentence


def test_a_certain_but_tiny_difference_is_below_the_margin():
    result = judge(days(np.random.default_rng(4), 56, gain=0.001, spread=0.0005), alpha=ALPHA, margin=MARGIN, look=4)
    assert result.p_value < result.needed
    assert not result.proven


def test_fewer_than_three_days_say_nothing():
    result = judge(days(np.random.default_rng(5), 2, gain=0.1), alpha=ALPHA, margin=MARGIN, look=4)
    assert (result.proven, result.clusters) == (False, 2)
    assert judge([], alpha=ALPHA, margin=MARGIN, look=4).proven is False


def test_neighbouring_days_that_move_together_count_for_less():
    noise = np.random.default_rng(6).normal(0, 0.01, 28)

    def p_value(regrets):
        clusters = [PairedCluster(f"{n:02d}", 800, 0.2, 0.2 - r) for n, r in enumerate(regrets)]
        return judge(clusters, alpha=ALPHA, margin=MARGIN, look=4).p_value

    assert p_value(0.008 + np.sort(noise)) > 2 * p_value(0.008 + noise)


@given(st.floats(1e-6, 0.2), st.integers(1, 60))
def test_all_looks_together_spend_alpha_and_later_ones_less(alpha, looks):
    levels = [level(alpha, look) for look in range(1, looks + 1)]
    assert sum(levels) <= alpha * (1 + 1e-9)
    assert levels == sorted(levels, reverse=True)


def test_a_small_rest_of_a_day_is_joined_with_its_neighbour():
    clusters = days(np.random.default_rng(7), 8, gain=0.02)
    crumb = PairedCluster("008", 3, 0.9, 0.1)
    assert judge([*clusters, crumb], alpha=ALPHA, margin=MARGIN, look=4).clusters == 8


def test_rivals_are_paired_by_the_day_that_both_have(flights):
    champion = (Cluster("mon", 10, 0.2, 0.2), Cluster("tue", 20, 0.3, 0.2))
    rival = (Cluster("tue", 20, 0.1, 0.2), Cluster("sun", 5, 0.9, 0.2))
    assert paired(champion, rival) == [PairedCluster("tue", 20, 0.3, 0.1)]
    shadow = {(1, "a"): champion, (2, "a"): rival, (1, "b"): champion}
    assert judge_rival(flights, 1, Candidate(2, ("a", "b"), 2), shadow).found.clusters == 1
    assert judge_rival(flights, 1, Candidate(2, ("b",), 1), shadow) is None


@pytest.fixture
def flights():
    from helpers.drift_frames import FLIGHTS

    return FLIGHTS
