"""What a model's first steps came to, read from the ledger, for people and for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from evergreen.core.definition import ModelDefinition
from evergreen.core.ledger import Ledger
from evergreen.core.ledger.queries import references
from evergreen.core.ledger.queries.partitions import ACCEPTED
from evergreen.core.ledger.views import history, monitoring
from evergreen.core.ledger.views.lines import AlertLine, DecisionLine, TrainingLine
from evergreen.core.names import PartitionKey
from evergreen.settings import Settings

ALL = 10_000
"""More lines than a history has"""


@dataclass(frozen=True)
class FirstChampion:
    """The version that served first, and how it compared with the base rate on the held-out partitions."""

    version: int
    as_of: PartitionKey
    serves_from: str | None
    candidate: str | None
    loss: float | None
    base_rate_loss: float | None


@dataclass(frozen=True)
class Checked:
    """One partition that was monitored. `loss` is None as long as its labels have not been measured."""

    key: PartitionKey
    version: int
    drifted: bool
    decision: str | None
    loss: float | None


@dataclass(frozen=True)
class Summary:
    """All of it. `wall_seconds` counts from the command's start."""

    model: str
    loss_name: str
    accepted: dict[str, int]
    """Partitions, by table"""
    quarantined: list[dict[str, Any]]
    first: FirstChampion | None
    champion: int | None
    monitored: list[Checked]
    retrains: list[dict[str, Any]]
    promotions: list[dict[str, Any]]
    refusals: list[dict[str, Any]]
    mails: list[dict[str, Any]]
    wall_seconds: float
    urls: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)


def collect(definition: ModelDefinition, settings: Settings, wall_seconds: float, urls: dict[str, str]) -> Summary:
    """Read the summary; raises UnavailableError if the ledger does not answer."""
    name = definition.name
    with Ledger.from_settings(settings).transaction() as session:
        verdicts = history.newest_verdicts(session, name)
        trainings = history.trainings(session, name)
        deployed = history.deployments(session, name)
        decided = history.decisions(session, name, limit=ALL)
        losses = {line.key: line.loss for line in monitoring.losses(session, name)}
        checks = {check.key: check for check in monitoring.checks(session, name)}
        mails = history.alerts(session, name, limit=ALL)
        refused = [row for row in references.all_of(session, name) if row.outcome != ACCEPTED]
    kinds = {d.key: d.kind for d in decided if "drift_check_id" in d.evidence}
    first = deployed[0] if deployed else None
    return Summary(
        model=name,
        loss_name=definition.loss,
        accepted=dict(Counter(v.table for v in verdicts if v.outcome == ACCEPTED)),
        quarantined=[
            {"table": v.table, "key": v.key, "reason": v.reason} for v in verdicts if v.outcome != ACCEPTED
        ] + [{"table": f"reference {r.name}", "key": r.stamp, "reason": r.reason} for r in refused],
        first=_first(trainings, first.version, first.from_key) if first else None,
        champion=deployed[-1].version if deployed else None,
        monitored=[
            Checked(key, check.version, check.drifted, kinds.get(key), losses.get(key))
            for key, check in sorted(checks.items())
        ],
        retrains=retrains(trainings),
        promotions=decided_as(decided, "promote"),
        refusals=decided_as(decided, "refuse"),
        mails=told(mails),
        wall_seconds=round(wall_seconds, 1),
        urls=urls,
    )  # fmt: skip


def retrains(trainings: Sequence[TrainingLine]) -> list[dict[str, Any]]:
    """Training runs, in order, but for what made the first champion: a training, or an adoption."""
    return [
        {
            "cause": run.cause, "as_of": run.as_of, "reason": run.reason, "state": run.state, "version": run.version,
            "comparison": run.comparison.verdict if run.comparison else None,
        }
        for run in trainings
        if run.cause not in ("first", "adopt")
    ]  # fmt: skip


def decided_as(decided: Sequence[DecisionLine], kind: str) -> list[dict[str, Any]]:
    """The decisions of one kind, in order."""
    found = [d for d in decided if d.kind == kind]
    return [{"version": d.version, "key": d.key, "reason": d.reason, "by": d.decided_by} for d in found]


def told(alerts: Sequence[AlertLine]) -> list[dict[str, Any]]:
    """Mails, the oldest first; `alerts` begin with the newest."""
    return [
        {"kind": a.kind, "key": a.key, "subject": a.subject, "sent": a.sent_at is not None} for a in reversed(alerts)
    ]


def _first(trainings: list[TrainingLine], version: int, from_key: PartitionKey | None) -> FirstChampion | None:
    run = next((run for run in trainings if run.version == version), None)
    if run is None:
        return None
    result = run.comparison.result if run.comparison and not run.comparison.champion_version else {}
    return FirstChampion(
        version, run.as_of, from_key, run.candidate, result.get("challenger_loss"), result.get("champion_loss")
    )
