"""Send the unsent mails: each once, none lost."""

from __future__ import annotations

import datetime as dt
import logging
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from email.message import EmailMessage

from evergreen.core.ledger.outbox import AlertBody, claim, count_pending, mark_failed, mark_sent
from evergreen.core.ledger.session import Ledger
from evergreen.core.ledger.tables import Alert
from evergreen.errors import UnavailableError
from evergreen.loop.alerts.links import complete
from evergreen.loop.alerts.message import address_to, compose
from evergreen.loop.alerts.render import render
from evergreen.loop.alerts.smtp import Mailbox, MailNotTakenError, RecipientsRefusedError, SmtpSettings
from evergreen.loop.alerts.task_failures import recipients_now
from evergreen.settings import Settings

log = logging.getLogger("evergreen.alerts")


@dataclass(frozen=True)
class Sent:
    """What one call of `send_pending` did."""

    sent: int
    """Mails that the server took"""
    refused: int
    """Mails that the server will not take as they are (an address it does not know); they stay unsent"""
    pending: int
    """Mails still unsent in all afterwards, those that other senders hold included"""


def send_pending(*, settings: Settings, smtp: SmtpSettings, limit: int = 100) -> Sent:
    """Send at most `limit` of the unsent mails, oldest first; several callers at once share the work.

    Each mail has a transaction of its own, which holds its row's lock while the server takes it. A process that dies
    after the server took a mail and before the ledger knows makes the next caller send it again, under the same
    Message-ID.

    Raises:
        UnavailableError: the server does not take mails now. What it took is recorded, the rest stays unsent.
    """
    ledger = Ledger.from_settings(settings)
    sent = 0
    refused: set[uuid.UUID] = set()
    fault: MailNotTakenError | None = None
    with Mailbox(smtp) as mailbox:
        while fault is None and sent + len(refused) < limit:
            alert, fault = _send_next(ledger, mailbox, settings, passing_over=refused)
            if alert is None:
                break
            if fault is None:
                sent += 1
            elif fault.lasting:
                refused.add(alert.id)
                fault = None
    with ledger.transaction() as session:
        pending = count_pending(session)
    if fault is not None:
        raise UnavailableError(
            f"{fault}; {sent} mails were sent, {pending} stay owed and go out with the next try. Check the mail "
            f"server at {smtp.host}:{smtp.port} and Airflow's connection smtp_default."
        ) from fault
    log.info("%d mails sent, %d refused by the server, %d owed", sent, len(refused), pending)
    return Sent(sent, len(refused), pending)


def _send_next(
    ledger: Ledger, mailbox: Mailbox, settings: Settings, passing_over: Collection[uuid.UUID]
) -> tuple[Alert | None, MailNotTakenError | None]:
    """Send the next unsent mail: its row (None: no more) and what kept it from being sent (None: nothing)."""
    with ledger.transaction() as session:
        alert = claim(session, passing_over=passing_over)
        if alert is None:
            return None, None
        try:
            note = _send(alert, mailbox, settings)
        except MailNotTakenError as fault:
            mark_failed(alert, str(fault))
            log.error("%r is not sent (try %d): %s", alert.subject, alert.attempts, fault)
            return alert, fault
        mark_sent(alert, dt.datetime.now(dt.UTC), note)
        log.info("sent %r, owed to %s (alert %s)", alert.subject, ", ".join(alert.recipients), alert.id)
        return alert, None


def _send(alert: Alert, mailbox: Mailbox, settings: Settings) -> str | None:
    """Hand `alert` to the server; a note if some of the recipients were refused."""
    mailbox.open()
    try:
        message = _written(alert, mailbox.sender, settings)
    except Exception as error:
        # One mail that cannot be written must not hold up the others: it is recorded like one the server refuses.
        log.exception("alert %s could not be put into a mail", alert.id)
        raise MailNotTakenError(f"it could not be put into a mail: {error}", lasting=True) from error
    try:
        return mailbox.hand_in(message)
    except RecipientsRefusedError as refused:
        return _send_to_others(alert, message, mailbox, refused)


def _send_to_others(alert: Alert, message: EmailMessage, mailbox: Mailbox, refused: RecipientsRefusedError) -> str:
    """Hand in what nobody could be given to those whom the definition names now; a note on it.

    A mail keeps the recipients that it was written for. If these are gone for good, somebody corrects the definition,
    and without this the mail would stay unsent for ever.
    """
    others = recipients_now(alert.model)
    if set(others) <= set(alert.recipients):
        raise refused
    address_to(message, others)
    note = "; ".join(said for said in (str(refused), mailbox.hand_in(message)) if said)
    log.warning("%r goes to %s, whom the definition names now: %s", alert.subject, ", ".join(others), note)
    return f"{note}; sent to {', '.join(others)}, whom the definition names now"


def _written(alert: Alert, sender: str, settings: Settings) -> EmailMessage:
    body = AlertBody.model_validate(alert.body)
    links = complete(body.links, kind=alert.kind, model=alert.model, settings=settings)
    mail = render(
        kind=alert.kind,
        model=alert.model,
        key=alert.key,
        subject=alert.subject,
        body=body.model_copy(update={"links": links}),
        alert_id=str(alert.id),
    )
    return compose(mail, alert, sender=sender, now=dt.datetime.now(dt.UTC))
