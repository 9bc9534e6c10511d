"""The life of one model, with its realised loss drawn."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from sqlalchemy.orm import Session

from evergreen.alerts.links import report
from evergreen.definition import Calendar, ModelDefinition
from evergreen.ledger import history
from evergreen.ledger.lines import (
    AlertLine,
    CheckLine,
    DecisionLine,
    DeploymentLine,
    LossLine,
    TableLine,
    TrainingLine,
    VerdictLine,
)
from evergreen.ledger.outbox import Chart, Mark, Series
from evergreen.settings import Settings


@dataclass(frozen=True)
class Life:
    """What the page shows."""

    definition: ModelDefinition
    tables: list[TableLine]
    quarantines: list[tuple[VerdictLine, str | None]]
    """With the address of each one's validation result"""
    trainings: list[TrainingLine]
    decisions: list[DecisionLine]
    deployments: list[DeploymentLine]
    checks: list[tuple[CheckLine, str | None]]
    """With the address of each one's report"""
    losses: dict[str, LossLine]
    alerts: list[AlertLine]
    chart: str | None
    """The realised loss as a data: address of an SVG"""
    chart_words: str

    @property
    def champion(self) -> DeploymentLine | None:
        """Who serves."""
        return self.deployments[-1] if self.deployments else None


def gather(session: Session, definition: ModelDefinition, settings: Settings) -> Life:
    """Everything the page of `definition` shows, newest first."""
    name = definition.name
    deployed, losses = history.deployments(session, name), history.losses(session, name)
    chart = loss_chart(losses, deployed, definition.partitions, definition.loss)
    quarantines = history.quarantines(session, name)
    return Life(
        definition=definition,
        tables=history.tables(session, name),
        quarantines=[(line, report(line.results_uri, settings)) for line in quarantines],
        trainings=history.trainings(session, name)[::-1],
        decisions=history.decisions(session, name, quiet=False)[::-1],
        deployments=deployed,
        checks=[(line, report(line.report_uri, settings)) for line in history.checks(session, name)[::-1]],
        losses={line.key: line for line in losses},
        alerts=history.alerts(session, name),
        chart=_picture(chart) if chart else None,
        chart_words=_words(chart) if chart else "",
    )


def loss_chart(
    losses: list[LossLine], deployments: list[DeploymentLine], calendar: Calendar, loss: str
) -> Chart | None:
    """Realised loss by partition, with the champion's changes marked; None before the first loss is known."""
    if not losses:
        return None
    changes: dict[str, list[int]] = {}
    for line in deployments:
        if line.from_key is not None:
            changes.setdefault(line.from_key, []).append(line.version)
    known = [line.key for line in losses] + list(changes)
    keys = calendar.keys(min(known), max(known))
    values = {line.key: line.loss for line in losses}
    return Chart(
        title=f"Realised loss by {calendar.unit} ({loss}, lower is better)",
        kind="line",
        x=keys,
        series=[Series(name=loss, values=[values.get(key) for key in keys])],
        y_label=loss,
        marks=[Mark(x=key, label="version " + ", ".join(map(str, versions))) for key, versions in changes.items()],
    )


def _picture(chart: Chart) -> str:
    from evergreen.alerts.chart import draw

    return "data:image/svg+xml;base64," + base64.b64encode(draw(chart, "svg", width=10.0)).decode()


def _words(chart: Chart) -> str:
    from evergreen.alerts.chart import describe

    return describe(chart)
