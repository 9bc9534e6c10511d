"""Dependence between columns is compared whatever their margins do, at a level that holds, and said in words."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, spearmanr

from evergreen.loop.monitoring.drift import dependence, dependence_test, detect
from evergreen.loop.monitoring.drift.rank_scores import Column, scores
from helpers.drift_frames import SMALL, batch

pytestmark = pytest.mark.xdist_group("evidently")  # one worker imports Evidently, not each


def related(rng, rows):
    """Temperature drives distance, U-shaped delay_rate and the carrier; the origin stands alone."""
    frame = batch(rng, rows)
    cause = (frame["temperature"] - 60) / 15
    frame["distance"] = np.where(
        rng.random(rows) < 0.1, np.nan, np.round(np.exp(6 + 0.5 * cause + rng.normal(size=rows)))
    )
    frame["delay_rate"] = np.round(cause**2 + rng.normal(size=rows))
    frame["carrier"] = np.where(cause + rng.normal(size=rows) > 0, "A", "B")
    return frame


def columns(reference, current):
    kinds = [(name, False) for name in SMALL.features.numeric] + [(name, True) for name in SMALL.features.categorical]
    return [Column(name, categorical, reference[name], current[name]) for name, categorical in kinds]


def shuffled(frame, names, rng):
    return frame.assign(**{name: rng.permutation(frame[name].to_numpy()) for name in names})


@pytest.mark.parametrize(("n", "m"), [(1000, 100), (2000, 500)])
def test_both_tests_hold_their_level(n, m):
    rng, alarms = np.random.default_rng(n), np.zeros(2)
    for _ in range(30):
        found = dependence_test.compare(columns(related(rng, n), related(rng, m)), None)
        alarms += np.array([found.pairs[0].p_value, found.pattern.p_value]) <= 0.05
    assert all(binomtest(int(a), 30, 0.05, alternative="greater").pvalue > 0.001 for a in alarms)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (SMALL.features.columns, "with"),
        (("delay_rate",), "extremes of temperature with delay_rate"),
        (("distance",), "temperature with distance (rank correlation 0.4"),
    ],
)
def test_what_is_shuffled_is_found_and_named(names, said):
    rng = np.random.default_rng(4)
    result = detect.check(related(rng, 5000), shuffled(related(rng, 1000), names, rng), SMALL)
    assert result.drifted_columns == (dependence.JOINT,)
    assert result.joint.severity == result.severity != "none"
    pairs = result.joint.change.replace("distance with temperature", "temperature with distance")
    assert said in pairs.replace("delay_rate with extremes of temperature", "extremes of temperature with delay_rate")
    assert "but how they depend on each other has changed" in result.sentence


def test_margins_that_move_are_none_of_its_business():
    rng = np.random.default_rng(5)
    current = related(rng, 1000)
    current["temperature"] = np.exp(current["temperature"] / 20) + 40
    current.loc[rng.random(1000) < 0.3, "delay_rate"] = np.nan
    current.loc[rng.random(1000) < 0.05, "carrier"] = "ZZ"
    result = detect.check(related(rng, 5000), current, SMALL)
    assert set(result.drifted_columns) == {"temperature", "delay_rate", "carrier"}
    assert not result.joint.drifted


def test_weak_dependence_of_everything_is_seen_by_its_pattern():
    rng = np.random.default_rng(0)
    names = [f"x{i}" for i in range(12)]

    def rows(count, strength):
        made = strength * rng.normal(size=(count, 1)) + np.sqrt(1 - strength**2) * rng.normal(size=(count, len(names)))
        return pd.DataFrame(made, columns=names)

    reference, current = rows(5000, 0.2), rows(1000, 0.0)
    found = dependence_test.compare([Column(n, False, reference[n], current[n]) for n in names], None)
    assert found.pattern.p_value < 1e-3
    assert found.pairs[0].p_value > 0.05
    assert found.pattern.ratio < 0.5


def weeks(rng, first, count, tilt):
    """100 rows a day; how delay_rate goes with temperature differs from week to week by `tilt`."""
    frame = batch(rng, 700 * count)
    slope = rng.normal(0, tilt, count).repeat(700)
    frame["delay_rate"] = slope * (frame["temperature"] - 60) / 15 + rng.normal(size=len(frame))
    frame["scheduled_departure"] = pd.date_range(first, periods=7 * count, freq="D", tz="UTC").repeat(100)
    return frame


def test_a_dependence_that_changes_every_week_is_not_news_and_one_that_never_did_is():
    rng = np.random.default_rng(7)
    reference = weeks(rng, "2013-01-07", 10, 0.4)
    assert sum(detect.check(reference, weeks(rng, "2013-03-18", 1, 0.4), SMALL).joint.drifted for _ in range(6)) <= 1
    current = weeks(rng, "2013-03-18", 1, 0.4)
    current["distance"] = current["temperature"]
    assert detect.check(reference, current, SMALL).joint.drifted


def test_columns_that_cannot_be_compared_are_left_out():
    frame = batch(np.random.default_rng(0), 500)
    still = frame.assign(temperature=1.0, distance=np.nan, delay_rate=0.0, carrier="A", origin=None)
    assert dependence_test.compare(columns(still, still), None) is None
    assert dependence_test.compare(columns(frame, frame.head(20)), None) is None
    assert detect.check(still, still, SMALL).joint is None
    assert dependence_test.compare([], None) is None


@given(st.integers(0, 2**32 - 1), st.integers(60, 300), st.sampled_from([0.0, 0.2]))
@settings(max_examples=25, deadline=None)
def test_scores_are_standard_where_they_are_known_and_nothing_elsewhere(seed, rows, nulls):
    rng = np.random.default_rng(seed)
    frame = related(rng, rows)
    frame.loc[rng.random(rows) < nulls, "temperature"] = np.nan
    _, before, now = scores(columns(frame, frame))
    for sample in (before, now):
        known = sample.known > 0
        assert (sample.values[~known] == 0).all()
        for values, k in zip(sample.values.T, known.T, strict=True):
            assert values[k].mean() == pytest.approx(0, abs=1e-9)
            assert values[k].std() == pytest.approx(1)


def test_the_correlation_of_two_ranks_is_spearmans():
    rng = np.random.default_rng(1)
    one, two = related(rng, 400).dropna(subset="distance"), related(rng, 300).dropna(subset="distance")
    two = shuffled(two, ["distance"], rng)
    pair = [Column(n, False, one[n], two[n]) for n in ("temperature", "distance")]
    found = dependence_test.compare(pair, None)
    change = next(c for c in found.pairs if {p.aspect for p in c.parts} == {"rank"})
    assert change.before == pytest.approx(spearmanr(one["temperature"], one["distance"]).statistic)
    assert change.now == pytest.approx(spearmanr(two["temperature"], two["distance"]).statistic)
