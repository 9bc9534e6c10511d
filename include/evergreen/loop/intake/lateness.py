"""A feed that does not land in time: one mail when its first grace period ends, and one when all has come.

The trigger that waits for the drop judges, so what is late is what somebody waits for. Mail and row of the ledger are
one transaction under the partition's lock, which a verdict takes too: whichever comes first, the other sees it.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import partial
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.model import TableName
from evergreen.core.definition.query import query_of
from evergreen.core.ledger import Ledger, incidents
from evergreen.core.ledger.outbox import AlertBody, Links, owe
from evergreen.core.ledger.queries.partitions import newest
from evergreen.core.ledger.tables import LateFeed, PartitionVersion, Verdict
from evergreen.core.names import PartitionKey
from evergreen.core.text import span
from evergreen.loop.intake.landing_zone import folder_uri
from evergreen.settings import Settings

Stands = Literal["in_time", "reported", "known"]


@dataclass(frozen=True)
class Terms:
    """When a table of a partition was due, since when a run waits for it, and when it counts as late (UTC)."""

    table: TableName
    key: PartitionKey
    due: dt.datetime
    since: dt.datetime
    grace: dt.timedelta

    @property
    def late_from(self) -> dt.datetime:
        """The grace period counts from the due time, or from when the run began to wait if that was later.

        A backfill asks for partitions that were due long ago: they are not late the moment it begins.
        """
        return max(self.due, self.since) + self.grace

    def in_words(self) -> str:
        """One sentence for a log or a mail."""
        return (
            f"{self.table} of {self.key} were due at {_utc(self.due)} and have been waited for since "
            f"{_utc(self.since)}; with a grace period of {span(self.grace)} they count as late from "
            f"{_utc(self.late_from)} on"
        )


def terms(definition: ModelDefinition, table: TableName, key: PartitionKey, since: dt.datetime) -> Terms:
    """The terms on which `table` of the partition `key` is waited for by a run that began at `since` (aware). Pure."""
    delay = definition.feed.label_delay if table == "labels" else 0
    return Terms(table, key, definition.partitions.due(key, delay), since.astimezone(dt.UTC), definition.feed.grace)


def report_if_late(
    definition: ModelDefinition,
    asked: Terms,
    *,
    missing: str,
    now: dt.datetime,
    settings: Settings,
    run_url: str | None = None,
) -> Stands:
    """Write the mail about a table that is late, once, for any number of calls.

    Args:
        definition: the model.
        asked: the terms on which it is waited for.
        missing: what has not landed, in words.
        now: the instant at which it was looked for, aware.
        settings: where ledger and landing zone are.
        run_url: address of the log of the task that waits.

    Returns:
        `in_time` while the grace period lasts; `reported` if this call wrote the mail; `known` if an earlier one
        did, and if the table has been received before: then the feed was in time, and it is the run that is late.

    Raises:
        UnavailableError: the ledger does not answer.
    """
    if now < asked.late_from:
        return "in_time"
    model, table, key = definition.name, asked.table, asked.key
    with Ledger.from_settings(settings).lock("partition", model, table, key) as session:
        if newest(session, model, table, key) is not None or _told(session, model, table, key) is not None:
            return "known"
        session.add(
            LateFeed(
                model=model, table=table, key=key, due_at=asked.due, waiting_since=asked.since,
                grace_until=asked.late_from, missing=missing, run_url=run_url,
            )
        )  # fmt: skip
        incidents.occur(
            session,
            model,
            _cause(table),
            [incidents.Met(f"late_feed:{table}:{key}", key, missing, run_url=run_url)],
            subject=f"{table} are late",
            body=_late_body(definition, asked, missing, settings.landing_url, run_url),
            owe=partial(owe, session, definition),
        )
    return "reported"


def resolve(
    session: Session,
    definition: ModelDefinition,
    partition: PartitionVersion,
    verdict: Verdict,
) -> None:
    """Record that `partition` has come: what was late is resolved by it, and `verdict` says what became of it.

    Called in the transaction that gives the verdict, under the partition's lock. Of a feed that was late with this
    partition alone, the mail is written at the first verdict; of several, when the last has come, or one in time.
    """
    late = _told(session, partition.model, partition.table, partition.key)
    if late is None and partition.version > 1:
        return
    table, key, told = partition.table, partition.key, partial(owe, session, definition)
    subject = f"late {table} have arrived and are {verdict.outcome}"
    mail = (subject, _arrived_body(definition, late, partition, verdict)) if late is not None else None
    incidents.well(
        session, definition.name, "late_feed", table,
        part=key, key=key, how=f"arrived, {verdict.outcome}", single=mail, owe=told,
    )  # fmt: skip
    if mail is not None and not incidents.is_on_record(session, definition.name, f"late_feed:{table}:{key}"):
        # Told by a release that knew no incidents: its mail promised another one.
        told(kind="late_feed", key=key, dedup_key=f"late_feed:{table}:{key}:arrived", subject=mail[0], body=mail[1])


def _cause(table: TableName) -> incidents.Cause:
    return incidents.Cause("late_feed", table, (), f"late {table}")


def _told(session: Session, model: str, table: TableName, key: PartitionKey) -> LateFeed | None:
    query = select(LateFeed).where(LateFeed.model == model, LateFeed.table == table, LateFeed.key == key)
    return session.scalar(query)


def _late_body(
    definition: ModelDefinition, asked: Terms, missing: str, landing_url: str, run_url: str | None
) -> AlertBody:
    table, key = asked.table, asked.key
    waits = (
        "Its features, predictions and check wait for it."
        if table == "inputs"
        else "The realised loss waits for it; features that look back on it are built without it first."
    )
    return AlertBody(
        headline=f"The {table} of {key} have not landed in time",
        summary=f"{missing[:1].upper()}{missing[1:]}. {waits} {_meanwhile(definition, table)}; a second mail says when "
        "it has come. Further partitions that are late join this incident without a mail of their own.",
        facts=[
            ("Feed", definition.feed.name),
            ("Partition", f"{key}, {table}"),
            ("Due", _utc(asked.due)),
            ("Waited for since", _utc(asked.since)),
            ("Grace period", f"{span(asked.grace)}, until {_utc(asked.late_from)}"),
            ("Looked for in", folder_uri(landing_url, definition.feed.name, key)),
            ("Missing", missing),
        ],
        next_steps=_next_steps(definition, table, key),
        links=Links(log=run_url),
    )


def _meanwhile(definition: ModelDefinition, table: TableName) -> str:
    if query_of(definition, table) is None:
        return "The run waits on, without holding a worker"
    return "Housekeeping has started a run of the query, and it has not brought them in"


def _next_steps(definition: ModelDefinition, table: TableName, key: PartitionKey) -> list[str]:
    if query_of(definition, table) is not None:
        dag = f"{definition.name}.ingest_{table}"
        return [
            f"See in Airflow why the run of {dag} for {key} has not ended well: the log of `extract` says it. If the "
            "run is queued, the DAG is paused.",
            f"Clear the run when the cause is gone, or run `evergreen feed extract {definition.name} --from {key} "
            f"--table {table}`: what it lands is found by itself.",
        ]
    return [
        f"Ask {definition.owner} whether {table} of {key} will come, and when.",
        "If a file is there without _SUCCESS, ask whether it is complete before you put one beside it.",
        "If it will never come, mark the waiting run as failed in Airflow (its log is linked).",
    ]


def _arrived_body(
    definition: ModelDefinition, late: LateFeed, partition: PartitionVersion, verdict: Verdict
) -> AlertBody:
    what = f"{partition.table} of {partition.key}"
    waited = partition.landed_at - max(late.due_at, late.waiting_since)
    after = f"{span(waited)} after they were waited for" if waited > dt.timedelta(0) else "meanwhile"
    went_on = (
        "What waited for them goes on by itself."
        if verdict.outcome == "accepted"
        else "Nothing downstream runs on them; the mail about the quarantine says what to do."
    )
    return AlertBody(
        headline=f"The late {what} have arrived and are {verdict.outcome}",
        summary=f"They landed {after}, and were given their verdict: {verdict.reason}. {went_on}",
        facts=[
            ("Feed", definition.feed.name),
            ("Partition", f"{partition.key}, {partition.table}, version {partition.version}"),
            ("Due", _utc(late.due_at)),
            ("Waited for since", _utc(late.waiting_since)),
            ("Landed at", _utc(partition.landed_at)),
            ("Landed as", partition.landed_uri),
            ("Verdict", verdict.outcome),
            ("Log of the wait", late.run_url or "not known"),
        ],
        next_steps=["Nothing, if it was late this once. If it often is, agree on another feed.grace with its owner."],
        links=Links(log=verdict.run_url),
    )


def _utc(instant: dt.datetime) -> str:
    return f"{instant.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S} UTC"
