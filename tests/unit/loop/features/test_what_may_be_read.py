"""Whatever lands later, in any order, the features of a partition do not change: labels, inputs and references."""

import datetime as dt
from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evergreen.core.definition.load import read_definition
from evergreen.core.definition.references import read_stamp
from evergreen.core.frames import to_table
from evergreen.core.ledger.tables import PartitionVersion, ReferenceVersion, Verdict
from evergreen.loop.features.build_plan import make_plan
from evergreen.loop.features.compute import compute
from evergreen.loop.features.look_back import read_history, read_recent
from evergreen.loop.intake.references.read import visible
from helpers.reference_fixtures import DEFINITION_MORE, FEATURES

TEXT = f"""
name: shop
title: Will an order be returned?
owner: shop
task: binary
target: returned
calendar: {{period: day, start: 2024-01-01}}
feed:
  name: shop
  entity: order_id
  event_time: ordered_at
  label_delay: 3
  tables:
    inputs: {{columns: {{order_id: string, ordered_at: timestamp, country: string, price: float}}}}
    labels: {{columns: {{order_id: string, ordered_at: timestamp, returned: boolean}}}}
{DEFINITION_MORE.strip(chr(10))}
features:
  look_back: P5D
  recent_inputs: 2
  recent_columns: [country]
  numeric: [price, return_rate, rebate, recent_orders]
  categorical: [country, holiday]
alerts: {{to: [shop@example.com]}}
"""
DAYS = [f"2024-01-{day:02}" for day in range(1, 13)]
STAMPS = ("2023-12-30", "2024-01-03", "2024-01-05T12", "2024-01-05T12.2", "2024-01-08", "2024-01-09T0001")


class World(NamedTuple):
    """What has been accepted: tables by (table, key), references by (name, stamp)."""

    tables: dict[tuple[str, str], pd.DataFrame]
    references: dict[tuple[str, str], pd.DataFrame]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "shop"
    folder.mkdir()
    (folder / "model.yaml").write_text(TEXT)
    (folder / "features.py").write_text(FEATURES)
    return read_definition(folder / "model.yaml")


def day(key: str, seed: int) -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng([seed, int(key.replace("-", ""))])
    rows = int(rng.integers(1, 12))
    start = pd.Timestamp(key, tz="UTC")
    times = pd.Series(start + pd.to_timedelta(rng.integers(0, 24 * 60, rows), unit="min"))
    inputs = pd.DataFrame({"order_id": [f"{key}-{n}" for n in range(rows)], "ordered_at": times})
    inputs["ordered_at"] = inputs["ordered_at"].astype("datetime64[us, UTC]")
    inputs["country"] = rng.choice(["SE", "FI", "NO"], rows).astype(object)
    inputs["price"] = rng.normal(10, 3, rows)
    labels = inputs[["order_id", "ordered_at"]].assign(returned=rng.random(rows) < 0.4)
    return {"inputs": inputs, "labels": labels}


def reference(name: str, stamp: str, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng([seed, *stamp.encode(), len(name)])
    if name == "holidays":
        days = [key for key in DAYS if rng.random() < 0.6] or DAYS[:1]
        return pd.DataFrame({"day": days, "name": [f"h{rng.integers(9)}" for _ in days]})
    hours = rng.choice(24 * 14, 8, replace=False)
    since = pd.to_datetime("2023-12-30", utc=True) + pd.to_timedelta(hours, unit="h")
    frame = pd.DataFrame({"country": rng.choice(["SE", "FI", "NO"], 8), "valid_from": since})
    return frame.assign(valid_from=frame["valid_from"].astype("datetime64[us, UTC]"), list_price=rng.normal(12, 2, 8))


@cache
def make_world(seed: int) -> World:
    tables = {(table, key): frame for key in DAYS for table, frame in day(key, seed).items()}
    names = ("prices", "holidays")
    return World(tables, {(name, stamp): reference(name, stamp, seed) for name in names for stamp in STAMPS})


def features(shop, world: World, key: str) -> pd.DataFrame:
    """The features of `key` by the path that builds take, if all of `world` has been accepted, in this order."""
    ids = dict(enumerate(world.tables, 1))

    def current(table: str):
        return {
            k: (PartitionVersion(id=n, content_hash=str(n)), Verdict(partition_version_id=n))
            for n, (t, k) in ids.items() if t == table
        }  # fmt: skip

    versions: dict[str, list[ReferenceVersion]] = {name: [] for name in shop.feed.references}
    for name, text in world.references:
        stamp = read_stamp(shop.partitions, text)
        versions[name].append(
            ReferenceVersion(name=name, stamp=text, known_from=stamp.known_from, revision=stamp.revision)
        )
    plan = make_plan(shop, key, current("inputs"), current("labels"), tables=versions)

    def read(verdict: Verdict, columns):
        table, k = ids[verdict.partition_version_id]
        known = shop.feed.tables[table].columns
        return to_table(world.tables[table, k], known).select([c for c in columns if c in known])

    until = shop.partitions.period(key).end
    tables = {
        name: visible(section, _table(section, world, plan.beside.references[name]), until)
        for name, section in shop.feed.references.items()
    }
    recent = read_recent(shop, [(k, verdict) for k, (_, verdict) in plan.beside.recent], read)
    beside = {"recent": recent, "references": tables}
    return compute(shop, world.tables["inputs", key], read_history(shop, plan.history, read), beside=beside)


def _table(section, world, version):
    return None if version is None else to_table(world.references[version.name, version.stamp], section.columns)


def after_the_cut_off(shop, key: str) -> World:
    """What of a world may not matter to `key`: tables that are due, and versions that are known, after it has begun."""
    calendar = shop.partitions
    begin, delay = calendar.period(key).start, {"inputs": 0, "labels": shop.feed.label_delay}
    world = make_world(0)
    return World(
        {(t, k): None for t, k in world.tables if calendar.due(k, delay[t]) > begin and (t, k) != ("inputs", key)},
        {(n, s): None for n, s in world.references if read_stamp(calendar, s).known_from > begin},
    )


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_changing_anything_after_the_cut_off_changes_no_feature(shop, data):
    seed, key = data.draw(st.integers(0, 3)), data.draw(st.sampled_from(DAYS[1:-1]))
    world, late = make_world(seed), after_the_cut_off(shop, key)
    changed = World(dict(world.tables), dict(world.references))
    for part, (names, of) in enumerate(((late.tables, changed.tables), (late.references, changed.references))):
        for name in data.draw(st.sets(st.sampled_from(sorted(names)), min_size=1) if names else st.just(set())):
            if data.draw(st.booleans(), label=f"{name} gone"):
                del of[name]
            elif part == 0:
                of[name] = day(name[1], 100 + seed)[name[0]]
            else:
                of[name] = reference(*name, 100 + seed)
    order = data.draw(st.randoms(use_true_random=False))
    shuffled = World(*(dict(order.sample(sorted(part.items(), key=lambda i: i[0]), len(part))) for part in changed))
    pd.testing.assert_frame_equal(features(shop, shuffled, key), features(shop, world, key), check_exact=True)


@pytest.mark.parametrize(
    "what",
    [("inputs", "2024-01-06"), ("labels", "2024-01-03"), ("labels", "2024-01-02"), ("prices", "2024-01-05T12.2")],
)
def test_what_lies_before_the_cut_off_does_change_features(shop, what):
    key, differs = "2024-01-07", 0
    for seed in range(4):
        world = make_world(seed)
        changed = World(dict(world.tables), dict(world.references))
        if what in changed.tables:
            changed.tables[what] = day(what[1], 77 + seed)[what[0]]
        else:
            changed.references[what] = reference(*what, 77 + seed)
        differs += not features(shop, changed, key).equals(features(shop, world, key))
    assert differs


def test_a_price_that_becomes_valid_within_the_day_counts_from_then_on(shop):
    world = make_world(1)
    key = "2024-01-07"
    noon = dt.datetime(2024, 1, 7, 12, tzinfo=dt.UTC)
    rows = world.references["prices", "2024-01-05T12.2"]
    more = pd.DataFrame({"country": ["SE", "FI", "NO"], "valid_from": [noon] * 3, "list_price": [1000.0] * 3})
    more["valid_from"] = more["valid_from"].astype("datetime64[us, UTC]")
    kept = rows[rows["valid_from"] < noon]
    changed = World(world.tables, world.references | {("prices", "2024-01-05T12.2"): pd.concat([kept, more])})
    found = features(shop, changed, key)
    before = (found["ordered_at"] < noon).to_numpy()
    prices = world.tables["inputs", key]["price"].to_numpy()
    assert (found["rebate"].to_numpy() + prices)[~before] == pytest.approx(1000.0)
    pd.testing.assert_frame_equal(found[before], features(shop, world, key)[before], check_exact=True)
