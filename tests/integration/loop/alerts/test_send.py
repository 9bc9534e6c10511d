"""Sending over real SMTP from a real ledger: nothing lost, nothing twice."""

import collections
import datetime as dt
import email
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from sqlalchemy import select, update

from evergreen.core.ledger.outbox import owe
from evergreen.core.ledger.tables import Alert, Occurrence
from evergreen.errors import DefinitionError, QuarantinedError, UnavailableError
from evergreen.loop.alerts.send import send_pending
from evergreen.loop.alerts.smtp import SmtpSettings
from evergreen.loop.alerts.task_failures import end_task_failure, owe_task_failure
from helpers.ledger_life import HOSTILE


class Keeper:
    """Keeps what it takes."""

    def __init__(self, pause=0.0, refuse=(), answer=None):
        self.messages = []
        self._pause, self._refuse, self._answer = pause, refuse, answer

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802
        if address in self._refuse:
            return "550 no such person"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        time.sleep(self._pause)
        if self._answer:
            return self._answer(self)
        self.messages.append(email.message_from_bytes(envelope.content))
        return "250 OK"

    def ids(self):
        return [message["Message-ID"] for message in self.messages]


def rows(ledger):
    with ledger.transaction() as session:
        return list(session.scalars(select(Alert).order_by(Alert.subject)))


def occurrences(ledger):
    with ledger.transaction() as session:
        return list(session.scalars(select(Occurrence).order_by(Occurrence.id)))


def test_what_is_owed_arrives_with_its_chart_and_links(settings, smtp, mail_catcher, ledger, definition):
    body = {
        "headline": f"Input drift: {HOSTILE} moved.", "summary": "A retrain has started.", "facts": [["Champion", 3]],
        "table": {"columns": ["Feature"], "rows": [[HOSTILE]]}, "next_steps": ["Open the report."],
        "chart": {"title": "Effect", "x": [HOSTILE], "series": [{"name": "effect", "values": [1.4]}]},
        "links": {"log": "http://airflow/log", "report": f"{settings.store_url}/reports/nyc_flights/2013-04-15/d.html"},
    }  # fmt: skip
    with ledger.transaction() as session:
        owe(
            session, definition, kind="drift", key="2013-04-15", dedup_key="d", body=body,
            subject="input drift, retrain started",
        )  # fmt: skip
    sent = send_pending(settings=settings, smtp=smtp)
    assert (sent.sent, sent.refused, sent.pending) == (1, 0, 0)
    (mail,) = mail_catcher.mails()
    assert mail.subject == "[evergreen] nyc_flights 2013-04-15: input drift, retrain started"
    assert mail.to == "flight-oncall@example.com"
    assert mail.attachments == ("chart.png",)
    for said in ("A retrain has started.", "Champion", "Open the report."):
        assert said in mail.html
        assert said in mail.text
    for link in ("reports/nyc_flights/2013-04-15/d.html", "runbooks/drift", "models/nyc_flights"):
        assert f"{settings.airflow_url}/evergreen/{link}" in mail.html
        assert f"{settings.airflow_url}/evergreen/{link}" in mail.text
    assert HOSTILE not in mail.html
    assert mail.message_id == f"<{rows(ledger)[0].id}@alerts.evergreen>"
    again = send_pending(settings=settings, smtp=smtp)
    assert again.sent == 0
    assert len(mail_catcher.mails()) == 1


def test_a_server_that_is_down_loses_nothing_and_sends_nothing_twice(settings, ledger, owed, serve, free_port):
    owed(3)
    down = SmtpSettings(host="127.0.0.1", port=free_port, starttls=False, sender="evergreen@example.com", timeout=2)
    for attempt in (1, 2):
        with pytest.raises(UnavailableError, match="3 stay owed") as caught:
            send_pending(settings=settings, smtp=down)
        assert f"127.0.0.1:{free_port}" in str(caught.value)
        assert sum(row.attempts for row in rows(ledger)) == attempt, "one try says enough about a server"
    keeper = Keeper()
    assert send_pending(settings=settings, smtp=serve(keeper, port=free_port)).sent == 3
    assert len(set(keeper.ids())) == len(keeper.ids()) == 3
    assert all(row.sent_at and row.last_error is None for row in rows(ledger))


def test_a_server_that_gives_up_half_way_gets_the_rest_later(settings, ledger, owed, serve):
    owed(5)

    def two_then_busy(keeper):
        keeper.count = getattr(keeper, "count", 0) + 1
        return "250 OK" if keeper.count <= 2 else "451 come back later"

    with pytest.raises(UnavailableError, match="2 mails were sent, 3 stay owed"):
        send_pending(settings=settings, smtp=serve(Keeper(answer=two_then_busy)))
    assert sum(row.sent_at is not None for row in rows(ledger)) == 2
    keeper = Keeper()
    assert send_pending(settings=settings, smtp=serve(keeper)).sent == 3
    assert len(set(keeper.ids())) == 3


def test_senders_at_once_share_the_work(settings, ledger, owed, serve):
    owed(12)
    keeper = Keeper(pause=0.02)
    smtp = serve(keeper)
    counts = []
    threads = [
        threading.Thread(target=lambda: counts.append(send_pending(settings=settings, smtp=smtp).sent))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counts) == 12
    assert set(collections.Counter(keeper.ids()).values()) == {1}
    assert len(keeper.ids()) == 12


def test_a_sender_killed_after_the_server_took_it_sends_it_again_under_one_id(settings, ledger, owed, serve):
    owed(2)
    sender = []

    def kill_the_sender(keeper):
        if not sender[0].poll():
            os.kill(sender[0].pid, signal.SIGKILL)
            sender[0].wait()
        return "250 OK"

    class Killer(Keeper):
        async def handle_DATA(self, server, session, envelope):  # noqa: N802
            self.messages.append(email.message_from_bytes(envelope.content))
            return kill_the_sender(self)

    killer = Killer()
    at = serve(killer)
    program = (
        "from evergreen.loop.alerts.send import SmtpSettings, send_pending; from evergreen.settings import Settings; "
        f"smtp = SmtpSettings(host='127.0.0.1', port={at.port}, starttls=False, sender='e@x.org'); "
        "send_pending(settings=Settings.from_env(), smtp=smtp)"
    )
    sender.append(subprocess.Popen([sys.executable, "-c", program]))
    assert sender[0].wait(60) == -signal.SIGKILL
    assert [row.sent_at for row in rows(ledger)] == [None, None]
    keeper = Keeper()
    assert send_pending(settings=settings, smtp=serve(keeper)).sent == 2
    assert set(killer.ids()) < set(keeper.ids())
    assert len(keeper.ids()) == 2


def test_a_refused_address_holds_up_no_other_mail(settings, ledger, owed, serve, definition):
    both = definition.alerts.model_copy(update={"to": ("gone@example.com", *definition.alerts.to)})
    with ledger.transaction() as session:
        owe(
            session, definition.model_copy(update={"alerts": both}), kind="age", key=None, dedup_key="first",
            subject="age", body={"headline": "h", "summary": "s"},
        )  # fmt: skip
    owed(2)
    with ledger.transaction() as session:
        session.execute(update(Alert).where(Alert.kind != "age").values(recipients=["here@example.com"]))
    keeper = Keeper(refuse=both.to)
    sent = send_pending(settings=settings, smtp=serve(keeper))
    assert (sent.sent, sent.refused, sent.pending) == (2, 1, 1)
    (left,) = [row for row in rows(ledger) if row.sent_at is None]
    assert "gone@example.com (550 no such person)" in left.last_error


@pytest.mark.parametrize("model", ["nyc_flights", "gone_model"])
def test_what_nobody_can_be_given_goes_to_whom_the_definition_names_now(settings, ledger, serve, definition, model):
    of_before = definition.model_copy(
        update={"name": model, "alerts": definition.alerts.model_copy(update={"to": ("gone@example.com",)})}
    )
    with ledger.transaction() as session:
        owe(
            session, of_before, kind="age", key=None, dedup_key="k", subject="age",
            body={"headline": "h", "summary": "s"},
        )  # fmt: skip
    keeper = Keeper(refuse=["gone@example.com"])
    sent = send_pending(settings=settings, smtp=serve(keeper))
    assert (sent.sent, sent.refused, sent.pending) == (1, 0, 0)
    assert [message["To"] for message in keeper.messages] == ["flight-oncall@example.com"]
    (row,) = rows(ledger)
    assert row.recipients == ["gone@example.com"], "whom it was owed to stays on record"
    assert "gone@example.com (550 no such person); sent to flight-oncall@example.com" in row.last_error


def test_some_recipients_refused_is_sent_and_noted(settings, ledger, serve, definition):
    two = definition.alerts.model_copy(update={"to": ("gone@example.com", "here@example.com")})
    with ledger.transaction() as session:
        owe(
            session, definition.model_copy(update={"alerts": two}), kind="age", key=None, dedup_key="k",
            subject="age", body={"headline": "h", "summary": "s"},
        )  # fmt: skip
    keeper = Keeper(refuse=["gone@example.com"])
    assert send_pending(settings=settings, smtp=serve(keeper)).sent == 1
    assert len(keeper.messages) == 1
    assert "gone@example.com" in rows(ledger)[0].last_error


def test_a_body_that_cannot_be_read_holds_up_no_other_mail(settings, ledger, owed, serve):
    owed(3)
    with ledger.transaction() as session:
        session.execute(update(Alert).where(Alert.subject.endswith("0")).values(body={"from": "another version"}))
    sent = send_pending(settings=settings, smtp=serve(Keeper()))
    assert (sent.sent, sent.refused) == (2, 1)
    assert "could not be put into a mail" in rows(ledger)[0].last_error


def test_a_wrong_login_is_said_without_the_password(settings, smtp, owed, mail_catcher):
    owed(1)
    wrong = smtp.model_copy(update={"password": type(smtp.password)("hunter2")})
    with pytest.raises(UnavailableError, match="refused the login") as caught:
        send_pending(settings=settings, smtp=wrong)
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(wrong)
    assert mail_catcher.mails() == []


def test_a_server_without_tls_is_not_given_the_mail_where_tls_is_asked_for(settings, smtp, owed, mail_catcher):
    owed(1)
    with pytest.raises(UnavailableError, match="STARTTLS"):
        send_pending(settings=settings, smtp=smtp.model_copy(update={"starttls": True}))
    assert mail_catcher.mails() == []


def test_the_limit_bounds_one_call(settings, owed, serve):
    owed(5)
    smtp = serve(Keeper())
    sent = send_pending(settings=settings, smtp=smtp, limit=2)
    assert (sent.sent, sent.pending) == (2, 3)


def test_a_failed_task_is_reported_once_for_each_failure(settings, ledger):
    said = {
        "dag_id": "nyc_flights.train",
        "task_id": "fit",
        "run_id": "r1",
        "key": "2013-04-15",
        "run_url": "http://a/l",
    }
    first = owe_task_failure(**said, error=DefinitionError("model.yaml:3: wrong"))
    assert owe_task_failure(**said, error=DefinitionError("model.yaml:3: wrong")) == first
    assert owe_task_failure(**said, error=DefinitionError("model.yaml:9: wrong")) is None, "it joins the incident"
    assert owe_task_failure(**said, error=UnavailableError("down")) != first
    assert owe_task_failure(**said, error=QuarantinedError("bad")) is None
    (row, _) = rows(ledger)
    assert row.subject == "[evergreen] nyc_flights 2013-04-15: task fit of nyc_flights.train failed"
    assert len(occurrences(ledger)) == 3


def test_a_task_that_fails_in_twenty_runs_is_two_mails_and_an_all_clear(settings, ledger):
    said = {"dag_id": "nyc_flights.score", "task_id": "score", "run_url": "http://a/l"}
    for n in range(20):
        key = f"2013-04-{n + 1:02}"
        owe_task_failure(**said, run_id=f"r{n}", key=key, error=RuntimeError(f"row {n} of {key}"))
    assert len(rows(ledger)) == 2
    for n in range(20):
        end_task_failure(dag_id="nyc_flights.score", task_id="score", run_id=f"again{n}", key=f"2013-04-{n + 1:02}")
        assert len(rows(ledger)) == 2 + (n == 19)
    assert {one.how for one in occurrences(ledger)} == {"succeeded"}
    assert any("all clear: task score of nyc_flights.score fails (RuntimeError)" in row.subject for row in rows(ledger))


def test_one_index_of_a_mapped_task_says_nothing_about_another(settings, ledger):
    said = {"dag_id": "nyc_flights.replay_quarantine", "task_id": "validate", "run_id": "r1", "key": None}
    owe_task_failure(**said, error=RuntimeError("no"), run_url=None, map_index=3)
    for map_index, resolved in ((2, False), (3, True)):
        end_task_failure(**said, map_index=map_index)
        assert [one.resolved_at is not None for one in occurrences(ledger)] == [resolved]


def test_two_indices_of_a_mapped_task_that_fail_alike_are_two_occurrences(settings, ledger):
    """With one name for both, the success of the one that was recorded would be an all-clear for the other."""
    said = {"dag_id": "nyc_flights.replay_quarantine", "task_id": "validate", "run_id": "r1", "key": None}
    for map_index in (0, 1):
        owe_task_failure(**said, error=RuntimeError("no"), run_url=None, map_index=map_index)
    assert len(occurrences(ledger)) == 2
    end_task_failure(**said, map_index=0)
    assert len(rows(ledger)) == 1, "the other one still fails"
    end_task_failure(**said, map_index=1)
    assert [row.subject for row in rows(ledger) if "all clear" in row.subject]


def test_a_mapped_task_of_no_model_is_well_when_its_index_succeeds_in_a_later_run(settings, ledger):
    said = {"dag_id": "evergreen.retention", "task_id": "collect", "key": None}
    owe_task_failure(**said, run_id="r1", error=RuntimeError("no"), run_url=None, map_index=0)
    end_task_failure(**said, run_id="r1", map_index=1)
    end_task_failure(**said, run_id="r2", map_index=1)
    assert len(rows(ledger)) == 1, "another model's turn says nothing about it"
    end_task_failure(**said, run_id="r2", map_index=0)
    assert [row.subject for row in rows(ledger) if "all clear" in row.subject]


@pytest.mark.parametrize("dag", ["evergreen.housekeeping", "nyc_flights.replay_quarantine"])
def test_an_index_that_never_comes_again_is_over_after_a_long_quiet(settings, ledger, monkeypatch, dag):
    """The next runs may map over fewer things: nobody would ever succeed under this index."""
    said = {"dag_id": dag, "task_id": "restart", "key": None}
    owe_task_failure(**said, run_id="r1", error=RuntimeError("no"), run_url=None, map_index=7)
    end_task_failure(**said, run_id="r2", map_index=0)
    assert len(rows(ledger)) == 1
    monkeypatch.setattr("evergreen.loop.alerts.task_failures.QUIET", dt.timedelta(0))
    end_task_failure(**said, run_id="r3", map_index=0)
    assert [row.subject for row in rows(ledger) if "all clear" in row.subject]


def test_a_task_that_is_skipped_resolves_its_own_partition_alone(settings, ledger):
    said = {"dag_id": "nyc_flights.score", "task_id": "score"}
    owe_task_failure(**said, run_id="r1", key="2013-04-15", error=RuntimeError("no"), run_url=None)
    end_task_failure(**said, run_id="r2", key="2013-04-22", skipped=True)
    assert len(rows(ledger)) == 1, "a later partition that had nothing to do proves nothing"
    end_task_failure(**said, run_id="r1", key="2013-04-15", skipped=True)
    assert [one.how for one in occurrences(ledger)] == ["had nothing to do"]
    assert [row.subject for row in rows(ledger) if "all clear" in row.subject]


@pytest.mark.parametrize("skipped", [False, True])
def test_a_sensor_is_well_when_what_waits_for_it_runs(settings, ledger, skipped):
    """It ends in the triggerer, where Airflow calls no callback for a success."""
    said = {"dag_id": "nyc_flights.monitor", "run_id": "r1", "key": "2013-04-15"}
    owe_task_failure(**said, task_id="wait_for_predictions", error=RuntimeError("no"), run_url=None)
    end_task_failure(**said, task_id="check", skipped=skipped, waited_for=["wait_for_predictions"])
    assert [one.how for one in occurrences(ledger)] == ["succeeded"]
    assert [row.subject for row in rows(ledger) if "all clear" in row.subject]


def test_a_task_of_no_model_that_fails_again_the_same_day_after_its_all_clear_is_told_again(settings, ledger):
    said = {"dag_id": "evergreen.housekeeping", "task_id": "reconcile_aliases", "key": None}
    owe_task_failure(**said, run_id="r1", error=UnavailableError("down"), run_url=None)
    end_task_failure(**said, run_id="r2")
    owe_task_failure(**said, run_id="r3", error=UnavailableError("down"), run_url=None)
    subjects = [row.subject for row in rows(ledger)]
    assert len(subjects) == 3
    assert any("again: task reconcile_aliases" in subject for subject in subjects)


def test_a_task_of_no_model_is_reported_to_everybody(settings, ledger):
    said = {"dag_id": "evergreen.housekeeping", "task_id": "t", "run_id": "r1", "key": None, "run_url": None}
    assert owe_task_failure(**said, error=None) is not None
    (row,) = rows(ledger)
    assert row.recipients == ["flight-oncall@example.com"]


def test_housekeeping_that_goes_on_failing_is_reported_once_a_day(settings, ledger, monkeypatch):
    """It runs every ten minutes, and everybody gets its mails."""
    said = {"dag_id": "evergreen.housekeeping", "task_id": "reconcile_aliases", "key": None, "run_url": None}
    day = [21]

    class Clock(dt.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2026, 11, *day, tzinfo=tz)

    monkeypatch.setattr("evergreen.loop.alerts.task_failures.dt.datetime", Clock)
    for run_id, address, model in (("r1", "0x7f01", "a"), ("r2", "0x7fa2", "a"), ("r3", "0x7f01", "b")):
        error = UnavailableError(f"not reconciled for {model}: <Connection object at {address}>")
        owe_task_failure(**said, run_id=run_id, error=error)
    assert len(occurrences(ledger)) == 2, "one for each failure, whatever the run and wherever its objects lay"
    assert len(rows(ledger)) == 1, "both are one incident"
    day[:] = [22]
    owe_task_failure(**said, run_id="r4", error=error)
    assert len(occurrences(ledger)) == 3
    assert len(rows(ledger)) == 2, "and the next day it is said again"
