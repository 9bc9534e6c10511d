"""P1: a year of weekly partitions backfilled through the live loop, against the same calls in one warm process.

Both begin where nine weeks have landed and a first champion serves; measured is everything from there: 42 weeks of
intake, features, predictions and monitoring (the live loop also checks the week before them), and the trainings that
monitoring asks for. In the live loop weeks go on while a challenger is trained, so that the two need not train equally
often: both counts are in the result.

    python -m bench.performance.year [WEEKS]       writes bench/results/year.json
"""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import func, select

from bench.lib.report import number_asked, write
from evergreen.core.definition import ModelDefinition, load_definition
from evergreen.core.definition.model import TableName
from evergreen.core.ledger import Ledger
from evergreen.core.ledger.tables import DriftCheck, TrainingRun
from evergreen.core.names import PartitionKey
from evergreen.settings import Settings
from evergreen.stack.config.home import Home
from evergreen.stack.control import Stack
from evergreen.tools.demo.story import HISTORY, Story

BAR = 2.0
SERVERS = ("postgres", "databases", "ledger-migrate", "folders", "mlflow", "mail")


class Run(NamedTuple):
    """What one way took."""

    seconds: float
    trainings: int


def live(definition: ModelDefinition, keys: list[PartitionKey], home: Path) -> Run:
    """Seconds from the first backfill request to the last drift check."""
    stack = Stack(Home(home))
    stack.start(tied=True)
    try:
        return through_airflow(definition, keys, stack)
    finally:
        stack.stop()


def through_airflow(definition: ModelDefinition, keys: list[PartitionKey], stack: Stack) -> Run:
    """The same on a stack that is up."""
    os.environ.update(stack.environment())
    story = Story(definition, Settings.from_env(), stack.airflow, say=print_once, advance=lambda count: None)
    story.open()
    story.history(keys[:HISTORY])
    story.first_champion(keys[HISTORY - 2])
    rest = keys[HISTORY:]
    story.land(rest)
    begun = time.perf_counter()
    calendar = definition.partitions
    for stage in ("ingest_inputs", "ingest_labels", "monitor"):
        first = rest[0] if stage == "ingest_inputs" else keys[HISTORY - 1]  # labels come, and are checked, a week later
        last = keys[-2] if stage == "ingest_labels" else rest[-1]
        stack.airflow.backfill(
            story.dag(stage), calendar.clock_time(first), calendar.clock_time(last), max_active_runs=6
        )
    story.wait(lambda: story._missing(DriftCheck, keys[HISTORY - 1 :]), "checking", timeout=3600)
    return Run(time.perf_counter() - begun, trainings(story.settings))


def warm(definition: ModelDefinition, keys: list[PartitionKey], home: Path) -> Run:
    """Seconds of the same calls, one after another, in this process after a first round through all of them."""
    from evergreen.tools.simulator.land import land

    stack = Stack(Home(home), only=SERVERS)
    stack.start(tied=True)
    os.environ.update(stack.environment())
    settings = Settings.from_env()
    try:
        land(definition, keys, landing_url=settings.landing_url)
        for number, key in enumerate(keys[:HISTORY]):
            bring_in(definition, key, settings, labels=number > 0)
        first = {"cause": "first", "cause_key": "first", "reason": "bench", "as_of": keys[HISTORY - 2]}
        train(definition, settings, first)
        score_and_check(definition, keys[HISTORY - 1], settings)
        begun = time.perf_counter()
        for key in keys[HISTORY:]:
            bring_in(definition, key, settings, labels=True)
            score_and_check(definition, key, settings)
        return Run(time.perf_counter() - begun, trainings(settings))
    finally:
        stack.stop()


def bring_in(definition: ModelDefinition, key: PartitionKey, settings: Settings, *, labels: bool) -> None:
    """What the DAGs ingest_inputs, ingest_labels and features call for one tick."""
    from evergreen.loop.features.build import build
    from evergreen.loop.intake.receive import receive
    from evergreen.loop.intake.validate import validate

    drops: tuple[tuple[TableName, PartitionKey], ...] = (
        ("inputs", key),
        ("labels", definition.partitions.shift(key, -1)),
    )
    for table, of in drops:
        if table == "inputs" or labels:
            received = receive(definition, table, of, settings=settings)
            validate(definition, received.partition_version_id, settings=settings)
    build(definition, key, settings=settings)


def train(definition: ModelDefinition, settings: Settings, cause: Mapping[str, Any]) -> None:
    """What the DAG train calls."""
    from evergreen.loop.champion.evaluate import evaluate
    from evergreen.loop.champion.promotion import conclude
    from evergreen.loop.training.assemble import assemble
    from evergreen.loop.training.fit import fit

    run = assemble(definition, **cause, settings=settings)
    fit(definition, run.training_run_id, settings=settings)
    gate = evaluate(definition, run.training_run_id, settings=settings)
    conclude(definition, run.training_run_id, gate.outcome, approval=None, settings=settings)


def score_and_check(definition: ModelDefinition, key: PartitionKey, settings: Settings) -> None:
    """What the DAGs score and monitor call, and the DAG train if that asks for it."""
    from evergreen.loop.monitoring.check import run
    from evergreen.loop.scoring.score import score

    score(definition, key, settings=settings)
    checked = run(definition, key, settings=settings)
    if checked.kind == "retrain":
        train(
            definition,
            settings,
            {name: str(getattr(checked, name)) for name in ("cause", "cause_key", "reason", "as_of")},
        )


def trainings(settings: Settings) -> int:
    """Training runs after the first champion's."""
    with Ledger.from_settings(settings).transaction() as session:
        return int(session.scalar(select(func.count()).select_from(TrainingRun)) or 0) - 1


def first_weeks(definition: ModelDefinition, count: int) -> list[PartitionKey]:
    """Keys of the first `count` partitions of the model's calendar."""
    calendar = definition.partitions
    first = calendar.key_of(definition.calendar.start)
    return calendar.keys(first, calendar.shift(first, count - 1))


def print_once(words: str, said: list[str] = [""]) -> None:  # noqa: B006 - remembers what it said last
    """Say what is happening, once."""
    if words != said[0]:
        print(words, flush=True)
        said[0] = words


def main() -> None:
    """Measure and write the result."""
    logging.disable(logging.INFO)
    weeks = int(number_asked("weeks", 51, __doc__))
    definition = load_definition("nyc_flights")
    keys = first_weeks(definition, weeks)
    with tempfile.TemporaryDirectory() as folder:
        one_process = warm(definition, keys, Path(folder) / "warm")
        print(f"one warm process: {one_process}", flush=True)
        in_airflow = live(definition, keys, Path(folder) / "live")
        print(f"live loop: {in_airflow}", flush=True)
    ratio = in_airflow.seconds / one_process.seconds
    write(
        "year",
        bars={"P1": {"value": ratio, "bar": BAR, "unit": "x", "reached": ratio <= BAR}},
        measured={
            "weeks": weeks - HISTORY,
            "live_seconds": in_airflow.seconds,
            "live_trainings": in_airflow.trainings,
            "warm_process_seconds": one_process.seconds,
            "warm_process_trainings": one_process.trainings,
        },
    )


if __name__ == "__main__":
    main()
