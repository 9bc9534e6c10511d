"""One whole stack, Airflow and MLflow included: it serves, keeps its secrets, and dies without a trace mid-task."""

import os
import signal
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

from evergreen.stack.airflow_client import AirflowApi, AirflowApiError
from evergreen.stack.config import credentials
from evergreen.stack.config.home import Home
from evergreen.stack.control import Stack
from evergreen.stack.doctor import examine
from evergreen.stack.process import processes
from evergreen.stack.process import state as states

pytestmark = pytest.mark.integration
DAGS = """
from airflow.sdk import dag, task

@dag(schedule=None)
def heavy():
    @task
    def libraries():
        import time
        begun = time.perf_counter()
        import evidently, great_expectations, mlflow.sklearn
        print(f"imported in {time.perf_counter() - begun:.3f} s")

    libraries()

@dag(schedule=None)
def long():
    @task
    def wanders_off():
        import subprocess, time
        subprocess.run(["setsid", "--fork", "sleep", "300"], check=True)
        print("away")
        time.sleep(300)

    wanders_off()

heavy()
long()
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    (folder / "dags").mkdir()
    (folder / "dags" / "probe.py").write_text(DAGS)
    stack = Stack(Home(folder / "var"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(folder / "dags"))
        try:
            stack.start(tied=True)
            stack.airflow.wait_until_dags_parsed(["heavy", "long"])
            stack.airflow.unpause(["heavy", "long"])
            yield stack
        finally:
            stack.stop()


def living(stack_id):
    return [p.name() for p in processes.marked(stack_id)]


def wait_for(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.2)


def test_the_doctor_finds_nothing_wrong(stack, monkeypatch):
    monkeypatch.delenv("EVERGREEN_LEDGER_URL", raising=False)
    wrong = [f"{f.name}: {f.found}" for f in examine(stack.home) if not f.ok]
    assert wrong == []


def test_heavy_libraries_cost_a_task_nothing(stack):
    run = stack.airflow.trigger("heavy")
    assert stack.airflow.wait_for_run("heavy", run)["state"] == "success"
    log = stack.airflow.task_log("heavy", run, "libraries")
    seconds = float(log.split("imported in ")[1].split(" s")[0])
    assert seconds < 0.5


def test_strangers_are_refused(stack):
    for url in (f"{stack.urls['mlflow']}/api/2.0/mlflow/experiments/get?experiment_id=0",
                f"{stack.urls['airflow']}/api/v2/dags"):  # fmt: skip
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(url, timeout=10)
        assert caught.value.code == 401
    with AirflowApi(stack.urls["airflow"], "admin", "wrong", patience=5) as stranger, pytest.raises(AirflowApiError):
        stranger.dags()


def test_secrets_are_in_no_command_line_and_no_log(stack):
    lines = "\n".join(" ".join(p.info["cmdline"] or []) for p in psutil.process_iter(["cmdline"]))
    logs = [*stack.home.logs.iterdir(), *(p for p in (stack.home.airflow / "logs").rglob("*") if p.is_file())]
    text = "\n".join(path.read_text(errors="replace") for path in logs)
    for name, secret in credentials.load(stack.home.secrets).items():
        assert secret not in lines, name
        assert secret not in text, name


def test_a_trigger_with_one_run_id_makes_one_run(stack):
    assert {stack.airflow.trigger("heavy", run_id="once") for _ in range(2)} == {"once"}
    assert len([r for r in stack.airflow.dag_runs("heavy") if r["dag_run_id"] == "once"]) == 1
    stack.airflow.wait_for_run("heavy", "once")


def test_a_killed_scheduler_is_replaced_with_its_workers(stack):
    state = stack.status()
    os.kill(state.services["scheduler"].process.pid, signal.SIGKILL)

    def replaced():
        now = stack.status().services["scheduler"]
        return now.restarts == 1 and now.condition == "healthy"

    wait_for(replaced, 120)
    service = processes.marked(state.stack_id, "scheduler")
    assert all(stack.status().services["scheduler"].process.created <= p.create_time() + 2 for p in service)


def test_killed_mid_task_it_leaves_nothing_and_up_recovers(stack):
    run = stack.airflow.trigger("long")
    wait_for(lambda: "sleep" in living(states.read(stack.home.state).stack_id))
    state = stack.status()
    os.kill(state.supervisor.pid, signal.SIGKILL)
    wait_for(lambda: not living(state.stack_id) and not state.watchdog.alive())
    database = state.services["postgres"].process
    assert not database.alive()
    assert not Path(stack.home.postgres / "postmaster.pid").exists()

    assert stack.start(tied=True) is True
    assert stack.airflow.dag_run("long", run)["dag_run_id"] == run
