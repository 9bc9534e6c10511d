"""The DAGs of no model in particular: housekeeping and retention."""

import sys
from types import SimpleNamespace

import pytest

from evergreen.core.definition import list_models
from evergreen.errors import EvergreenError, UnavailableError

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


@pytest.mark.parametrize("down", [False, True])
def test_mails_go_before_channels_and_a_mail_server_that_is_down_keeps_none_waiting(dagbag, monkeypatch, down):
    """A webhook may take ten seconds for each message; that must not delay mail."""
    done, wiring = [], sys.modules["wiring"]

    def send_pending(**given):
        done.append("mail")
        if down:
            raise UnavailableError("the mail server does not answer")
        return SimpleNamespace(sent=3)

    monkeypatch.setattr("evergreen.loop.alerts.send.send_pending", send_pending)
    monkeypatch.setattr("evergreen.loop.alerts.deliver.deliver_pending", lambda **given: done.append("channels"))
    monkeypatch.setattr(wiring, "_smtp_settings", lambda: None)
    monkeypatch.setattr("evergreen.settings.Settings.from_env", lambda: None)
    assert wiring.send_owed_mail(quietly=True) == (0 if down else 3)
    assert done == ["mail", "channels"]


def test_what_is_owed_is_sent_although_a_model_could_not_be_settled(dagbag, monkeypatch):
    module = sys.modules[dagbag.dags["evergreen.housekeeping"].get_task("send_owed_mails").python_callable.__module__]
    sent, followed = [], "evergreen.loop.alerts.channels_now.follow_definitions"

    def fail(*given, **more):
        raise EvergreenError("mails that are due were not owed for broken")

    monkeypatch.setattr("evergreen.operations.housekeeping.messages.settle_all", fail)
    monkeypatch.setattr("evergreen.settings.Settings.from_env", lambda: None)
    monkeypatch.setattr(followed, lambda **given: sent.append("followed"))
    monkeypatch.setattr(module, "send_owed_mail", lambda: sent.append("sent"))
    monkeypatch.setattr(module, "get_current_context", lambda: {"params": {"dry_run": False}})
    with pytest.raises(EvergreenError, match="not owed for broken"):
        dagbag.dags["evergreen.housekeeping"].get_task("send_owed_mails").python_callable()
    assert sent == ["followed", "sent"]
