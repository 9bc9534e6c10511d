"""Channels beside mail, with a real HTTP server as the receiver: nothing lost, and a repeat can be recognised."""

import collections
import datetime as dt
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest
import yaml
from pydantic import SecretStr
from sqlalchemy import select, text

from evergreen.core.definition.alerts import AlertsSection
from evergreen.core.definition.load import models_dir
from evergreen.core.ledger import silences
from evergreen.core.ledger.outbox import owe
from evergreen.core.ledger.tables import Delivery
from evergreen.core.ledger.views import history
from evergreen.loop.alerts import channels
from evergreen.loop.alerts.channels_now import follow_definitions
from evergreen.loop.alerts.deliver import deliver_pending
from evergreen.loop.alerts.send import send_pending
from helpers.http_receiver import SECRET

pytestmark = pytest.mark.integration


@pytest.fixture
def routed(definition):
    """The model, with two webhooks and a Slack for what concerns its feed."""
    ways = {name: {"type": "webhook", "secret": name} for name in ("one", "two")}
    alerts = AlertsSection.model_validate({
        "to": ["everybody@example.com"], "channels": {**ways, "team": {"type": "apprise", "secret": "slack"}},
        "routes": [
            {"kinds": ["quarantine", "late_feed"], "to": ["feeds@example.com"], "channels": ["one", "two"]},
            {"kinds": ["drift"], "channels": ["team"]},
        ],
    })  # fmt: skip
    return definition.model_copy(update={"alerts": alerts})


def tell(ledger, definition, count=1, kind="quarantine", **more):
    with ledger.transaction() as session:
        for n in range(count):
            alert = owe(
                session, definition, kind=kind, key="2013-04-15", dedup_key=f"{kind}{n}", subject=f"inputs {n}",
                body={"headline": "h", "summary": "s", "facts": [["Rows", 3]],
                      "table": {"columns": ["a"], "rows": [["1"]]}}, **more,
            )  # fmt: skip
    return alert


def deliver(settings, **urls):
    return deliver_pending(settings=settings, secret_of=lambda name: SecretStr(urls[name]) if name in urls else None)


def rows(ledger):
    with ledger.transaction() as session:
        return list(session.scalars(select(Delivery).order_by(Delivery.id)))


def test_a_route_says_who_gets_what(settings, ledger, routed, receive):
    quarantine, age = tell(ledger, routed), tell(ledger, routed, kind="age")
    assert (quarantine.recipients, age.recipients) == (["feeds@example.com"], ["everybody@example.com"])
    assert [(row.alert_id, row.channel) for row in rows(ledger)] == [(quarantine.id, "one"), (quarantine.id, "two")]


def test_a_webhook_gets_json_with_an_id_once(settings, ledger, routed, receive):
    one, two = receive(), receive()
    alert = tell(ledger, routed, cause="abc123")
    done = deliver(settings, one=one.url, two=two.url)
    assert (done.delivered, done.failed, done.pending) == (2, 0, 0)
    assert deliver(settings, one=one.url, two=two.url).delivered == 0
    ((headers, body),) = one.got
    assert body["id"] == headers["Idempotency-Key"] == str(alert.id)
    assert {name: body[name] for name in ("version", "channel", "kind", "model", "partition", "cause", "state")} == {
        "version": 1, "channel": "one", "kind": "quarantine", "model": "nyc_flights", "partition": "2013-04-15",
        "cause": "abc123", "state": "told",
    }  # fmt: skip
    assert body["facts"] == [{"name": "Rows", "value": "3"}]
    assert body["links"]["runbook"].endswith("/runbooks/quarantine")
    assert len(two.got) == 1


def test_one_channel_that_is_down_holds_up_no_other_and_loses_nothing(settings, ledger, routed, receive, smtp):
    ill, well = receive(lambda receiver, number: 500), receive()
    tell(ledger, routed, 5)
    done = deliver(settings, one=ill.url, two=well.url)
    assert (done.delivered, done.failed, done.pending) == (5, 1, 5)
    assert len(ill.got) == 1, "one try says enough about a channel"
    assert send_pending(settings=settings, smtp=smtp).sent == 5
    ill.answer = lambda receiver, number: 204
    assert deliver(settings, one=ill.url, two=well.url).delivered == 5
    assert collections.Counter(ill.ids()).most_common(1)[0][1] == 2
    assert len(set(ill.ids())) == len(well.ids()) == len(set(well.ids())) == 5


def test_a_message_that_is_refused_holds_up_no_other_of_its_channel(settings, ledger, routed, receive):
    one = receive(lambda receiver, number: 422 if number == 1 else 200)
    tell(ledger, routed, 3)
    done = deliver(settings, one=one.url, two=receive().url)
    assert (done.delivered, done.failed, done.pending) == (5, 1, 1)


def test_a_channel_that_hangs_is_given_up_in_time(settings, ledger, routed, receive, monkeypatch):
    monkeypatch.setattr(channels, "TIMEOUT", 0.3)
    hangs = receive(lambda receiver, number: time.sleep(2) or 200)
    tell(ledger, routed)
    begun = time.monotonic()
    assert deliver(settings, one=hangs.url, two=receive().url).failed == 1
    assert time.monotonic() - begun < 2
    assert rows(ledger)[0].last_error == "the webhook did not answer (ReadTimeout)"


@pytest.mark.parametrize("status", [301, 403, 500])
def test_no_address_reaches_the_ledger_a_log_or_an_error(settings, ledger, routed, receive, caplog, status):
    caplog.set_level(logging.DEBUG)
    one = receive(lambda receiver, number: status)
    tell(ledger, routed)
    tell(ledger, routed, kind="drift")
    urls = {"one": one.url, "two": f"ftp://{SECRET}@127.0.0.1:1/", "slack": f"slak://{SECRET}/x"}
    assert deliver(settings, **urls).failed == 3
    urls = {"one": f"https://127.0.0.1:1/{SECRET}", "two": f"http://[{SECRET}", "slack": f"slack://{SECRET}"}
    assert deliver(settings, **urls).failed == 3
    assert deliver(settings).failed == 3
    assert {row.attempts for row in rows(ledger)} == {3}
    assert SECRET not in caplog.text
    with ledger.transaction() as session:
        for table in ("alert", "alert_delivery"):
            assert SECRET not in str(session.execute(text(f"SELECT * FROM {table}")).all())
    assert "EVERGREEN_CHANNEL_SLACK" in rows(ledger)[-1].last_error


def test_a_sender_killed_after_the_channel_took_it_gives_it_again_under_one_id(settings, ledger, routed, receive):
    sender = []

    def kill_the_sender(receiver, number):
        if sender[0].poll() is None:
            os.kill(sender[0].pid, signal.SIGKILL)
            sender[0].wait()
        return 200

    one = receive(kill_the_sender)
    tell(ledger, routed, 2)
    program = (
        "from pydantic import SecretStr; from evergreen.loop.alerts.deliver import deliver_pending; "
        "from evergreen.settings import Settings; "
        f"deliver_pending(settings=Settings.from_env(), secret_of=lambda name: SecretStr({one.url!r}))"
    )
    sender.append(subprocess.Popen([sys.executable, "-c", program]))
    assert sender[0].wait(60) == -signal.SIGKILL
    assert [row.sent_at for row in rows(ledger)] == [None] * 4
    deliver(settings, one=one.url, two=one.url)
    assert all(row.sent_at for row in rows(ledger))
    pairs = collections.Counter((body["id"], body["channel"]) for _, body in one.got)
    assert sorted(pairs.values()) == [1, 1, 1, 2]


def test_senders_at_once_share_the_work(settings, ledger, routed, receive):
    one = receive(lambda receiver, number: time.sleep(0.02) or 200)
    tell(ledger, routed, 8)
    threads = [threading.Thread(target=lambda: deliver(settings, one=one.url, two=one.url)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(collections.Counter((body["id"], body["channel"]) for _, body in one.got).values()) == {1}
    assert len(one.got) == 16


def tell_of_cause(ledger, definition, name, over=False, cause="abc"):
    with ledger.transaction() as session:
        return owe(
            session, definition, kind="quarantine", key=None, dedup_key=name, subject=name, cause=cause, over=over,
            body={"headline": "h", "summary": "s"},
        )  # fmt: skip


def states(receiver):
    return [body["state"] for _, body in receiver.got]


def test_what_failed_once_is_given_before_its_all_clear(settings, ledger, routed, receive):
    """An all-clear that comes first would be followed by a trigger that nothing ends."""
    one, two = receive(lambda receiver, number: 500 if number == 1 else 200), receive()
    tell_of_cause(ledger, routed, "begun")
    assert deliver(settings, one=one.url, two=two.url).failed == 1
    tell_of_cause(ledger, routed, "over", over=True)
    tell_of_cause(ledger, routed, "another", cause="def")
    assert deliver(settings, one=one.url, two=two.url).pending == 0
    assert [body["subject"].rpartition(" ")[2] for _, body in one.got][1:] == ["another", "begun", "over"]


def test_what_is_refused_for_good_keeps_its_all_clear_back_and_nothing_else(settings, ledger, routed, receive):
    one = receive(lambda receiver, number: 422 if number in (1, 3) else 200)
    tell_of_cause(ledger, routed, "begun")
    tell_of_cause(ledger, routed, "over", over=True)
    tell_of_cause(ledger, routed, "another", cause="def")
    assert deliver(settings, one=one.url, two=receive().url).pending == 2
    deliver(settings, one=one.url, two=receive().url)
    assert deliver(settings, one=one.url, two=receive().url).pending == 0
    assert states(one)[-1] == "over"


def test_two_senders_keep_the_order_of_a_cause(settings, ledger, routed, receive):
    """One holds the trigger while the channel thinks; the other must not overtake it with the all-clear."""
    holds, release = threading.Event(), threading.Event()

    def think(receiver, number):
        if number == 1:
            holds.set()
            release.wait(20)
        return 200

    one, two = receive(think), receive()
    tell_of_cause(ledger, routed, "begun")
    tell_of_cause(ledger, routed, "over", over=True)
    first = threading.Thread(target=lambda: deliver(settings, one=one.url, two=two.url))
    first.start()
    assert holds.wait(20)
    deliver(settings, one=one.url, two=two.url)
    assert len(one.got) <= 1, "the all-clear waits"
    release.set()
    first.join()
    assert states(one) == ["told", "over"]


@pytest.mark.parametrize("given", [True, False])
def test_a_silence_keeps_no_all_clear_from_a_channel_that_was_told(settings, ledger, routed, receive, given):
    one, two = receive(), receive()
    tell_of_cause(ledger, routed, "begun")
    if given:
        deliver(settings, one=one.url, two=two.url)
    with ledger.transaction() as session:
        silences.begin(
            session, "nyc_flights", kind=None, cause=None, length=dt.timedelta(hours=1), why="w", asked_by="a",
            now=dt.datetime.now(dt.UTC),
        )  # fmt: skip
    tell_of_cause(ledger, routed, "grown")
    assert tell_of_cause(ledger, routed, "over", over=True).silence_id is not None, "the mail is held back"
    tell_of_cause(ledger, routed, "begun and over", cause="def")
    tell_of_cause(ledger, routed, "of what nobody was told", over=True, cause="def")
    deliver(settings, one=one.url, two=two.url)
    assert states(one) == states(two) == ["told", "over"]
    tell_of_cause(ledger, routed, "over twice", over=True)
    deliver(settings, one=one.url, two=two.url)
    assert states(one) == ["told", "over"], "nothing is open there any more"


@pytest.fixture
def deploy(monkeypatch, tmp_path):
    """Deploy a definition of the model with other alerts: `deploy(alerts)`; None takes the model away."""
    folder = tmp_path / "models"
    shutil.copytree(models_dir(), folder)
    monkeypatch.setenv("EVERGREEN_MODELS_DIR", str(folder))

    def change(alerts, text=None):
        path = folder / "nyc_flights" / "model.yaml"
        if text is None and alerts is not None:
            text = yaml.safe_dump(yaml.safe_load(path.read_text()) | {"alerts": alerts})
        path.write_text(text) if text is not None else path.unlink()

    return change


def told_to(*names, **secrets):
    """Alerts with the channels `names`, each with the secret of its name or of `secrets`."""
    ways = {name: {"type": "webhook", "secret": secrets.get(name, name)} for name in names}
    return {"to": ["a@example.com"], "channels": ways}


def test_a_channel_that_is_gone_is_owed_nothing_any_more(settings, ledger, routed, receive, deploy):
    tell(ledger, routed)
    deliver(settings)
    deploy(told_to("two"))
    assert follow_definitions(settings=settings) == 1
    assert follow_definitions(settings=settings) == 0
    gone, stays = rows(ledger)
    assert (gone.channel, gone.sent_at, gone.attempts) == ("one", None, 1)
    assert "names no one any more" in gone.last_error
    assert gone.given_up_at is not None
    assert stays.given_up_at is None
    one, two = receive(), receive()
    done = deliver(settings, one=one.url, two=two.url)
    assert (done.delivered, done.pending, len(one.got)) == (1, 0, 0)
    with ledger.transaction() as session:
        (line,) = history.alerts(session, "nyc_flights")
    assert [(way.channel, bool(way.sent_at), bool(way.given_up_at)) for way in line.channels] == [
        ("one", False, True), ("two", True, False),
    ]  # fmt: skip


def test_a_secret_that_was_renamed_is_looked_up_under_its_name_of_now(settings, ledger, routed, receive, deploy):
    one = receive()
    tell(ledger, routed)
    deploy(told_to("one", "two", one="shop_events"))
    assert follow_definitions(settings=settings) == 0
    assert deliver(settings, shop_events=one.url).pending == 1
    assert len(one.got) == 1


@pytest.mark.parametrize(("text", "given_up"), [(None, 2), ("name: [", 0)], ids=["gone", "broken"])
def test_a_model_that_is_gone_owes_nothing_and_a_broken_definition_changes_nothing(
    settings, ledger, routed, deploy, text, given_up
):
    tell(ledger, routed)
    shutil.copytree(models_dir() / "nyc_flights", models_dir() / "another", dirs_exist_ok=True)
    deploy(None, text)
    assert follow_definitions(settings=settings) == given_up


def test_without_any_definition_nothing_is_given_up(settings, ledger, routed, monkeypatch, tmp_path):
    tell(ledger, routed)
    monkeypatch.setenv("EVERGREEN_MODELS_DIR", str(tmp_path / "not mounted"))
    assert follow_definitions(settings=settings) == 0


def test_apprise_gives_slack_and_pagerduty_what_they_take(settings, ledger, routed, receive, monkeypatch):
    from apprise.plugins import pagerduty
    from apprise.plugins.slack import NotifySlack

    server = receive()
    monkeypatch.setattr(NotifySlack, "webhook_url", server.url)
    for region in pagerduty.PAGERDUTY_API_LOOKUP:
        monkeypatch.setitem(pagerduty.PAGERDUTY_API_LOOKUP, region, server.url)
    tell(ledger, routed, kind="drift", cause="abc")
    slack = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#oncall"
    assert deliver(settings, slack=slack).delivered == 1
    assert "inputs 0" in json.dumps(server.got[0][1])
    for over in (False, True):
        with ledger.transaction() as session:
            owe(
                session, routed, kind="drift", key=None, dedup_key=f"p{over}", subject="s", cause="abc", over=over,
                body={"headline": "h" * 5000, "summary": "s"},
            )  # fmt: skip
    assert deliver(settings, slack=f"pagerduty://{'a1' * 16}@{'b2' * 10}/src/comp").delivered == 2
    (_, trigger), (_, resolve) = server.got[1:]
    assert (trigger["event_action"], resolve["event_action"]) == ("trigger", "resolve")
    assert trigger["dedup_key"] == resolve["dedup_key"] == "evergreen:nyc_flights:abc"
    assert len(trigger["payload"]["summary"]) <= 1024


def test_a_channel_that_answers_500_to_apprise_gets_it_later(settings, ledger, routed, receive):
    server = receive(lambda receiver, number: 500 if number == 1 else 200)
    address = server.url.replace("http://", "json://")
    tell(ledger, routed, kind="drift")
    assert deliver(settings, slack=address).failed == 1
    assert deliver(settings, slack=address).delivered == 1
