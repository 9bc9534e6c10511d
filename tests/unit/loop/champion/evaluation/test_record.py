"""The record of past challengers: the next one is due sooner if a world moves, and only then."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.loop.champion.evaluation.record import TOLERATED, Met, interval, pace

ERROR = 0.02


def met(n, gain, *, error=ERROR, newer=4):
    return Met((f"2024-{n:03}",), newer, gain, math.erfc(abs(gain) / error / math.sqrt(2)))


def test_each_day_is_evidence_once_and_the_newest_counts():
    old, new = met(1, -0.05), met(1, 0.05)
    other = replace(new, keys=("2024-001", "2024-002"))
    assert pace([old, other]).gain == pytest.approx(0.05 / 4)
    assert pace([old, other]).challengers == 1
    assert pace([met(n, 0.01 * n) for n in range(9)]).challengers == 4


def test_the_champion_is_looked_at_as_often_as_newer_ones_gain():
    assert interval(None, 4) == 4
    fast, slow = (pace([met(n, gain) for n in range(4)]) for gain in (0.2, 0.021))
    assert fast.sure
    assert interval(fast, 4) == 1
    assert interval(slow, 12) == 1 + int(2 * TOLERATED / slow.gain)
    assert interval(pace([met(n, -0.2) for n in range(4)]), 4) == 4
    assert interval(pace([met(0, 0.01)]), 4) == 4, "one that proves nothing changes nothing"


def test_equal_challengers_are_hardly_ever_called_better():
    """Two challengers a year, none better: the interval may shrink in one life of twenty at most."""
    rng, lives = np.random.default_rng(11), 2000
    shorter = 0
    for gains in rng.normal(0, ERROR, (lives, 2)):
        past = [met(n, gain, newer=(4, 16)[n]) for n, gain in enumerate(gains)]
        shorter += any(interval(pace(past[: n + 1]), 4) < 4 for n in range(2))
    assert shorter / lives <= 0.05


@given(
    gains=st.lists(st.floats(-0.9, 0.9), min_size=0, max_size=6),
    p_values=st.lists(st.floats(0, 1), min_size=6, max_size=6),
)
def test_whatever_the_record_it_is_a_number_or_nothing(gains, p_values):
    past = [Met((f"2024-{n:03}",), 1 + n, gain, p) for n, (gain, p) in enumerate(zip(gains, p_values, strict=False))]
    found = pace(past)
    assert found is None or all(math.isfinite(value) for value in (found.gain, found.error, found.between))
    assert 1 <= interval(pace(past), 4) <= 4


def test_challengers_that_equal_the_champion_bring_the_interval_back():
    shift = Met(("2024-001",), 6, 0.3, 1e-6)
    assert interval(pace([shift]), 4) == 1
    assert interval(pace([shift, Met(("2024-002",), 1, 0.0, 1.0)]), 4) == 4
    assert pace([shift, Met(("2024-002",), 1, 0.0, 1.0, judged=False)]) == pace([shift])


def test_of_two_on_the_same_days_the_newer_one_counts():
    assert pace([met(1, 0.05), met(1, -0.05)]).gain < 0 < pace([met(1, -0.05), met(1, 0.05)]).gain
