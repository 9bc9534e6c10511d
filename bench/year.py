"""P1: a year of weekly partitions backfilled through the live loop, against the same calls in one warm process.

Both begin where nine weeks have landed and a first champion serves; measured is everything from there: 42 weeks of
intake, features, predictions and monitoring (trainings that monitoring asks for are counted apart, and only the live
loop's are made).

    python bench/year.py [WEEKS]       writes bench/results/year.json
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import time
from pathlib import Path

from evergreen.definition import ModelDefinition, load_definition
from evergreen.demo.story import HISTORY, Story
from evergreen.ledger.tables import DriftCheck
from evergreen.settings import Settings
from evergreen.stack.control import Stack
from evergreen.stack.home import Home
from report import write

BAR = 2.0
SERVERS = ("postgres", "databases", "ledger-migrate", "folders", "mlflow", "mail")


def live(definition: ModelDefinition, keys: list[str], home: Path) -> float:
    """Seconds from the first backfill request to the last drift check."""
    stack = Stack(Home(home))
    stack.start(tied=True)
    os.environ.update(stack.environment())
    story = Story(definition, Settings.from_env(), stack.airflow, say=print_once, advance=lambda count: None)
    try:
        story.open()
        story.history(keys[:HISTORY])
        story.first_champion(keys[HISTORY - 2])
        rest = keys[HISTORY:]
        story.land(rest)
        begun = time.perf_counter()
        calendar = definition.partitions
        for stage in ("ingest_inputs", "ingest_labels", "monitor"):
            first = keys[HISTORY - 1] if stage == "ingest_labels" else rest[0]
            last = keys[-2] if stage == "ingest_labels" else rest[-1]
            stack.airflow.backfill(
                story.dag(stage), calendar.period(first).start, calendar.period(last).start, max_active_runs=6
            )
        story.wait(lambda: story._missing(DriftCheck, rest), "checking", timeout=3600)
        return time.perf_counter() - begun
    finally:
        stack.stop()


def warm(definition: ModelDefinition, keys: list[str], home: Path) -> float:
    """Seconds of the same calls, one after another, in this process after a first round through all of them."""
    from evergreen.intake.landing import land

    stack = Stack(Home(home), only=SERVERS)
    stack.start(tied=True)
    os.environ.update(stack.environment())
    settings = Settings.from_env()
    try:
        land(definition, keys, landing_url=settings.landing_url)
        for number, key in enumerate(keys[:HISTORY]):
            bring_in(definition, key, settings, labels=number > 0)
        first_champion(definition, keys[HISTORY - 2], settings)
        score_and_check(definition, keys[HISTORY - 1], settings)
        begun = time.perf_counter()
        for key in keys[HISTORY:]:
            bring_in(definition, key, settings, labels=True)
            score_and_check(definition, key, settings)
        return time.perf_counter() - begun
    finally:
        stack.stop()


def bring_in(definition: ModelDefinition, key: str, settings: Settings, *, labels: bool) -> None:
    """What the DAGs ingest_inputs, ingest_labels and features call for one tick."""
    from evergreen.features.build import build
    from evergreen.intake.receive import receive
    from evergreen.intake.validate import validate

    for table, of in (("inputs", key), ("labels", definition.partitions.shift(key, -1))):
        if table == "inputs" or labels:
            received = receive(definition, table, of, settings=settings)
            validate(definition, received.partition_version_id, settings=settings)
    build(definition, key, settings=settings)


def first_champion(definition: ModelDefinition, as_of: str, settings: Settings) -> None:
    """What the DAG train calls."""
    from evergreen.champion.decide import conclude
    from evergreen.champion.evaluate import evaluate
    from evergreen.training.assemble import assemble
    from evergreen.training.fit import fit

    run = assemble(definition, cause="first", cause_key="first", reason="bench", as_of=as_of, settings=settings)
    fit(definition, run.training_run_id, settings=settings)
    gate = evaluate(definition, run.training_run_id, settings=settings)
    conclude(definition, run.training_run_id, gate.outcome, approval=None, settings=settings)


def score_and_check(definition: ModelDefinition, key: str, settings: Settings) -> None:
    """What the DAGs score and monitor call."""
    from evergreen.monitoring.check import run
    from evergreen.scoring.score import score

    score(definition, key, settings=settings)
    run(definition, key, settings=settings)


def print_once(words: str, said: list[str] = [""]) -> None:  # noqa: B006 - remembers what it said last
    """Say what is happening, once."""
    if words != said[0]:
        print(words, flush=True)
        said[0] = words


def main() -> None:
    """Measure and write the result."""
    logging.disable(logging.INFO)
    weeks = int(sys.argv[1]) if len(sys.argv) > 1 else 51
    definition = load_definition("nyc_flights")
    calendar = definition.partitions
    first = calendar.key_of(definition.calendar.start)
    keys = calendar.keys(first, calendar.shift(first, weeks - 1))
    with tempfile.TemporaryDirectory() as folder:
        one_process = warm(definition, keys, Path(folder) / "warm")
        through_airflow = live(definition, keys, Path(folder) / "live")
    ratio = through_airflow / one_process
    write(
        "year",
        bars={"P1": {"value": ratio, "bar": BAR, "unit": "x", "reached": ratio <= BAR}},
        measured={"weeks": weeks - HISTORY, "live_seconds": through_airflow, "warm_process_seconds": one_process},
    )


if __name__ == "__main__":
    main()
