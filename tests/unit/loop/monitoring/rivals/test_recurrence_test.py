"""Comeback: a returned world is seen within weeks, and equal versions are left alone however long one looks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.loop.monitoring.loss.harm_test import Cluster
from evergreen.loop.monitoring.rivals.compare import Candidate, Placed, Rival, Rivals, judge_earlier, may_come_back
from evergreen.loop.monitoring.rivals.recurrence_test import WINDOWS, judge, level
from evergreen.loop.monitoring.rivals.regret_test import PairedCluster

ALPHA, MARGIN = 0.1, 0.02


def weeks(rng, gains, *, spread=0.01):
    """Weeks of seven days on which an earlier version would have lost this much less, give or take `spread`."""
    made = []
    for gain in gains:
        loss, regret = rng.uniform(0.12, 0.25, 7), rng.normal(gain, spread, 7)
        made.append([PairedCluster(str(n), 800, loss[n], loss[n] - regret[n]) for n in range(7)])
    return made


def first_proven(partitions, versions=3):
    """The look at which the version is restored, or None."""
    for look in range(1, len(partitions) + 1):
        newest = partitions[max(0, look - max(WINDOWS)) : look]
        found = judge(newest, alpha=ALPHA, margin=MARGIN, look=look, versions=versions)
        if found is not None and found.proven:
            return look
    return None


def test_a_world_that_returns_is_seen_however_long_the_champion_was_better():
    rng = np.random.default_rng(1)
    looks = [first_proven(weeks(rng, [-0.03] * 20 + [0.03] * 6)) for _ in range(50)]
    assert all(look is not None and 22 <= look <= 24 for look in looks)


@pytest.mark.slow
def test_equal_versions_are_left_alone_over_a_year():
    rng = np.random.default_rng(2)
    came_back = sum(first_proven(weeks(rng, [0.0] * 52), versions=1) is not None for _ in range(300))
    assert came_back <= 24  # two-sided: 15 of 300 are promised at most; more would come in 1 % of runs at that


def test_a_certain_gain_below_the_margin_brings_nobody_back():
    assert first_proven(weeks(np.random.default_rng(3), [0.001] * 20, spread=0.0003)) is None


def test_too_few_partitions_say_nothing():
    (one,) = weeks(np.random.default_rng(4), [0.05])
    assert judge([one], alpha=ALPHA, margin=MARGIN, look=1, versions=1) is None
    found = judge([one, one], alpha=ALPHA, margin=MARGIN, look=2, versions=1)
    assert found.proven
    assert found.sentence.startswith("over the last 2 labelled partitions, on the same 14 days it would have lost")


@given(st.floats(0.001, 0.2), st.integers(1, 8), st.integers(1, 400))
def test_all_looks_windows_and_versions_together_spend_alpha(alpha, versions, looks):
    spent = versions * len(WINDOWS) * sum(level(alpha, look, versions) for look in range(1, looks + 1))
    assert spent < alpha


def test_who_may_come_back():
    gate = [Placed(version, False, "promote") for version in (1, 2, 3)]
    assert may_come_back(gate) == [3, 2, 1]
    assert may_come_back([*gate, Placed(1, False, "rollback")]) == [1, 3, 2]
    assert may_come_back([]) == []


def test_a_persons_word_holds():
    first, second = Placed(1, False, "promote"), Placed(2, False, "promote")
    forced = Placed(3, True, "promote")
    assert may_come_back([first, second, forced]) == [], "nobody replaces whom a person put there"
    back = Placed(1, True, "rollback")
    assert may_come_back([first, second, back, Placed(4, False, "promote")]) == [4, 1], "a person took 2 away"
    again = Placed(2, False, "promote")
    assert may_come_back([first, second, back, again, Placed(4, False, "promote")]) == [4, 2, 1]


def test_versions_share_alpha_and_the_best_of_them_comes_back():
    from helpers.drift_frames import FLIGHTS

    keys, rng = ("a", "b"), np.random.default_rng(5)
    clusters = lambda losses: tuple(Cluster(str(n), 900, loss, 0.2) for n, loss in enumerate(losses))  # noqa: E731
    hard = {key: rng.uniform(0.2, 0.3, 7) for key in keys}
    shadow = {(3, key): clusters(hard[key]) for key in keys}
    for version, gain in ((1, 0.02), (2, 0.05)):
        shadow |= {(version, key): clusters(hard[key] - gain - rng.normal(0, 0.002, 7)) for key in keys}
    candidates = [Candidate(version, keys, look=2) for version in (2, 1)]
    found = [judge_earlier(FLIGHTS, 3, candidate, shadow, 2) for candidate in candidates]
    assert found[0].found.needed == pytest.approx(FLIGHTS.monitoring.rival_alpha / 6 / 2 / len(WINDOWS))
    assert Rivals(earlier=tuple(found)).comeback == 2
    assert Rivals(earlier=(found[1],)).comeback == 1
    assert judge_earlier(FLIGHTS, 3, Candidate(9, keys, look=2), shadow, 2) is None
    assert Rivals(before=Rival(1, found[1].found)).comeback is None
