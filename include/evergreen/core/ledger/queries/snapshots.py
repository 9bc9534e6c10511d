"""Queries on feature snapshots. The newest snapshot of a key is its current one."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.orm import Session

from evergreen.core.ledger.tables import Snapshot


def current(session: Session, model: str, key: str) -> Snapshot | None:
    """The current snapshot of one feature partition; None where it was never built."""
    query = select(Snapshot).where(Snapshot.model == model, Snapshot.key == key)
    return session.scalar(query.order_by(Snapshot.version.desc()).limit(1))


def current_map(session: Session, model: str, keys: Collection[str] | None = None) -> dict[str, Snapshot]:
    """The current snapshot of each of `keys` that was built (of every key where `keys` is None), in order of key."""
    query = select(Snapshot).where(Snapshot.model == model).distinct(Snapshot.key)
    if keys is not None:
        query = query.where(Snapshot.key.in_(keys))
    found = session.scalars(query.order_by(Snapshot.key, Snapshot.version.desc()))
    return {snapshot.key: snapshot for snapshot in found}


def built_from(session: Session, model: str) -> set[int]:
    """Ids of the versions of inputs from which features have been built."""
    return set(session.scalars(select(Snapshot.inputs_version_id).where(Snapshot.model == model).distinct()))
