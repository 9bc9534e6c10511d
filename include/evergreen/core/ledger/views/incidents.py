"""A model's incidents, as the pages and `evergreen history` show them."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from evergreen.core.ledger.tables import Incident, Occurrence
from evergreen.core.names import PartitionKey


@dataclass(frozen=True)
class OccurrenceLine:
    """One partition (of a task that has none: run) of an incident, by its newest occurrence."""

    part: str
    key: PartitionKey | None
    at: dt.datetime
    said: str
    resolved_at: dt.datetime | None
    how: str | None
    run_url: str | None


@dataclass(frozen=True)
class IncidentLine:
    """One cause, from its first occurrence to the all-clear."""

    id: int
    kind: str
    cause: str
    """Its fingerprint"""
    what: str
    opened_at: dt.datetime
    last_at: dt.datetime
    closed_at: dt.datetime | None
    reopened: int
    partitions: int
    mails: int
    occurrences: tuple[OccurrenceLine, ...]

    @property
    def unresolved(self) -> int:
        """Partitions that are not resolved."""
        return sum(line.resolved_at is None for line in self.occurrences)

    @property
    def is_open(self) -> bool:
        """Whether it goes on."""
        return self.closed_at is None


def incidents(session: Session, model: str, *, limit: int = 50) -> list[IncidentLine]:
    """The latest incidents of `model`, those that are open first, then the newest first."""
    query = select(Incident).where(Incident.model == model)
    rows = session.scalars(query.order_by(Incident.closed_at.is_not(None), Incident.id.desc()).limit(limit)).all()
    met: dict[int, dict[str, OccurrenceLine]] = defaultdict(dict)
    of_these = select(Occurrence).where(Occurrence.incident_id.in_([row.id for row in rows])).order_by(Occurrence.id)
    for one in session.scalars(of_these):
        met[one.incident_id][one.part] = OccurrenceLine(
            one.part, one.key, one.at, one.said, one.resolved_at, one.how, one.run_url
        )
    return [
        IncidentLine(
            id=row.id, kind=row.kind, cause=row.cause, what=row.what, opened_at=row.opened_at, last_at=row.last_at,
            closed_at=row.closed_at, reopened=row.reopened, partitions=row.partitions, mails=row.mails,
            occurrences=tuple(sorted(met[row.id].values(), key=lambda line: line.key or line.part)),
        )
        for row in rows
    ]  # fmt: skip
