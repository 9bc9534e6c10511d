"""What housekeeping has seen and acted on: its memory from one look to the next."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from evergreen.core.ledger.tables import Sighting
from evergreen.core.values import SightingKind


def act_on(
    session: Session,
    model: str,
    kind: SightingKind,
    names: Collection[str],
    *,
    again_after: dt.timedelta | None = None,
    limit: int | None = None,
) -> set[str]:
    """Those of `names` that nothing has been done about yet, recorded as done with this transaction.

    Of two processes that ask at once, one gets a name. With `again_after`, a name comes again when that time has gone
    by since it was last given: what was to be done about it may have come to nothing. With `limit`, the first so many
    of those left come now, and the others at a later call: names that were given before do not stand in their way.
    """
    wanted = list(dict.fromkeys(names))
    if limit is not None:
        given_before = _given(session, model, kind, again_after)
        wanted = [name for name in wanted if name not in given_before][:limit]
    if not wanted:
        return set()
    given = [{"model": model, "kind": kind, "name": name} for name in sorted(wanted)]
    statement = insert(Sighting).values(given)
    columns = ["model", "kind", "name"]
    if again_after is None:
        statement = statement.on_conflict_do_nothing(index_elements=columns)
    else:
        statement = statement.on_conflict_do_update(
            index_elements=columns, set_={"acted_at": func.now()}, where=Sighting.acted_at <= func.now() - again_after
        )
    return set(session.scalars(statement.returning(Sighting.name)))


def _given(session: Session, model: str, kind: SightingKind, again_after: dt.timedelta | None) -> set[str]:
    query = select(Sighting.name).where(Sighting.model == model, Sighting.kind == kind)
    if again_after is not None:
        query = query.where(Sighting.acted_at > func.now() - again_after)
    return set(session.scalars(query))


def first_seen(session: Session, model: str, kind: SightingKind) -> Mapping[str, dt.datetime]:
    """When each name of a kind was seen first."""
    query = select(Sighting.name, Sighting.first_seen).where(Sighting.model == model, Sighting.kind == kind)
    return dict(session.execute(query).tuples().all())
