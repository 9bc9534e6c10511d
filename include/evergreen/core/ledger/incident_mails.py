"""What mails about an incident say. Pure: from rows to words."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from evergreen.core.ledger.incident_rules import next_step
from evergreen.core.ledger.outbox import AlertBody, Table
from evergreen.core.ledger.tables import Incident, Occurrence

Mail = tuple[str, AlertBody]
"""Subject and body"""
LOG_COLUMN = "Log"
"""Head of the column whose cells are addresses of logs: an address stays whole, and can be opened"""
_SAID = 300


def first(incident: Incident, before: Incident | None, subject: str, body: AlertBody) -> Mail:
    """The mail about the first occurrence: as its stage wrote it, and which incident it opens."""
    facts = [*body.facts, ("Incident", _named(incident))]
    if before is None or before.closed_at is None:
        return subject, body.model_copy(update={"facts": facts})
    again = (
        f"{body.summary} The same cause was over since {_utc(before.closed_at)} (incident {before.id}, "
        f"{_partitions(before.partitions)}) and is back."
    )
    return f"again: {subject}", body.model_copy(update={"facts": facts, "summary": again})


def grown(incident: Incident, met: Sequence[Occurrence], subject: str, body: AlertBody) -> Mail:
    """The mail that says that it still grows, with all that it concerns."""
    newest = max(met, key=lambda one: (one.at, one.id))
    left = sum(one.resolved_at is None for one in _by_part(met))
    count = _partitions(incident.partitions)
    return f"{count}, one cause: {incident.what}", AlertBody(
        headline=f"{count} of {incident.model} have the same trouble: {incident.what}",
        summary=f"It began at {_utc(incident.opened_at)} and still grows; {left} of them are not resolved. The newest: "
        f"{newest.said.rstrip('.')}. Further ones join without a mail of their own until there are "
        f"{next_step(incident.partitions):,}, or some days have passed; an all-clear says that it is over.",
        facts=_facts(incident),
        table=table(met),
        next_steps=["Remove the cause first: it is the same for all of them.", *body.next_steps],
        links=body.links,
    )


def all_clear(incident: Incident, met: Sequence[Occurrence], single: Mail | None) -> Mail:
    """The mail that says that it is over, and what of it still needs a person.

    Args:
        incident: that has just been closed.
        met: all its occurrences.
        single: the mail that the stage has for an incident of one partition.
    """
    parts = _by_part(met)
    left = [one for one in parts if one.resolved_at is None]
    if single is not None and len(parts) == 1 and not left:
        subject, body = single
        return subject, body.model_copy(update={"facts": [*body.facts, ("Incident", _named(incident))]})
    still = f" {_partitions(len(left))} of it still need a person; the table says which." if left else ""
    steps = [_LEFT.get(incident.kind, "See to what is left, as the first mail said.")] if left else ["Nothing."]
    return f"all clear: {incident.what}", AlertBody(
        headline=f"It is over: {incident.what}",
        summary=f"{_partitions(incident.partitions).capitalize()} had it from {_utc(incident.opened_at)} to "
        f"{_utc(incident.last_at)}, and {incident.well}.{still} If it comes back, a mail says so.",
        facts=_facts(incident),
        table=table(met),
        next_steps=steps,
    )


_LEFT = {
    "quarantine": "Decide on what is still in quarantine: have it landed again, or validate it again "
    "(`evergreen replay-quarantine MODEL`).",
    "late_feed": "Ask whether what has not come will come; if not, mark its waiting run as failed in Airflow.",
    "task_failure": "Clear the failed tasks in Airflow: each finds what it had done and goes on.",
    "stuck": "Clear the runs that the table names.",
    "labels": "Ask whether the other labels will come: what is held back counts as soon as it lands again with them. "
    "If they never will, nothing has to be done: the model learns from the others.",
}


def table(met: Sequence[Occurrence]) -> Table:
    """The partitions of an incident, those that are not resolved first."""
    parts = sorted(_by_part(met), key=lambda one: (one.resolved_at is not None, one.key or one.part))
    return Table(
        columns=["Partition", "Met (UTC)", "What was wrong", "Now", LOG_COLUMN],
        rows=[
            [
                one.key or one.part,
                f"{one.at.astimezone(dt.UTC):%Y-%m-%d %H:%M}",
                _cut(one.said),
                _state(one),
                one.run_url or "",
            ]
            for one in parts
        ],
    )


def _by_part(met: Sequence[Occurrence]) -> list[Occurrence]:
    """The newest occurrence of each partition."""
    return list({one.part: one for one in sorted(met, key=lambda one: one.id)}.values())


def _state(one: Occurrence) -> str:
    return "not resolved" if one.resolved_at is None else one.how or "resolved"


def _facts(incident: Incident) -> list[tuple[str, str]]:
    return [
        ("Incident", _named(incident)),
        ("Since", _utc(incident.opened_at)),
        ("Last met", _utc(incident.last_at)),
        ("Partitions", f"{incident.partitions:,}"),
    ]


def _named(incident: Incident) -> str:
    return f"{incident.id}, cause {incident.cause}"


def _partitions(count: int) -> str:
    return f"{count:,} partition{'s' * (count != 1)}"


def _cut(text: str) -> str:
    return text if len(text) <= _SAID else text[: _SAID - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _utc(instant: dt.datetime) -> str:
    return f"{instant.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"
