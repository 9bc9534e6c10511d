"""What a partition waits for: how long, and what ends the wait."""

import asyncio
import datetime as dt
import sys

import pytest

from evergreen.core.definition import load_definition
from evergreen.core.definition.readiness import Wait
from evergreen.errors import NotReadyError, SettingsError

pytestmark = pytest.mark.xdist_group("airflow")
BEGAN = "2013-04-22 00:00:05+00:00"


@pytest.fixture
def arrival(dagbag):
    """The plugin, as the DAGs have imported it."""
    return sys.modules[type(dagbag.dags["nyc_flights.monitor"].get_task("wait_for_predictions")).__module__]


@pytest.fixture
def answers(monkeypatch):
    """Have the package answer one subject; what it was asked."""

    def answer(module, result):
        asked = []

        def look(definition, key, **common):
            asked.append({"key": key, **common})
            if isinstance(result, Exception):
                raise result
            return result

        monkeypatch.setattr(f"{module}.look", look)
        monkeypatch.setattr("evergreen.settings.Settings.from_env", lambda: "settings")
        return asked

    return answer


def first_event(trigger):
    async def first():
        return await asyncio.wait_for(anext(trigger.run()), timeout=10)

    return asyncio.run(first())


def test_a_partition_that_waits_keeps_no_later_one_from_its_check(dagbag):
    monitor = dagbag.dags["nyc_flights.monitor"]
    assert monitor.max_active_runs > 1
    assert monitor.get_task("check").max_active_tis_per_dag == 1, "checks that wait for a lock hold no worker"


def test_predictions_are_asked_for_with_the_beginning_of_the_wait(arrival, answers):
    asked = answers("evergreen.loop.monitoring.readiness", Wait("never", "not by noon"))
    event = first_event(arrival.PartitionTrigger("predictions", "nyc_flights", "2013-04-15", 0.001, since=BEGAN))
    assert type(event).__name__ == "TaskSkippedEvent"
    assert str(asked[0]["since"]) == BEGAN


def test_features_without_accepted_inputs_are_skipped_with_the_reason(dagbag, arrival, monkeypatch):
    from airflow.sdk.exceptions import AirflowSkipException

    def readiness(*args, **kwargs):
        raise NotReadyError("there are no accepted inputs")

    monkeypatch.setattr("evergreen.loop.features.readiness.readiness", readiness)
    monkeypatch.setattr("evergreen.settings.Settings.from_env", lambda: "settings")
    build = dagbag.dags["nyc_flights.features"].get_task("build")
    monkeypatch.setattr(build, "key", "2013-04-15")
    with pytest.raises(AirflowSkipException, match="no accepted inputs"):
        build.execute({})
    event = first_event(arrival.PartitionTrigger("look_back", "nyc_flights", "2013-04-15", 0.001, resumes=True))
    assert type(event).__name__ == "TaskSkippedEvent"


def test_what_no_server_caused_is_no_reason_to_wait(dagbag, answers, monkeypatch):
    answers("evergreen.loop.features.readiness", SettingsError("EVERGREEN_LEDGER_URL is not set"))
    build = dagbag.dags["nyc_flights.features"].get_task("build")
    monkeypatch.setattr(build, "key", "2013-04-15")
    with pytest.raises(SettingsError):
        build.execute({})


@pytest.mark.parametrize("key", ["2012-12-31", "2013-12-30"])
def test_a_partition_outside_the_calendar_is_skipped(arrival, answers, key):
    asked = answers("evergreen.loop.intake.readiness", Wait("waiting", "nothing has landed"))
    wait = arrival.look("inputs", "nyc_flights", key)
    assert (wait.state, asked) == ("never", [])
    assert wait.reason.startswith(f"{key} lies outside the calendar of nyc_flights (2013-01-07 to 2013-12-23)")
    arrival.look("inputs", "nyc_flights", "2013-12-23")
    assert [question["key"] for question in asked] == ["2013-12-23"]


@pytest.mark.parametrize("stage", ["ingest_inputs", "ingest_labels", "monitor"])
def test_the_first_and_the_last_scheduled_runs_are_those_of_the_calendar(dagbag, stage):
    from airflow.serialization.serialized_objects import DagSerialization

    dag = DagSerialization.from_dict(DagSerialization.to_dict(dagbag.dags[f"nyc_flights.{stage}"]))
    ends = [dag.timetable._get_partition_info(date)[1] for date in (dag.start_date, dag.end_date)]
    assert ends == ["2013-01-07", "2013-12-23"]
    first = dt.datetime(2013, 1, 7, tzinfo=dt.UTC)
    backfilled = dag.iter_dagrun_infos_between(first, first + dt.timedelta(days=7))
    assert [run.partition_key for run in backfilled] == ["2013-01-07", "2013-01-14"]


@pytest.mark.parametrize(
    ("subject", "grace", "days"),
    [("inputs", 1, 14), ("labels", 20, 21), ("look_back", 20, 21), ("predictions", 1, 14), ("predictions", 10, 21)],
)
def test_no_wait_fails_before_its_grace_period_is_over(arrival, monkeypatch, subject, grace, days):
    from airflow.sdk.exceptions import TaskDeferred

    shipped = load_definition("nyc_flights")
    feed = shipped.feed.model_copy(update={"grace": dt.timedelta(days=grace)})
    monkeypatch.setattr(arrival, "load_definition", lambda name: shipped.model_copy(update={"feed": feed}))
    sensor = arrival.PartitionSensor(task_id="wait", subject=subject, model="nyc_flights")
    operator = arrival.PartitionOperator(task_id="work", subject=subject, model="nyc_flights", work=str)
    monkeypatch.setattr(arrival, "look", lambda *asked: Wait("waiting", "not there"))
    found = [sensor.start_trigger_args.timeout]
    for task in (sensor, operator):
        with pytest.raises(TaskDeferred) as deferred:
            task.execute({})
        found.append(deferred.value.timeout)
    assert found == [dt.timedelta(days=days)] * 3
