"""The charts of a model's page, over its newest partitions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from evergreen.core.definition import ModelDefinition
from evergreen.core.ledger.queries.partitions import QUARANTINED
from evergreen.core.ledger.views.lines import CheckLine, DeploymentLine, LossLine, MonitorLine, TrainingLine
from evergreen.core.ledger.views.partition_states import PartitionState, partition_ends, partition_states
from evergreen.core.names import PartitionKey
from evergreen.loop.training.losses import title as title_of
from evergreen.web.charts.calendar_map import CalendarMap, calendar_map
from evergreen.web.charts.heat_map import HeatMap, heat_map
from evergreen.web.charts.loss_plot import LossPlot, loss_plot

SHOWN, MOST = 60, 1000
"""Partitions that the charts show by default, and at most"""
RANGES = (30, 60, 180, MOST)


@dataclass(frozen=True)
class Drawn:
    """What the charts are made of, besides how far each partition has come; each in order."""

    deployments: Sequence[DeploymentLine]
    losses: Sequence[LossLine]
    checks: Sequence[CheckLine]
    monitored: dict[PartitionKey, MonitorLine]
    trainings: Sequence[TrainingLine]


@dataclass(frozen=True)
class Charts:
    """The charts; each is None while there is nothing to show."""

    title: str
    """Of the loss"""
    loss: LossPlot | None
    calendar: CalendarMap | None
    heat: HeatMap | None
    shown: int
    """Partitions that were asked for"""
    ranges: tuple[tuple[int, str], ...]
    """Other numbers of partitions to ask for, each with its name"""


def charts(session: Session, definition: ModelDefinition, drawn: Drawn, *, last: int = SHOWN) -> Charts:
    """The charts over the newest `last` partitions."""
    calendar, name = definition.partitions, definition.name
    first_and_last = partition_ends(session, name)
    every = calendar.keys(*first_and_last) if first_and_last else []
    shown = min(max(last, 1), MOST)
    keys = every[-shown:]
    states = partition_states(session, name, keys[0]) if keys else {}
    checks = {line.key: line for line in drawn.checks}
    title = f"{title_of(definition)} by {calendar.unit} (lower is better)"
    told = {key: bool(line.told or line.bad or line.harmed) for key, line in drawn.monitored.items()}
    return Charts(
        title=title,
        loss=loss_plot(
            keys,
            {line.key: line for line in drawn.losses},
            {key: line.estimated_loss for key, line in checks.items() if line.estimated_loss is not None},
            drawn.deployments,
            title=title,
            quarantined=_quarantined(states),
            base_rate=_base_rate(drawn.trainings),
        ),
        calendar=calendar_map(keys, states, {key: told.get(key, False) for key in checks}),
        heat=heat_map(keys, checks),
        shown=shown,
        ranges=_ranges(len(every)),
    )


def _ranges(count: int) -> tuple[tuple[int, str], ...]:
    """Those below the number of partitions, and the next one, which shows all if it can."""
    below = [number for number in RANGES if number < count]
    above = [number for number in RANGES if number >= count][:1]
    return tuple((number, "all" if number >= count else str(number)) for number in [*below, *above])


def _quarantined(states: dict[PartitionKey, PartitionState]) -> dict[PartitionKey, str]:
    found = {}
    for key, state in states.items():
        both = (("inputs", state.inputs, state.inputs_why), ("labels", state.labels, state.labels_why))
        said = [f"{table} quarantined: {why}" for table, outcome, why in both if outcome == QUARANTINED]
        if said:
            found[key] = f"{key}: {'; '.join(said)}"
    return found


def _base_rate(trainings: Sequence[TrainingLine]) -> float | None:
    """What predicting the base rate lost, where the first champion was judged against it."""
    for line in trainings:
        if line.comparison and line.comparison.champion_version is None:
            loss = line.comparison.result.get("champion_loss")
            return float(loss) if loss is not None else None
    return None
