"""Queries on the versions of reference tables, and which of them a partition may read."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from sqlalchemy import select

from evergreen.core.definition.references import newest_known
from evergreen.core.ledger.queries.partitions import ACCEPTED
from evergreen.core.ledger.tables import ReferenceVersion

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

Versions = Mapping[str, list[ReferenceVersion]]
"""Accepted versions by name of the reference, in the order in which they were known"""


def accepted(session: Session, model: str, names: Iterable[str]) -> Versions:
    """The accepted versions of the references `names`; one query, and none without names."""
    wanted: dict[str, list[ReferenceVersion]] = {name: [] for name in names}
    if not wanted:
        return wanted
    row = ReferenceVersion
    query = select(row).where(row.model == model, row.outcome == ACCEPTED, row.name.in_(list(wanted)))
    for version in session.scalars(query.order_by(row.known_from, row.revision, row.stamp)):
        wanted[version.name].append(version)
    return wanted


def known_at(versions: Versions, instant: dt.datetime) -> dict[str, ReferenceVersion | None]:
    """The version of each reference that was the newest at `instant`; None if none was known by then. Pure."""
    return {
        name: newest_known(found, instant, lambda version: (version.known_from, version.revision, version.stamp))
        for name, found in versions.items()
    }


def all_of_stamp(session: Session, model: str, name: str, stamp: str) -> list[ReferenceVersion]:
    """All that was recorded of a stamp, whatever its verdict, in order."""
    row = ReferenceVersion
    query = select(row).where(row.model == model, row.name == name, row.stamp == stamp)
    return list(session.scalars(query.order_by(row.id)))


def all_of(session: Session, model: str) -> list[ReferenceVersion]:
    """All versions of a model, quarantined ones too, by name and in the order in which they were known."""
    row = ReferenceVersion
    return list(
        session.scalars(select(row).where(row.model == model).order_by(row.name, row.known_from, row.revision, row.id))
    )
