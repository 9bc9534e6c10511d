"""The cut-off: which partitions the features of a partition may look at, and how long missing ones are waited for."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.core.definition import Calendar, ModelDefinition, load_definition
from evergreen.core.ledger.tables import PartitionVersion, Verdict
from evergreen.errors import NotReadyError
from evergreen.loop.features.build_plan import make_plan, wanted_keys
from evergreen.loop.features.readiness import judge

FLIGHTS = load_definition("nyc_flights")
KEY = "2013-03-04"
RECEIVED = dt.datetime(2013, 3, 11, 2, tzinfo=dt.UTC)


def current(table: str, key: str, number: int = 0, content: str = "") -> tuple[PartitionVersion, Verdict]:
    version = PartitionVersion(
        id=number, table=table, key=key, content_hash=content or f"{table}-{key}", received_at=RECEIVED
    )  # fmt: skip
    return version, Verdict(partition_version_id=number)


def landed(table: str, *keys: str) -> dict[str, tuple[PartitionVersion, Verdict]]:
    return {key: current(table, key, number) for number, key in enumerate(keys, 1)}


def every_week() -> list[str]:
    return FLIGHTS.partitions.keys("2013-01-07", "2013-12-23")


def variant(unit: str, look_back: int, delay: int) -> ModelDefinition:
    start = Calendar(unit, dt.date(2010, 1, 1)).first_day(dt.date(2010, 2, 1))
    calendar = FLIGHTS.calendar.model_copy(update={"period": unit, "start": start, "end": None})
    return FLIGHTS.model_copy(
        update={
            "calendar": calendar,
            "feed": FLIGHTS.feed.model_copy(update={"label_delay": delay}),
            "features": FLIGHTS.features.model_copy(update={"look_back": look_back}),
        }
    )


def test_weeks_looked_back_on_are_those_whose_labels_were_due_before_the_week_began():
    plan = make_plan(FLIGHTS, KEY, landed("inputs", *every_week()), landed("labels", *every_week()))
    assert list(plan.labels_used) == ["2013-01-28", "2013-02-04", "2013-02-11", "2013-02-18"]
    assert plan.inputs[0].key == KEY
    assert not plan.missing


@given(
    unit=st.sampled_from(["day", "week", "month"]),
    look_back=st.integers(0, 12),
    delay=st.integers(0, 12),
    day=st.dates(dt.date(2013, 1, 1), dt.date(2016, 12, 31)),
)
def test_no_plan_looks_at_labels_that_were_due_after_its_period_began(unit, look_back, delay, day):
    definition = variant(unit, look_back, delay)
    calendar = definition.partitions
    key = calendar.key_of(day)
    around = [calendar.shift(key, n) for n in range(-30, 15)]
    plan = make_plan(definition, key, landed("inputs", *around), landed("labels", *around))
    assert len(plan.history) == look_back
    for past in plan.history:
        assert calendar.due(past.key, delay) <= calendar.period(key).start
        assert past.labels[0].key == past.inputs[0].key == past.key


def test_a_partition_without_accepted_inputs_is_not_built():
    with pytest.raises(NotReadyError, match="2013-03-04: there are no accepted inputs"):
        make_plan(FLIGHTS, KEY, {}, landed("labels", *every_week()))


def test_the_first_weeks_have_nothing_to_look_back_on_and_nothing_is_missing():
    plan = make_plan(FLIGHTS, "2013-01-14", landed("inputs", "2013-01-14"), {})
    assert (plan.history, plan.missing) == ((), {})


def test_labels_without_their_inputs_are_missing_too():
    inputs = landed("inputs", KEY, "2013-01-28", "2013-02-04", "2013-02-11")
    plan = make_plan(FLIGHTS, KEY, inputs, landed("labels", "2013-01-28", "2013-02-11", "2013-02-18"))
    assert list(plan.labels_used) == ["2013-01-28", "2013-02-11"]
    assert plan.describe_missing() == "labels of 2013-02-04, inputs of 2013-02-18"


def test_labels_that_are_incomplete_are_missing_and_nobody_waits_for_them():
    inputs, labels = landed("inputs", *every_week()), landed("labels", *every_week())
    plan = make_plan(FLIGHTS, KEY, inputs, labels, held=["2013-02-04", "2012-12-31"])
    assert list(plan.labels_used) == ["2013-01-28", "2013-02-11", "2013-02-18"]
    assert plan.describe_missing() == "labels of 2013-02-04 (incomplete)"
    assert plan.build_hash("m", "c") != make_plan(FLIGHTS, KEY, inputs, labels).build_hash("m", "c")
    found = judge(FLIGHTS, plan, dt.datetime(2013, 3, 4, tzinfo=dt.UTC))
    assert (found.ready, found.missing) == (True, [])
    assert "built without labels of 2013-02-04 (incomplete), and again when they are complete" in found.reason


def test_the_build_hash_moves_with_every_byte_that_is_read_and_with_nothing_else():
    inputs, labels = landed("inputs", *every_week()), landed("labels", *every_week())

    def hashed(**changed: object) -> str:
        tables = {"inputs": dict(inputs), "labels": dict(labels)}
        for name, key in changed.items():
            tables[name][key] = current(name, key, 99, content="restated")
        return make_plan(FLIGHTS, KEY, tables["inputs"], tables["labels"]).build_hash("nyc_flights", "code")

    same = hashed()
    assert hashed(inputs=KEY) != same
    assert hashed(inputs="2013-02-18") != same
    assert hashed(labels="2013-02-18") != same
    for later in ("2013-02-25", "2013-03-04", "2013-03-11"):
        assert hashed(labels=later) == same
    for other in ("2013-01-21", "2013-02-25", "2013-03-11"):
        assert hashed(inputs=other) == same
    plan = make_plan(FLIGHTS, KEY, inputs, labels)
    assert plan.build_hash("nyc_flights", "other code") != same


def incomplete() -> tuple[ModelDefinition, object]:
    labels = landed("labels", *[k for k in wanted_keys(FLIGHTS, KEY) if k != "2013-02-18"])
    return make_plan(FLIGHTS, KEY, landed("inputs", *every_week()), labels)


def test_a_complete_plan_is_ready_at_once():
    plan = make_plan(FLIGHTS, KEY, landed("inputs", *every_week()), landed("labels", *every_week()))
    answer = judge(FLIGHTS, plan, RECEIVED)
    assert answer.ready
    assert answer.missing == []


def test_missing_labels_are_waited_for_until_the_grace_period_ends():
    plan = incomplete()
    answer = judge(FLIGHTS, plan, RECEIVED + dt.timedelta(hours=5, minutes=59))
    assert not answer.ready
    assert answer.missing == ["2013-02-18"]
    assert answer.deadline == RECEIVED + dt.timedelta(hours=6)
    assert "labels of 2013-02-18" in answer.reason
    assert "waiting until 2013-03-11 08:00 UTC" in answer.reason
    over = judge(FLIGHTS, plan, answer.deadline)
    assert over.ready
    assert over.missing == ["2013-02-18"]
    assert "built without" in over.reason


def test_the_grace_period_does_not_begin_before_the_partition_was_due():
    plan = incomplete()
    plan.inputs[0].received_at = dt.datetime(2013, 3, 4, tzinfo=dt.UTC)
    assert judge(FLIGHTS, plan, RECEIVED).deadline == dt.datetime(2013, 3, 11, 6, tzinfo=dt.UTC)
