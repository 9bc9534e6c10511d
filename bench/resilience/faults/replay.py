"""A replay of real weeks through a live stack, by somebody who has the patience of an operator: it asks again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import httpx
from sqlalchemy import select

from evergreen.core.definition import ModelDefinition
from evergreen.core.ledger import Ledger
from evergreen.core.ledger.tables import Deployment, DriftCheck, Prediction, Snapshot, TrainingRun
from evergreen.core.names import PartitionKey
from evergreen.core.store.objects import publish
from evergreen.errors import EvergreenError, UnavailableError
from evergreen.settings import Settings
from evergreen.stack.airflow_client import AirflowApi, AirflowApiError
from evergreen.stack.control import Stack
from evergreen.tools.demo.story import Story
from evergreen.tools.start.walk import STAGES

T = TypeVar("T")
PATIENCE = 900.0
HISTORY = 6
"""Weeks that have landed before the first champion is trained"""


class Replay:
    """The weeks `keys` of a model on a stack: history, first champion, the rest, and then much of it at once."""

    def __init__(
        self, stack: Stack, definition: ModelDefinition, keys: list[PartitionKey], say: Callable[[str], None]
    ) -> None:
        self.stack, self.definition, self.keys, self.say = stack, definition, keys, say
        self.settings = Settings.from_env()
        self._asked = 0
        self._lock = threading.Lock()

    @property
    def airflow(self) -> AirflowApi:
        """A client of its own for each use: two threads ask."""
        return AirflowApi(self.stack.urls["airflow"], *self.stack.airflow_login)

    @property
    def story(self) -> Story:
        """The demo's way to land and to name things."""
        return Story(self.definition, self.settings, self.airflow, say=lambda _: None, advance=lambda _: None)

    def dag(self, stage: str) -> str:
        """Id of one of the model's DAGs."""
        return f"{self.definition.name}.{stage}"

    def run(self) -> None:
        """The whole of it; what fails meanwhile is left to the system's own recovery."""
        self.begin()
        self.say("the weeks")
        delay, keys, rest = self.definition.feed.label_delay, self.keys, self.keys[HISTORY:]
        again(lambda: self.story.land(rest))
        self._backfill("ingest_inputs", rest[0], rest[-1])
        self._backfill("ingest_labels", keys[HISTORY - delay], keys[-1 - delay])
        self._backfill("monitor", keys[HISTORY - 1], rest[-1])
        self.wait(lambda: self.missing(Prediction, rest), "predictions")
        self.wait(lambda: self.missing(DriftCheck, rest), "checks")
        self.second_champion(keys[-1 - delay])

    def begin(self) -> None:
        """History, and the first champion."""
        delay, history = self.definition.feed.label_delay, self.keys[:HISTORY]
        self.say("history")
        again(lambda: self.story.open())
        again(lambda: self.story.land(history))
        self._backfill("ingest_inputs", history[0], history[-1])
        self._backfill("ingest_labels", history[0], history[-1 - delay])
        self.wait(lambda: self.missing(Snapshot, history), "features")
        self.say("first champion")
        conf = {
            "cause": "first",
            "cause_key": "first",
            "reason": "There is no champion yet.",
            "as_of": history[-1 - delay],
        }
        again(lambda: self.airflow.trigger(self.dag("train"), conf, run_id="first"))
        self.wait(lambda: [] if self._count(Deployment) else ["a champion"], "training")

    def second_champion(self, as_of: PartitionKey) -> None:
        """A person has another version serve, so that a rollback has somewhere to go."""
        from evergreen.loop.champion.promotion import promote

        self.say("second champion")
        conf = {"cause": "operator", "cause_key": "second", "reason": "asked for", "as_of": as_of}
        self.trigger("train", conf, "second")
        self.wait(lambda: [] if self.judged("second") else ["a verdict on it"], "training")
        if (run := self.judged("second")) is not None and run.state == "refused":
            why = "to have somewhere to go back from"
            again(lambda: promote(self.definition, run.id, settings=self.settings, decided_by="a person", why=why))

    def judged(self, cause_key: str) -> TrainingRun | None:
        """The training that was asked for, once it is promoted or refused."""
        wanted = (TrainingRun.model == self.definition.name, TrainingRun.cause_key == cause_key)
        ended = TrainingRun.state.in_(("promoted", "refused"))
        with Ledger.from_settings(self.settings).transaction() as session:
            return session.scalar(select(TrainingRun).where(*wanted, ended))

    def all_at_once(self) -> None:
        """Two backfills over the past, a retrain, a rollback, and each partition's run again."""
        self.say("two backfills, a retrain and a rollback at once")
        delay, keys = self.definition.feed.label_delay, self.keys
        asks = [
            lambda: self._backfill("ingest_inputs", keys[0], keys[-1], "completed"),
            lambda: self._backfill("monitor", keys[HISTORY], keys[-1], "completed"),
            lambda: self.trigger(
                "train",
                {"cause": "operator", "cause_key": "at-once", "reason": "asked for at once", "as_of": keys[-1 - delay]},
                "at-once",
            ),
            lambda: self.trigger(
                "train",
                {"cause": "operator", "cause_key": "at-once", "reason": "asked for twice", "as_of": keys[-1 - delay]},
                "at-once-again",
            ),
            lambda: self.trigger("rollback", {"why": "asked for at once"}, "at-once"),
        ]
        threads = [threading.Thread(target=ask) for ask in asks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def duplicate(self, draw: float) -> None:
        """Ask for something that has been asked for: land a partition's bytes again, start its runs again."""
        key = self.keys[int(draw * 7919) % HISTORY]
        with self._lock:
            self._asked += 1
            number = self._asked
        if draw < 0.5:
            again(lambda: self._land_again(key), patience=120)
        for stage in ("ingest_inputs", "ingest_labels") if draw < 0.5 else ("features", "monitor"):
            for twin in "ab":
                self.trigger(stage, {"partition_key": key}, f"twin-{number}{twin}__{key}", key, patience=120)

    def wait_until_idle(self) -> None:
        """Wait until nothing of the model runs."""
        again(lambda: self.airflow.wait_until_idle([self.dag(s) for s in (*STAGES, "rollback")], timeout=1200, quiet=6))

    def _land_again(self, key: PartitionKey) -> None:
        """The same bytes again, under a new time, with `_SUCCESS` behind them."""
        import fsspec

        from evergreen.loop.intake.landing_zone import SUCCESS, folder_uri

        folder = folder_uri(self.settings.landing_url, self.definition.feed.name, key)
        for name in ("inputs.parquet", "labels.parquet", SUCCESS):
            system, path = fsspec.core.url_to_fs(f"{folder}/{name}", use_listings_cache=False)
            if system.exists(path):
                publish(f"{folder}/{name}", system.cat_file(path))

    def trigger(
        self, stage: str, conf: dict[str, str], run_id: str, key: PartitionKey | None = None, patience: float = PATIENCE
    ) -> None:
        """Start a run of a stage."""
        again(lambda: self.airflow.trigger(self.dag(stage), conf, run_id=run_id, partition_key=key), patience=patience)

    def _backfill(self, stage: str, first: str, last: str, reprocess: str = "none") -> None:
        """Ask for a backfill; one that an earlier try of ours began, or another one of this DAG, is enough."""
        calendar = self.definition.partitions

        def ask() -> None:
            try:
                self.airflow.backfill(
                    self.dag(stage),
                    calendar.clock_time(first),
                    calendar.clock_time(last),
                    max_active_runs=6,
                    reprocess=reprocess,  # type: ignore[arg-type]
                )
            except AirflowApiError as error:
                if error.status != httpx.codes.CONFLICT:
                    raise

        deadline = time.monotonic() + 120
        while any(b for b in again(lambda: self._active_backfills(stage))) and time.monotonic() < deadline:
            time.sleep(1)
        again(ask)

    def _active_backfills(self, stage: str) -> list[object]:
        found = self.airflow.request("GET", "/backfills", query={"dag_id": self.dag(stage)})["backfills"]
        return [one for one in found if one["completed_at"] is None]

    def wait(self, missing: Callable[[], Sequence[str]], doing: str) -> None:
        """Wait until nothing is missing; what has not come in `PATIENCE` is said and left to the recovery."""
        deadline, said = time.monotonic() + PATIENCE, 0.0
        while left := again(missing):
            if time.monotonic() > deadline:
                self.say(f"{doing}: {', '.join(left)} did not come by itself in {PATIENCE:.0f} s")
                return
            if time.monotonic() > said + 60:
                said = time.monotonic()
                self.say(f"{doing}: {len(left)} to come")
            time.sleep(1)

    def missing(self, table: type[Snapshot | Prediction | DriftCheck], keys: list[PartitionKey]) -> list[PartitionKey]:
        """Which of the partitions have no row in a table of the ledger."""
        with Ledger.from_settings(self.settings).transaction() as session:
            found = session.scalars(select(table.key).where(table.model == self.definition.name))
            return sorted(set(keys) - set(found))

    def _count(self, table: type[Deployment]) -> int:
        with Ledger.from_settings(self.settings).transaction() as session:
            return len(session.scalars(select(table.id).where(table.model == self.definition.name)).all())


def again(ask: Callable[[], T], patience: float = PATIENCE) -> T:
    """Ask until there is an answer: servers are being killed.

    Raises:
        UnavailableError: there was none in time.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            return ask()
        except AirflowApiError as error:
            if error.status < httpx.codes.INTERNAL_SERVER_ERROR and error.status != httpx.codes.UNAUTHORIZED:
                raise
            problem: Exception = error
        except (EvergreenError, httpx.HTTPError, OSError) as error:
            problem = error
        if time.monotonic() > deadline:
            raise UnavailableError(f"no answer in {patience:.0f} s: {problem}") from problem
        time.sleep(1)
