"""Point-in-time correctness of the shipped model: whatever happens after the cut-off changes no feature."""

import datetime as dt
from functools import cache

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evergreen.core.definition import ModelDefinition, load_definition
from evergreen.core.frames import to_table
from evergreen.core.ledger.tables import PartitionVersion, Verdict
from evergreen.loop.features.build_plan import Current, make_plan, wanted_keys
from evergreen.loop.features.compute import compute
from evergreen.loop.features.look_back import history_of, read_history

FLIGHTS = load_definition("nyc_flights")
WEEKS = FLIGHTS.partitions.keys("2013-01-07", "2013-04-01")
KEY = "2013-03-04"
TABLES = ("inputs", "labels")
World = dict[tuple[str, str], pd.DataFrame]


def week(key: str, seed: int, rows: int) -> dict[str, pd.DataFrame]:
    """A week of made-up flights with few carriers and routes, so that groups are shared between weeks."""
    rng = np.random.default_rng([seed, int(key.replace("-", ""))])
    first = dt.datetime.combine(dt.date.fromisoformat(key), dt.time(), dt.UTC)
    minutes = rng.integers(0, 7 * 24 * 60, rows)
    times = pd.Series(pd.to_datetime([first + dt.timedelta(minutes=int(m)) for m in minutes]))
    times = times.astype("datetime64[us, UTC]")
    types = FLIGHTS.feed.tables["inputs"].columns
    frame = pd.DataFrame({"flight_id": [f"{key}-{n}" for n in range(rows)], "scheduled_departure": times})
    frame["flight_date"] = times.dt.strftime("%Y-%m-%d").astype(object)
    frame["scheduled_hour"] = times.dt.hour.astype("Int64")
    frame["carrier"] = rng.choice(["AA", "B6", "UA"], rows).astype(object)
    frame["origin"] = rng.choice(["EWR", "JFK", "LGA"], rows).astype(object)
    frame["destination"] = rng.choice(["ORD", "SFO"], rows).astype(object)
    frame["tail_number"] = "N1"
    for name in types:
        if name not in frame:
            values = rng.normal(50, 10, rows)
            frame[name] = values if types[name] == "float" else pd.Series(values.astype(int), dtype="Int64")
    labels = frame[["flight_id", "scheduled_departure"]].assign(
        late=rng.random(rows) < 0.3, cancelled=False, arrival_delay=rng.normal(0, 20, rows)
    )
    return {"inputs": frame[list(types)], "labels": labels}


@cache
def make_world(seed: int) -> World:
    rng = np.random.default_rng(seed)
    return {(table, key): frame for key in WEEKS for table, frame in week(key, seed, int(rng.integers(1, 25))).items()}


def features(world: World, key: str = KEY) -> pd.DataFrame:
    """The features of `key` when the tables of `world` are what has been accepted, by the path that builds take."""
    ids = dict(enumerate(world, 1))

    def current(table: str) -> dict[str, Current]:
        return {
            k: (PartitionVersion(id=n, content_hash=str(n)), Verdict(partition_version_id=n))
            for n, (t, k) in ids.items()
            if t == table
        }

    plan = make_plan(FLIGHTS, key, current("inputs"), current("labels"))

    def read(verdict: Verdict, columns: list[str]) -> pa.Table:
        table, key = ids[verdict.partition_version_id]
        return to_table(world[table, key], FLIGHTS.feed.tables[table].columns).select(columns)

    inputs = world[ids[plan.inputs[1].partition_version_id]]
    return compute(FLIGHTS, inputs, read_history(FLIGHTS, plan.history, read))


@cache
def unchanged(seed: int, key: str) -> pd.DataFrame:
    """The features of `key` in the world as it was made."""
    return features(make_world(seed), key)


def after_the_cut_off(key: str) -> list[tuple[str, str]]:
    """Tables that land after the period of `key` began, its own inputs aside: all that must not matter."""
    calendar = FLIGHTS.partitions
    begins = calendar.period(key).start
    delay = {"inputs": 0, "labels": FLIGHTS.feed.label_delay}
    late = [(t, k) for t in TABLES for k in WEEKS if calendar.due(k, delay[t]) > begins]
    return [name for name in late if name != ("inputs", key)]


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_changing_anything_after_the_cut_off_changes_no_feature(data):
    seed = data.draw(st.integers(0, 4), label="seed")
    key = data.draw(st.sampled_from(WEEKS[:-1]), label="key")
    changed = dict(make_world(seed))
    for table, late in data.draw(st.sets(st.sampled_from(after_the_cut_off(key)), min_size=1), label="changed"):
        fate = data.draw(st.sampled_from(["gone", "restated", "flipped", "shuffled"]), label=f"{table} {late}")
        if fate == "gone":
            del changed[table, late]
        elif fate == "restated":
            changed[table, late] = week(late, 1000 + data.draw(st.integers(0, 99)), 9)[table]
        elif fate == "flipped" and table == "labels":
            changed[table, late] = changed[table, late].assign(late=lambda f: ~f["late"], arrival_delay=1e9)
        else:
            changed[table, late] = changed[table, late].sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(features(changed, key), unchanged(seed, key), check_exact=True)


def test_after_the_cut_off_lie_the_labels_of_the_week_before_and_of_the_week_itself():
    late = after_the_cut_off(KEY)
    assert ("labels", KEY) in late
    assert ("labels", "2013-02-25") in late
    assert ("labels", "2013-02-18") not in late
    assert ("inputs", "2013-03-11") in late


@pytest.mark.parametrize("past", wanted_keys(FLIGHTS, KEY))
def test_what_lies_before_the_cut_off_does_change_features(past):
    world = make_world(7)
    labels = world["labels", past].assign(late=lambda f: ~f["late"])
    assert not features({**world, ("labels", past): labels}).equals(features(world))


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 4), order=st.integers(0, 2**30))
def test_the_order_of_rows_changes_no_flights_features(seed, order):
    shuffled = {name: frame.sample(frac=1, random_state=order) for name, frame in make_world(seed).items()}
    one = unchanged(seed, KEY).set_index("flight_id")
    other = features(shuffled).set_index("flight_id")
    pd.testing.assert_frame_equal(other.loc[one.index], one, check_exact=True)


def test_features_keep_the_order_of_the_inputs():
    world = make_world(1)
    assert features(world)["flight_id"].tolist() == world["inputs", KEY]["flight_id"].tolist()


def with_history(columns: tuple[str, ...] | None) -> ModelDefinition:
    return FLIGHTS.model_copy(update={"features": FLIGHTS.features.model_copy(update={"history": columns})})


def test_history_holds_labelled_flights_with_all_columns_where_none_are_named():
    world = make_world(3)
    inputs, labels = world["inputs", KEY], world["labels", KEY].iloc[1:].sample(frac=1, random_state=1)
    joined = history_of(with_history(None), [(inputs, labels)])
    assert joined["flight_id"].tolist() == inputs["flight_id"].tolist()[1:]
    assert joined.columns.tolist() == [*inputs.columns, "late", "cancelled", "arrival_delay"]
    assert (joined.set_index("flight_id")["late"] == labels.set_index("flight_id")["late"][joined["flight_id"]]).all()


def test_history_holds_the_named_columns_and_no_others():
    world = make_world(3)
    inputs, labels = world["inputs", KEY], world["labels", KEY]
    whole = history_of(with_history(None), [(inputs, labels)])
    named = history_of(with_history(("late", "origin")), [(inputs, labels)])
    pd.testing.assert_frame_equal(named, whole[["origin", "late"]])


def test_an_empty_history_has_the_dtypes_of_a_filled_one():
    world = make_world(4)
    for definition in (FLIGHTS, with_history(None)):
        filled = history_of(definition, [(world["inputs", KEY], world["labels", KEY])])
        assert len(filled)
        assert history_of(definition, []).dtypes.to_dict() == filled.dtypes.to_dict()
