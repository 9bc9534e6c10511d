"""A year of weeks that land in any order and state, against the same year landed once, in order.

Inputs and labels of each week land at a random moment; some are late (among the last), some are broken and landed again
after their quarantine, some are restated, some land twice. In the end ledger, snapshots and predictions must be those
of the clean year. What is not part of that: versions that were replaced on the way, which stay on record.

    python -m bench.performance.soak [--live] [--seed N] [--weeks N]      writes bench/results/soak.json

Without --live the stages' functions are called in one process, in the order in which the DAGs would call them. With it
the drops land before a running Airflow, which does the rest.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import logging
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from bench.lib.report import write
from bench.performance.year import SERVERS, train
from evergreen.core.definition import ModelDefinition, load_definition
from evergreen.core.definition.model import TableName
from evergreen.core.frames import to_parquet
from evergreen.core.ledger import Ledger
from evergreen.core.ledger.queries import decisions, partitions, snapshots, versions
from evergreen.core.ledger.tables import PartitionVersion, Verdict
from evergreen.core.names import PartitionKey
from evergreen.core.store import Store
from evergreen.core.store.objects import publish, sha256
from evergreen.core.values import VerdictOutcome
from evergreen.errors import NotReadyError
from evergreen.settings import Settings
from evergreen.stack.config.home import Home
from evergreen.stack.control import Stack
from evergreen.tools.demo.story import HISTORY, Story
from evergreen.tools.simulator import sources

LATE, BROKEN, RESTATED, TWICE = 0.2, 0.1, 0.1, 0.05
"""Shares of the tables' drops"""
STATES = ("good", "broken", "other")


@dataclass(frozen=True)
class Drop:
    """One landing of one table of one partition."""

    table: TableName
    key: PartitionKey
    state: str
    """good: the final bytes; broken: they must be quarantined; other: acceptable, but not the final bytes"""


def clean(keys: list[PartitionKey], model: ModelDefinition) -> list[Drop]:
    """Each week in order: its inputs, and the labels of the week before."""
    return [
        d
        for key in keys
        for d in (Drop("inputs", key, "good"), Drop("labels", model.partitions.shift(key, -1), "good"))
    ]


def shuffled(drops: list[Drop], rng: random.Random) -> list[Drop]:
    """The same year out of order: each drop's last landing is the good one."""
    placed: list[tuple[float, int, Drop]] = []
    for number, drop in enumerate(drops):
        at = rng.uniform(0.8, 1.0) if rng.random() < LATE else rng.random() * 0.8
        before = []
        if rng.random() < BROKEN:
            before.append("broken")
        if rng.random() < RESTATED:
            before.append("other")
        if rng.random() < TWICE:
            before.append("good")
        moments = sorted(rng.random() * at for _ in before)
        rng.shuffle(before)
        placed += [(moment, number, Drop(drop.table, drop.key, s)) for moment, s in zip(moments, before, strict=True)]
        placed.append((at, number, drop))
    return [drop for _, _, drop in sorted(placed, key=lambda item: item[:2])]


def data_of(model: ModelDefinition, drop: Drop, rng: random.Random) -> bytes:
    """The bytes that land."""
    frame = sources.rows(model, drop.table, drop.key)
    columns = model.feed.tables[drop.table].columns
    if drop.state == "other":
        name = "temperature" if drop.table == "inputs" else "arrival_delay"
        frame.loc[frame.index[: len(frame) // 50], name] = 41.0
    good = to_parquet(frame, columns)
    return good if drop.state != "broken" else rng.choice(BREAKS)(model, frame, good, columns)


def _cut(model: ModelDefinition, frame: pd.DataFrame, good: bytes, columns: Any) -> bytes:
    return good[: len(good) // 2]


def _nulls(model: ModelDefinition, frame: pd.DataFrame, good: bytes, columns: Any) -> bytes:
    entity = model.feed.entity
    return to_parquet(frame.assign(**{entity: frame[entity].mask(frame.index % 3 == 0)}), columns)


def _doubled(model: ModelDefinition, frame: pd.DataFrame, good: bytes, columns: Any) -> bytes:
    return to_parquet(pd.concat([frame, frame.head(100)], ignore_index=True), columns)


def _foreign(model: ModelDefinition, frame: pd.DataFrame, good: bytes, columns: Any) -> bytes:
    time_of = model.feed.event_time
    return to_parquet(frame.assign(**{time_of: frame[time_of] + pd.Timedelta(days=30)}), columns)


def _lacking(model: ModelDefinition, frame: pd.DataFrame, good: bytes, columns: Any) -> bytes:
    return frame.drop(columns=frame.columns[-1]).to_parquet(index=False) or b""


BREAKS = (_cut, _nulls, _doubled, _foreign, _lacking)


class Loop(Protocol):
    """What brings drops in."""

    settings: Settings

    def begin(self, keys: list[PartitionKey]) -> None:
        """The history, and a first champion."""

    def bring_in(self, drops: Iterator[Drop]) -> None:
        """Land and process them, one after another."""

    def end(self) -> None:
        """Stop what was started."""


class Warm:
    """The stages' functions in this process, in the order of the DAGs."""

    def __init__(self, model: ModelDefinition, home: Path, rng: random.Random) -> None:
        self.model, self.rng, self.stack = model, rng, Stack(Home(home), only=SERVERS)
        self.stack.start(tied=True)
        os.environ.update(self.stack.environment())
        self.settings = Settings.from_env()

    def begin(self, keys: list[PartitionKey]) -> None:
        """The history in order, a champion of it, and the predictions that waited for one."""
        from evergreen.loop.scoring.backlog import unscored_keys

        self.bring_in(iter(clean(keys, self.model)[2:]), [Drop("inputs", keys[0], "good")])
        train(self.model, self.settings, _first(keys))
        with Ledger.from_settings(self.settings).transaction() as session:
            if versions.current_deployment(session, self.model.name) is None:
                raise SystemExit("the first challenger was not promoted, so that nothing would be predicted")
        for key in unscored_keys(self.model, settings=self.settings):
            self._build_and_score(key)

    def bring_in(self, drops: Iterator[Drop], before: list[Drop] | None = None) -> None:
        """What each of the DAGs does with a drop."""
        from evergreen.loop.features.stale import stale_keys
        from evergreen.loop.intake.receive import receive
        from evergreen.loop.intake.validate import validate

        for drop in itertools.chain(before or [], drops):
            _land(self.model, drop, self.rng, self.settings)
            received = receive(self.model, drop.table, drop.key, settings=self.settings)
            found = validate(self.model, received.partition_version_id, settings=self.settings)
            if found.outcome == "accepted":
                own = [drop.key] if drop.table == "inputs" else []
                for key in sorted({*own, *stale_keys(self.model, settings=self.settings)}):
                    self._build_and_score(key)

    def _build_and_score(self, key: PartitionKey) -> None:
        from evergreen.loop.features.build import build
        from evergreen.loop.scoring.score import score

        build(self.model, key, settings=self.settings)
        with contextlib.suppress(NotReadyError):  # no champion yet, or the partition lies before it
            score(self.model, key, settings=self.settings)

    def end(self) -> None:
        """Stop the servers."""
        self.stack.stop()


class Live:
    """A running Airflow, driven as producers and operators drive it."""

    AT_ONCE = 8

    def __init__(self, model: ModelDefinition, home: Path, rng: random.Random) -> None:
        self.model, self.rng, self.stack = model, rng, Stack(Home(home))
        self.stack.start(tied=True)
        os.environ.update(self.stack.environment())
        self.settings, self.count = Settings.from_env(), itertools.count()
        self.story = Story(model, self.settings, self.stack.airflow, say=lambda words: None, advance=lambda count: None)

    def begin(self, keys: list[PartitionKey]) -> None:
        """The history by backfills, and a champion of it."""
        self.story.open()
        self.story.history(keys)
        self.story.first_champion(keys[-2])

    def bring_in(self, drops: Iterator[Drop]) -> None:
        """Some drops at once, each with the run that waits for it; a partition's own drops one after another."""
        waiting: list[tuple[str, str, Drop]] = []
        for drop in drops:
            while len(waiting) >= self.AT_ONCE or any((d.table, d.key) == (drop.table, drop.key) for *_, d in waiting):
                dag, run_id, _ = waiting.pop(0)
                self.stack.airflow.wait_for_run(dag, run_id, timeout=900)
            _land(self.model, drop, self.rng, self.settings)
            dag = self.story.dag(f"ingest_{drop.table}")
            run_id = f"soak-{next(self.count)}__{drop.key}"
            waiting.append((dag, self.stack.airflow.trigger(dag, run_id=run_id, partition_key=drop.key), drop))
        stages = ("ingest_inputs", "ingest_labels", "features", "score")
        self.stack.airflow.wait_until_idle([self.story.dag(stage) for stage in stages], timeout=3600, quiet=10)

    def end(self) -> None:
        """Stop the stack."""
        self.stack.stop()


def _first(keys: list[PartitionKey]) -> dict[str, str]:
    return {"cause": "first", "cause_key": "first", "reason": "There is no champion yet.", "as_of": keys[-2]}


def _land(model: ModelDefinition, drop: Drop, rng: random.Random, settings: Settings) -> None:
    uri = f"{settings.landing_url.rstrip('/')}/{model.feed.name}/{drop.key}/{drop.table}.parquet"
    publish(uri, data_of(model, drop, rng))
    publish(f"{uri.rpartition('/')[0]}/_SUCCESS", b"")


@dataclass(frozen=True)
class End:
    """The state that a year ends in."""

    accepted: dict[tuple[str, PartitionKey], str]
    """SHA-256 of the newest accepted bytes by table and key"""
    features: dict[PartitionKey, str]
    predictions: dict[PartitionKey, tuple[int, str]]
    """Version and SHA-256 of the newest predictions by key"""
    drops: int
    outcomes: dict[VerdictOutcome, int]
    """Verdicts by outcome"""


def state(model: ModelDefinition, settings: Settings) -> End:
    """Read the end from ledger and store."""
    store = Store.from_settings(settings)
    with Ledger.from_settings(settings).transaction() as session:
        accepted = {
            (table, key): partition.content_hash
            for table in ("inputs", "labels")
            for key, (partition, verdict) in partitions.newest_map(session, model.name, table).items()
            if verdict is not None and verdict.outcome == "accepted"
        }
        built = {key: snapshot.dvc_hash for key, snapshot in snapshots.current_map(session, model.name).items()}
        predicted = {
            key: (row.version, sha256(store.read(store.name(row.uri))))
            for key, row in decisions.current_predictions(session, model.name).items()
        }
        outcomes = Counter(session.scalars(Verdict.__table__.select().with_only_columns(Verdict.outcome)))
        drops = session.query(PartitionVersion).count()
    return End(accepted, built, predicted, drops, dict(outcomes))


def differences(ours: End, other: End) -> list[str]:
    """What is not the same in both ends, one line each."""
    found = []
    for name in ("accepted", "features", "predictions"):
        one, two = getattr(ours, name), getattr(other, name)
        found += [
            f"{name} of {key}: {one.get(key)} against {two.get(key)}"
            for key in sorted({*one, *two})
            if one.get(key) != two.get(key)
        ]
    return found


def run(loop: Loop, model: ModelDefinition, keys: list[PartitionKey], drops: list[Drop]) -> tuple[End, float]:
    """The history, then all `drops`; the state in the end, and the seconds that the drops took."""
    try:
        loop.begin(keys[:HISTORY])
        begun = time.perf_counter()
        loop.bring_in(iter(drops))
        return state(model, loop.settings), time.perf_counter() - begun
    finally:
        loop.end()


def main() -> None:
    """Run both years and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--live", action="store_true", help="let a running Airflow do the work")
    parser.add_argument("--seed", type=int, default=20130107)
    parser.add_argument("--weeks", type=int, default=51)
    asked = parser.parse_args()
    logging.disable(logging.WARNING)
    model, rng = load_definition("nyc_flights"), random.Random(asked.seed)
    calendar = model.partitions
    keys = calendar.keys(
        calendar.key_of(model.calendar.start), calendar.shift(str(model.calendar.start), asked.weeks - 1)
    )
    ordered = clean(keys[HISTORY:], model)
    drops = shuffled(ordered, rng)
    counted = Counter(drop.state for drop in drops)
    print(f"{len(drops)} drops for {len(ordered)} tables: {dict(counted)}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        expected, _ = run(Warm(model, Path(folder) / "clean", rng), model, keys, ordered)
        loop = (Live if asked.live else Warm)(model, Path(folder) / "soak", rng)
        found, seconds = run(loop, model, keys, drops)
    wrong = differences(found, expected)
    print("\n".join(wrong[:40]))
    name = "live" if asked.live else "in one process"
    write(
        "soak" if asked.live else "soak_in_process",
        bars={f"differences, {name}": {"value": len(wrong), "bar": "<= 0", "reached": not wrong}},
        measured={
            "drops": len(drops), "tables": len(ordered), "states": dict(counted), "verdicts": found.outcomes,
            "versions": found.drops, "accepted": len(found.accepted), "features": len(found.features),
            "predictions": len(found.predictions), "seconds": round(seconds), "seed": asked.seed, "differences": wrong,
        },
    )  # fmt: skip


if __name__ == "__main__":
    main()
