"""The weekly digest: one mail for each model, about what was not worth a mail of its own and what needs a person."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from evergreen.core.definition import ModelDefinition
from evergreen.core.ledger import incidents, outbox, silences
from evergreen.core.ledger.incident_rules import general
from evergreen.core.ledger.outbox import AlertBody, Table
from evergreen.core.ledger.queries import labels, seen, versions
from evergreen.core.ledger.tables import (
    Decision,
    Deployment,
    DriftCheck,
    PartitionVersion,
    Performance,
    TrainingRun,
    Verdict,
)
from evergreen.core.ledger.views import history
from evergreen.core.ledger.views.incidents import IncidentLine
from evergreen.core.ledger.views.incidents import incidents as incident_lines
from evergreen.core.ledger.views.lines import LateLine
from evergreen.core.text import listed

HOUR = 6
"""It is due on Mondays from this hour (UTC) on, and is about the seven days before that day."""
_MOST = 20

Judged = tuple[PartitionVersion, Verdict]


@dataclass(frozen=True)
class Week:
    """What the ledger says of a model's week, and of how it stands at the end."""

    begin: dt.date
    """A Monday"""
    verdicts: Sequence[Judged]
    decisions: Sequence[Decision]
    checks: Sequence[DriftCheck]
    losses: Sequence[Performance]
    champion: Deployment | None
    incidents: Sequence[IncidentLine]
    """Those that are open"""
    quarantined: Sequence[tuple[str, str]]
    """Table and key of what is in quarantine now"""
    missing: Sequence[LateLine]
    """Feeds that were told to be late and have not come: this week, or later than all that has"""
    waiting: Sequence[TrainingRun]
    """Challengers that have been compared and not decided on"""
    held: Sequence[str]
    """Keys of partitions whose labels are held back"""
    silenced: int
    """Silences that hold mails back now"""

    @property
    def is_quiet(self) -> bool:
        """Whether nothing happened and nothing needs a person."""
        happened = (self.verdicts, self.decisions, self.checks, self.losses)
        return not any((*happened, self.incidents, self.quarantined, self.missing, self.waiting))


def due_week(now: dt.datetime) -> dt.date:
    """The Monday of the newest week whose digest is due `now` (aware). Pure."""
    day = (now.astimezone(dt.UTC) - dt.timedelta(hours=HOUR)).date()
    return day - dt.timedelta(days=day.weekday() + 7)


def owe_digest(session: Session, definition: ModelDefinition, *, owe_mail: incidents.Owe, now: dt.datetime) -> bool:
    """Write the digest that is due `now`, once; whether this call did.

    None is written if the definition wants none, or about a week in which nothing happened and after which nothing
    needs a person. What begins after the digest was due is for the next one: a quiet week stays quiet.
    """
    begin = due_week(now)
    name = f"digest:{begin}"
    if definition.alerts.digest == "never" or outbox.find(session, definition.name, name) is not None:
        return False
    week = read_week(session, definition.name, begin, now)
    if week.is_quiet:
        return False
    owe_mail(
        kind="digest", key=None, dedup_key=name, subject=f"the week of {begin}, {_needed(week)}",
        body=body(definition, week),
    )  # fmt: skip
    return True


def read_week(session: Session, model: str, begin: dt.date, now: dt.datetime) -> Week:
    """The week from Monday `begin` on, and what of it needs a person `now`."""
    since = dt.datetime.combine(begin, dt.time(), dt.UTC)
    until = since + dt.timedelta(days=7)
    due = until + dt.timedelta(hours=HOUR)
    judged = select(PartitionVersion, Verdict).join(Verdict, Verdict.partition_version_id == PartitionVersion.id)
    judged = judged.where(PartitionVersion.model == model, Verdict.decided_at >= since, Verdict.decided_at < until)
    made = select(Decision).where(
        Decision.model == model, Decision.decided_at >= since, Decision.decided_at < until, Decision.kind != "no_action"
    )
    checks = select(DriftCheck).where(
        DriftCheck.model == model, DriftCheck.created_at >= since, DriftCheck.created_at < until
    )
    losses = select(Performance).where(
        Performance.model == model, Performance.created_at >= since, Performance.created_at < until, ~seen.IN_SAMPLE
    )
    waiting = select(TrainingRun).where(
        TrainingRun.model == model, TrainingRun.state == "compared", TrainingRun.started_at < due
    )
    return Week(
        begin=begin,
        verdicts=[(part, verdict) for part, verdict in session.execute(judged.order_by(Verdict.id)).tuples()],
        decisions=session.scalars(made.order_by(Decision.id)).all(),
        checks=session.scalars(checks.order_by(DriftCheck.id)).all(),
        losses=session.scalars(losses.order_by(Performance.id)).all(),
        champion=versions.current_deployment(session, model),
        incidents=[line for line in incident_lines(session, model, limit=200) if line.is_open and line.opened_at < due],
        quarantined=[
            (line.table, line.key)
            for line in history.newest_verdicts(session, model)
            if line.outcome == "quarantined" and line.decided_at < due
        ],
        missing=_missing(session, model, since, due),
        waiting=session.scalars(waiting.order_by(TrainingRun.id)).all(),
        held=[hold.key for hold in labels.open_holds(session, model) if hold.cause == labels.INCOMPLETE],
        silenced=sum(silences.is_active(line, now) for line in silences.lines(session, model)),
    )


def _missing(session: Session, model: str, since: dt.datetime, due: dt.datetime) -> list[LateLine]:
    """Feeds that were told to be late, and have not come: this week, or as long as no later partition has."""
    newest = {line.table: line.key for line in history.last_verdicts(session, model)}
    return [
        line
        for line in history.late_feeds(session, model, limit=200)
        if line.landed_at is None
        and line.told_at < due
        and (line.told_at >= since or line.key > newest.get(line.table, ""))
    ]


def body(definition: ModelDefinition, week: Week) -> AlertBody:
    """The mail. Pure."""
    end = week.begin + dt.timedelta(days=6)
    rows = [*_incident_rows(week), *_warning_rows(week), *_decision_rows(week)]
    return AlertBody(
        headline=f"{definition.title}: the week from {week.begin} to {end}",
        summary=" ".join((_landed(week), _drift(week), _loss(definition, week))),
        facts=[
            ("Needs a person", _needed(week)),
            ("Champion", f"version {week.champion.version}" if week.champion else "none yet"),
            ("Open incidents", str(len(week.incidents))),
            ("In quarantine", _named(week.quarantined)),
            ("Late, not there yet", _named([(line.table, line.key) for line in week.missing])),
            ("Labels held back", listed(list(week.held)) or "nothing"),
            ("Silences at work", str(week.silenced)),
        ],
        table=Table(columns=["What", "About", "Partitions", "Newest"], rows=rows) if rows else None,
        next_steps=_steps(definition, week),
    )


def _needed(week: Week) -> str:
    counts = {
        "in quarantine": len(week.quarantined),
        "late": len(week.missing),
        "waiting for approval": len(week.waiting),
        "open incidents": len(week.incidents),
    }
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count) or "nothing needs a person"


def _landed(week: Week) -> str:
    counts = Counter((part.table, verdict.outcome) for part, verdict in week.verdicts)
    said = [f"{count} of {table} {outcome}" for (table, outcome), count in sorted(counts.items())]
    return f"Partitions judged: {', '.join(said)}." if said else "No partition was judged."


def _drift(week: Week) -> str:
    if not week.checks:
        return "None was checked for drift."
    drifted = [check for check in week.checks if check.drifted]
    columns = Counter(
        str(column["name"]) for check in drifted for column in check.results.get("columns", ()) if column.get("drifted")
    )
    about = f", most often {listed([name for name, _ in columns.most_common(4)])}" if columns else ""
    return f"Inputs had drifted in {len(drifted)} of {len(week.checks)} checks{about}."


def _loss(definition: ModelDefinition, week: Week) -> str:
    rows = sum(line.rows for line in week.losses)
    if not rows:
        return "No labels came by which its loss could be measured."
    mean = sum(line.loss * line.rows for line in week.losses) / rows
    newest = max(week.losses, key=lambda line: (line.key, line.id))
    count = len({line.key for line in week.losses})
    return (
        f"Realised loss ({definition.loss_label}): {mean:.4f} over {count} partitions, "
        f"{newest.loss:.4f} on {newest.key}, the newest."
    )


def _incident_rows(week: Week) -> list[list[str]]:
    return [
        ["Open incident", line.what, f"{line.partitions}, {line.unresolved} not resolved", f"{line.last_at:%Y-%m-%d}"]
        for line in week.incidents[:_MOST]
    ]


def _warning_rows(week: Week) -> list[list[str]]:
    """Warnings of validation: the same one of several partitions is one row, with its newest sentence."""
    keys, newest = dict[tuple[str, ...], set[str]](), dict[tuple[str, ...], tuple[str, str]]()
    for part, verdict in week.verdicts:
        for failure in verdict.failures:
            if failure["severity"] == "warning":
                name = (part.table, str(failure["name"]), general(str(failure["column"] or "")))
                keys.setdefault(name, set()).add(part.key)
                newest[name] = max(newest.get(name, ("", "")), (part.key, str(failure["sentence"])))
    ranked = sorted(keys, key=lambda name: (-len(keys[name]), name))[:_MOST]
    return [[f"Warning, {name[0]}", newest[name][1], str(len(keys[name])), newest[name][0]] for name in ranked]


def _decision_rows(week: Week) -> list[list[str]]:
    return [["Decision", f"{one.kind}: {one.reason}", one.key or "", f"{one.decided_at:%Y-%m-%d}"]
            for one in week.decisions[-_MOST:]]  # fmt: skip


def _named(parts: Sequence[tuple[str, str]]) -> str:
    return listed([f"{table} of {key}" for table, key in parts]) or "nothing"


def _steps(definition: ModelDefinition, week: Week) -> list[str]:
    steps = []
    if week.quarantined:
        steps.append(
            f"Decide on what is in quarantine: `evergreen replay-quarantine {definition.name} --all`, or land it."
        )
    if week.waiting:
        said = listed([f"version {run.version}" for run in week.waiting])
        steps.append(f"Promote or refuse {said}, in the form that the mail about it links to.")
    if week.missing:
        steps.append(f"Ask {definition.owner} whether what is late will come.")
    if week.incidents:
        steps.append("Remove the causes of the incidents that are open: the page of the model lists their partitions.")
    if _warning_rows(week):
        steps.append("Read the warnings: correct the feed with its owner, or the rule in expectations.py.")
    return steps or ["Nothing."]
