"""What retention has removed. The rows that name it stay as they were; these queries say that it is gone, and why."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Collection as Many
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import func, select, union_all
from sqlalchemy.orm import Session
from sqlalchemy.sql.selectable import Subquery

from evergreen.core.ledger.session import Ledger
from evergreen.core.ledger.tables import Collection, DriftCheck, PartitionVersion, Prediction, Snapshot, Verdict
from evergreen.core.names import PartitionKey
from evergreen.core.store import layout
from evergreen.errors import CollectedError, EvergreenError, UnavailableError
from evergreen.settings import Settings

NAMES = (
    PartitionVersion.raw_uri, Verdict.clean_uri, Verdict.rejected_uri, Verdict.results_uri, Snapshot.results_uri,
    Snapshot.dvc_hash, Prediction.uri, DriftCheck.report_uri,
)  # fmt: skip
"""The columns by which rows name objects."""


REMOVAL = "removal"
"""Lock that a backup shares while it copies, and that who removes objects takes alone."""


def model_name(model: str, version: int) -> str:
    """What a version, with its run and all that MLflow keeps of both, is called here."""
    return f"{model} version {version}"


def run_name(model: str, training_run_id: int) -> str:
    """The same of a training run that has made no version."""
    return f"{model} training run {training_run_id}"


def count_rows(session: Session, names: Many[str]) -> Counter[str]:
    """How many rows of the ledger, of any model, name each of `names`, or what it is written beside."""
    owners = {name: layout.named_with(name) for name in names}
    found: Counter[str] = Counter()
    for column in NAMES:
        query = select(column, func.count()).where(column.in_(set(owners.values()))).group_by(column)
        found.update({str(name): rows for name, rows in session.execute(query).tuples()})
    return Counter({name: found[owner] for name, owner in owners.items()})


def gone(session: Session, model: str) -> frozenset[str]:
    """Names of what has been collected of `model`, or is about to be, and has not been written again since."""
    marked = select(Collection.id).where(Collection.model == model).limit(1)
    if session.scalar(marked) is None:
        return frozenset()
    counts = _counts()
    query = (
        select(Collection.name)
        .outerjoin(counts, counts.c.name == Collection.name)
        .where(
            Collection.model == model,
            Collection.kept_at.is_(None),
            func.coalesce(counts.c.rows, 0) == Collection.rows,
        )
    )
    return frozenset(session.scalars(query))


def unfinished(session: Session, model: str) -> frozenset[str]:
    """Names of what is recorded as to be collected of `model`, and is not removed yet."""
    settled = (Collection.done_at.is_(None), Collection.kept_at.is_(None))
    return frozenset(session.scalars(select(Collection.name).where(Collection.model == model, *settled)))


def _counts() -> Subquery:
    named = union_all(*(select(column.label("name")).where(column.is_not(None)) for column in NAMES)).subquery()
    return select(named.c.name, func.count().label("rows")).group_by(named.c.name).subquery()


def newest(session: Session, names: Many[str]) -> Collection | None:
    """The last collection of one of `names`, or None."""
    query = select(Collection).where(Collection.name.in_(names), Collection.kept_at.is_(None))
    return session.scalar(query.order_by(Collection.id.desc()).limit(1))


def sentence(found: Collection) -> str:
    """'collected on 2026-11-21 by retention.keep_reports: 52'."""
    on = found.done_at or found.planned_at
    return f"collected on {on.astimezone(dt.UTC):%Y-%m-%d} by retention.{found.rule}"


@contextmanager
def explained(settings: Settings, what: str, names: Many[str]) -> Iterator[None]:
    """Say of what is missed within the block that it has been collected, if that is so.

    Args:
        settings: where the ledger is; it is asked only if something is missed.
        what: for the message, such as 'the report of 2013-03-18'.
        names: as the ledger's rows name it.

    Raises:
        CollectedError: it was collected. Any other error of the block stays what it is.
    """
    try:
        yield
    except (FileNotFoundError, EvergreenError) as error:
        found = look_up(settings, names)
        if found is None:
            raise
        raise CollectedError(
            f"{what} cannot be read: {sentence(found)}. The ledger's rows about it are kept: `evergreen history "
            f"{found.model}`"
        ) from error


def look_up(settings: Settings, names: Many[str]) -> Collection | None:
    """The last collection of one of `names`; None if there is none, or the ledger does not answer."""
    try:
        with Ledger.from_settings(settings).transaction() as session:
            return newest(session, names)
    except UnavailableError:
        return None  # that something is missed is what is told then


@dataclass(frozen=True)
class CollectionLine:
    """What was collected of one kind at one time by one rule."""

    kind: str
    rule: str
    asked_by: str
    planned_at: dt.datetime
    done_at: dt.datetime | None
    """When the last of it was removed; None while some of it is not"""
    objects: int
    bytes: int
    first_key: PartitionKey
    last_key: PartitionKey


def lines(session: Session, model: str, *, limit: int = 200) -> list[CollectionLine]:
    """What was collected of `model`, oldest first; the newest `limit` lines."""
    row = Collection
    left = func.count().filter(row.done_at.is_(None))
    query = (
        select(
            row.kind, row.rule, row.asked_by, row.planned_at, func.max(row.done_at), left, func.count(),
            func.coalesce(func.sum(row.bytes), 0), func.min(row.key), func.max(row.key),
        )
        .where(row.model == model, row.kept_at.is_(None))
        .group_by(row.kind, row.rule, row.asked_by, row.planned_at)
        .order_by(row.planned_at.desc(), row.kind)
        .limit(limit)
    )  # fmt: skip
    found = session.execute(query).tuples().all()
    return [
        CollectionLine(kind, rule, by, planned, None if unfinished else done, objects, int(size or 0), first, last)
        for kind, rule, by, planned, done, unfinished, objects, size, first, last in reversed(found)
    ]
