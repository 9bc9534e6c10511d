"""Find partitions of a query that no run has asked for: they fell due while the scheduler was down or the DAG paused.

A producer's partition is found by its file. A query has none until a run extracts it, and Airflow makes no run for what
fell due in such a time (`catchup` is off). The ledger says what is missing: partitions since the first received one.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.model import TableName
from evergreen.core.definition.query import query_of
from evergreen.core.ledger.queries import sightings
from evergreen.core.ledger.tables import LateFeed
from evergreen.core.names import PartitionKey
from evergreen.loop.intake.lateness import report_if_late, terms
from evergreen.settings import Settings

PATIENCE = dt.timedelta(hours=3)
"""The scheduled run has so long: a try may take two hours"""


@dataclass(frozen=True)
class Arrival:
    """A partition that no run is bringing in, and the id of the run that will: the same state gives the same id."""

    table: TableName
    key: PartitionKey
    reason: str
    run_id: str


def missed(
    definition: ModelDefinition,
    table: TableName,
    received: Collection[str],
    landed: Collection[str],
    *,
    now: dt.datetime,
    patience: dt.timedelta = PATIENCE,
) -> list[Arrival]:
    """The partitions of a query that have been due for `patience` and were never received, oldest first. Pure.

    Args:
        definition: the model.
        table: one of its tables; of one without a query nothing is missed.
        received: keys that some run has brought in. Nothing before the first of them is asked for.
        landed: keys with a whole drop, which is found as such.
        now: aware.
        patience: time that the run of the schedule has.
    """
    asked = query_of(definition, table)
    if asked is None or not received:
        return []
    calendar, delay = definition.partitions, definition.feed.label_delay if table == "labels" else 0
    known, found = {*received, *landed}, []
    for key in calendar.keys(max(min(received), calendar.first_key), calendar.key_of(now)):
        if key in known or not calendar.contains(key):
            continue
        due = calendar.due(key, delay)
        if now - due < patience:
            break
        what = f"{table} of {key} were due at {due:%Y-%m-%d %H:%M:%S} UTC"
        reason = f"{what}, and no run has asked the database {asked.connection} for them"
        found.append(Arrival(table, key, reason, _run_id(table, key)))
    return found


def _run_id(table: TableName, key: PartitionKey) -> str:
    return f"missed__{key}__{hashlib.sha256(f'{table} {key}'.encode()).hexdigest()[:8]}"


def late(session: Session, definition: ModelDefinition, found: Collection[Arrival]) -> Mapping[Arrival, dt.datetime]:
    """Those that a look has asked for before and that no mail is about yet, with the time of the first such look."""
    told = select(LateFeed.table, LateFeed.key).where(LateFeed.model == definition.name)
    known = {(table, key) for table, key in session.execute(told)}
    seen = sightings.first_seen(session, definition.name, "drop")
    return {one: seen[one.run_id] for one in found if one.run_id in seen and (one.table, one.key) not in known}


def report(
    definition: ModelDefinition, waited: Mapping[Arrival, dt.datetime], *, now: dt.datetime, settings: Settings
) -> None:
    """Write the mail about each that has not come within the feed's grace period since the first look."""
    for one, since in waited.items():
        asked = terms(definition, one.table, one.key, since)
        report_if_late(definition, asked, missing=one.reason, now=now, settings=settings)
