"""What people are told when its time has come: incidents that are over, what silences have held back, the digest."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterable, Sequence
from functools import partial

from sqlalchemy.orm import Session

from evergreen.core.definition import ModelDefinition
from evergreen.core.ledger import Ledger, incidents, silences
from evergreen.core.ledger.outbox import AlertBody, Table, owe, owe_to
from evergreen.core.ledger.tables import Alert, Silence
from evergreen.errors import EvergreenError, UnavailableError
from evergreen.loop.alerts.task_failures import OF_NO_MODEL, everybody
from evergreen.operations.housekeeping.digest import owe_digest
from evergreen.settings import Settings

log = logging.getLogger("evergreen.alerts")


def settle(session: Session, model: str, *, owe_mail: incidents.Owe, now: dt.datetime) -> int:
    """Write the mails of `model` that are due by `now` (aware), each once; how many."""
    due = len(incidents.settle(session, model, owe=owe_mail, now=now))
    for silence, held in silences.over(session, model, now):
        if held:
            owe_mail(
                kind="silence", key=None, dedup_key=f"silence:{silence.id}",
                subject=f"a silence is over, {_mails(held)} held back", body=summary(silence, held),
            )  # fmt: skip
            due += 1
    if due:
        log.info("%s: %d mails have become due", model, due)
    return due


def settle_all(models: Iterable[ModelDefinition], *, settings: Settings, now: dt.datetime) -> int:
    """`settle` for each model, and for what is of no model; how many mails became due.

    Raises:
        UnavailableError: the ledger does not answer.
        EvergreenError: it failed for the models that are named, after all others have had their turn.
    """
    ledger, due, errors = Ledger.from_settings(settings), 0, dict[str, Exception]()
    for definition in models:
        try:
            due += _settle_model(ledger, definition, now)
        except Exception as error:  # whatever is wrong with one model, the others' mails are due all the same
            log.exception("%s: what is due was not owed", definition.name)
            errors[definition.name] = error
    try:
        due += _settle_no_model(ledger, now)
    except Exception as error:
        log.exception("what is due of no model was not owed")
        errors[OF_NO_MODEL] = error
    if errors:
        first = next(iter(errors.values()))
        kind = UnavailableError if all(isinstance(one, UnavailableError) for one in errors.values()) else EvergreenError
        raise kind(f"mails that are due were not owed for {', '.join(errors)}: {first}") from first
    return due


def _settle_model(ledger: Ledger, definition: ModelDefinition, now: dt.datetime) -> int:
    with ledger.transaction() as session:
        owe_mail = partial(owe, session, definition)
        due = settle(session, definition.name, owe_mail=owe_mail, now=now)
        return due + owe_digest(session, definition, owe_mail=owe_mail, now=now)


def _settle_no_model(ledger: Ledger, now: dt.datetime) -> int:
    to = everybody()
    if not to:
        return 0
    with ledger.transaction() as session:
        return settle(session, OF_NO_MODEL, owe_mail=partial(owe_to, session, OF_NO_MODEL, to), now=now)


def summary(silence: Silence, held: Sequence[Alert]) -> AlertBody:
    """The mail at the end of a silence, with all that it held back. Pure."""
    about = [f"kind {silence.kind}" if silence.kind else None, f"cause {silence.cause}" if silence.cause else None]
    ended = f"ended by {silence.ended_by}" if silence.ended_at else "over"
    return AlertBody(
        headline=f"A silence of {silence.model} is {ended}; it held back {_mails(held)}",
        summary="None of them was sent, and none will be. What they said is kept: each is on the page of the model.",
        facts=[
            ("Silence", str(silence.id)),
            ("About", ", ".join(part for part in about if part) or "all kinds that need not be named"),
            ("Asked by", f"{silence.asked_by}, {_utc(silence.created_at)}"),
            ("Why", silence.why),
            ("Until", _utc(silence.ended_at or silence.until)),
        ],
        table=Table(
            columns=["When (UTC)", "Kind", "What"],
            rows=[[_utc(alert.created_at), alert.kind, alert.subject] for alert in held],
        ),
        next_steps=["Read the list: what is still open needs a person, as it would have when the mail was held back."],
    )


def _mails(held: Sequence[Alert]) -> str:
    return f"{len(held):,} mail{'s' * (len(held) != 1)}"


def _utc(instant: dt.datetime) -> str:
    return f"{instant.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"
