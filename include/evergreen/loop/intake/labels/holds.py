"""What is held back because its labels are incomplete, and what was found one-sided: on record, and told.

Labels that are incomplete are an incident: partitions join it, and it has an all-clear when they count. Labels that are
one-sided hold nothing back, and may be so for as long as the model lives: a notice says so once, and no more while
partitions near each other are.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial

from sqlalchemy import func, update
from sqlalchemy.orm import Session

from evergreen.core.definition import ModelDefinition
from evergreen.core.ledger import incidents
from evergreen.core.ledger.outbox import owe, owed
from evergreen.core.ledger.queries import labels, versions
from evergreen.core.ledger.queries.labels import INCOMPLETE, ONE_SIDED
from evergreen.core.ledger.tables import LabelBias, LabelCoverage, LabelHold
from evergreen.core.names import PartitionKey
from evergreen.loop.intake.labels import mail
from evergreen.loop.intake.labels.maturity import Maturity
from evergreen.loop.intake.labels.usable import standings

LOCK = "labels"
NEAR = 4
"""Partitions within which one that is one-sided has the cause of another"""
CAUSE = incidents.Cause("labels", INCOMPLETE, (), "labels are incomplete")
Told = tuple[LabelHold, mail.Line]
"""What is held, and what a mail says of it"""


@dataclass(frozen=True)
class Problem:
    """A partition that is held back, or one-sided, now."""

    key: PartitionKey
    cause: str
    coverage_id: int
    needed: float

    @property
    def name(self) -> tuple[str, str]:
        """Key and cause: it is held once at a time."""
        return self.key, self.cause


def settle(session: Session, definition: ModelDefinition) -> None:
    """Record what is held now and what no longer is, and owe what is to be told; the session holds the lock `LOCK`."""
    model, rows = definition.name, labels.current_coverages(session, definition.name, definition.target)
    stands = standings(session, definition)
    found = problems(session, definition, rows, stands)
    held = {(hold.key, hold.cause): hold.id for hold in labels.open_holds(session, model)}
    # What landed in place of held labels, and cannot be read now, may be no better: it stays held until it is counted.
    unknown = stands.keys() - rows.keys()
    release = {name for name in held.keys() - {problem.name for problem in found} if name[0] not in unknown}
    if release:
        ids = [held[name] for name in release]
        session.execute(update(LabelHold).where(LabelHold.id.in_(ids)).values(released_at=func.now()))
    session.add_all(
        LabelHold(
            model=model, key=problem.key, cause=problem.cause, coverage_id=problem.coverage_id, needed=problem.needed
        )
        for problem in found
        if problem.name not in held
    )
    session.flush()
    _end(session, definition, [row for key, row in rows.items() if stands[key].mature])
    tell(session, definition, by_monitor=False)


def problems(
    session: Session,
    definition: ModelDefinition,
    rows: Mapping[PartitionKey, LabelCoverage],
    stands: Mapping[PartitionKey, Maturity],
) -> list[Problem]:
    """What is incomplete or one-sided now, by key: of the partitions whose coverage `rows` has."""
    biases = labels.biases(session, definition.name)
    return [found for key, row in rows.items() if (found := _problem(row, stands[key], biases)) is not None]


def _problem(row: LabelCoverage, stands: Maturity, biases: Mapping[int, LabelBias]) -> Problem | None:
    if not stands.mature:
        return Problem(row.key, INCOMPLETE, row.id, stands.needed)
    if row.id in biases and biases[row.id].one_sided:
        return Problem(row.key, ONE_SIDED, row.id, stands.needed)
    return None


def _end(session: Session, definition: ModelDefinition, mature: Iterable[LabelCoverage]) -> None:
    """End what is over: nothing is held any more, or one of the `mature` came complete after all that was.

    When it came is asked of the ledger: who measured it may have been killed before it got here.
    """
    told, now = partial(owe, session, definition), dt.datetime.now(dt.UTC)
    open_ = labels.open_holds(session, definition.name)
    incidents.resolve_others(
        session, definition.name, CAUSE.kind, CAUSE.scope, {hold.key for hold in open_ if hold.cause == INCOMPLETE},
        how="complete: they count", owe=told, now=now,
    )  # fmt: skip
    since = incidents.last_met(session, definition.name, CAUSE.kind, CAUSE.scope)
    whole = [row.key for row in mature if since is not None and row.labelled is not None and row.created_at > since]
    if whole:
        newest = max(whole)
        incidents.well(
            session, definition.name, CAUSE.kind, CAUSE.scope,
            part=newest, key=newest, how="complete: they count", owe=told, now=now,
        )  # fmt: skip


def tell(session: Session, definition: ModelDefinition, *, by_monitor: bool) -> None:
    """Write the mails that are due about what is held; the session holds the lock `LOCK`.

    Once a champion serves, the monitor tells: it knows by then whether the labels are one-sided.
    """
    model, now = definition.name, dt.datetime.now(dt.UTC)
    open_ = labels.open_holds(session, model)
    due = [hold for hold in open_ if definition.partitions.due(hold.key, definition.feed.label_delay) <= now]
    if not due or (not by_monitor and versions.current_deployment(session, model) is not None):
        return
    biases, coverages = labels.biases(session, model), labels.coverages_of(session, due)
    told = [(hold, mail.Line.of(hold, coverages[hold.coverage_id], biases.get(hold.coverage_id))) for hold in due]
    _tell_incomplete(session, definition, [one for one in told if one[0].cause == INCOMPLETE], now)
    _tell_one_sided(session, definition, [one for one in told if one[0].cause == ONE_SIDED])


def _tell_incomplete(session: Session, definition: ModelDefinition, held: Sequence[Told], now: dt.datetime) -> None:
    # A hold that is on record is told, though whole labels of a later partition may have ended its incident meanwhile.
    known = incidents.on_record(session, definition.name, [_name(hold) for hold, _ in held])
    new = [one for one in held if _name(one[0]) not in known]
    lines = [line for _, line in new]
    if lines:
        incidents.occur(
            session, definition.name, CAUSE,
            [incidents.Met(_name(hold), hold.key, line.sentence) for hold, line in new],
            subject=mail.subject(lines), body=mail.body(definition, lines), owe=partial(owe, session, definition),
            now=now,
        )  # fmt: skip


def _tell_one_sided(session: Session, definition: ModelDefinition, held: Sequence[Told]) -> None:
    past = labels.holds(session, definition.name, ONE_SIDED)
    reach = cache(partial(last_near, definition))
    begun = {past[place].id for place in beginnings([hold.key for hold in past], reach)}
    first = [hold for hold, _ in held if hold.id in begun]
    told = owed(session, definition.name, [_name(hold) for hold in first])
    for hold in first:
        if _name(hold) in told:
            continue
        lines = [line for other, line in held if reach(min(hold.key, other.key)) >= max(hold.key, other.key)]
        owe(
            session, definition, kind="labels", key=hold.key if len(lines) == 1 else None, dedup_key=_name(hold),
            subject=mail.subject(lines), body=mail.body(definition, lines),
        )  # fmt: skip


def beginnings(keys: Sequence[PartitionKey], reach: Callable[[str], str]) -> list[int]:
    """Places of those of `keys`, in the order in which they were found, that none before them is near. Pure.

    Args:
        keys: of partitions.
        reach: the last key that is near a key and not before it; a later key reaches no less far.
    """
    reach, found = cache(reach), list[int]()
    before: list[str] = []  # sorted, so that of all before only the two neighbours need a look
    for place, key in enumerate(keys):
        at = bisect_right(before, key)
        near = (at > 0 and reach(before[at - 1]) >= key) or (at < len(before) and reach(key) >= before[at])
        if not near:
            found.append(place)
        before.insert(at, key)
    return found


def last_near(definition: ModelDefinition, key: PartitionKey) -> PartitionKey:
    """The last partition so near `key` that what is wrong with both has one cause. Pure."""
    return definition.partitions.shift(key, NEAR)


def _name(hold: LabelHold) -> str:
    return f"labels:{hold.id}"
