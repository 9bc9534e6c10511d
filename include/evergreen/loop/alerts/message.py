"""From a rendered alert to the message that goes over the wire."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr

from evergreen.core.ledger.tables import Alert
from evergreen.loop.alerts.render import CHART_CID, Rendered

MESSAGE_ID = "<{alert_id}@alerts.evergreen>"
"""Depends only on the ledger's row: a mail delivered twice has one id, and mail programs show it once."""


def compose(mail: Rendered, alert: Alert, *, sender: str, now: dt.datetime) -> EmailMessage:
    """The message that carries `mail`: text, and HTML with its chart beside it.

    Raises:
        ValueError: `sender` or a recipient is not an e-mail address.
    """
    message = EmailMessage(policy=SMTP)
    message["Message-ID"] = MESSAGE_ID.format(alert_id=alert.id)
    message["Date"] = format_datetime(now)
    message["Subject"] = alert.subject
    message["From"] = address(sender)
    address_to(message, alert.recipients)
    message["Auto-Submitted"] = "auto-generated"
    message["X-Evergreen-Kind"] = alert.kind
    message["X-Evergreen-Model"] = alert.model
    message.set_content(mail.text, cte="quoted-printable")
    message.add_alternative(mail.html, subtype="html", cte="quoted-printable")
    if mail.chart is not None:
        html = message.get_payload()[1]  # type: ignore[index, unused-ignore]
        assert isinstance(html, EmailMessage)  # noqa: S101 -- narrows the type; add_alternative put it there
        html.add_related(mail.chart, "image", "png", cid=f"<{CHART_CID}>", disposition="inline", filename="chart.png")
    return message


def address_to(message: EmailMessage, recipients: Sequence[str]) -> None:
    """Address `message` to `recipients` and nobody else.

    Raises:
        ValueError: one of them is not an e-mail address.
    """
    del message["To"]
    message["To"] = [address(to) for to in recipients]


def address(written: str) -> Address:
    """The e-mail address in `written`, with its name if it has one.

    Raises:
        ValueError: it is none.
    """
    name, spec = parseaddr(written)
    try:
        found = Address(display_name=name, addr_spec=spec)
    except (ValueError, IndexError, MessageError):
        found = Address()
    if not found.domain:
        raise ValueError(f"{written!r} is not an e-mail address")
    return found
