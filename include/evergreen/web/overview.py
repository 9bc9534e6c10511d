"""All models at a glance: what needs a person now, then each model."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field

from evergreen.core.definition import ModelDefinition, load_definition
from evergreen.core.ledger.session import Ledger
from evergreen.core.ledger.views.standings import Standing, standings
from evergreen.core.store.page_links import report
from evergreen.errors import DefinitionError
from evergreen.settings import Settings
from evergreen.web.charts.sparkline import Sparkline, sparkline
from evergreen.web.triage import Need, champion_age, needs, ranked


@dataclass(frozen=True)
class Row:
    """One model. `fault` says why its definition cannot be read; the rest is empty then."""

    name: str
    title: str
    owner: str = ""
    standing: Standing = field(default_factory=Standing)
    age: int | None = None
    """Partitions that have landed since the newest label the champion was made from"""
    max_age: int = 0
    period: str = ""
    report: str | None = None
    spark: Sparkline | None = None
    loss: str = ""
    """Name of the loss"""
    fault: str | None = None


@dataclass(frozen=True)
class Overview:
    """What the page shows."""

    needs: list[Need]
    rows: list[Row]


def gather(ledger: Ledger, names: Iterable[str], settings: Settings) -> Overview:
    """A row for each model, those that need somebody first."""
    found, urgent, names = [], [], list(names)
    with ledger.transaction() as session:
        known = standings(session, names)
    now = dt.datetime.now(dt.UTC)
    for name in names:
        try:
            definition = load_definition(name, settings.models_dir)
        except DefinitionError as error:
            found.append(Row(name, name, fault=str(error)))
            urgent.append(Need("bad", name, name, "Its definition cannot be read"))
            continue
        row = _row(definition, known[name], settings)
        found.append(row)
        urgent += needs(definition, known[name], now=now)
    calm = {row.name for row in found} - {need.model for need in urgent}
    return Overview(ranked(urgent), sorted(found, key=lambda row: (row.name in calm, row.name)))


def _row(definition: ModelDefinition, standing: Standing, settings: Settings) -> Row:
    return Row(
        name=definition.name,
        title=definition.title,
        owner=definition.owner,
        standing=standing,
        age=champion_age(definition, standing),
        max_age=definition.monitoring.max_age,
        period=definition.calendar.period,
        report=report(standing.check.report_uri, settings) if standing.check else None,
        spark=sparkline(standing.losses),
        loss=definition.loss_label,
    )
