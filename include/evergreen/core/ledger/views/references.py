"""What people are shown of reference tables."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from evergreen.core.ledger.queries import references
from evergreen.core.ledger.tables import Snapshot


@dataclass(frozen=True)
class ReferenceLine:
    """One version of a reference table."""

    name: str
    stamp: str
    known_from: dt.datetime
    rows: int | None
    outcome: str
    reason: str
    received_at: dt.datetime
    run_url: str | None
    partitions: int
    """Partitions whose current features were built from it"""


def lines(session: Session, model: str) -> list[ReferenceLine]:
    """All versions of a model's references, by name, oldest first."""
    found = references.all_of(session, model)
    if not found:
        return []
    query = select(Snapshot.references_used).where(Snapshot.model == model).distinct(Snapshot.key)
    used = Counter(
        number
        for row in session.scalars(query.order_by(Snapshot.key, Snapshot.version.desc()))
        for number in row.values()
    )
    return [
        ReferenceLine(
            row.name, row.stamp, row.known_from, row.rows, row.outcome, row.reason, row.received_at, row.run_url,
            used[row.id],
        )
        for row in found
    ]  # fmt: skip
