"""A table with a query is extracted in place of the wait for a drop; one without waits as before."""

import pytest

from evergreen.core.definition import load_definition
from evergreen.core.definition.query import QuerySection

pytestmark = pytest.mark.xdist_group("airflow")
QUERY = "SELECT * FROM flights WHERE scheduled_departure >= :start AND scheduled_departure < :end"


def test_a_table_with_a_query_is_extracted(dagbag):
    import ingest

    shipped = load_definition("nyc_flights")
    source = {"inputs": QuerySection(connection="warehouse", query=QUERY)}
    definition = shipped.model_copy(update={"feed": shipped.feed.model_copy(update={"source": source})})
    inputs, labels = (ingest.ingest(definition, table) for table in ("inputs", "labels"))
    assert {task.task_id: set(task.downstream_task_ids) for task in inputs.tasks} == {
        "extract": {"validate"}, "validate": {"rebuild"}, "rebuild": set(),
    }  # fmt: skip
    assert "in the database warehouse" in inputs.doc_md
    assert {task.task_id for task in labels.tasks} == {"wait_for_drop", "validate", "rebuild"}


def test_an_airflow_connection_is_an_address(monkeypatch, dagbag):
    import wiring

    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", "postgres://me:p%40ss@db.example:5433/shop?sslmode=require")
    assert wiring.database_address("warehouse").get_secret_value() == (
        "postgresql://me:p%40ss@db.example:5433/shop?sslmode=require"
    )
    assert wiring.database_address("nothing_of_this_name") is None
    monkeypatch.setenv("EVERGREEN_DATABASE_WAREHOUSE", "duckdb:////srv/shop.duckdb")
    assert wiring.database_address("warehouse").get_secret_value() == "duckdb:////srv/shop.duckdb"


def test_predictions_are_delivered_if_there_are_sinks(dagbag):
    import score

    from evergreen.core.definition.sinks import SinkSection

    shipped = load_definition("nyc_flights")
    dag = score.scoring(shipped.model_copy(update={"sinks": {"files": SinkSection(type="current")}}))
    assert {task.task_id: set(task.downstream_task_ids) for task in dag.tasks} == {
        "score": {"deliver"},
        "deliver": set(),
    }
    assert [outlet.uri for outlet in dag.get_task("deliver").outlets] == ["evergreen://nyc_flights/delivered"]
    assert [task.task_id for task in score.scoring(shipped).tasks] == ["score"]
