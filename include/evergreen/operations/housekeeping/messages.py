"""What people are told in their own time: incidents that have been well for long enough are over."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterable
from functools import partial

from evergreen.core.definition import ModelDefinition
from evergreen.core.ledger import Ledger, incidents
from evergreen.core.ledger.outbox import owe, owe_to
from evergreen.loop.alerts.task_failures import OF_NO_MODEL, everybody
from evergreen.settings import Settings

log = logging.getLogger("evergreen.alerts")


def settle(definition: ModelDefinition, *, settings: Settings, now: dt.datetime) -> int:
    """Owe what has become due of `definition`'s mails by `now` (aware), each once; how many.

    Raises:
        UnavailableError: the ledger does not answer.
    """
    with Ledger.from_settings(settings).transaction() as session:
        told = incidents.settle(session, definition.name, owe=partial(owe, session, definition), now=now)
    return _said(definition.name, len(told))


def settle_all(models: Iterable[ModelDefinition], *, settings: Settings, now: dt.datetime) -> int:
    """`settle` for each model, and for what is of no model; how many mails became due."""
    due = sum(settle(definition, settings=settings, now=now) for definition in models)
    to = everybody()
    if not to:
        return due
    with Ledger.from_settings(settings).transaction() as session:
        told = incidents.settle(session, OF_NO_MODEL, owe=partial(owe_to, session, OF_NO_MODEL, to), now=now)
    return due + _said(OF_NO_MODEL, len(told))


def _said(model: str, due: int) -> int:
    if due:
        log.info("%s: %d mails have become due", model, due)
    return due
