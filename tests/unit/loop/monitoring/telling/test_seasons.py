"""Steps beyond all earlier ones: faults are named, seasons and trends are not."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evergreen.loop.monitoring.telling import seasons
from evergreen.loop.monitoring.telling.shapes import from_json, shapes_by_partition, shapes_of, to_json
from helpers.drift_frames import FLIGHTS, SMALL, batch

ROWS = 600


def year(seed, parts=20, warmer=1.5):
    """Partitions whose temperature rises from one to the next."""
    rng = np.random.default_rng(seed)
    frames = [batch(rng, ROWS) for _ in range(parts)]
    return [frame.assign(temperature=frame["temperature"] + warmer * n) for n, frame in enumerate(frames)]


def named(frame, past):
    return [step.name for step in seasons.steps(shapes_of(frame, SMALL), [shapes_of(one, SMALL) for one in past])]


FAULTS = {
    "unit": lambda frame: frame.assign(distance=frame["distance"] * 1.609),
    "unit x1000": lambda frame: frame.assign(distance=frame["distance"] * 1000),
    "scale": lambda frame: frame.assign(temperature=(frame["temperature"] - 32) / 1.8),
    "frozen": lambda frame: frame.assign(temperature=frame["temperature"].iloc[0]),
    "nulls": lambda frame: frame.assign(
        delay_rate=frame["delay_rate"].mask(np.random.default_rng(1).random(len(frame)) < 0.3)
    ),
    "join": lambda frame: frame.assign(carrier=None),
    "one category": lambda frame: frame.assign(carrier="A"),
    "new codes": lambda frame: frame.assign(carrier="x" + frame["carrier"]),
}


@pytest.mark.parametrize("fault", [name for name in FAULTS if name != "unit"])
def test_a_fault_of_the_feed_is_named(fault):
    *past, now = year(3)
    broken = FAULTS[fault](now)
    changed = [name for name in SMALL.features.columns if not broken[name].equals(now[name])]
    assert named(broken, past) == changed


def test_a_trend_that_goes_on_at_its_pace_is_none_and_one_that_leaps_is():
    *past, now = year(0)
    assert named(now, past) == []
    assert named(now.assign(temperature=now["temperature"] + 60), past) == ["temperature"]


def test_a_season_that_returns_is_none():
    *past, _ = year(1, parts=30)
    assert named(past[2], past[10:] + past[:5]) == []


def test_the_first_rain_is_none():
    dry = [frame.assign(distance=0.0) for frame in year(2)]
    rain = dry[-1].assign(distance=np.where(np.arange(ROWS) % 4 == 0, 3.0, 0.0))
    assert named(rain, dry) == []


def test_if_most_columns_step_at_once_the_world_has_changed_and_missing_values_are_a_fault_all_the_same():
    *past, now = year(4)
    numbers = {name: now[name] * 1000 for name in SMALL.features.numeric}
    assert named(now.assign(**numbers), past) == []
    nothing = now.assign(**dict.fromkeys(SMALL.features.columns))
    assert set(named(nothing, past)) == set(SMALL.features.columns)


def test_a_partition_without_any_value_does_not_blind_the_later_ones():
    *past, now = year(5)
    past[0] = past[0].assign(temperature=np.nan)
    assert named(FAULTS["frozen"](now), past) == ["temperature"]


def test_little_history_says_nothing():
    *past, now = year(6, parts=4)
    assert named(FAULTS["frozen"](now), past) == []


def test_of_columns_that_have_not_drifted_only_plain_steps_are_named():
    *past, now = year(7)
    shapes = [shapes_of(frame, SMALL) for frame in past]
    shifted = shapes_of(now.assign(temperature=now["temperature"] + 60), SMALL)
    assert seasons.steps(shifted, shapes, among=()) == ()
    frozen = shapes_of(FAULTS["frozen"](now), SMALL)
    assert [step.name for step in seasons.steps(frozen, shapes, among=())] == ["temperature"]


@given(seed=st.integers(0, 10_000))
@settings(max_examples=40)
def test_partitions_of_one_world_make_no_step(seed):
    *past, now = year(seed, parts=12, warmer=0.0)
    assert named(now, past) == []


@given(seed=st.integers(0, 100), fault=st.sampled_from(sorted(set(FAULTS) - {"unit"})))
@settings(max_examples=25)
def test_a_step_is_larger_than_any_of_its_past_and_its_order_does_not_matter(seed, fault):
    *past, now = year(seed)
    shapes, broken = [shapes_of(frame, SMALL) for frame in past], shapes_of(FAULTS[fault](now), SMALL)
    found = seasons.steps(broken, shapes)
    assert found
    assert all(step.size > seasons.BEYOND * step.largest for step in found)
    assert {s.name for s in seasons.steps(broken, shapes[::-1])} == {s.name for s in found}


def test_shapes_are_the_same_after_the_ledger_and_few_rows_have_none():
    frame = year(8)[0]
    shapes = shapes_of(frame, SMALL)
    assert from_json(to_json(shapes)) == shapes
    assert shapes["origin"].missing == pytest.approx(frame["origin"].isna().mean())
    assert shapes_of(frame.head(10), SMALL) == {}


def test_a_reference_is_taken_apart_by_partition():
    frame = year(9)[0]
    times = pd.date_range("2013-04-01", periods=ROWS, freq="33min", tz="UTC")
    found = shapes_by_partition(frame.assign(**{FLIGHTS.feed.event_time: times}), SMALL)
    assert list(found) == ["2013-04-01", "2013-04-08"]
    assert sum(shapes["temperature"].rows for shapes in found.values()) == ROWS
    assert shapes_by_partition(frame, SMALL) == {}


def of(value):
    """A partition whose carrier is one value."""
    return batch(np.random.default_rng(0), ROWS).assign(carrier=value)


def test_a_column_that_has_one_value_within_each_partition_makes_no_step():
    months = [of(month) for month in ("4", "4", "4", "4", "5", "5", "5", "5")]
    assert named(of("6"), months) == []
    days = [frame.assign(distance=0.0) for frame in year(10, warmer=0.0)]
    assert named(days[-1].assign(distance=1.0), days) == [], "the first holiday"
    some = np.where(np.arange(ROWS) % 7 == 0, "yes", "no")
    assert named(of(some), [of("no") for _ in range(8)]) == [], "the first week with a holiday"
    assert named(of(None), months) == ["carrier"], "that its values are gone is a step all the same"


def test_the_first_partition_of_a_level_that_stayed_counts_as_a_step_of_the_past():
    mixed = np.where(np.arange(ROWS) % 2 == 0, "4", "5")
    assert named(of("6"), [of(month) for month in ("4", "4", "4", mixed, "5", "5", "5")]) == []
    parts = year(11, parts=20, warmer=0.0)
    levels = [p.assign(temperature=p["temperature"] + (100 if n >= 10 else 0)) for n, p in enumerate(parts)]
    now = parts[0].assign(temperature=parts[0]["temperature"] + 200)
    assert named(now, levels) == []
    assert named(now, parts) == ["temperature"]
