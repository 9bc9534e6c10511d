"""Give messages to channels beside mail: Slack, Teams, PagerDuty and others through Apprise, webhooks as JSON.

An address holds its own password. It is looked up by name when a message is sent, and kept out of the ledger, logs and
errors: these say what happened in words of ours, never in those of a library, which may quote the address.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import SecretStr

from evergreen.core.ledger.outbox import AlertBody
from evergreen.core.ledger.tables import Alert, Delivery

SecretOf = Callable[[str], SecretStr | None]
"""The address of the given name; None if there is none"""
TIMEOUT = 10.0
"""Seconds that a channel has for its answer"""
LONGEST = 3_000
"""Characters of a message"""
PAGERDUTY = 1_024
"""Characters that PagerDuty takes; Apprise puts the subject and a line's end before the message"""
_ROWS = 10
_TALKATIVE = ("apprise", "httpx", "httpcore", "urllib3", "urllib3.connectionpool", "requests")
"""Loggers that may write an address"""
_OF_THIS_MESSAGE = frozenset({400, 413, 415, 422})
"""Answers that say that this message is not taken; others are about the channel"""


class NotTakenError(Exception):
    """A channel did not take a message. `lasting`: it may take others all the same."""

    def __init__(self, message: str, *, lasting: bool = False) -> None:
        super().__init__(message)
        self.lasting = lasting


def give(delivery: Delivery, alert: Alert, body: AlertBody, secret_of: SecretOf) -> None:
    """Give the message to its channel.

    Args:
        delivery: which channel.
        alert: the message.
        body: its body, with complete links.
        secret_of: looks the channel's address up.

    Raises:
        NotTakenError: the channel did not take it, or there is no address.
    """
    address = secret_of(delivery.secret)
    if address is None or not address.get_secret_value().strip():
        raise NotTakenError(
            f"there is no address of the name {delivery.secret}: set EVERGREEN_CHANNEL_{delivery.secret.upper()}, or "
            f"make the Airflow connection {delivery.secret} with the address as its password"
        )
    url = address.get_secret_value().strip()
    with _quietly():
        if delivery.type == "webhook":
            _post(url, message(delivery, alert, body))
        else:
            _notify(url, delivery, alert, body)


def message(delivery: Delivery, alert: Alert, body: AlertBody) -> dict[str, Any]:
    """What a webhook is given (docs/messages.md). Pure. The same message has the same `id`, however often it comes."""
    return {
        "version": 1,
        "id": str(alert.id),
        "channel": delivery.channel,
        "kind": alert.kind,
        "model": alert.model,
        "partition": alert.key,
        "cause": delivery.cause,
        "state": "over" if delivery.over else "told",
        "subject": alert.subject,
        "created_at": alert.created_at.astimezone(dt.UTC).isoformat(),
        "headline": body.headline,
        "summary": body.summary,
        "facts": [{"name": name, "value": value} for name, value in body.facts],
        "table": body.table.model_dump(mode="json") if body.table else None,
        "next_steps": body.next_steps,
        "links": {name: url for name, url in body.links.model_dump(mode="json").items() if url},
    }


def words(body: AlertBody, longest: int = LONGEST) -> str:
    """The message as plain text of at most `longest` characters; its links stand whole, at the end. Pure."""
    links = [f"{name}: {url}" for name, url in body.links.model_dump(mode="json").items() if url]
    end = "\n".join(links)
    rows = body.table.rows if body.table else []
    lines = [body.headline, body.summary, *(" | ".join(row) for row in rows[:_ROWS])]
    if len(rows) > _ROWS:
        lines.append(f"... and {len(rows) - _ROWS} more")
    room = max(0, longest - len(end) - 1)
    text = "\n".join(lines)
    text = text if len(text) <= room else text[: max(0, room - 1)] + "\N{HORIZONTAL ELLIPSIS}"
    return f"{text}\n{end}" if end and room else text


def _post(url: str, content: dict[str, Any]) -> None:
    import httpx

    if not url.lower().startswith(("https://", "http://")):
        raise NotTakenError("the address of the webhook does not begin with https://")
    headers = {"Content-Type": "application/json", "Idempotency-Key": content["id"], "User-Agent": "evergreen"}
    try:
        with httpx.stream(
            "POST", url, content=json.dumps(content), headers=headers, timeout=TIMEOUT, follow_redirects=False
        ) as answer:
            status = answer.status_code
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError) as error:
        raise NotTakenError(f"the webhook did not answer ({type(error).__name__})") from None
    if not 200 <= status < 300:
        raise NotTakenError(f"the webhook answered {status}", lasting=status in _OF_THIS_MESSAGE)


def _notify(url: str, delivery: Delivery, alert: Alert, body: AlertBody) -> None:
    import apprise

    asset = apprise.AppriseAsset(app_id="Evergreen", app_desc="Evergreen", async_mode=False)
    try:
        service = apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
    except Exception:
        service = None
    if not isinstance(service, apprise.NotifyBase):  # add() and instantiate() say so by what they return
        raise NotTakenError("Apprise cannot read the address; docs/messages.md shows how one is written")
    longest = LONGEST
    if type(service).__name__ == "NotifyPagerDuty":
        # One cause is one incident there too, which its all-clear resolves.
        longest, one = PAGERDUTY - len(alert.subject) - 2, f"evergreen:{alert.model}:{delivery.cause or alert.id}"
        vars(service).update(dedup=one, action="map")
    kind = apprise.NotifyType.SUCCESS if delivery.over else apprise.NotifyType.WARNING
    try:
        taken = service.notify(
            body=words(body, longest), title=alert.subject, notify_type=kind, body_format=apprise.NotifyFormat.TEXT
        )
    except Exception as error:
        raise NotTakenError(f"Apprise could not give it to the channel ({type(error).__name__})") from None
    if not taken:  # None and False alike: a partial failure is falsy, and not `== False`
        raise NotTakenError("the channel did not take it from Apprise; is its address right, and the service up?")


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep libraries from writing the address into a log."""
    loggers = [logging.getLogger(name) for name in _TALKATIVE]
    before = [logger.disabled for logger in loggers]
    for logger in loggers:
        logger.disabled = True
    try:
        yield
    finally:
        for logger, disabled in zip(loggers, before, strict=True):
            logger.disabled = disabled
