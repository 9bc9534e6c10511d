"""How models stand now, many at once: a handful of queries, however many models and partitions there are.

Each query asks an index for the newest rows of each model (`LATERAL`): three years of history cost what a month does.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Text, and_, bindparam, func, literal, or_, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session, aliased

from evergreen.core.ledger.outbox import UNDELIVERED, UNSENT
from evergreen.core.ledger.queries.decisions import GATE, MONITOR
from evergreen.core.ledger.queries.partitions import is_current
from evergreen.core.ledger.queries.seen import IN_SAMPLE
from evergreen.core.ledger.tables import (
    Alert,
    Decision,
    Delivery,
    Deployment,
    DriftCheck,
    Incident,
    PartitionVersion,
    Performance,
    TrainingRun,
    Verdict,
)
from evergreen.core.names import PartitionKey, Uri
from evergreen.core.values import TableName

NEWEST = 26
"""Partitions whose loss is shown: half a year of weeks"""


@dataclass(frozen=True)
class Serving:
    """The champion."""

    version: int
    from_key: PartitionKey | None
    since: dt.datetime
    as_of: PartitionKey | None
    """Newest partition whose labels it was made from; None if that is not on record"""


@dataclass(frozen=True)
class Newest:
    """The newest partition of one table."""

    table: TableName
    key: PartitionKey
    outcome: str | None
    """None: not judged yet"""


@dataclass(frozen=True)
class Said:
    """The newest check of the monitor and what was decided on it."""

    key: PartitionKey
    version: int
    """Champion that was checked; another may serve since"""
    drifted: bool
    columns: tuple[str, ...]
    """Columns that drifted"""
    report_uri: Uri | None
    kind: str | None
    """Of the decision"""
    reason: str
    told: tuple[str, ...]
    """What of it people were told of"""
    harmed: bool
    """Whether its version is proven worse than at its promotion"""
    bad: str | None
    """The partition whose loss is above what was to be expected"""
    expected: float | None = None
    """What was to be expected of it"""


@dataclass(frozen=True)
class Lost:
    """Realised loss of one partition, and what was estimated before its labels landed."""

    key: PartitionKey
    version: int
    loss: float
    estimated: float | None


@dataclass(frozen=True)
class Waiting:
    """A challenger that waits for a person."""

    version: int
    since: dt.datetime
    form: str | None
    """Address of the form to answer in"""


@dataclass(frozen=True)
class Trouble:
    """An incident that is open."""

    id: int
    kind: str
    what: str
    since: dt.datetime
    partitions: int
    well: str | None
    """How it was seen that nothing of it is left; it is closed after a calm"""


@dataclass
class Standing:
    """What is known of one model."""

    champion: Serving | None = None
    tables: list[Newest] = field(default_factory=list)
    check: Said | None = None
    losses: list[Lost] = field(default_factory=list)
    """Oldest first"""
    waiting: list[Waiting] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    unsent: tuple[int, dt.datetime] | None = None
    """Messages owed, and since when the oldest is"""


def standings(session: Session, names: Sequence[str]) -> dict[str, Standing]:
    """The standing of each model of `names`."""
    found: dict[str, Standing] = {name: Standing() for name in names}
    if not names:
        return found
    models = func.unnest(bindparam("names", list(names), ARRAY(Text))).table_valued("name").render_derived("models")
    _champions(session, models, found)
    _tables(session, models, found)
    _checks(session, models, found)
    _losses(session, models, found)
    _waiting(session, names, found)
    _troubles(session, names, found)
    _unsent(session, names, found)
    return found


def _champions(session: Session, models: Any, found: dict[str, Standing]) -> None:
    newest = select(Deployment).where(Deployment.model == models.c.name).order_by(Deployment.id.desc()).limit(1)
    serving = aliased(Deployment, newest.lateral("serving"))
    made = and_(TrainingRun.model == serving.model, TrainingRun.version == serving.version)
    query = select(models.c.name, serving.version, serving.from_key, serving.served_from, TrainingRun.as_of)
    joined = query.select_from(models).join(serving, literal(True)).outerjoin(TrainingRun, made)
    for name, version, from_key, since, as_of in session.execute(joined):
        found[name].champion = Serving(version, from_key, since, as_of)


def _tables(session: Session, models: Any, found: dict[str, Standing]) -> None:
    # labels land later than inputs, so each table has a newest partition of its own
    tables = func.unnest(literal(["inputs", "labels"], ARRAY(Text))).table_valued("name").render_derived("kinds")
    newest = select(PartitionVersion).where(
        PartitionVersion.model == models.c.name, PartitionVersion.table == tables.c.name
    )
    newest = newest.order_by(PartitionVersion.key.desc(), PartitionVersion.version.desc()).limit(1)
    part = aliased(PartitionVersion, newest.lateral("part"))
    latest = select(Verdict.outcome).where(Verdict.partition_version_id == part.id)
    outcome = latest.order_by(Verdict.id.desc()).limit(1).scalar_subquery()
    query = select(models.c.name, part.table, part.key, outcome).select_from(models)
    joined = query.join(tables, literal(True)).join(part, literal(True))
    for name, table, key, said in session.execute(joined.order_by(models.c.name, part.table)):
        found[name].tables.append(Newest(table, key, said))


def _checks(session: Session, models: Any, found: dict[str, Standing]) -> None:
    newest = select(DriftCheck).where(DriftCheck.model == models.c.name)
    newest = newest.order_by(DriftCheck.key.desc(), DriftCheck.id.desc()).limit(1)
    check = aliased(DriftCheck, newest.lateral("newest_check"))
    of_key = select(Decision).where(
        Decision.model == check.model,
        Decision.key == check.key,
        Decision.dedup_key.startswith(MONITOR, autoescape=True),
    )
    decided = aliased(Decision, of_key.order_by(Decision.id.desc()).limit(1).lateral("decided"))
    moved = func.jsonb_path_query_array(check.results, "$.columns[*] ? (@.drifted == true).name")
    expected = check.results["expectation"]["expected"].as_float()
    query = select(
        models.c.name, check.key, check.version, check.drifted, moved, check.report_uri, decided.kind, decided.reason,
        decided.evidence, expected,
    )  # fmt: skip
    joined = query.select_from(models).join(check, literal(True)).outerjoin(decided, literal(True))
    for name, key, version, drifted, columns, report, kind, reason, evidence, usual in session.execute(joined):
        seen = evidence or {}
        found[name].check = Said(
            key, version, drifted, tuple(str(column) for column in columns), report, kind, reason or "",
            tuple(seen.get("told", ())), bool(seen.get("harmed")), seen.get("bad"), usual,
        )  # fmt: skip


def _losses(session: Session, models: Any, found: dict[str, Standing]) -> None:
    """By the rule of `queries.decisions.measured`: the newest on current labels, else the newest on any."""
    current = is_current(Performance.labels_version_id, Performance.labels_rows)
    of_model = select(Performance.key).where(Performance.model == models.c.name, ~IN_SAMPLE)
    keys = of_model.group_by(Performance.key).order_by(Performance.key.desc()).limit(NEWEST).lateral("keys")
    of_key = select(Performance.key, Performance.version, Performance.loss).where(
        Performance.model == models.c.name, Performance.key == keys.c.key, ~IN_SAMPLE
    )
    newest = of_key.order_by(current.desc(), Performance.id.desc()).limit(1).lateral("lost")
    estimate = select(DriftCheck.results["estimate"]["loss"].as_float()).where(
        DriftCheck.model == models.c.name, DriftCheck.key == newest.c.key
    )
    estimated = estimate.order_by(DriftCheck.id.desc()).limit(1).scalar_subquery()
    query = select(models.c.name, newest.c.key, newest.c.version, newest.c.loss, estimated).select_from(models)
    for name, key, version, loss, before in session.execute(
        query.join(keys, literal(True)).join(newest, literal(True)).order_by(models.c.name, newest.c.key)
    ):
        found[name].losses.append(Lost(key, version, loss, before))


def _waiting(session: Session, names: Sequence[str], found: dict[str, Standing]) -> None:
    """Challengers whose question was mailed and on which nothing is decided."""
    run = func.concat(TrainingRun.model, ":approval:", TrainingRun.id)
    answered = select(Decision.id).where(
        Decision.model == TrainingRun.model, Decision.dedup_key == func.concat(GATE, TrainingRun.id)
    )
    query = select(TrainingRun.model, TrainingRun.version, Alert.created_at, Alert.body["links"]["form"].as_string())
    query = query.join(Alert, Alert.dedup_key == run).where(
        TrainingRun.model.in_(names), TrainingRun.state == "compared", ~answered.exists()
    )
    for model, version, since, form in session.execute(query.order_by(TrainingRun.id)):
        found[model].waiting.append(Waiting(version, since, form))


def _troubles(session: Session, names: Sequence[str], found: dict[str, Standing]) -> None:
    query = select(Incident).where(Incident.model.in_(names), Incident.closed_at.is_(None))
    for row in session.scalars(query.order_by(Incident.id.desc())):
        told = Trouble(row.id, row.kind, row.what, row.opened_at, row.partitions, row.well)
        found[row.model].troubles.append(told)


def _unsent(session: Session, names: Sequence[str], found: dict[str, Standing]) -> None:
    waits = select(Delivery.id).where(Delivery.alert_id == Alert.id, *UNDELIVERED).exists()
    query = select(Alert.model, func.count(), func.min(Alert.created_at)).where(Alert.model.in_(names))
    for model, count, since in session.execute(query.where(or_(and_(*UNSENT), waits)).group_by(Alert.model)):
        found[model].unsent = (count, since)
