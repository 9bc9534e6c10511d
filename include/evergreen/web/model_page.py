"""The life of one model, with its realised loss drawn."""

from __future__ import annotations

import base64
import datetime as dt
from dataclasses import dataclass

from sqlalchemy.orm import Session

from evergreen.core.definition import ModelDefinition
from evergreen.core.ledger import silences
from evergreen.core.ledger.outbox import Chart, Mark, Series
from evergreen.core.ledger.tables import Silence
from evergreen.core.ledger.views import history
from evergreen.core.ledger.views import labels as label_views
from evergreen.core.ledger.views.incidents import IncidentLine, incidents
from evergreen.core.ledger.views.labels import CoverageLine
from evergreen.core.ledger.views.lines import (
    AlertLine,
    CheckLine,
    DecisionLine,
    DeploymentLine,
    LateLine,
    LossLine,
    OnlineLine,
    TableLine,
    TrainingLine,
    VerdictLine,
)
from evergreen.core.store.page_links import report
from evergreen.core.text import span
from evergreen.errors import DefinitionError
from evergreen.loop.features.features_file import code_hash
from evergreen.settings import Settings


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
    trainings: list[TrainingLine]
    decisions: list[DecisionLine]
    deployments: list[DeploymentLine]
    checks: list[tuple[CheckLine, str | None]]
    """With the address of each one's report"""
    losses: dict[str, LossLine]
    online: list[OnlineLine]
    incidents: list[IncidentLine]
    silences: list[tuple[Silence, bool]]
    """Each, and whether it holds mails back now"""
    alerts: list[AlertLine]
    chart: str | None
    """The loss as a data: address of an SVG"""
    chart_words: str
    new_code: str | None
    """Hash of the feature code of today, if the champion is fed by another"""

    @property
    def champion(self) -> DeploymentLine | None:
        """Who serves."""
        return self.deployments[-1] if self.deployments else None


def gather(session: Session, definition: ModelDefinition, settings: Settings) -> Life:
    """Everything the page of `definition` shows, newest first."""
    name = definition.name
    deployed, losses = history.deployments(session, name), history.losses(session, name)
    checks = history.checks(session, name)
    chart = loss_chart(losses, checks, deployed, definition)
    quarantines = history.quarantines(session, name)
    return Life(
        definition=definition,
        tables=history.tables(session, name),
        quarantines=[(line, report(line.docs_uri, settings)) for line in quarantines],
        late_feeds=[(line, span(line.waited) if line.waited else None) for line in history.late_feeds(session, name)],
        coverages=label_views.coverages(session, name)[::-1],
        trainings=history.trainings(session, name)[::-1],
        decisions=history.decisions(session, name, quiet=False)[::-1],
        deployments=deployed,
        checks=[(line, report(line.report_uri, settings)) for line in checks[::-1]],
        losses={line.key: line for line in losses},
        online=history.online(session, name)[::-1],
        incidents=incidents(session, name),
        silences=[(line, silences.is_active(line, dt.datetime.now(dt.UTC))) for line in silences.lines(session, name)],
        alerts=history.alerts(session, name),
        chart=_picture(chart) if chart else None,
        chart_words=_words(chart) if chart else "",
        new_code=_new_code(definition, deployed),
    )


def _new_code(definition: ModelDefinition, deployed: list[DeploymentLine]) -> str | None:
    """Hash of the feature code of today, if it is on record that the champion is fed by another."""
    theirs = deployed[-1].features_hash if deployed else None
    try:
        now = code_hash(definition)
    except DefinitionError:
        return None  # the page says what is; the DAGs say what is missing
    return now if theirs not in (None, now) else None


def loss_chart(
    losses: list[LossLine], checks: list[CheckLine], deployments: list[DeploymentLine], definition: ModelDefinition
) -> Chart | None:
    """Realised loss by partition beside what was estimated before, with the champion's changes marked.

    None before the first loss is known.
    """
    if not losses:
        return None
    calendar, loss = definition.partitions, definition.loss
    changes: dict[str, list[int]] = {}
    for line in deployments:
        if line.from_key is not None:
            changes.setdefault(line.from_key, []).append(line.version)
    estimates = {line.key: line.estimated_loss for line in checks if line.estimated_loss is not None}
    keys = calendar.keys(*_ends([*(line.key for line in losses), *changes, *estimates]))
    values = {line.key: line.loss for line in losses}
    series = [Series(name="realised", values=[values.get(key) for key in keys])]
    if estimates:
        series.append(Series(name="estimated before labels", values=[estimates.get(key) for key in keys]))
    return Chart(
        title=f"Loss by {calendar.unit} ({loss}, lower is better)",
        kind="line",
        x=keys,
        series=series,
        y_label=loss,
        marks=[Mark(x=key, label="version " + ", ".join(map(str, versions))) for key, versions in changes.items()],
    )


def _ends(keys: list[str]) -> tuple[str, str]:
    return min(keys), max(keys)


def _picture(chart: Chart) -> str:
    from evergreen.loop.alerts.chart import draw

    return "data:image/svg+xml;base64," + base64.b64encode(draw(chart, "svg", width=10.0)).decode()


def _words(chart: Chart) -> str:
    from evergreen.loop.alerts.chart import describe

    return describe(chart)
