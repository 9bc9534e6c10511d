"""Give channels beside mail their messages: each message once to each channel, none lost.

A channel that does not answer keeps no other from its messages. Its own wait for the next try.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from evergreen.core.ledger.outbox import UNDELIVERED, AlertBody
from evergreen.core.ledger.session import Ledger
from evergreen.core.ledger.tables import Alert, Delivery
from evergreen.loop.alerts.channels import NotTakenError, SecretOf, give
from evergreen.loop.alerts.links import complete
from evergreen.settings import Settings

log = logging.getLogger("evergreen.alerts")


@dataclass(frozen=True)
class Delivered:
    """What one call of `deliver_pending` did."""

    delivered: int
    failed: int
    """Tries that failed; what was tried stays unsent"""
    pending: int
    """Messages still unsent to channels in all afterwards"""


def deliver_pending(*, settings: Settings, secret_of: SecretOf, limit: int = 100) -> Delivered:
    """Give channels at most `limit` of their unsent messages; several callers at once share the work.

    Messages of one cause reach a channel in the order in which they were written, even if one has to be tried again: an
    all-clear that comes before what it ends would leave that open for ever.

    Each message has a transaction of its own, which holds its row's lock while the channel takes it. A process that
    dies between makes the next caller give it again: a webhook recognises it by its `id`.

    Raises:
        UnavailableError: the ledger does not answer.
    """
    ledger = Ledger.from_settings(settings)
    done, failed = 0, set[int]()
    silent = set[tuple[str, str]]()  # channels that do not answer now: one try says enough
    while done + len(failed) < limit:
        with ledger.transaction() as session:
            delivery = _claim(session, failed, silent)
            if delivery is None:
                break
            error = _give(session, delivery, settings, secret_of)
        if error is None:
            done += 1
        else:
            failed.add(delivery.id)
            if not error.lasting:
                silent.add((delivery.channel, delivery.secret))
    with ledger.transaction() as session:
        pending = count_pending(session)
    if done or failed:
        log.info("%d messages given to channels, %d tries failed, %d owed", done, len(failed), pending)
    return Delivered(done, len(failed), pending)


def count_pending(session: Session) -> int:
    """How many messages are owed to channels beside mail."""
    return session.scalar(select(func.count()).select_from(Delivery).where(*UNDELIVERED)) or 0


def _claim(session: Session, failed: Collection[int], silent: Collection[tuple[str, str]]) -> Delivery | None:
    """The next message, locked. One that another sender holds is unsent for us, and so keeps its successors back."""
    older, its_alert = aliased(Delivery), aliased(Alert)
    before = select(older.id).join(its_alert, its_alert.id == older.alert_id)
    before = before.where(
        older.id < Delivery.id, older.channel == Delivery.channel, older.cause == Delivery.cause,
        its_alert.model == Alert.model, older.sent_at.is_(None), older.given_up_at.is_(None),
    )  # fmt: skip
    query = select(Delivery).join(Alert, Alert.id == Delivery.alert_id)
    query = query.where(*UNDELIVERED, Delivery.id.not_in(failed), ~before.exists())
    for channel, secret in silent:
        query = query.where(~((Delivery.channel == channel) & (Delivery.secret == secret)))
    query = query.order_by(Delivery.attempts, Delivery.id).limit(1)
    return session.scalars(query.with_for_update(of=Delivery, skip_locked=True)).one_or_none()


def _give(session: Session, delivery: Delivery, settings: Settings, secret_of: SecretOf) -> NotTakenError | None:
    """Give one message to its channel, and record what came of it."""
    alert = session.get_one(Alert, delivery.alert_id)
    delivery.attempts += 1
    try:
        body = AlertBody.model_validate(alert.body)
        links = complete(body.links, kind=alert.kind, model=alert.model, settings=settings)
        give(delivery, alert, body.model_copy(update={"links": links}), secret_of)
    except NotTakenError as error:
        delivery.last_error = str(error)
        log.error("%r is not given to %s (try %d): %s", alert.subject, delivery.channel, delivery.attempts, error)
        return error
    except Exception as error:
        # One that cannot be written must hold up no other; the words of an unknown error might hold an address.
        delivery.last_error = f"it could not be put into a message ({type(error).__name__})"
        log.error("%r is not given to %s: %s", alert.subject, delivery.channel, delivery.last_error)
        return NotTakenError(delivery.last_error, lasting=True)
    delivery.sent_at, delivery.last_error = dt.datetime.now(dt.UTC), None
    log.info("gave %r to %s (alert %s)", alert.subject, delivery.channel, alert.id)
    return None
