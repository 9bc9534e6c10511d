"""The DAG that brings reference tables in: for models that have some, and no others."""

import pytest

from evergreen.core.definition import load_definition
from evergreen.core.definition.references import ReferenceSection

pytestmark = pytest.mark.xdist_group("airflow")


def test_references_are_brought_in_and_what_should_have_read_them_is_emitted(dagbag):
    import ingest_references

    shipped = load_definition("nyc_flights")
    section = ReferenceSection(columns={"day": "string"}, key="day")
    definition = shipped.model_copy(update={"feed": shipped.feed.model_copy(update={"references": {"days": section}})})
    dag = ingest_references.ingest_references(definition)
    assert dag.dag_id == "nyc_flights.ingest_references"
    assert {task.task_id: set(task.downstream_task_ids) for task in dag.tasks} == {
        "bring_in": {"rebuild"}, "rebuild": set(),
    }  # fmt: skip
    assert [outlet.uri for outlet in dag.get_task("rebuild").outlets] == ["evergreen://nyc_flights/inputs"]
    assert dag.max_active_runs == 1
    assert "landing/nyc_flights/references/<name>/<stamp>/<name>.parquet" in dag.doc_md
    assert "nyc_flights.ingest_references" not in dagbag.dags
