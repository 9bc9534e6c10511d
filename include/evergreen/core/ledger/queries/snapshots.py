"""Queries on feature snapshots. A partition has a current snapshot of each code that built it: the newest."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from evergreen.core.ledger.tables import Snapshot
from evergreen.core.names import PartitionKey


def current(session: Session, model: str, key: PartitionKey, code_hash: str | None = None) -> Snapshot | None:
    """The newest snapshot of one feature partition, by any code if `code_hash` is None; None if it was not built."""
    query = _of(model, code_hash).where(Snapshot.key == key)
    return session.scalar(query.order_by(Snapshot.version.desc()).limit(1))


def current_map(
    session: Session, model: str, keys: Collection[PartitionKey] | None = None, code_hash: str | None = None
) -> dict[PartitionKey, Snapshot]:
    """The newest snapshot of each of `keys` that was built (of every key if None), in order of key.

    By the code of `code_hash` only, if it is given.
    """
    query = _of(model, code_hash).distinct(Snapshot.key)
    if keys is not None:
        query = query.where(Snapshot.key.in_(keys))
    found = session.scalars(query.order_by(Snapshot.key, Snapshot.version.desc()))
    return {snapshot.key: snapshot for snapshot in found}


def live_map(session: Session, model: str, code_hash: str) -> dict[PartitionKey, Snapshot]:
    """The snapshot of each key that has to follow what is accepted: the serving code's, else the newest."""
    query = _of(model, None).distinct(Snapshot.key)
    order = (Snapshot.key, (Snapshot.code_hash == code_hash).desc(), Snapshot.version.desc())
    return {snapshot.key: snapshot for snapshot in session.scalars(query.order_by(*order))}


def outdated(old: Snapshot, new: Snapshot) -> bool:
    """Whether predictions of `old` give way to predictions of `new`, a snapshot of the same partition. Pure.

    By the same code, each snapshot is predicted. By another code, only if it was built later and from other rows: that
    the code has changed is no reason to predict a partition again, by a version that may have been trained on it.
    """
    if old.code_hash == new.code_hash:
        return old.id != new.id
    pairs = (
        (old.labels_used, new.labels_used), (old.inputs_looked_back, new.inputs_looked_back),
        (old.recent_inputs or {}, new.recent_inputs or {}), (old.references_used or {}, new.references_used or {}),
    )  # fmt: skip
    restated = any(before[key] != now[key] for before, now in pairs for key in before.keys() & now.keys())
    others = old.inputs_version_id != new.inputs_version_id or old.rows != new.rows
    came = set(old.labels_missing) & new.labels_used.keys()
    came |= set(old.recent_missing or ()) & (new.recent_inputs or {}).keys()
    return new.id > old.id and bool(others or restated or came)


def built_from(session: Session, model: str) -> set[int]:
    """Ids of the versions of inputs from which features have been built."""
    return set(session.scalars(select(Snapshot.inputs_version_id).where(Snapshot.model == model).distinct()))


def _of(model: str, code_hash: str | None) -> Select[Snapshot]:
    query = select(Snapshot).where(Snapshot.model == model)
    return query if code_hash is None else query.where(Snapshot.code_hash == code_hash)
