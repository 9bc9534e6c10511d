"""Sensors, and the tasks that wait in the triggerer for what they need."""

import asyncio
import sys

import pytest

from evergreen.core.definition.readiness import Wait
from evergreen.errors import BadInputError, UnavailableError

pytestmark = pytest.mark.xdist_group("airflow")  # one worker imports Airflow and parses the DAGs, not each


def test_sensors_ask_no_worker(dagbag):
    sensors = [t for dag in dagbag.dags.values() for t in dag.tasks if t.task_id.startswith("wait_for_")]
    assert len(sensors) == 3
    for sensor in sensors:
        assert sensor.start_from_trigger is True
        # The limit of a task's work would end the wait of a late feed after two hours.
        assert sensor.execution_timeout is None


@pytest.fixture
def build(dagbag, monkeypatch):
    """The operator that builds features, over a question that a test answers."""
    operator = dagbag.dags["nyc_flights.features"].get_task("build")
    monkeypatch.setattr(operator, "work", lambda model: f"built {model}")

    def answer(result):
        def look(*asked):
            if isinstance(result, Exception):
                raise result
            return result

        monkeypatch.setattr(sys.modules[type(operator).__module__], "look", look)
        return operator

    return answer


def test_work_begins_at_once_where_nothing_is_missing(build):
    assert build(Wait("ready", "all there")).execute({}) == "built nyc_flights"


@pytest.mark.parametrize("answer", [Wait("waiting", "labels are late"), UnavailableError("the ledger does not answer")])
def test_work_waits_in_the_triggerer_where_something_is(build, answer):
    from airflow.sdk.exceptions import TaskDeferred

    with pytest.raises(TaskDeferred) as deferred:
        build(answer).execute({})
    name, arguments = deferred.value.trigger.serialize()
    assert (name, arguments["subject"], arguments["resumes"]) == ("arrival.PartitionTrigger", "look_back", True)
    assert deferred.value.method_name == "resume"


def test_work_goes_on_after_waiting_or_fails_with_what_was_found_wrong(build):
    from airflow.sdk.exceptions import AirflowSkipException

    operator = build(Wait("ready", ""))
    assert operator.resume({}, event="") == "built nyc_flights"
    with pytest.raises(BadInputError, match="no such partition"):
        operator.resume({}, event="no such partition")
    with pytest.raises(BadInputError):
        build(BadInputError("no partition key")).execute({})
    with pytest.raises(AirflowSkipException):
        build(Wait("never", "before the first champion")).execute({})


def test_the_trigger_resumes_or_ends_its_task(dagbag, monkeypatch):
    from airflow.triggers.base import TaskSuccessEvent

    sensor = dagbag.dags["nyc_flights.monitor"].get_task("wait_for_predictions")
    module = sys.modules[type(sensor).__module__]
    monkeypatch.setattr(module, "look", lambda *asked: Wait("ready", "there"))

    async def first(**changes):
        trigger = module.PartitionTrigger("look_back", "nyc_flights", "2013-01-07", 0.01, **changes)
        return await anext(trigger.run())

    assert isinstance(asyncio.run(first()), TaskSuccessEvent)
    event = asyncio.run(first(resumes=True))
    assert (type(event).__name__, event.payload) == ("TriggerEvent", "")
