"""What should have followed in a partition's life, and did not."""

import datetime as dt

import pytest

from evergreen.core.definition import load_definition
from evergreen.core.ledger.tables import Deployment, PartitionVersion, Prediction, Snapshot, Verdict
from evergreen.loop.features.build_plan import make_plan
from evergreen.loop.monitoring.readiness import STUCK_AFTER
from evergreen.operations.housekeeping.stuck_partitions import State, find

DEFINITION = load_definition("nyc_flights")
KEYS = ["2013-01-07", "2013-01-14", "2013-01-21"]
DONE = dt.datetime(2013, 3, 1, tzinfo=dt.UTC)
GRACE = DEFINITION.feed.grace


def accepted(number, key, content="a"):
    version = PartitionVersion(id=number, key=key, version=1, content_hash=content, received_at=DONE)
    return version, Verdict(id=number, outcome="accepted", rows_rejected=0, suite_hash="s", decided_at=DONE)


def state(*, built=KEYS, predicted=KEYS, checked=KEYS, champion=True, restated=()):
    inputs = {key: accepted(n, key) for n, key in enumerate(KEYS)}
    labels = {key: accepted(10 + n, key) for n, key in enumerate(KEYS)}
    snapshots = {}
    for number, key in enumerate(built):
        build_hash = make_plan(DEFINITION, key, inputs, labels).build_hash("nyc_flights", "code")
        snapshots[key] = Snapshot(
            id=number, key=key, version=1, build_hash=build_hash, code_hash="code", created_at=DONE
        )  # fmt: skip
    predictions = {
        key: Prediction(id=n, key=key, snapshot_id=n, version=1, created_at=DONE) for n, key in enumerate(predicted)
    }
    inputs |= {key: accepted(20, key, "b") for key in restated}
    first = Deployment(from_key=KEYS[1], served_from=DONE) if champion else None
    return State(inputs, labels, snapshots, predictions, frozenset(checked), first)


def found(given, after=STUCK_AFTER + GRACE):
    return [(s.step, s.key) for s in find(DEFINITION, given, now=DONE + after)]


def test_where_everything_followed_nothing_is_stuck():
    assert found(state()) == []
    assert found(state(), dt.timedelta(days=999)) == []


def test_each_step_that_is_missing_is_named():
    assert found(state(built=KEYS[:2])) == [("features", KEYS[2])]
    assert found(state(predicted=KEYS[:2])) == [("score", KEYS[2])]
    assert found(state(checked=KEYS[:2])) == [("monitor", KEYS[2])]


def test_of_each_partition_the_first_step_is_named():
    assert found(state(built=KEYS[:2], predicted=KEYS[:2], checked=KEYS[:1])) == [
        ("monitor", KEYS[1]), ("features", KEYS[2])
    ]  # fmt: skip


def test_what_may_still_come_by_itself_is_not_stuck():
    just_before = STUCK_AFTER - dt.timedelta(seconds=1)
    assert found(state(predicted=KEYS[:2]), just_before) == []
    assert found(state(predicted=KEYS[:2]), STUCK_AFTER) == [("score", KEYS[2])]
    assert found(state(checked=KEYS[:2]), STUCK_AFTER) == [], "the check waits for labels for the grace period"


def test_before_the_first_champion_no_predictions_are_missed():
    assert found(state(predicted=[], checked=[], champion=False)) == []
    assert found(state(predicted=[], checked=[])) == [("score", KEYS[1]), ("score", KEYS[2])]


def test_features_of_restated_rows_are_stuck_and_so_are_those_that_look_back_on_them():
    assert found(state(restated=KEYS[:1])) == [("features", KEYS[0]), ("features", KEYS[2])]


@pytest.mark.parametrize("missing", [{"built": KEYS[:2]}, {"predicted": KEYS[:2]}, {"checked": KEYS[:2]}])
def test_the_same_cause_gives_the_same_run(missing):
    late = dt.timedelta(days=30)
    one, two = (find(DEFINITION, state(**missing), now=DONE + after) for after in (late, 2 * late))
    assert [s.run_id for s in one] == [s.run_id for s in two]
    assert one[0].run_id.startswith(f"stuck__{KEYS[2]}__")
    assert f"since {one[0].since:%Y-%m-%d}" in one[0].reason
