"""The life of one model, with its realised loss drawn."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from evergreen.core.definition import ModelDefinition
from evergreen.core.ledger import silences
from evergreen.core.ledger.queries.partitions import QUARANTINED
from evergreen.core.ledger.tables import Silence
from evergreen.core.ledger.views import history, monitoring
from evergreen.core.ledger.views import labels as label_views
from evergreen.core.ledger.views import references as reference_views
from evergreen.core.ledger.views.incidents import IncidentLine, incidents
from evergreen.core.ledger.views.labels import CoverageLine
from evergreen.core.ledger.views.lines import (
    AlertLine,
    CheckLine,
    DecisionLine,
    DeploymentLine,
    LateLine,
    LossLine,
    MonitorLine,
    OnlineLine,
    TableLine,
    TrainingLine,
    VerdictLine,
)
from evergreen.core.ledger.views.references import ReferenceLine
from evergreen.core.ledger.views.standings import standings
from evergreen.core.names import PartitionKey
from evergreen.core.store.page_links import model_page, report, version_page
from evergreen.core.text import span
from evergreen.errors import DefinitionError
from evergreen.loop.features.features_file import code_hash
from evergreen.settings import Settings
from evergreen.web.model_charts import SHOWN, Charts, Drawn, charts
from evergreen.web.triage import Need, needs, ranked

LONGEST = 200
"""Lines of a table: older ones are on record, and `evergreen history` prints them"""
PARTS = (
    ("loss", "Loss"), ("partitions", "Partitions"), ("drift", "Drift"), ("champions", "Champions"),
    ("decisions", "Decisions"), ("training", "Training runs"), ("checks", "Checks"), ("choices", "Choices"),
    ("labels", "Labels"), ("online", "On request"), ("landed", "Landed"), ("incidents", "Incidents"),
    ("silences", "Silences"), ("mails", "Mails"),
)  # fmt: skip


@dataclass(frozen=True)
class Life:
    """What the page shows."""

    definition: ModelDefinition
    tables: list[TableLine]
    quarantines: list[tuple[VerdictLine, str | None]]
    """With the address of each one's validation page"""
    late_feeds: list[tuple[LateLine, str | None]]
    """With the time that each was waited for beyond when it was due, in words, if it has come"""
    coverages: list[CoverageLine]
    references: list[ReferenceLine]
    trainings: list[TrainingLine]
    trained: int
    """Training runs, those that are too old to be listed among them"""
    decisions: list[DecisionLine]
    deployments: list[DeploymentLine]
    checks: list[tuple[CheckLine, str | None]]
    """With the address of each one's report"""
    losses: dict[PartitionKey, LossLine]
    online: list[OnlineLine]
    incidents: list[IncidentLine]
    silences: list[tuple[Silence, bool]]
    """Each, and whether it holds mails back now"""
    alerts: list[AlertLine]
    monitored: dict[PartitionKey, MonitorLine]
    charts: Charts
    needs: list[Need]
    newest: dict[tuple[str, str], VerdictLine]
    """(table, key) -> the newest verdict, of what is or was in quarantine"""
    mlflow: str
    """Page of the model in MLflow"""
    settings: Settings
    new_code: str | None
    """Hash of the feature code of today, if the champion is fed by another"""

    @property
    def decided(self) -> list[tuple[LossLine, dict[str, Any]]]:
        """Partitions with what their choices came to, newest first; none without a `decision`."""
        lines = sorted(self.losses.values(), key=lambda line: line.key, reverse=True)
        return [(line, line.metrics["decision"]) for line in lines[:LONGEST] if "decision" in line.metrics]

    @property
    def champion(self) -> DeploymentLine | None:
        """Who serves."""
        return self.deployments[-1] if self.deployments else None

    @property
    def parts(self) -> list[tuple[str, str]]:
        """Anchor and name of each part of the page that is there."""
        there: dict[str, object] = {
            "partitions": self.charts.calendar,
            "drift": self.charts.heat,
            "labels": self.coverages,
            "choices": self.decided,
        }
        there |= {"online": self.online, "incidents": self.incidents, "silences": self.silences}
        return [(anchor, name) for anchor, name in PARTS if there.get(anchor, True)]

    def version_url(self, version: int) -> str:
        """Where a person opens a version in MLflow."""
        return version_page(self.settings, self.definition.name, version)

    def fate(self, line: VerdictLine) -> tuple[str, str]:
        """What became of a partition that was put into quarantine, in words, and the style to say it in."""
        now = self.newest.get((line.table, line.key), line)
        if now.id == line.id:
            kept = line.outcome == QUARANTINED
            return ("in quarantine", "bad") if kept else ("the other rows were accepted", "")
        if now.outcome == QUARANTINED:
            return f"in quarantine again, version {now.version}", "bad"
        return f"accepted later, version {now.version}", "good"


def gather(session: Session, definition: ModelDefinition, settings: Settings, *, last: int = SHOWN) -> Life:
    """Everything the page of `definition` shows, newest first; the charts over the newest `last` partitions."""
    name = definition.name
    deployed, losses = history.deployments(session, name), monitoring.losses(session, name)
    checks, monitored = monitoring.checks(session, name), monitoring.monitored(session, name)
    trainings, quarantines = history.trainings(session, name), history.quarantines(session, name)
    drawn = Drawn(deployed, losses, checks, monitored, trainings)
    keys = {line.key for line in quarantines}
    return Life(
        definition=definition,
        tables=history.tables(session, name),
        quarantines=[(line, report(line.docs_uri, settings)) for line in quarantines],
        late_feeds=[(line, span(line.waited) if line.waited else None) for line in history.late_feeds(session, name)],
        coverages=label_views.coverages(session, name)[: -LONGEST - 1 : -1],
        trained=len(trainings),
        trainings=trainings[: -LONGEST - 1 : -1],
        references=reference_views.lines(session, name)[: -LONGEST - 1 : -1],
        decisions=history.decisions(session, name, quiet=False)[::-1],
        deployments=deployed,
        checks=[(line, report(line.report_uri, settings)) for line in checks[: -LONGEST - 1 : -1]],
        losses={line.key: line for line in losses},
        online=history.online(session, name)[: -LONGEST - 1 : -1],
        incidents=incidents(session, name),
        silences=[(line, silences.is_active(line, dt.datetime.now(dt.UTC))) for line in silences.lines(session, name)],
        alerts=history.alerts(session, name),
        monitored=monitored,
        charts=charts(session, definition, drawn, last=last),
        needs=_needs(session, definition),
        newest={(line.table, line.key): line for line in history.newest_verdicts(session, name, keys)},
        mlflow=model_page(settings, name),
        settings=settings,
        new_code=_new_code(definition, deployed),
    )


def _needs(session: Session, definition: ModelDefinition) -> list[Need]:
    name = definition.name
    found = standings(session, [name])[name]
    return ranked(needs(definition, found, now=dt.datetime.now(dt.UTC)))


def _new_code(definition: ModelDefinition, deployed: list[DeploymentLine]) -> str | None:
    """Hash of the feature code of today, if it is on record that the champion is fed by another."""
    theirs = deployed[-1].features_hash if deployed else None
    try:
        now = code_hash(definition)
    except DefinitionError:
        return None  # the page says what is; the DAGs say what is missing
    return now if theirs not in (None, now) else None
