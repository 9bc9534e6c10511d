"""What the end-to-end tests ask and wait for."""

import datetime as dt
import hashlib
import json
import time

import httpx
from sqlalchemy import func, select, update
from typer.testing import CliRunner

from evergreen.cli import app
from evergreen.core.ledger.tables import Base, DriftCheck, PartitionVersion, Prediction, Snapshot, TrainingRun, Verdict
from evergreen.core.store import Store
from evergreen.stack.airflow_client import AirflowApiError

MODEL = "nyc_flights"
KEYS = ["2013-01-07", "2013-01-14", "2013-01-21", "2013-01-28", "2013-02-04", "2013-02-11"]
LATE, BROKEN = "2013-02-18", "2013-02-25"
"""The history, and two weeks after it, of the story that `test_loop_*` tell"""


def rows(ledger, table, *where):
    with ledger.transaction() as session:
        return list(session.scalars(select(table).where(*where).order_by(table.id)))


def rows_by_time(ledger, table, *where):
    with ledger.transaction() as session:
        return list(session.scalars(select(table).where(*where).order_by(table.created_at)))


def counts(ledger):
    with ledger.transaction() as session:
        return {t.name: session.scalar(select(func.count()).select_from(t)) for t in Base.metadata.sorted_tables}


def wait_until(condition, what, timeout=180):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {timeout} s"
        time.sleep(0.5)


def answer_form(stack, dag, run_id, option):
    """Wait for the form of the task `approve`, and answer it as a person does; what it asked."""
    task = f"/dags/{dag}/dagRuns/{run_id}/taskInstances/approve"
    path = f"{task}/-1/hitlDetails"

    def asked():
        try:
            return stack.airflow.request("GET", path)
        except AirflowApiError:
            return None

    wait_until(asked, "the form")
    asked = asked()
    # An answer within half a second of the question is lost: the task's process has not ended, and the one that goes on
    # is taken for it and killed (Airflow 3.3.2). The next attempt asks again. A person is not that quick.
    running = ("scheduled", "queued", "running")
    wait_until(lambda: stack.airflow.request("GET", task)["state"] not in running, "the task to wait for an answer")
    time.sleep(3)
    stack.airflow.request("PATCH", path, body={"chosen_options": [option], "params_input": {}})
    return asked


def alias(settings):
    from mlflow.tracking import MlflowClient

    client = MlflowClient(settings.mlflow_url)
    (name,) = [m.name for m in client.search_registered_models()]
    return int(client.get_model_version_by_alias(name, "champion").version)


def age(ledger, days):
    """Set back when things were recorded."""
    instants = {
        PartitionVersion: ("received_at", "landed_again_at"),
        Verdict: ("decided_at",),
        Snapshot: ("created_at",),
        Prediction: ("created_at",),
        DriftCheck: ("created_at",),
        TrainingRun: ("finished_at",),  # MLflow knows a run by when it began
    }
    with ledger.transaction() as session:
        for table, columns in instants.items():
            session.execute(update(table).values({c: getattr(table, c) - dt.timedelta(days=days) for c in columns}))


def kept(settings):
    """What there is of objects in the store, and of versions in the registry."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(settings.mlflow_url)
    return set(Store.from_settings(settings).sizes("")), {int(v.version) for v in client.search_model_versions()}


def command(stack, *arguments):
    """Exit code and answer of `evergreen ... --json`."""
    answer = CliRunner().invoke(app, [*arguments, "--json", "--home", str(stack.home.root)])
    return answer.exit_code, json.loads(answer.stdout) if answer.exit_code in (0, 3) else answer.output


def predictions_hash(definition, run, settings):
    """SHA-256 over what the registered version of a training run says of the rows that it was judged on."""
    from evergreen.loop.training.dataset import read_examples
    from evergreen.loop.training.model_files import load

    held_out = read_examples(definition, run, list(run.dataset["holdout_keys"]), settings=settings)
    predicted = load(definition, run.version, settings=settings).predict(held_out.features)
    return hashlib.sha256(predicted.tobytes()).hexdigest()


def ask_online(stack, frame, model="nyc_flights", **headers):
    """The answer of the stack's own server to a request for predictions of the rows in `frame`."""
    sent = frame.astype(object).where(frame.notna(), None).to_dict("records")
    answer = httpx.post(
        f"{stack.urls['online']}/v1/models/{model}/predictions",
        content=json.dumps({"rows": sent}, default=str),
        headers={"Authorization": f"Bearer {stack.online_token}", **headers},
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def remote_logs(env):
    """The task logs if they do not lie in the stack's folder."""
    from fsspec.core import url_to_fs

    folder = env.get("AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER")
    if folder is None:
        return []
    filesystem, path = url_to_fs(folder)
    return [filesystem.cat_file(name).decode(errors="replace") for name in filesystem.find(path)]
