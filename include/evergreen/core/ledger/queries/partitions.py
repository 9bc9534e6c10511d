"""Which version of a partition counts: the newest one whose latest verdict is `accepted`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeVar

from sqlalchemy import ColumnElement, ScalarSelect, Select, case, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from evergreen.core.ledger.tables import PartitionVersion, Verdict
from evergreen.core.names import PartitionKey
from evergreen.core.values import TableName

ACCEPTED: Final = "accepted"
QUARANTINED: Final = "quarantined"

T = TypeVar("T")
Column = ColumnElement[T] | InstrumentedAttribute[T]
Current = tuple[PartitionVersion, Verdict]


def rows_hash(found: Current) -> str:
    """Names the accepted rows: the SHA-256 of the landed bytes, and the suite too if it kept some of them out."""
    partition, verdict = found
    return f"{partition.content_hash}:{kept(verdict)}" if kept(verdict) else partition.content_hash


def kept(verdict: Verdict) -> str:
    """Names the accepted rows of one version: the hash of the suite that kept some of its rows out, else empty."""
    return verdict.suite_hash if verdict.rows_rejected else ""


def current(session: Session, model: str, table: TableName, key: PartitionKey) -> Current | None:
    """The current version of one partition with the verdict that accepted it, or None."""
    return current_map(session, model, table, [key]).get(key)


def current_map(
    session: Session, model: str, table: TableName, keys: Iterable[PartitionKey]
) -> dict[PartitionKey, Current]:
    """The current version and verdict of each of `keys` that has one, in order of keys; one query."""
    query = _accepted(model, table).where(PartitionVersion.key.in_(list(keys)))
    return {partition.key: (partition, verdict) for partition, verdict in session.execute(query)}


def all_current(session: Session, model: str, table: TableName) -> dict[PartitionKey, Current]:
    """The current version and verdict of every key that has one, in order of keys; one query."""
    return {partition.key: (partition, verdict) for partition, verdict in session.execute(_accepted(model, table))}


def accepted_keys(session: Session, model: str, table: TableName) -> list[PartitionKey]:
    """Keys of the partitions that have a current version, oldest first."""
    query = _accepted(model, table).with_only_columns(PartitionVersion.key, maintain_column_froms=True)
    return list(session.scalars(query))


def current_rows(model: str, table: TableName) -> Select[int, str]:
    """The ids of the versions that are current and which of their rows are (see `kept`), to ask for in a query."""
    rows = case((Verdict.rows_rejected > 0, Verdict.suite_hash), else_="")
    return _accepted(model, table).with_only_columns(PartitionVersion.id, rows, maintain_column_froms=True)


def is_current(version_id: Column[int], rows: Column[str]) -> ColumnElement[bool]:
    """Whether a row's partition version is current, and its rows are the ones that count; asked of each row alone.

    Args:
        version_id: column with the id of a partition version.
        rows: column that says which of its rows were kept (see `kept`).
    """
    part, said, newer = aliased(PartitionVersion), aliased(Verdict), aliased(PartitionVersion)

    def latest(of: Column[int]) -> ScalarSelect[int]:
        one = aliased(Verdict)
        return select(func.max(one.id)).where(one.partition_version_id == of).correlate(part, newer).scalar_subquery()

    accepted_later = aliased(Verdict)
    replaced = (
        select(newer.id)
        .join(accepted_later, accepted_later.id == latest(newer.id))
        .where(
            newer.model == part.model,
            newer.table == part.table,
            newer.key == part.key,
            newer.version > part.version,
            accepted_later.outcome == ACCEPTED,
        )
    )
    kept_rows = case((said.rows_rejected > 0, said.suite_hash), else_="")
    return (
        select(part.id)
        .join(said, said.id == latest(part.id))
        .where(part.id == version_id, said.outcome == ACCEPTED, kept_rows == rows, ~replaced.exists())
        .exists()
    )


def decided_keys(session: Session, model: str, table: TableName, keys: Iterable[PartitionKey]) -> set[PartitionKey]:
    """Those of `keys` of which some version has a verdict."""
    query = (
        select(PartitionVersion.key)
        .join(Verdict, Verdict.partition_version_id == PartitionVersion.id)
        .where(PartitionVersion.model == model, PartitionVersion.table == table, PartitionVersion.key.in_(list(keys)))
    )
    return set(session.scalars(query.distinct()))


def newest(session: Session, model: str, table: TableName, key: PartitionKey) -> PartitionVersion | None:
    """The version of a partition that landed last, whatever its verdict, or None."""
    query = select(PartitionVersion).where(
        PartitionVersion.model == model, PartitionVersion.table == table, PartitionVersion.key == key
    )
    return session.scalars(query.order_by(PartitionVersion.version.desc()).limit(1)).one_or_none()


def latest_verdict(session: Session, partition_version_id: int) -> Verdict | None:
    """The verdict that counts for one partition version, or None before its first validation."""
    query = select(Verdict).where(Verdict.partition_version_id == partition_version_id)
    return session.scalars(query.order_by(Verdict.id.desc()).limit(1)).one_or_none()


def newest_map(
    session: Session, model: str, table: TableName
) -> dict[PartitionKey, tuple[PartitionVersion, Verdict | None]]:
    """The version of each key that landed last and its latest verdict, None before its first; in order of keys."""
    query = (
        select(PartitionVersion, Verdict)
        .outerjoin(Verdict, Verdict.partition_version_id == PartitionVersion.id)
        .where(PartitionVersion.model == model, PartitionVersion.table == table)
        .distinct(PartitionVersion.key)
        .order_by(PartitionVersion.key, PartitionVersion.version.desc(), Verdict.id.desc().nulls_last())
    )
    return {partition.key: (partition, verdict) for partition, verdict in session.execute(query).tuples()}


def _accepted(model: str, table: TableName) -> Select[PartitionVersion, Verdict]:
    """The newest accepted version of each key of one table, ordered by key."""
    latest = (
        select(func.max(Verdict.id))
        .join(PartitionVersion, PartitionVersion.id == Verdict.partition_version_id)
        .where(PartitionVersion.model == model, PartitionVersion.table == table)
        .group_by(Verdict.partition_version_id)
    )
    return (
        select(PartitionVersion, Verdict)
        .join(Verdict, Verdict.partition_version_id == PartitionVersion.id)
        .where(Verdict.id.in_(latest), Verdict.outcome == ACCEPTED)
        .distinct(PartitionVersion.key)
        .order_by(PartitionVersion.key, PartitionVersion.version.desc())
    )
