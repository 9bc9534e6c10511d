"""A check raises false alarms as seldom as it promises, and sees what an engineer would call drift."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from evergreen.errors import BadInputError
from evergreen.loop.monitoring.drift import detect
from helpers.drift_frames import NUMERIC, SMALL, batch

pytestmark = pytest.mark.xdist_group("evidently")  # one worker imports Evidently, not each


def check(current, reference=None, seed=0):
    return detect.check(batch(np.random.default_rng(seed), 5000) if reference is None else reference, current, SMALL)


def column(result, name):
    return next(c for c in result.columns if c.name == name)


@pytest.mark.slow
def test_false_alarms_keep_to_the_promised_rate():
    """At each pair of sizes, and over all of them together, which shows an excess that twenty checks alone do not."""
    alarms = {}
    for n, m in [(1000, 100), (1000, 3000), (5000, 300), (20_000, 100)]:
        rng = np.random.default_rng(n + m)
        alarms[n, m] = sum(detect.check(batch(rng, n), batch(rng, m), SMALL).drifted for _ in range(20))
    for count, checks in [*((found, 20) for found in alarms.values()), (sum(alarms.values()), 80)]:
        assert binomtest(count, checks, 0.05, alternative="greater").pvalue > 0.001, alarms


def shifted(frame, rng):
    frame["temperature"] += 0.5 * 15


def nulled(frame, rng):
    frame.loc[rng.random(len(frame)) < 0.3, "temperature"] = np.nan


def renamed(frame, rng):
    frame.loc[rng.random(len(frame)) < 0.05, "carrier"] = "ZZ"


@pytest.mark.parametrize(
    ("change", "name", "words"),
    [
        (shifted, "temperature", "temperature: rose: median"),
        (nulled, "temperature", "temperature: missing in "),
        (renamed, "carrier", "carrier: 'ZZ' is new and makes up"),
    ],
)
def test_drift_of_one_column_is_found_and_named(change, name, words):
    rng = np.random.default_rng(8)
    for _ in range(10):
        current = batch(rng, 1000)
        change(current, rng)
        result = detect.check(batch(rng, 5000), current, SMALL)
        assert result.drifted
        assert name in result.drifted_columns
        assert column(result, name).sentence.startswith(words)
        assert "of 5 inputs" in result.sentence


def test_a_certain_but_tiny_difference_is_not_drift():
    rng = np.random.default_rng(1)
    reference, current = batch(rng, 20_000), batch(rng, 20_000)
    current["temperature"] += 0.07 * 15
    found = column(detect.check(reference, current, SMALL), "temperature")
    assert found.p_value < 0.05
    assert not found.drifted
    assert "too small to matter" in found.sentence


@pytest.mark.slow
def test_whole_days_of_other_weather_are_not_drift_but_a_season_is():
    rng = np.random.default_rng(6)

    def days(first, count, level):
        frame = batch(rng, 100 * count)
        frame["scheduled_departure"] = pd.date_range(first, periods=count, freq="D", tz="UTC").repeat(100)
        frame["temperature"] = level + rng.normal(0, 8, count).repeat(100) + rng.normal(0, 2, len(frame))
        return frame

    reference = days("2013-01-07", 70, 50)
    alarms = [check(days("2013-04-01", 7, 50), reference).drifted for _ in range(20)]
    assert sum(alarms) <= 3
    assert check(days("2013-07-01", 7, 80), reference).drifted_columns == ("temperature",)


def test_no_more_than_twenty_thousand_rows_are_looked_at_and_always_the_same():
    frame = batch(np.random.default_rng(0), 30_000)
    assert len(detect.bounded(frame)) == detect.MAX_ROWS
    pd.testing.assert_frame_equal(detect.bounded(frame), detect.bounded(frame))
    assert detect.check(frame, frame, SMALL).reference_rows == 30_000


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_column_without_values_is_a_matter_of_its_nulls(value):
    current = batch(np.random.default_rng(0), 500).assign(temperature=value)
    found = column(check(current), "temperature")
    assert found.drifted
    assert found.change == "missing in 100 % of rows, never before"


def test_a_column_that_never_had_values_is_no_drift():
    empty = batch(np.random.default_rng(0), 500).assign(temperature=np.nan)
    found = column(check(empty, empty), "temperature")
    assert not found.drifted
    assert found.p_value == 1


def test_constant_and_boolean_and_nullable_columns_are_compared():
    reference = batch(np.random.default_rng(0), 1000).assign(temperature=1, origin=True)
    current = reference.assign(temperature=pd.array([1] * 1000, dtype="Int64"), origin=1.0)
    assert not check(current, reference).drifted


def test_predictions_are_compared_with_those_of_the_holdout():
    rng = np.random.default_rng(0)
    reference = batch(rng, 2000).assign(prediction=np.r_[np.zeros(1000), np.full(1000, 0.5)], part="holdout")
    reference.loc[:999, "part"] = "train"
    current = batch(rng, 1000).assign(prediction=0.5)
    assert not check(current, reference).prediction.drifted
    assert check(current.assign(prediction=0.9), reference).prediction.drifted


def test_label_drift_is_told_as_a_share():
    reference = pd.DataFrame({"target": [0.0] * 800 + [1.0] * 200})
    current = pd.DataFrame({"target": [0.0] * 300 + [1.0] * 300})
    found = detect.check_target(reference, current, SMALL)
    assert found.drifted
    assert found.change == "the share of positives rose from 20 % to 50 %"


@pytest.mark.parametrize("wrong", [lambda f: f.drop(columns="carrier"), lambda f: f.iloc[:0]])
def test_a_frame_that_cannot_be_compared_says_why(wrong):
    with pytest.raises(BadInputError, match=r"lacks carrier|no rows"):
        check(wrong(batch(np.random.default_rng(0), 100)))


def test_the_same_frames_give_the_same_result():
    frame = batch(np.random.default_rng(9), 800)
    assert check(frame) == check(frame)
    assert {c.name for c in check(frame).columns} == {*NUMERIC, "carrier", "origin"}
