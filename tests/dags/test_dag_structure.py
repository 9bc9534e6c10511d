"""The DAGs of every model: what they are made of, and that they cost little to import."""

import datetime as dt

import pytest

from evergreen.definition import list_models, load_definition

TASKS = {
    "ingest_inputs": {"wait_for_drop": {"validate"}, "validate": set()},
    "ingest_labels": {"wait_for_drop": {"validate"}, "validate": {"rebuild"}, "rebuild": set()},
    "features": {"wait_for_look_back": {"build"}, "build": set()},
    "score": {"score": set()},
    "monitor": {
        "wait_for_predictions": {"check"}, "check": {"alert", "retrain", "change_champion"},
        "alert": set(), "retrain": set(), "change_champion": set(),
    },
    "train": {
        "assemble": {"fit", "compare", "conclude"}, "fit": {"compare"}, "compare": {"approve"},
        "approve": {"conclude"}, "conclude": {"score_waiting"}, "score_waiting": set(),
    },
    "rollback": {"roll_back": set()},
}  # fmt: skip
OUTLETS = {
    "ingest_inputs": {"validate": "inputs"},
    "ingest_labels": {"validate": "labels", "rebuild": "inputs"},
    "features": {"build": "features"},
    "score": {"score": "predictions"},
    "monitor": {"check": "drift_decision"},
    "train": {"score_waiting": "features"},
    "rollback": {},
}


def test_every_file_imports(dagbag):
    assert dagbag.import_errors == {}


@pytest.mark.parametrize("model", list_models())
def test_a_model_has_its_dags_and_no_others(dagbag, model):
    assert {i for i in dagbag.dags if i.startswith(f"{model}.")} == {f"{model}.{stage}" for stage in TASKS}


@pytest.mark.parametrize("stage", TASKS)
@pytest.mark.parametrize("model", list_models())
def test_tasks_hang_together(dagbag, model, stage):
    dag = dagbag.dags[f"{model}.{stage}"]
    assert {t.task_id: set(t.downstream_task_ids) for t in dag.tasks} == TASKS[stage]


@pytest.mark.parametrize("stage", TASKS)
@pytest.mark.parametrize("model", list_models())
def test_partitions_flow_through_assets(dagbag, model, stage):
    dag = dagbag.dags[f"{model}.{stage}"]
    found = {t.task_id: [o.uri for o in t.outlets] for t in dag.tasks if t.outlets}
    assert found == {task: [f"evergreen://{model}/{name}"] for task, name in OUTLETS[stage].items()}


@pytest.mark.parametrize(
    ("stage", "consumed"), [("features", "inputs"), ("score", "features")]
)  # fmt: skip
def test_consumers_listen_to_one_partitioned_asset(dagbag, stage, consumed):
    timetable = dagbag.dags[f"nyc_flights.{stage}"].timetable
    assert type(timetable).__name__ == "PartitionedAssetTimetable"
    assert timetable.asset_condition.uri == f"evergreen://nyc_flights/{consumed}"


@pytest.mark.parametrize(("stage", "offset"), [("ingest_inputs", -1), ("ingest_labels", -2), ("monitor", -1)])
def test_cron_dags_run_when_their_table_is_due(dagbag, stage, offset):
    timetable = dagbag.dags[f"nyc_flights.{stage}"].timetable
    assert type(timetable).__name__ == "CronPartitionTimetable"
    assert timetable.run_offset == offset


def test_every_task_reports_its_failure_and_has_an_owner(dagbag):
    tasks = [task for dag in dagbag.dags.values() for task in dag.tasks]
    assert len(tasks) > 12
    for task in tasks:
        assert [c.__name__ for c in task.on_failure_callback] == ["report_failure"], task
        assert task.owner not in ("", "airflow"), task
        waits = task.start_trigger_args and task.start_trigger_args.timeout
        assert (waits or task.execution_timeout) <= dt.timedelta(days=14 if waits else 0, hours=2), task


def test_bad_data_is_not_tried_again_and_a_lost_server_is(dagbag):
    from evergreen.errors import QuarantinedError, UnavailableError

    policy = dagbag.dags["nyc_flights.ingest_inputs"].get_task("validate").retry_policy
    assert policy.evaluate(QuarantinedError("x"), 1, 3).action.value == "fail"
    assert policy.evaluate(UnavailableError("x"), 1, 3).action.value == "default"
    assert policy.evaluate(OSError("x"), 1, 3).action.value == "default"


def test_training_and_promotion_go_one_at_a_time(dagbag):
    train = dagbag.dags["nyc_flights.train"]
    assert {t.task_id for t in train.tasks if t.pool == "training"} == {"assemble", "fit", "compare", "conclude"}


def test_every_dag_explains_itself(dagbag):
    for dag in dagbag.dags.values():
        assert len(dag.doc_md) > 100, dag.dag_id
        assert "evergreen" in dag.tags
        assert dag.description


def test_a_model_that_ended_schedules_nothing_now(dagbag):
    assert load_definition("nyc_flights").calendar.end is not None
    for stage in ("ingest_inputs", "ingest_labels", "monitor"):
        assert dagbag.dags[f"nyc_flights.{stage}"].end_date < dt.datetime(2014, 2, 1, tzinfo=dt.UTC)


def test_a_broken_definition_is_one_import_error_and_no_other_models_problem(parse_dags, models_copy):
    broken = models_copy / "broken" / "model.yaml"
    broken.parent.mkdir()
    broken.write_text("name: broken\ntaks: binary\n")
    dag_ids, errors = parse_dags(models_copy)
    assert "nyc_flights.score" in dag_ids
    assert not any(i.startswith("broken.") for i in dag_ids)
    assert list(errors) == ["operate.py"]
    assert f"{broken}:2: taks: unknown field" in errors["operate.py"]


def test_a_second_model_is_a_second_folder_and_no_other_change(parse_dags, models_copy):
    second = models_copy / "second" / "model.yaml"
    second.parent.mkdir()
    shipped = (models_copy / "nyc_flights" / "model.yaml").read_text()
    second.write_text(shipped.replace("name: nyc_flights", "name: second", 1))
    dag_ids, errors = parse_dags(models_copy)
    assert errors == {}
    assert {i for i in dag_ids if i.startswith("second.")} == {f"second.{stage}" for stage in TASKS}


def test_a_training_that_was_not_ready_concludes_nothing(dagbag):
    """`assemble` skips where labels are too few, `approve` where nobody is asked: only then may it conclude."""
    conclude = dagbag.dags["nyc_flights.train"].get_task("conclude")
    assert conclude.trigger_rule == "none_failed_min_one_success"
    assert set(conclude.upstream_task_ids) == {"assemble", "approve"}


def test_sensors_ask_no_worker(dagbag):
    sensors = [t for dag in dagbag.dags.values() for t in dag.tasks if t.task_id.startswith("wait_for_")]
    assert len(sensors) == 4
    for sensor in sensors:
        assert sensor.start_from_trigger is True
        # The limit of a task's work would end the wait of a late feed after two hours.
        assert sensor.execution_timeout is None
