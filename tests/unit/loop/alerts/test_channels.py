"""What channels are given: stable JSON, and words that fit."""

import datetime as dt
import json
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from evergreen.core.ledger.outbox import AlertBody
from evergreen.core.ledger.tables import Alert, Delivery
from evergreen.loop.alerts.channels import NotTakenError, give, message, words

BODY = AlertBody.model_validate({
    "headline": "h", "summary": "s", "facts": [["Rows", 3]], "next_steps": ["Look."],
    "table": {"columns": ["a", "b"], "rows": [[n, "x"] for n in range(30)]}, "links": {"page": "http://a/models/m"},
})  # fmt: skip
ALERT = Alert(
    id=uuid.UUID(int=7), model="m", kind="quarantine", key=None, subject="s",
    created_at=dt.datetime(2026, 11, 30, 1, tzinfo=dt.timezone(dt.timedelta(hours=1))),
)  # fmt: skip


def delivery(**more):
    return Delivery(**{"channel": "c", "type": "webhook", "secret": "x", "cause": "abc", "over": False, **more})


def test_the_json_of_a_webhook_is_a_contract():
    found = message(delivery(over=True), ALERT, BODY)
    assert json.loads(json.dumps(found)) == found
    assert found == {
        "version": 1, "id": "00000000-0000-0000-0000-000000000007", "channel": "c", "kind": "quarantine", "model": "m",
        "partition": None, "cause": "abc", "state": "over", "subject": "s", "created_at": "2026-11-30T00:00:00+00:00",
        "headline": "h", "summary": "s", "facts": [{"name": "Rows", "value": "3"}],
        "table": {"columns": ["a", "b"], "rows": [[str(n), "x"] for n in range(30)]}, "next_steps": ["Look."],
        "links": {"page": "http://a/models/m"},
    }  # fmt: skip


@given(st.text(max_size=200), st.text(max_size=5000), st.integers(200, 3000))
def test_words_fit_and_keep_their_links_whole(headline, summary, longest):
    body = BODY.model_copy(update={"headline": headline, "summary": summary})
    said = words(body, longest)
    assert len(said) <= longest
    assert said.endswith("page: http://a/models/m")


def test_a_long_table_is_cut_and_the_rest_counted():
    assert "... and 20 more" in words(BODY)


@pytest.mark.parametrize("way", ["webhook", "apprise"])
@pytest.mark.parametrize("address", [None, "", "T0K3N", "mem://T0K3N", "https://[T0K3N", "slack://T0K3N"])
def test_an_address_that_is_of_no_use_is_said_without_it(way, address, caplog):
    with pytest.raises(NotTakenError) as caught:
        give(delivery(type=way), ALERT, BODY, lambda name: SecretStr(address) if address is not None else None)
    assert "T0K3N" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None, "a traceback would quote it"
    assert "T0K3N" not in caplog.text
