"""Which drops no run is bringing in, and which names are no partitions."""

import datetime as dt
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.core.definition import load_definition
from evergreen.core.ledger.tables import PartitionVersion, Verdict
from evergreen.loop.intake.landing_zone import Drop, Folder, list_feed
from evergreen.operations.housekeeping.unscheduled_drops import (
    NEVER_JUDGED,
    QUEUE_PATIENCE,
    SETTLED,
    strays,
    unscheduled,
)

DEFINITION = load_definition("nyc_flights")
KEY = "2013-04-15"
NOW = dt.datetime(2013, 6, 1, tzinfo=dt.UTC)
LANDED = NOW - dt.timedelta(days=1)


def folder(modified=LANDED, *, size=10, tables=("inputs",)):
    drops = {t: Drop(f"file:///landing/nyc_flights/{KEY}/{t}.parquet", size, modified, "parquet") for t in tables}
    return Folder(drops, modified)


def version(modified=LANDED, *, size=10, again=None, outcome="accepted", received=LANDED):
    row = PartitionVersion(version=1, bytes=size, landed_at=modified, landed_again_at=again, received_at=received)
    return row, None if outcome is None else Verdict(outcome=outcome)


def found(folders, inputs=None, labels=None, **more):
    known = {"inputs": inputs or {}, "labels": labels or {}}
    return unscheduled(DEFINITION, folders, known, now=NOW, **more)


def test_history_that_no_run_was_made_for_is_found_oldest_first():
    folders = {key: folder(tables=("inputs", "labels")) for key in ("2013-04-22", "2013-04-15")}
    arrivals = found(folders)
    assert [(a.key, a.table) for a in arrivals] == [
        ("2013-04-15", "inputs"), ("2013-04-15", "labels"), ("2013-04-22", "inputs"), ("2013-04-22", "labels")
    ]  # fmt: skip
    assert arrivals[0].reason == (
        "inputs of 2013-04-15 landed at 2013-05-31 00:00:00 UTC, and no run has brought them in"
    )
    assert len({a.run_id for a in arrivals}) == 4
    assert arrivals[0].run_id.startswith("arrived__2013-04-15__")


def test_what_was_received_is_not_found():
    assert found({KEY: folder()}, {KEY: version()}) == []
    assert found({KEY: folder()}, {KEY: version(outcome="quarantined")}) == []
    again = version(LANDED - dt.timedelta(days=9), again=LANDED)
    assert found({KEY: folder()}, {KEY: again}) == [], "the same bytes, landed again and received again"


@pytest.mark.parametrize("outcome", ["accepted", "quarantined"])
@pytest.mark.parametrize("earlier", [{"modified": LANDED - dt.timedelta(hours=1)}, {"size": 9}])
def test_what_was_landed_again_is_found(outcome, earlier):
    (arrival,) = found({KEY: folder()}, {KEY: version(**earlier, outcome=outcome)})
    assert f"after version 1 ({outcome}) had been received" in arrival.reason


def test_what_was_received_and_never_judged_is_found_after_a_while():
    for since, count in ((NEVER_JUDGED, 1), (NEVER_JUDGED - dt.timedelta(seconds=1), 0)):
        assert len(found({KEY: folder()}, {KEY: version(outcome=None, received=NOW - since)})) == count


@given(age=st.timedeltas(dt.timedelta(0), dt.timedelta(days=2)), queued=st.booleans())
def test_a_drop_is_left_to_the_run_that_waits_for_it_first(age, queued):
    settled = QUEUE_PATIENCE if queued else SETTLED
    assert len(found({KEY: folder(NOW - age)}, settled=settled)) == (age >= settled)


def test_what_is_not_due_yet_is_left_to_its_run():
    early = {"2013-05-27": folder(tables=("inputs", "labels")), "2013-05-20": folder(tables=("inputs", "labels"))}
    assert [(a.key, a.table) for a in found(early)] == [("2013-05-20", "inputs")]


def test_the_same_drop_gives_the_same_run_and_another_one_another():
    ids = [found({KEY: each})[0].run_id for each in (folder(), folder(), folder(size=11), folder(NOW - SETTLED))]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3


@given(name=st.text(min_size=1, max_size=300))
def test_any_name_is_either_a_partition_or_never_followed(name):
    why = strays(DEFINITION, {name: folder()}, NOW).get(name)
    arrivals = found({name: folder()})
    if why is None:
        assert name.startswith(("_", ".")) or DEFINITION.partitions.contains(name)
    else:
        assert arrivals == []
        assert why.isprintable()


def test_names_that_are_no_partitions_are_told_with_what_is_wrong():
    names = ["2013-04-15", "2013-04-16", "2013-04-15.tmp", "2001-01-01", "_temporary", ".crc", "a\nb\u202ec", "\udcff"]
    told = strays(DEFINITION, {name: folder() for name in names}, NOW)
    assert set(told) == {"2013-04-16", "2013-04-15.tmp", "2001-01-01", "a\nb\u202ec", "\udcff"}
    assert "did you mean 2013-04-15?" in told["2013-04-16"]
    assert "outside the calendar" in told["2001-01-01"]
    assert strays(DEFINITION, {"2013-04-16": folder(NOW)}, NOW) == {}, "it is being written"


def put(path, data=b"x", when=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    if when:
        os.utime(path, (when, when))


def test_one_listing_finds_what_has_landed_whole(tmp_path):
    feed = tmp_path / "orders"
    for key, files in {
        "2024-01-01": {"inputs.parquet": 100, "labels.csv": 100, "_SUCCESS": 100},
        "2024-01-02": {"inputs.parquet": 100},
        "2024-01-03": {"inputs.parquet": 200, "_SUCCESS": 100},
        "nonsense": {"inputs.parquet": 100, "_SUCCESS": 100},
    }.items():
        for name, when in files.items():
            put(feed / key / name, when=when)
    put(feed / "README")
    put(feed / "2024-01-04" / "deep" / "inputs.parquet")
    listed = list_feed(tmp_path.as_uri(), "orders", ("inputs", "labels"))
    assert {name: sorted(each.drops) for name, each in listed.items() if each.drops} == {
        "2024-01-01": ["inputs", "labels"], "nonsense": ["inputs"]
    }  # fmt: skip
    assert listed["2024-01-01"].drops["labels"].uri == f"{tmp_path.as_uri()}/orders/2024-01-01/labels.csv"
    assert listed["2024-01-03"].modified.timestamp() == 200
    assert "README" in listed


def test_links_are_not_followed(tmp_path):
    put(tmp_path / "elsewhere" / "inputs.parquet")
    put(tmp_path / "elsewhere" / "_SUCCESS")
    (tmp_path / "orders").mkdir()
    (tmp_path / "orders" / "2024-01-01").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "orders" / "2024-01-02").symlink_to("/", target_is_directory=True)
    listed = list_feed(tmp_path.as_uri(), "orders", ("inputs",))
    assert all(each.drops == {} for each in listed.values())


def test_a_feed_that_never_landed_has_nothing(tmp_path):
    assert list_feed(tmp_path.as_uri(), "orders", ("inputs",)) == {}


def test_the_memory_file_system_lists_as_an_object_store_does():
    import uuid

    import fsspec

    root, fs = f"/{uuid.uuid4().hex}", fsspec.filesystem("memory")
    for name in ("inputs.parquet", "_SUCCESS"):
        fs.pipe_file(f"{root}/orders/2024-01-01/{name}", b"12")
    listed = list_feed(f"memory:/{root}", "orders", ("inputs", "labels"))
    assert listed["2024-01-01"].drops["inputs"].size == 2
