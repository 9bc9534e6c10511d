"""What is owed to channels follows the definition of now: a secret may have another name, a channel may be gone.

Housekeeping does this, with the newest definitions: a task that began before they were deployed knows older ones, and
would give up what is owed to a channel that has just been added.
"""

from __future__ import annotations

import datetime as dt
import logging

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from evergreen.core.definition import list_models, load_definition
from evergreen.core.definition.alerts import ChannelSection
from evergreen.core.ledger.outbox import UNDELIVERED
from evergreen.core.ledger.session import Ledger
from evergreen.core.ledger.tables import Alert, Delivery
from evergreen.errors import DefinitionError
from evergreen.settings import Settings

log = logging.getLogger("evergreen.alerts")


def follow_definitions(*, settings: Settings) -> int:
    """Have what is owed to channels name their secrets of now, and give up what is owed to one that is gone.

    What is given up stays on record, with the reason. A definition that cannot be read changes nothing.

    Returns:
        How many messages were given up.

    Raises:
        UnavailableError: the ledger does not answer.
    """
    with Ledger.from_settings(settings).transaction() as session:
        query = select(Alert.model, Delivery.channel, Delivery.type, Delivery.secret).distinct()
        owed = session.execute(query.join(Alert, Alert.id == Delivery.alert_id).where(*UNDELIVERED)).tuples().all()
        return sum(
            _follow(session, model, channel, ChannelSection.model_validate({"type": way, "secret": secret}))
            for model, channel, way, secret in owed
        )


def _follow(session: Session, model: str, channel: str, known: ChannelSection) -> int:
    now = _channels(model)
    if now is None or now.get(channel) == known:
        return 0
    of_model = select(Alert.id).where(Alert.model == model)
    change = update(Delivery).where(*UNDELIVERED, Delivery.channel == channel, Delivery.alert_id.in_(of_model))
    change = change.where(Delivery.type == known.type, Delivery.secret == known.secret)
    if channel in now:
        session.execute(change.values(type=now[channel].type, secret=now[channel].secret))
        log.info("%s: what is owed to %s goes by the secret %s now", model, channel, now[channel].secret)
        return 0
    why = f"alerts.channels in the definition of {model} names no {channel} any more"
    gone = session.execute(
        change.values(given_up_at=dt.datetime.now(dt.UTC), last_error=why).returning(Delivery.id)
    ).all()
    log.warning("%s: %d messages to %s are given up: %s", model, len(gone), channel, why)
    return len(gone)


def _channels(model: str) -> dict[str, ChannelSection] | None:
    """The channels that `model` has now, none if it is gone; None if that cannot be known.

    A deployment without a single model has not been told to forget all of them: its folder is missing.
    """
    try:
        return load_definition(model).alerts.channels
    except DefinitionError:
        there = list_models()
        return None if model in there or not there else {}
