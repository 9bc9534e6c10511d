"""What the end-to-end tests ask and wait for."""

import time

from sqlalchemy import func, select

from evergreen.ledger.tables import Base
from evergreen.stack.airflow_api import AirflowApiError


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
    path = f"/dags/{dag}/dagRuns/{run_id}/taskInstances/approve/-1/hitlDetails"

    def asked():
        try:
            return stack.airflow.request("GET", path)
        except AirflowApiError:
            return None

    wait_until(asked, "the form")
    asked = asked()
    stack.airflow.request("PATCH", path, body={"chosen_options": [option], "params_input": {}})
    return asked


def alias(settings):
    from mlflow.tracking import MlflowClient

    client = MlflowClient(settings.mlflow_url)
    (name,) = [m.name for m in client.search_registered_models()]
    return int(client.get_model_version_by_alias(name, "champion").version)
