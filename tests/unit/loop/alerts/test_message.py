"""The message as it goes over the wire."""

import datetime as dt
import email
import email.policy
import uuid

import pytest

from evergreen.core.ledger.tables import Alert
from evergreen.loop.alerts.message import compose
from evergreen.loop.alerts.render import Rendered

NOW = dt.datetime(2013, 4, 22, 3, 0, tzinfo=dt.UTC)


def wire(mail=None, *, sender="Evergreen <evergreen@example.com>", **changes):
    values = {
        "id": uuid.UUID(int=7), "model": "nyc_flights", "kind": "drift", "key": "2013-04-15",
        "recipients": ["on-call@example.com", "second@example.com"],
        "subject": "[evergreen] nyc_flights 2013-04-15: input drift \N{HORIZONTAL ELLIPSIS}",
    }  # fmt: skip
    alert = Alert(**{**values, **changes})
    mail = mail or Rendered("<p>Grüße</p>", "Grüße\n" + "x" * 2000, b"\x89PNG")
    message = compose(mail, alert, sender=sender, now=NOW)
    return email.message_from_bytes(message.as_bytes(), policy=email.policy.default)


def test_text_comes_first_then_html_with_its_chart():
    message = wire()
    assert message.get_content_type() == "multipart/alternative"
    text, related = message.iter_parts()
    assert text.get_content().startswith("Grüße")
    html, chart = related.iter_parts()
    assert html.get_content().strip() == "<p>Grüße</p>"
    assert chart["Content-ID"] == "<chart>"
    assert chart.get_content_disposition() == "inline"
    assert chart.get_content() == b"\x89PNG"


def test_without_a_chart_there_is_no_picture():
    parts = [part.get_content_type() for part in wire(Rendered("<p>h</p>", "t", None)).walk()]
    assert parts == ["multipart/alternative", "text/plain", "text/html"]


def test_the_message_id_is_the_alert():
    assert wire()["Message-ID"] == wire(subject="another")["Message-ID"] == f"<{uuid.UUID(int=7)}@alerts.evergreen>"


def test_headers():
    message = wire()
    assert message["Subject"].endswith("input drift \N{HORIZONTAL ELLIPSIS}")
    assert message["From"] == "Evergreen <evergreen@example.com>"
    assert message["To"] == "on-call@example.com, second@example.com"
    assert message["Auto-Submitted"] == "auto-generated"


def test_every_line_is_short_and_ascii():
    raw = wire(Rendered("<p>" + "ü" * 5000 + "</p>", "日" * 5000, None)).as_bytes()
    assert raw.isascii()
    assert max(map(len, raw.splitlines())) <= 998


@pytest.mark.parametrize("subject", ["a\r\nBcc: victim@example.com", "a\nb"])
def test_a_subject_cannot_add_headers(subject):
    with pytest.raises(ValueError, match="linefeed"):
        wire(subject=subject)


@pytest.mark.parametrize("sender", ["", "nobody", "a@b@c"])
def test_a_sender_that_is_no_address_is_refused(sender):
    with pytest.raises(ValueError, match=r".+"):
        wire(sender=sender)
