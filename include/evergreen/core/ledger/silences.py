"""Silences: mails that a person has held back for a while. They stay on record, and are summed up at the end.

Requests for approval, proven harm and changes of the champion are held back only by a silence that names their kind.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session

from evergreen.core.ledger.session import hold, share
from evergreen.core.ledger.tables import Alert, Incident, Silence
from evergreen.core.text import said
from evergreen.errors import BadInputError

BY_NAME_ONLY = frozenset({"approval", "harm", "promotion", "refusal", "rollback"})
"""Kinds that no silence holds back unless it names them"""
NEVER = frozenset({"digest", "silence"})
"""Kinds that none holds back"""
LONGEST = dt.timedelta(days=90)


def begin(
    session: Session,
    model: str,
    *,
    kind: str | None,
    cause: str | None,
    length: dt.timedelta,
    why: str,
    asked_by: str,
    now: dt.datetime,
) -> Silence:
    """Hold back mails of `model` for `length` from `now` (aware) on.

    Args:
        session: of the transaction.
        model: its name.
        kind: only these mails; None: all that may be silenced without being named.
        cause: only those of this cause, an incident's fingerprint.
        length: more than nothing, `LONGEST` at most.
        why: the reason, for the record.
        asked_by: who asks.
        now: aware.

    Raises:
        BadInputError: the length, the kind or the cause is not one that can be silenced.
    """
    _check(session, model, kind, cause, length)
    hold(session, "silences", model)
    silence = Silence(
        model=model, kind=kind, cause=cause, until=now + length, why=said(why), asked_by=asked_by, created_at=now
    )
    session.add(silence)
    session.flush()
    return silence


def _check(session: Session, model: str, kind: str | None, cause: str | None, length: dt.timedelta) -> None:
    """Raise BadInputError if no such silence can be had."""
    if not dt.timedelta(0) < length <= LONGEST:
        raise BadInputError(f"a silence lasts more than nothing and {LONGEST.days} days at most; give another --for")
    if kind in NEVER:
        raise BadInputError(f"mails of the kind {kind} cannot be silenced; for the digest set alerts.digest: never")
    if cause is not None:
        known = select(Incident.kind).where(Incident.model == model, Incident.cause == cause).limit(1)
        found = session.scalar(known)
        if found is None or kind not in (None, found):
            raise BadInputError(
                f"{model} has no incident of the cause {cause}{f' and the kind {kind}' if kind else ''}; "
                f"`evergreen history {model}` lists them"
            )


def end(session: Session, model: str, silence_id: int, *, ended_by: str, now: dt.datetime) -> Silence:
    """End a silence before its time; what it held back is told with the next `due`.

    Raises:
        BadInputError: the model has no such silence, or it is over.
    """
    hold(session, "silences", model)
    silence = session.get(Silence, silence_id, populate_existing=True)
    if silence is None or silence.model != model:
        raise BadInputError(f"{model} has no silence {silence_id}; `evergreen silence {model} --list` lists them")
    if not is_active(silence, now):
        raise BadInputError(f"silence {silence_id} of {model} is over already; nothing was changed")
    silence.ended_at, silence.ended_by = now, ended_by
    session.flush()
    return silence


def covering(session: Session, model: str, kind: str, cause: str | None, now: dt.datetime) -> Silence | None:
    """The silence that holds back a mail that is due `now`, or None. It cannot end before the transaction does."""
    if kind in NEVER or session.scalar(_not_summed(model).limit(1)) is None:
        return None
    share(session, "silences", model)
    found = session.scalars(_not_summed(model).execution_options(populate_existing=True))
    return next((silence for silence in found if is_active(silence, now) and covers(silence, kind, cause)), None)


def covers(silence: Silence, kind: str, cause: str | None) -> bool:
    """Whether `silence` is about mails of `kind` and `cause`. Pure."""
    if silence.cause is not None and silence.cause != cause:
        return False
    return silence.kind == kind if silence.kind is not None else kind not in BY_NAME_ONLY


def is_active(silence: Silence, now: dt.datetime) -> bool:
    """Whether it holds mails back `now`. Pure."""
    return silence.ended_at is None and silence.summed_at is None and now < silence.until


def over(session: Session, model: str, now: dt.datetime) -> list[tuple[Silence, Sequence[Alert]]]:
    """Silences of `model` that are over, marked as summed up with this transaction, and what each held back."""
    ended = _not_summed(model).where(or_(Silence.until <= now, Silence.ended_at.is_not(None)))
    if session.scalar(ended.limit(1)) is None:
        return []
    hold(session, "silences", model)
    found = []
    for silence in session.scalars(ended.execution_options(populate_existing=True)).all():
        silence.summed_at = now
        held = select(Alert).where(Alert.silence_id == silence.id).order_by(Alert.created_at, Alert.id)
        found.append((silence, session.scalars(held).all()))
    session.flush()
    return found


def lines(session: Session, model: str, *, limit: int = 50) -> list[Silence]:
    """The latest silences of `model`, newest first."""
    query = select(Silence).where(Silence.model == model).order_by(Silence.id.desc()).limit(limit)
    return list(session.scalars(query))


def _not_summed(model: str) -> Select[Silence]:
    return select(Silence).where(Silence.model == model, Silence.summed_at.is_(None)).order_by(Silence.id)
