"""The DAGs of no model in particular: housekeeping and retention."""

import pytest

from evergreen.core.definition import list_models

pytestmark = pytest.mark.xdist_group("airflow")  # one worker imports Airflow and parses the DAGs, not each


def test_housekeeping_starts_what_it_finds(dagbag):
    dag = dagbag.dags["evergreen.housekeeping"]
    assert {t.task_id: set(t.downstream_task_ids) for t in dag.tasks} == {
        "send_owed_mails": set(), "reconcile_aliases": set(),
        "find_drops": {"bring_in"}, "bring_in": set(), "find_stuck": {"restart"}, "restart": set(),
    }  # fmt: skip
    assert not any(task.outlets for task in dag.tasks), "its runs come every ten minutes, and would emit each time"
    assert dag.params["dry_run"] is False
    for name in ("bring_in", "restart"):
        given = dag.get_task(name).partial_kwargs
        assert given["skip_when_already_exists"] is True
        assert given["logical_date"] is None


def test_retention_collects_for_each_model(dagbag):
    dag = dagbag.dags["evergreen.retention"]
    assert dag.params["dry_run"] is False
    assert dag.get_task("collect").op_kwargs_expand_input.value["model"] == list_models()
