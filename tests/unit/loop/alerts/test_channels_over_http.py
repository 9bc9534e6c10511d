"""Channels and a real HTTP server: what arrives, and what is said if it does not."""

import datetime as dt
import json
import logging
import time
import uuid

import pytest
from pydantic import SecretStr

from evergreen.core.ledger.outbox import AlertBody
from evergreen.core.ledger.tables import Alert, Delivery
from evergreen.loop.alerts import channels
from evergreen.loop.alerts.channels import NotTakenError, give
from helpers.http_receiver import SECRET

ALERT = Alert(
    id=uuid.UUID(int=7), model="m", kind="quarantine", key="2024-01-01", subject="inputs <quarantined>",
    created_at=dt.datetime(2026, 11, 30, tzinfo=dt.UTC),
)  # fmt: skip
BODY = AlertBody(headline="price <price> is\nmissing", summary="s")


def send(url, way="webhook", body=BODY, **more):
    delivery = Delivery(**{"channel": "c", "type": way, "secret": "x", "cause": "abc", "over": False, **more})
    give(delivery, ALERT, body, lambda name: SecretStr(url))


def test_a_webhook_gets_its_json_and_a_key_by_which_a_repeat_is_known(receive):
    server = receive()
    for _ in range(2):
        send(server.url)
    (headers, body), again = server.got
    assert headers["Idempotency-Key"] == body["id"] == str(ALERT.id)
    assert headers["Content-Type"] == "application/json"
    assert again[1] == body


@pytest.mark.parametrize(("status", "lasting"), [(500, False), (404, False), (301, False), (400, True), (422, True)])
def test_an_answer_that_is_no_yes_is_told_by_its_number(receive, caplog, status, lasting):
    caplog.set_level(logging.DEBUG)
    server = receive(lambda receiver, number: status)
    with pytest.raises(NotTakenError, match=f"answered {status}") as caught:
        send(server.url)
    assert caught.value.lasting == lasting
    assert SECRET not in str(caught.value) + caplog.text
    assert len(server.got) == 1


def test_one_that_hangs_is_given_up(receive, monkeypatch):
    monkeypatch.setattr(channels, "TIMEOUT", 0.3)
    server = receive(lambda receiver, number: time.sleep(1.5) or 200)
    begun = time.monotonic()
    with pytest.raises(NotTakenError, match="ReadTimeout"):
        send(server.url)
    assert time.monotonic() - begun < 1.4


def test_nobody_there(caplog):
    caplog.set_level(logging.DEBUG)
    with pytest.raises(NotTakenError, match="ConnectError") as caught:
        send(f"http://127.0.0.1:1/{SECRET}")
    assert SECRET not in str(caught.value) + caplog.text


def test_slack_gets_the_text_whole(receive, monkeypatch, caplog):
    from apprise.plugins.slack import NotifySlack

    caplog.set_level(logging.DEBUG)
    server = receive()
    monkeypatch.setattr(NotifySlack, "webhook_url", server.url)
    send("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#oncall", "apprise")
    said = json.dumps(server.got[0][1])
    assert "price" in said
    assert "quarantined" in said
    assert "TIiajkdnlazkcOXrIdevi7FQ" not in caplog.text


def test_pagerduty_opens_one_incident_a_cause_and_the_all_clear_resolves_it(receive, monkeypatch):
    from apprise.plugins import pagerduty

    server = receive()
    for region in pagerduty.PAGERDUTY_API_LOOKUP:
        monkeypatch.setitem(pagerduty.PAGERDUTY_API_LOOKUP, region, server.url)
    url = f"pagerduty://{'a1' * 16}@{'b2' * 10}/evergreen/loop"
    for over in (False, False, True):
        send(url, "apprise", BODY.model_copy(update={"headline": "h" * 5000}), over=over)
    found = [(body["event_action"], body["dedup_key"]) for _, body in server.got]
    assert found == [(action, "evergreen:m:abc") for action in ("trigger", "trigger", "resolve")]
    assert len(server.got[0][1]["payload"]["summary"]) <= 1024


@pytest.mark.parametrize("status", [500, 403])
def test_what_apprise_could_not_give_is_said(receive, caplog, status):
    caplog.set_level(logging.DEBUG)
    server = receive(lambda receiver, number: status)
    with pytest.raises(NotTakenError, match="did not take it") as caught:
        send(server.url.replace("http://", "json://"), "apprise")
    assert SECRET not in str(caught.value) + caplog.text
    assert len(server.got) >= 1
