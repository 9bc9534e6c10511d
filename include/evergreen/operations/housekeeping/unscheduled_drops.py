"""Find what landed outside the calendar's schedule: corrections, history, and what no run has ever brought in.

A drop that is on time is seen within seconds by the run that waits for it. This finds the others: it compares one
listing of the feed's folder with what the ledger has received, and says which ingest runs to start. Nothing is read or
decided here: the run it starts does what every ingest run does. Of a query, it finds what no run has asked for.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
from collections.abc import Mapping

from sqlalchemy.orm import Session

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.model import TableName
from evergreen.core.definition.partition_keys import check_key
from evergreen.core.definition.references import FOLDER
from evergreen.core.ledger import Ledger
from evergreen.core.ledger.outbox import AlertBody, Table, owe
from evergreen.core.ledger.queries import partitions, sightings
from evergreen.core.ledger.tables import PartitionVersion, Verdict
from evergreen.core.names import PartitionKey
from evergreen.core.text import plain
from evergreen.core.values import TABLES
from evergreen.errors import PartitionKeyError
from evergreen.loop.intake.landing_zone import Drop, Folder, list_feed
from evergreen.operations.housekeeping import missed_queries
from evergreen.operations.housekeeping.missed_queries import Arrival
from evergreen.settings import Settings

log = logging.getLogger("evergreen.intake")

SETTLED = dt.timedelta(minutes=10)
"""A drop younger than this is left to the run that waits for it."""
QUEUE_PATIENCE = dt.timedelta(hours=6)
"""And so long while runs are queued, of a backfill say, of which one is probably meant for it."""
NEVER_JUDGED = dt.timedelta(hours=1)
"""What was received so long ago and has no verdict is brought in again."""
AGAIN_AFTER = dt.timedelta(hours=1)
"""A drop whose run was started and that is still not received is asked for again; a run that exists is left alone."""
LIMIT = 500
"""Runs started, and names reported, for one model at one look; a later look finds the rest."""

Newest = tuple[PartitionVersion, Verdict | None]


def discover(
    definition: ModelDefinition,
    *,
    settings: Settings,
    now: dt.datetime,
    queued: bool = False,
    dry_run: bool = False,
    limit: int = LIMIT,
) -> list[Arrival]:
    """What to bring in, oldest first; names that are no partitions are reported by mail, once each.

    Args:
        definition: the model.
        settings: where ledger and landing zone are.
        now: aware.
        queued: whether runs of the ingest DAGs are still queued.
        dry_run: say what would be done, and record nothing.
        limit: how many to bring in at most; a later look finds the rest.

    Raises:
        UnavailableError: landing zone or ledger do not answer.
    """
    folders = list_feed(settings.landing_url, definition.feed.name, TABLES)
    strangers = strays(definition, folders, now)
    ledger = Ledger.from_settings(settings)
    with ledger.transaction() as session:
        known = {table: partitions.newest_map(session, definition.name, table) for table in TABLES}
        found = unscheduled(definition, folders, known, now=now, settled=QUEUE_PATIENCE if queued else SETTLED)
        missed = _missed(definition, folders, known, now, queued=queued)
        found = sorted([*found, *missed], key=lambda one: (one.key, one.table))
        waited = missed_queries.late(session, definition, [] if dry_run else missed)
        if not dry_run:
            wanted = [arrival.run_id for arrival in found]
            new = sightings.act_on(session, definition.name, "drop", wanted, again_after=AGAIN_AFTER, limit=limit)
            found = [arrival for arrival in found if arrival.run_id in new]
            _report(session, definition, strangers, settings.landing_url)
    missed_queries.report(definition, waited, now=now, settings=settings)
    _tell(definition, found, strangers if dry_run else {})
    return found


def _missed(
    definition: ModelDefinition,
    folders: Mapping[str, Folder],
    known: Mapping[TableName, Mapping[PartitionKey, Newest]],
    now: dt.datetime,
    *,
    queued: bool,
) -> list[Arrival]:
    found = []
    for table in TABLES:
        landed = [key for key, folder in folders.items() if table in folder.drops]
        patience = QUEUE_PATIENCE if queued else missed_queries.PATIENCE
        found += missed_queries.missed(definition, table, known[table], landed, now=now, patience=patience)
    return found


def unscheduled(
    definition: ModelDefinition,
    folders: Mapping[str, Folder],
    known: Mapping[TableName, Mapping[PartitionKey, Newest]],
    *,
    now: dt.datetime,
    settled: dt.timedelta = SETTLED,
) -> list[Arrival]:
    """The drops that are due, have lain for `settled` and are not what the ledger received last, oldest first. Pure."""
    found = []
    for key in sorted(PartitionKey(name) for name in folders if _why_stray(definition, name) is None):
        for table in TABLES:
            drop = folders[key].drops.get(table)
            due = definition.partitions.due(key, definition.feed.label_delay if table == "labels" else 0)
            if drop is None or now < due or now - drop.modified < settled:
                continue
            reason = _why_unknown(table, key, drop, known[table].get(key), now)
            if reason is not None:
                found.append(Arrival(table, key, reason, _run_id(table, key, drop)))
    return found


def strays(definition: ModelDefinition, folders: Mapping[str, Folder], now: dt.datetime) -> dict[str, str]:
    """Names that are no partitions of the model, with what is wrong with each; those being written are left out. Pure.

    Names that begin with '_' or '.' are the producer's own affair, as everywhere in the Hadoop world.
    """
    found = {}
    for name in sorted(folders):
        if name == FOLDER and definition.feed.references:
            continue  # who brings them in looks into it
        why = _why_stray(definition, name)
        if why is not None and not name.startswith(("_", ".")) and now - folders[name].modified >= SETTLED:
            found[name] = why
    return found


def _why_stray(definition: ModelDefinition, name: str) -> str | None:
    try:
        check_key(definition, name)
    except PartitionKeyError as error:
        return plain(str(error), 300)
    return None


def _why_unknown(
    table: TableName, key: PartitionKey, drop: Drop, newest: Newest | None, now: dt.datetime
) -> str | None:
    """Why the drop has to be brought in, or None if the ledger has it."""
    what = f"{table} of {key} landed at {drop.modified:%Y-%m-%d %H:%M:%S} UTC"
    if newest is None:
        return f"{what}, and no run has brought them in"
    version, verdict = newest
    if (drop.size, drop.modified) != (version.bytes, version.landed_again_at or version.landed_at):
        outcome = verdict.outcome if verdict is not None else "without a verdict"
        return f"{what}, after version {version.version} ({outcome}) had been received"
    if verdict is None and now - version.received_at >= NEVER_JUDGED:
        return f"{what} and were received as version {version.version}, but never given a verdict"
    return None


def _run_id(table: TableName, key: PartitionKey, drop: Drop) -> str:
    mark = f"{table} {drop.uri} {drop.size} {drop.modified.isoformat()}"
    return f"arrived__{key}__{hashlib.sha256(mark.encode()).hexdigest()[:8]}"


def _report(session: Session, definition: ModelDefinition, strangers: Mapping[str, str], landing_url: str) -> None:
    """Write one mail about the names that have not been reported yet."""
    digests = {_digest(name): name for name in strangers}
    told = sightings.act_on(session, definition.name, "stray", digests, limit=LIMIT)
    new = sorted(digests[digest] for digest in told)
    if not new:
        return
    folder = f"{landing_url.rstrip('/')}/{definition.feed.name}/"
    log.warning("below %s lie names that are no partitions: %s", folder, ", ".join(plain(n) for n in new[:20]))
    owe(
        session,
        definition,
        kind="stray_drop",
        key=None,
        dedup_key=f"stray_drop:{_digest('/'.join(new))}",
        subject=f"{len(new)} names in the landing zone are no partitions"
        if len(new) > 1
        else "a name in the landing zone is no partition",
        body=AlertBody(
            headline=f"Below {folder} lies what is no partition of the model",
            summary="It is never read, and each name is reported once. A partition that was meant by one of these "
            "names is missing until it is landed under the right one.",
            facts=[("Feed", definition.feed.name), ("Names", str(len(new)))],
            table=Table(columns=["Name", "What is wrong"], rows=[[plain(name), strangers[name]] for name in new]),
            next_steps=[
                f"Ask {definition.owner} to land each partition under its key: {definition.partitions.key_in_words}.",
                "Nothing else has to be done: a drop under its right name is found by itself.",
            ],
        ),
    )


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()


def _tell(definition: ModelDefinition, found: list[Arrival], strangers: Mapping[str, str]) -> None:
    for arrival in found:
        log.info("%s: %s; run %s brings them in", definition.name, arrival.reason, arrival.run_id)
    for name, why in strangers.items():
        log.info("%s: %s lies in the landing zone: %s", definition.name, plain(name), why)
