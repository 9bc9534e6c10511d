"""Incidents: partitions that suffer from one cause are told together, and an all-clear says that it is over.

Each occurrence is a row, in the transaction of what it reports. All that reads and writes the incidents of a model
happens under one advisory lock, so that two backfills at once make one incident, and never a deadlock.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session

from evergreen.core.ledger import incident_mails, incident_rules
from evergreen.core.ledger.outbox import AlertBody, Kind
from evergreen.core.ledger.session import hold
from evergreen.core.ledger.tables import Alert, Incident, Occurrence
from evergreen.core.names import PartitionKey

_TIMES = "~"
"""Stands between the name of an occurrence that is met again after it was over, and how often it has been met"""


class Owe(Protocol):
    """Owes a mail to those who are told about a model (`outbox.owe` with its session and definition)."""

    def __call__(
        self, *, kind: Kind, key: PartitionKey | None, dedup_key: str, subject: str, body: AlertBody,
        cause: str | None = None, over: bool = False,
    ) -> Alert:  # fmt: skip
        """The mail's row."""


@dataclass(frozen=True)
class Cause:
    """What is wrong, whatever the partition."""

    kind: Kind
    scope: str
    """What can be well again: a table, a step, a task"""
    faults: tuple[str, ...]
    what: str
    """In a few words, for a subject line"""

    @property
    def fingerprint(self) -> str:
        """Its name."""
        return incident_rules.fingerprint(self.kind, self.scope, self.faults)


@dataclass(frozen=True)
class Met:
    """One time that a cause is met."""

    name: str
    """Unique within the model: what is recorded once"""
    key: PartitionKey | None
    said: str
    part: str | None = None
    """What will be resolved; by default the key"""
    run_url: str | None = None

    @property
    def resolvable(self) -> str:
        """Names what will be resolved."""
        return self.part or self.key or self.name


@dataclass(frozen=True)
class _Through:
    """Something came through well, which may show that what failed before has ended."""

    key: PartitionKey | None
    quiet: dt.timedelta

    def ends(self, incident: Incident, met: Sequence[Occurrence], now: dt.datetime) -> bool:
        """Whether it comes after all of `met`, and none of it is recent."""
        later = incident_rules.is_later(self.key, [one.key for one in met])
        return later and now - incident.last_at >= self.quiet


def occur(
    session: Session,
    model: str,
    cause: Cause,
    met: Sequence[Met],
    *,
    subject: str,
    body: AlertBody,
    owe: Owe,
    now: dt.datetime | None = None,
) -> Alert | None:
    """Record that `cause` was met, and write a mail if it is due; that mail, or None if the occurrences join in
    silence.

    Args:
        session: of the transaction that records what happened.
        model: its name.
        cause: what is wrong.
        met: one or more occurrences. Those that are on record are left out, unless they have been resolved since, or
            told to be over: what is met after that is another occurrence, which nobody has been told.
        subject: of the mail about the first occurrence, as for `outbox.owe`.
        body: that mail's.
        owe: owes a mail in this transaction.
        now: aware; default: the clock.
    """
    now = now or dt.datetime.now(dt.UTC)
    hold(session, "incidents", model)
    new = _new(session, model, met)
    if not new:
        return None
    incident = _open_incident(session, model, cause) or _opened(session, model, cause, now)
    _join(session, incident, new, now)
    alert = _told_again(session, incident, new, subject, body, owe, now)
    session.flush()
    return alert


def is_on_record(session: Session, model: str, name: str) -> bool:
    """Whether the occurrence `name` of `model` has been recorded."""
    return bool(on_record(session, model, [name]))


def on_record(session: Session, model: str, names: Collection[str]) -> set[str]:
    """Those of `names` under which an occurrence of `model` has been recorded, whatever became of it."""
    query = select(Occurrence.name).where(Occurrence.name.in_([f"{model}:{name}" for name in names]))
    return {name.removeprefix(f"{model}:") for name in session.scalars(query)}


def find_open(session: Session, model: str, kind: Kind, scope: str) -> bool:
    """Whether anything of this kind and scope is not resolved, or not over: `well` has something to do."""
    return session.scalar(_unfinished(model, kind, scope).with_only_columns(Incident.id).limit(1)) is not None


def last_met(session: Session, model: str, kind: Kind, scope: str) -> dt.datetime | None:
    """When something joined an incident of this kind and scope last, of those that `find_open` finds; None if none."""
    return session.scalar(_unfinished(model, kind, scope).with_only_columns(func.max(Incident.last_at)))


def well(
    session: Session, model: str, kind: Kind, scope: str, *, part: str, key: PartitionKey | None, how: str, owe: Owe,
    except_for: Cause | None = None, came_through: bool = True, quiet: dt.timedelta = dt.timedelta(0),
    single: tuple[str, AlertBody] | None = None, now: dt.datetime | None = None,
) -> list[Alert]:  # fmt: skip
    """Record that `part` of `scope` is well; incidents that are over by that are closed, with an all-clear.

    Args:
        session: of the transaction that records what happened.
        model: its name.
        kind: of the incidents.
        scope: as in their causes.
        part: what is resolved.
        key: its partition, if it has one.
        how: what became of it, in words ("accepted as version 2").
        owe: owes a mail in this transaction.
        except_for: a cause that it still suffers from: other causes of the same scope are resolved by it.
        came_through: whether it came through well, which shows that what failed before it has ended.
        quiet: an incident that was met more recently than this is not ended by what came through.
        single: subject and body of the all-clear of an incident of this one partition.
        now: aware; default: the clock.
    """
    if not find_open(session, model, kind, scope):
        return []
    now = now or dt.datetime.now(dt.UTC)
    hold(session, "incidents", model)
    spared = except_for.fingerprint if except_for else None
    through = _Through(key, quiet) if came_through else None
    alerts = []
    for incident in _fresh(session, _unfinished(model, kind, scope)):
        if incident.cause != spared:
            _resolve(session, incident, [part], how, now)
            alerts += _ended(session, incident, through, owe, now, single)
    session.flush()
    return alerts


def resolve_others(
    session: Session,
    model: str,
    kind: Kind,
    scope: str,
    still: Collection[str],
    *,
    how: str,
    owe: Owe,
    now: dt.datetime,
) -> list[Alert]:
    """Record that all parts of `scope` but `still` are well, if that is known from a look at the whole; as `well`."""
    if not find_open(session, model, kind, scope):
        return []
    hold(session, "incidents", model)
    alerts = []
    for incident in _fresh(session, _unfinished(model, kind, scope)):
        gone = [one.part for one in occurrences(session, incident) if one.part not in still]
        _resolve(session, incident, gone, how, now)
        alerts += _ended(session, incident, None, owe, now, None)
    session.flush()
    return alerts


def settle(session: Session, model: str, *, owe: Owe, now: dt.datetime) -> list[Alert]:
    """Close the incidents of `model` that have been well for long enough; their all-clears."""
    query = select(Incident).where(Incident.model == model, Incident.closed_at.is_(None), Incident.well_at.is_not(None))
    if session.scalar(query.limit(1)) is None:
        return []
    hold(session, "incidents", model)
    alerts = []
    for incident in _fresh(session, query):
        alerts += _closed(session, incident, owe, now, None)
    session.flush()
    return alerts


def occurrences(session: Session, incident: Incident) -> list[Occurrence]:
    """All of an incident's, oldest partition first."""
    query = select(Occurrence).where(Occurrence.incident_id == incident.id)
    return list(session.scalars(query.order_by(Occurrence.key.nulls_last(), Occurrence.id)))


def _new(session: Session, model: str, met: Sequence[Met]) -> list[Met]:
    """Those of `met` that have not been recorded, or were over when they were met again; these under a name anew."""
    names = {one.name: one for one in met}
    known = on_record(session, model, names)
    found = (_again(session, model, one) if name in known else one for name, one in names.items())
    return [one for one in found if one is not None]


def _again(session: Session, model: str, one: Met) -> Met | None:
    """`one`, which is on record, as another occurrence; None if the newest of its name is not over."""
    name = f"{model}:{one.name}"
    times = or_(Occurrence.name == name, Occurrence.name.startswith(f"{name}{_TIMES}", autoescape=True))
    query = select(Occurrence, Incident.closed_at).join(Incident, Incident.id == Occurrence.incident_id)
    rows = session.execute(query.where(Occurrence.model == model, times).order_by(Occurrence.id)).all()
    newest, closed_at = rows[-1]
    if newest.resolved_at is None and closed_at is None:
        return None
    return replace(one, name=f"{one.name}{_TIMES}{len(rows) + 1}", part=one.resolvable)


def _join(session: Session, incident: Incident, new: Sequence[Met], now: dt.datetime) -> None:
    """Record `new` as occurrences of `incident`, which is not well then."""
    session.add_all(
        Occurrence(
            incident_id=incident.id, model=incident.model, name=f"{incident.model}:{one.name}", part=one.resolvable,
            key=one.key, said=one.said, run_url=one.run_url, at=now,
        )
        for one in new
    )  # fmt: skip
    session.flush()
    incident.last_at, incident.well_at, incident.well = now, None, None
    incident.partitions = _count(session, incident)


def _open_incident(session: Session, model: str, cause: Cause) -> Incident | None:
    query = _of_cause(model, cause).where(Incident.closed_at.is_(None))
    return session.scalars(query.execution_options(populate_existing=True)).one_or_none()


def _unfinished(model: str, kind: Kind, scope: str) -> Select[Incident]:
    """Incidents that are open, and closed ones with partitions that are not resolved."""
    left = select(Occurrence.id).where(Occurrence.incident_id == Incident.id, Occurrence.resolved_at.is_(None))
    query = select(Incident).where(Incident.model == model, Incident.kind == kind, Incident.scope == scope)
    return query.where(or_(Incident.closed_at.is_(None), left.exists()))


def _fresh(session: Session, query: Select[Incident]) -> list[Incident]:
    """Rows as they are under the lock, whatever the session had read before."""
    return list(session.scalars(query.order_by(Incident.id).execution_options(populate_existing=True)))


def _of_cause(model: str, cause: Cause) -> Select[Incident]:
    return select(Incident).where(
        Incident.model == model, Incident.kind == cause.kind, Incident.cause == cause.fingerprint
    )


def _opened(session: Session, model: str, cause: Cause, now: dt.datetime) -> Incident:
    before = session.scalars(_of_cause(model, cause).order_by(Incident.id.desc()).limit(1)).one_or_none()
    incident = Incident(
        model=model, kind=cause.kind, scope=cause.scope, cause=cause.fingerprint, what=cause.what, opened_at=now,
        last_at=now, partitions=0, told=0, mails=0, reopened=0,
    )  # fmt: skip
    if before is not None and before.closed_at is not None:
        incident.after_id = before.id
        incident.reopened = incident_rules.returns(before.reopened, before.closed_at, now)
    session.add(incident)
    session.flush()
    return incident


def _count(session: Session, incident: Incident) -> int:
    query = select(func.count(Occurrence.part.distinct())).where(Occurrence.incident_id == incident.id)
    return session.scalar(query) or 0


def _told_again(
    session: Session,
    incident: Incident,
    new: Sequence[Met],
    subject: str,
    body: AlertBody,
    owe: Owe,
    now: dt.datetime,
) -> Alert | None:
    """The mail about the occurrences `new`, if one is due."""
    first = incident.told_at is None
    if incident.told_at is not None and not incident_rules.is_told(
        partitions=incident.partitions, told=incident.told, mails=incident.mails, told_at=incident.told_at, now=now
    ):
        return None
    key = new[0].key if len(new) == 1 else None
    if first:
        before = session.get(Incident, incident.after_id) if incident.after_id else None
        subject, body = incident_mails.first(incident, before, subject, body)
    else:
        subject, body = incident_mails.grown(incident, occurrences(session, incident), subject, body)
        key = None
    incident.told, incident.told_at, incident.mails = incident.partitions, now, incident.mails + 1
    return owe(kind=_kind(incident), key=key, dedup_key=new[0].name, subject=subject, body=body, cause=incident.cause)


def _resolve(session: Session, incident: Incident, parts: Collection[str], how: str, now: dt.datetime) -> None:
    query = select(Occurrence).where(Occurrence.incident_id == incident.id, Occurrence.part.in_(list(parts)))
    for one in session.scalars(query.where(Occurrence.resolved_at.is_(None))):
        one.resolved_at, one.how = now, how
    session.flush()


def _ended(
    session: Session,
    incident: Incident,
    through: _Through | None,
    owe: Owe,
    now: dt.datetime,
    single: tuple[str, AlertBody] | None,
) -> list[Alert]:
    """Note that an open incident is well, if it is; close it if it has been for long enough."""
    if incident.closed_at is not None:
        return []
    met = occurrences(session, incident)
    if incident.well_at is None:
        if all(one.resolved_at is not None for one in met):
            incident.well_at, incident.well = now, "all of it is resolved"
        elif through is not None and through.ends(incident, met, now):
            incident.well_at, incident.well = now, f"{through.key or 'a later run'} came through well after them"
    return _closed(session, incident, owe, now, single)


def _closed(
    session: Session, incident: Incident, owe: Owe, now: dt.datetime, single: tuple[str, AlertBody] | None
) -> list[Alert]:
    if incident.closed_at is not None or incident.well_at is None:
        return []
    if now - incident.well_at < incident_rules.calm(incident.reopened):
        return []
    incident.closed_at = now
    met = occurrences(session, incident)
    subject, body = incident_mails.all_clear(incident, met, single)
    key = met[0].key if incident.partitions == 1 else None
    incident.mails += 1
    name = f"incident:{incident.id}:clear"
    return [
        owe(kind=_kind(incident), key=key, dedup_key=name, subject=subject, body=body, cause=incident.cause, over=True)
    ]


def _kind(incident: Incident) -> Kind:
    return incident.kind  # type: ignore[return-value]  # written by `_opened` from a Kind
