"""The DAGs of every model: what they are made of, and that they cost little to import."""

import ast
import datetime as dt
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from evergreen.core.definition import list_models, load_definition
from evergreen.errors import UnavailableError
from evergreen.stack.config.home import PROJECT

pytestmark = pytest.mark.xdist_group("airflow")  # one worker imports Airflow and parses the DAGs, not each

TASKS = {
    "ingest_inputs": {"wait_for_drop": {"validate"}, "validate": {"rebuild"}, "rebuild": set()},
    "ingest_labels": {"wait_for_drop": {"validate"}, "validate": {"rebuild"}, "rebuild": set()},
    "features": {"build": set()},
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
    "reproduce": {"reproduce": set()},
    "replay_quarantine": {
        "find": {"validate"}, "validate": {"release_inputs", "release_labels", "all_released"},
        "release_inputs": {"all_released"}, "release_labels": {"all_released"}, "all_released": set(),
    },
}  # fmt: skip
OUTLETS = {
    "ingest_inputs": {"validate": "inputs", "rebuild": "inputs"},
    "ingest_labels": {"validate": "labels", "rebuild": "inputs"},
    "features": {"build": "features"},
    "score": {"score": "predictions"},
    "monitor": {"check": "drift_decision"},
    "train": {"score_waiting": "features"},
    "rollback": {},
    "reproduce": {},
    "replay_quarantine": {"release_inputs": "inputs", "release_labels": "labels"},
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


def test_a_mail_is_sent_whatever_is_decided_if_something_is(dagbag):
    """A bad week or a fault that is found with a promotion is owed a mail, and no later check tells it."""
    module = sys.modules[type(dagbag.dags["nyc_flights.monitor"].get_task("retrain")).__module__]
    assert set(module.ACTS_ON["alert"]) == {"alert", "retrain", "rollback", "promote"}


def test_what_may_be_left_empty_in_a_form_is_not_asked_for(dagbag):
    """Airflow's form holds its button back while a text without null among its types is empty."""
    stuck = [
        f"{dag_id}: {name}"
        for dag_id, dag in dagbag.dags.items()
        for name in dag.params
        if (param := dag.params.get_param(name)).value == "" and "null" not in param.schema["type"]
    ]
    assert stuck == []


@pytest.mark.parametrize("own", [None, "2013-01-07"])
def test_what_a_run_emits_carries_the_key_of_its_conf(dagbag, monkeypatch, own):
    """A run that a task triggers has its partition key in the conf, where Airflow does not look for it."""
    from airflow.sdk.execution_time.context import OutletEventAccessors

    import wiring

    build, events = dagbag.dags["nyc_flights.features"].get_task("build"), OutletEventAccessors()
    run = type("Run", (), {"conf": {"partition_key": "2013-01-07"} if own is None else {}})()
    context = {"partition_key": own, "dag_run": run, "task": build, "outlet_events": events}
    monkeypatch.setattr(wiring, "get_current_context", lambda: context)
    assert wiring.partition_key() == "2013-01-07"
    assert events[build.outlets[0]].partition_keys == ({"2013-01-07"} if own is None else set())


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
        also = ["on_failure"] if task.dag_id.endswith(".train") else []
        told = task.on_failure_callback
        told = told if isinstance(told, list) else [told]  # a mapped task keeps what it was given
        assert [c.__name__ for c in told] == [*also, "report_failure"], task
        well = task.on_success_callback
        assert [c.__name__ for c in (well if isinstance(well, list) else [well])] == ["report_success"], task
        skipped = task.on_skipped_callback
        assert [c.__name__ for c in (skipped if isinstance(skipped, list) else [skipped])] == ["report_skipped"], task
        assert task.owner not in ("", "airflow"), task
        waits = task.start_trigger_args and task.start_trigger_args.timeout
        assert (waits or task.execution_timeout) <= dt.timedelta(days=14 if waits else 0, hours=2), task


def test_the_success_of_a_task_tells_that_its_sensor_came_through(dagbag):
    """A sensor ends in the triggerer, and Airflow calls no callback there: only what runs after it can tell."""
    wiring = sys.modules["wiring"]
    told = {
        f"{task.dag_id}.{task.task_id}": wiring._waited_for(task) for dag in dagbag.dags.values() for task in dag.tasks
    }
    assert {task: waits for task, waits in told.items() if waits} == {
        "nyc_flights.ingest_inputs.validate": ["wait_for_drop"], "nyc_flights.monitor.check": ["wait_for_predictions"],
        "nyc_flights.ingest_labels.validate": ["wait_for_drop"],
    }  # fmt: skip
    sensors = {task.task_id for dag in dagbag.dags.values() for task in dag.tasks if "Sensor" in task.task_type}
    assert sensors == {name for waits in told.values() for name in waits}, "each sensor has one after it that tells"


@pytest.mark.parametrize("skipped", [False, True])
def test_what_ends_well_or_skipped_is_reported_with_what_it_waited_for(dagbag, monkeypatch, skipped):
    from evergreen.loop.alerts import task_failures

    told, wiring = [], sys.modules["wiring"]
    monkeypatch.setattr(task_failures, "end_task_failure", lambda **said: told.append(said))
    task = dagbag.dags["nyc_flights.ingest_inputs"].get_task("validate")
    ti = SimpleNamespace(dag_id=task.dag_id, task_id=task.task_id, run_id="r", map_index=None)
    report = wiring.report_skipped if skipped else wiring.report_success
    report({"ti": ti, "task": task, "partition_key": "2013-04-15"})
    assert told == [{
        "dag_id": task.dag_id, "task_id": "validate", "run_id": "r", "key": "2013-04-15", "map_index": -1,
        "skipped": skipped, "waited_for": ["wait_for_drop"],
    }]  # fmt: skip


@pytest.mark.parametrize(("given", "expected"), [("harm:v2", "harm:v2"), ("", "operator:manual-1")])
def test_a_failed_training_is_named_by_its_cause(dagbag, monkeypatch, given, expected):
    from evergreen.loop.training import record_failure

    told = []
    monkeypatch.setattr(
        record_failure, "record_failure", lambda model, cause_key, settings: told.append((model, cause_key))
    )
    fit = dagbag.dags["nyc_flights.train"].get_task("fit")
    record = next(c for c in fit.on_failure_callback if c.__name__ == "on_failure")
    for name in ("LEDGER_URL", "STORE_URL", "LANDING_URL", "FEATURES_GIT_URL", "FEATURES_DVC_URL", "AIRFLOW_URL"):
        monkeypatch.setenv(f"EVERGREEN_{name}", "http://nowhere")
    monkeypatch.setenv("EVERGREEN_MODELS_DIR", "nowhere")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://nowhere")
    record({"ti": fit, "params": {"cause": "operator", "cause_key": given}, "run_id": "manual-1"})
    assert told == [("nyc_flights", expected)]


def test_rows_that_cannot_teach_end_the_training_as_skipped(dagbag, monkeypatch):
    from airflow.sdk.exceptions import AirflowSkipException

    from evergreen.errors import NotReadyError
    from evergreen.loop.training import fit as fitting

    def constant(definition, training_run, **common):
        raise NotReadyError("every one of the rows has delayed = False")

    dag, told = dagbag.dags["nyc_flights.train"], []
    fit, conclude = (dag.get_task(name).python_callable for name in ("fit", "conclude"))
    ti = type("Instance", (), {"xcom_pull": lambda self, task_ids: None})()
    monkeypatch.setattr(fitting, "fit", constant)
    monkeypatch.setitem(fit.__globals__, "call", lambda model: (None, {"settings": None}))
    monkeypatch.setitem(fit.__globals__, "get_current_context", lambda: {"ti": ti})
    monkeypatch.setitem(fit.__globals__, "record_failure", lambda *said: told.append(said))
    with pytest.raises(AirflowSkipException, match="delayed = False"):
        fit("nyc_flights", 1)
    assert told == [("nyc_flights", {"ti": ti})]
    with pytest.raises(AirflowSkipException, match="no challenger was made"):
        conclude("nyc_flights", 1)


def test_bad_data_is_not_tried_again_and_a_lost_server_is(dagbag):
    from evergreen.errors import QuarantinedError

    task = dagbag.dags["nyc_flights.ingest_inputs"].get_task("validate")
    pauses = [min(task.retry_delay * 2**n, task.max_retry_delay) for n in range(task.retries)]
    assert sum(pauses, dt.timedelta()) >= dt.timedelta(minutes=10), "a server may be away for so long"
    policy = task.retry_policy
    assert policy.evaluate(QuarantinedError("x"), 1, 3).action.value == "fail"
    assert policy.evaluate(UnavailableError("x"), 1, 3).action.value == "default"
    assert policy.evaluate(OSError("x"), 1, 3).action.value == "default"


class _Instance:
    """What an operator sees of its task instance: the decision of the check, and where its own XComs go."""

    def __init__(self, decided):
        self.decided, self.pushed = decided, {}

    def xcom_pull(self, task_ids):
        return {"check": self.decided}[task_ids]

    def xcom_push(self, key, value):
        self.pushed[key] = value


def test_a_retrain_is_triggered_once_for_its_cause(dagbag):
    from airflow.sdk.exceptions import DagRunTriggerException

    conf = {"cause": "drift", "cause_key": "drift-v3-1", "reason": "carrier moved", "as_of": "2013-03-04"}
    with pytest.raises(DagRunTriggerException) as caught:
        dagbag.dags["nyc_flights.monitor"].get_task("retrain").execute(
            {"ti": _Instance({**conf, "kind": "retrain", "decision_id": 7})}
        )
    asked = caught.value
    assert (asked.trigger_dag_id, asked.dag_run_id) == ("nyc_flights.train", "retrain__drift-v3-1")
    assert asked.conf == conf
    assert asked.skip_when_already_exists


def test_the_triggered_training_shows_in_airflow(dagbag):
    from airflow.serialization.serialized_objects import DagSerialization

    serialized = DagSerialization.to_dict(dagbag.dags["nyc_flights.monitor"])["dag"]
    arrows = [d for d in serialized["dag_dependencies"] if d["dependency_type"] == "trigger"]
    assert [(d["source"], d["target"]) for d in arrows] == [("nyc_flights.monitor", "nyc_flights.train")]


@pytest.mark.parametrize(("stage", "name"), [("rollback", "why"), ("train", "reason")])
@pytest.mark.parametrize(("given", "passes"), [("   ", False), ("  x ", False), ("it predicts\nnonsense ", True)])
def test_a_reason_of_blanks_is_refused_by_the_form(dagbag, stage, name, given, passes):
    from airflow.sdk.definitions.param import Param
    from airflow.sdk.exceptions import ParamValidationError

    param: Param = dagbag.dags[f"nyc_flights.{stage}"].params.get_param(name)
    if passes:
        assert param.resolve(given) == given
    else:
        with pytest.raises(ParamValidationError):
            param.resolve(given)


def test_training_and_promotion_go_one_at_a_time(dagbag):
    train = dagbag.dags["nyc_flights.train"]
    assert {t.task_id for t in train.tasks if t.pool == "training"} == {"assemble", "fit", "compare", "conclude"}


@pytest.mark.parametrize("named", ["", "heavy"])
def test_heavy_tasks_go_to_the_queue_of_the_deployment(named):
    """Without the variable all go to Airflow's default queue: a team with one kind of worker needs no second one."""
    code = "import train; print({t.task_id: t.queue for t in train.train(next(train.definitions())).tasks})"
    path = [str(PROJECT / name) for name in ("dags", "include", "plugins", "config")]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(path), "EVERGREEN_TRAINING_QUEUE": named}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    queues = ast.literal_eval(done.stdout.splitlines()[-1])
    assert {task for task, queue in queues.items() if queue == "heavy"} == ({"fit", "compare"} if named else set())
    assert set(queues.values()) <= {"default", "heavy"}


@pytest.mark.parametrize("template", ["", "/opt/evergreen/deploy/kubernetes/training-pod.yaml"])
def test_heavy_tasks_get_the_pod_of_the_deployment(template):
    """Without the variable none: executors that make no pods are asked for nothing."""
    code = "import train; print({t.task_id: t.executor_config for t in train.train(next(train.definitions())).tasks})"
    path = [str(PROJECT / name) for name in ("dags", "include", "plugins", "config")]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(path), "EVERGREEN_TRAINING_POD_TEMPLATE": template}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    asked = ast.literal_eval(done.stdout.splitlines()[-1])
    with_a_pod = {task: config for task, config in asked.items() if config}
    wanted = {"pod_template_file": template}
    assert with_a_pod == ({"fit": wanted, "compare": wanted} if template else {})


def test_every_dag_explains_itself(dagbag):
    for dag in dagbag.dags.values():
        assert len(dag.doc_md) > 100, dag.dag_id
        assert "evergreen" in dag.tags
        assert dag.description


def test_a_model_that_ended_schedules_nothing_now(dagbag):
    assert load_definition("nyc_flights").calendar.end is not None
    for stage in ("ingest_inputs", "ingest_labels", "monitor"):
        assert dagbag.dags[f"nyc_flights.{stage}"].end_date < dt.datetime(2014, 2, 1, tzinfo=dt.UTC)


def test_a_broken_definition_is_one_import_error_and_no_other_models_problem(other_dags, other_models):
    dag_ids, errors = other_dags["broken"]
    assert {"nyc_flights.score", "nyc_flights.rollback", "evergreen.housekeeping"} <= set(dag_ids)
    assert not any(i.startswith("broken.") for i in dag_ids)
    assert list(errors) == ["broken_definitions.py"]
    assert (
        f"{other_models['broken'] / 'broken' / 'model.yaml'}:2: taks: unknown field" in errors["broken_definitions.py"]
    )


def test_a_second_model_is_a_second_folder_and_no_other_change(other_dags):
    dag_ids, errors = other_dags["second"]
    assert errors == {}
    assert {i for i in dag_ids if i.startswith("second.")} == {f"second.{stage}" for stage in TASKS}


def test_a_training_that_was_not_ready_concludes_nothing(dagbag):
    """`assemble` skips if labels are too few, `approve` if nobody is asked: only then may it conclude."""
    conclude = dagbag.dags["nyc_flights.train"].get_task("conclude")
    assert conclude.trigger_rule == "none_failed_min_one_success"
    assert set(conclude.upstream_task_ids) == {"assemble", "approve"}


@pytest.mark.parametrize(
    ("cause_key", "who", "said"),
    [(None, "ada", "new prices (asked for by ada)"), (None, None, "new prices"), ("age:3", "ada", "new prices")],
)
def test_only_a_person_who_asked_for_a_training_is_named(dagbag, cause_key, who, said):
    """A training that the monitor asks for is triggered in the name of who started the backfill that it ran in."""
    module = sys.modules[dagbag.dags["nyc_flights.train"].get_task("assemble").python_callable.__module__]
    run = type("Run", (), {"triggering_user_name": who})()
    assert module._reason({"dag_run": run, "params": {"reason": "new prices", "cause_key": cause_key}}) == said
