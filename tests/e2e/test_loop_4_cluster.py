"""The services of the compose file, once the loop has had a life on them.

Follows `test_loop_3_upkeep`.
"""

import re
import subprocess
import time

import pytest

from evergreen.core.ledger.tables import DriftCheck, TrainingRun
from evergreen.stack.process import processes
from helpers.grafana_queries import EMPTY_WHEN_HEALTHY, ask, blank
from helpers.live_stack import BROKEN, LATE, MODEL, rows, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.shape("cluster")]


def test_both_workers_worked_for_the_model(stack):
    ran = {(t["queue"], t["dag_id"], t["task_id"]) for t in stack.airflow.task_instances() if t["state"] == "success"}
    assert {task for queue, _, task in ran if queue == "training"} == {"fit", "compare", "reproduce"}
    assert {"validate", "build", "score", "check", "conclude"} <= {task for queue, _, task in ran if queue == "default"}
    for queue in ("default", "training"):
        log = stack.home.log_of(f"worker-{queue}").read_text()
        assert re.search(r"preloaded \d+ modules", log)
        assert "threads, which forked tasks will lack" not in log


def test_workers_keep_nothing(stack):
    """What a worker's folder holds is no other's business, and none of it is the loop's once its tasks have ended."""

    def kept(name):
        files = [f.relative_to(stack.home.part(name)) for f in stack.home.part(name).rglob("*") if f.is_file()]
        return {str(f) for f in files if f.parts[0] not in (".cache", ".config")} - {"airflow.cfg"}

    for name in ("worker-default", "worker-training"):
        wait_until(lambda name=name: not kept(name), f"an empty folder of {name}")


def test_reports_and_pages_are_read_from_s3(stack, ledger, settings):
    import httpx

    check = rows(ledger, DriftCheck)[-1]
    assert check.report_uri.startswith("s3://evergreen/store/")
    headers = {"Authorization": f"Bearer {stack.airflow._access_token(False)}"}
    with httpx.Client(base_url=f"{stack.urls['airflow']}/evergreen", headers=headers, trust_env=False) as pages:
        assert LATE in pages.get(f"/models/{MODEL}").raise_for_status().text
        report = check.report_uri.rpartition("/")[2]
        assert pages.get(f"/reports/{MODEL}/{check.key}/{report}").raise_for_status().content
        assert pages.get("/models/unheard_of").status_code == httpx.codes.NOT_FOUND


def test_every_health_check_of_the_compose_file_passes(stack):
    from evergreen.stack.config import credentials

    made = stack.shape.services(stack.home, stack.status().ports, credentials.load(stack.home.secrets))
    checked = [s for s in made if s.check]
    assert len(checked) == 15 - len(stack.shape.left_out().keys() - {"grafana"})
    for service in checked:
        env = {**service.env, processes.SERVICE_MARKER: service.name}
        subprocess.run(service.check, env=env, cwd=service.folder, check=True, timeout=60, capture_output=True)


def test_prometheus_reaches_all_and_every_panel_has_an_answer(stack):
    if "prometheus" not in stack.urls:
        pytest.skip(f"left out of the stack: {stack.shape.left_out()}")
    at = stack.urls["prometheus"]
    targets = {"evergreen", "online", "airflow", "prometheus"} | {"alertmanager"} & stack.urls.keys()
    wait_until(lambda: {s["metric"]["job"] for s in ask(at, "up == 1")} >= targets, "all targets")
    # Rates need two samples; what a quiet minute leaves empty comes with the next task.
    wait_until(lambda: blank(at) <= EMPTY_WHEN_HEALTHY.keys(), "an answer to each panel")
    tasks = {s["metric"]["dag_id"] for s in ask(at, "airflow_task_duration_count")}
    assert {f"{MODEL}.score", f"{MODEL}.monitor", f"{MODEL}.train"} <= tasks


def test_a_worker_killed_mid_task_is_replaced_and_another_try_ends_the_work(story, stack, ledger):
    made = [r.version for r in rows(ledger, TrainingRun) if r.version is not None]
    conf = {"cause": "operator", "cause_key": "killed", "reason": "a test kills its worker", "as_of": BROKEN}
    run_id = stack.airflow.trigger(story.dag("train"), conf, run_id="killed")
    fit = lambda: next(t for t in stack.airflow.task_instances(story.dag("train"), run_id) if t["task_id"] == "fit")  # noqa: E731
    wait_until(lambda: fit()["state"] == "running", "the fit")
    time.sleep(2)
    state = stack.status()
    for process in processes.tree(state.services["worker-training"].process.process()):
        process.kill()
    assert stack.airflow.wait_for_run(story.dag("train"), run_id, timeout=540)["state"] == "success"
    assert fit()["try_number"] == 2
    assert stack.status().services["worker-training"].restarts == 1
    assert [(r.cause_key, r.version) for r in rows(ledger, TrainingRun)][-1] == ("killed", made[-1] + 1)
    assert [r.version for r in rows(ledger, TrainingRun) if r.version is not None] == [*made, made[-1] + 1]
