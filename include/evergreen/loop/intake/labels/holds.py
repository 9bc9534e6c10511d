"""What is held back because its labels are incomplete, and what was found one-sided: on record, and told once a cause.

A cause is an episode: partitions near each other that are held for the same reason, as when a producer begins to land
labels early. The first one begins it, later ones join it, and it has one mail. It ends with a second mail, where more
than one partition was held at a time and none is any more.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from evergreen.core.definition import ModelDefinition
from evergreen.core.ledger.outbox import owe
from evergreen.core.ledger.queries import labels, versions
from evergreen.core.ledger.queries.labels import INCOMPLETE, ONE_SIDED
from evergreen.core.ledger.tables import Alert, LabelBias, LabelCoverage, LabelHold
from evergreen.loop.intake.labels import mail
from evergreen.loop.intake.labels.maturity import Maturity
from evergreen.loop.intake.labels.usable import standings

LOCK = "labels"
NEAR = 4
"""Partitions within which one that is held belongs to the same cause as another"""

Name = tuple[str, str]
"""Key and cause"""


@dataclass(frozen=True)
class Problem:
    """A partition that is held back, or one-sided, now."""

    key: str
    cause: str
    coverage_id: int
    needed: float

    @property
    def name(self) -> Name:
        """Key and cause: it is held once at a time."""
        return self.key, self.cause


@dataclass(frozen=True)
class Held:
    """A hold on record."""

    id: int
    key: str
    cause: str
    episode: str
    open: bool


def settle(session: Session, definition: ModelDefinition) -> None:
    """Record what is held now and what no longer is, and owe what is to be told; the session holds the lock `LOCK`."""
    found, model = problems(session, definition), definition.name
    past = [Held(h.id, h.key, h.cause, h.episode, h.released_at is None) for h in labels.holds(session, model)]
    told = _told(session, model)
    ended = {hold.episode for hold in past if _end_key(hold.episode) in told}
    release = [hold.id for hold in past if hold.open and (hold.key, hold.cause) not in {p.name for p in found}]
    if release:
        session.execute(update(LabelHold).where(LabelHold.id.in_(release)).values(released_at=func.now()))
    for problem, episode in assign(found, past, ended, near=_near(definition)):
        session.add(
            LabelHold(
                model=model, key=problem.key, cause=problem.cause, coverage_id=problem.coverage_id,
                needed=problem.needed, episode=episode,
            )
        )  # fmt: skip
    session.flush()
    tell(session, definition, by_monitor=False)


def problems(session: Session, definition: ModelDefinition) -> list[Problem]:
    """What is incomplete or one-sided now, by key."""
    rows, biases = labels.current_coverages(session, definition.name), labels.biases(session, definition.name)
    return [
        found
        for key, stands in standings(session, definition).items()
        if key in rows and (found := _problem(rows[key], stands, biases)) is not None
    ]


def _problem(row: LabelCoverage, stands: Maturity, biases: Mapping[int, LabelBias]) -> Problem | None:
    if not stands.mature:
        return Problem(row.key, INCOMPLETE, row.id, stands.needed)
    if row.id in biases and biases[row.id].one_sided:
        return Problem(row.key, ONE_SIDED, row.id, stands.needed)
    return None


def assign(
    found: Sequence[Problem], past: Sequence[Held], ended: Collection[str], *, near: Callable[[str, str], bool]
) -> list[tuple[Problem, str]]:
    """The problems that are not on record as held, each with the episode that it belongs to. Pure.

    Args:
        found: by key.
        past: all holds on record, open ones and others.
        ended: episodes of which a mail has said that they are over: none joins them.
        near: whether two keys are near enough to be of one cause.
    """
    held = {(hold.key, hold.cause) for hold in past if hold.open}
    known = [(hold.key, hold.cause, hold.episode) for hold in past if hold.episode not in ended]
    new = []
    for problem in found:
        if problem.name in held:
            continue
        joined = [e for key, cause, e in known if cause == problem.cause and near(key, problem.key)]
        episode = joined[-1] if joined else f"{problem.cause}:{problem.key}:{len(past)}"
        known.append((problem.key, problem.cause, episode))
        new.append((problem, episode))
    return new


def _near(definition: ModelDefinition) -> Callable[[str, str], bool]:
    def near(one: str, other: str) -> bool:
        first, last = sorted((one, other))
        return definition.partitions.shift(first, NEAR) >= last

    return near


def tell(session: Session, definition: ModelDefinition, *, by_monitor: bool) -> None:
    """Owe a mail for each cause that has begun, and for each that has ended; the session holds the lock `LOCK`.

    Once a champion serves, a cause is told by the monitor, which knows by then whether the labels are one-sided.
    """
    model, now = definition.name, dt.datetime.now(dt.UTC)
    told = _told(session, model)
    episodes: dict[str, list[LabelHold]] = {}
    for hold in labels.holds(session, model):
        episodes.setdefault(hold.episode, []).append(hold)
    waits = not by_monitor and versions.current_deployment(session, model) is not None
    for episode, rows in episodes.items():
        open_ = [hold for hold in rows if hold.released_at is None]
        due = any(definition.partitions.due(hold.key, definition.feed.label_delay) <= now for hold in open_)
        if due and not waits and _begin_key(episode) not in told:
            _owe_beginning(session, definition, episode, open_)
        elif not open_ and _begin_key(episode) in told and _end_key(episode) not in told and _lasted(rows):
            owe(
                session, definition, kind="labels", key=None, dedup_key=_end_key(episode),
                subject=mail.subject_of_end(rows), body=mail.end(definition, rows),
            )  # fmt: skip


def _owe_beginning(session: Session, definition: ModelDefinition, episode: str, open_: Sequence[LabelHold]) -> None:
    biases = labels.biases(session, definition.name)
    lines = [
        mail.Line.of(hold, session.get_one(LabelCoverage, hold.coverage_id), biases.get(hold.coverage_id))
        for hold in open_
    ]
    owe(
        session, definition, kind="labels", key=lines[0].key if len(lines) == 1 else None,
        dedup_key=_begin_key(episode), subject=mail.subject(lines), body=mail.beginning(definition, lines),
    )  # fmt: skip


def _lasted(rows: Sequence[LabelHold]) -> bool:
    """Whether two partitions of an episode were held at a time."""
    ends = [(hold.held_at, hold.released_at) for hold in rows]
    return any(
        a is not b and b[0] >= a[0] and a[1] is not None and b[0] < a[1] for a in ends for b in ends
    )  # fmt: skip


def _told(session: Session, model: str) -> Collection[str]:
    """Dedup keys of the mails that were owed, without the model's name."""
    query = select(Alert.dedup_key).where(Alert.model == model, Alert.kind == "labels")
    return {key.removeprefix(f"{model}:") for key in session.scalars(query)}


def _begin_key(episode: str) -> str:
    return f"labels:{episode}"


def _end_key(episode: str) -> str:
    return f"labels:{episode}:ended"
