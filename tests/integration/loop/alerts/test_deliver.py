"""Channels beside mail, with a real HTTP server as the receiver: nothing lost, and a repeat can be recognised."""

import collections
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from pydantic import SecretStr
from sqlalchemy import select, text

from evergreen.core.definition.alerts import AlertsSection
from evergreen.core.ledger.outbox import owe
from evergreen.core.ledger.tables import Delivery
from evergreen.loop.alerts import channels
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
