"""Drive a live Airflow through a model's life: history, first champion, then week by week.

Everything here goes in through the doors an operator has: files land in the landing zone, backfills and runs are asked
for over the REST API. What happened is read from the ledger afterwards (`summary`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select

from evergreen.core.definition import ModelDefinition
from evergreen.core.ledger import Ledger
from evergreen.core.ledger.tables import (
    Decision,
    DriftCheck,
    PartitionVersion,
    Prediction,
    Snapshot,
    TrainingRun,
    Verdict,
)
from evergreen.errors import EvergreenError, UnavailableError
from evergreen.settings import Settings
from evergreen.stack.airflow_client import AirflowApi

STAGES = ("ingest_inputs", "ingest_labels", "features", "score", "monitor", "train")
HISTORY = 9
"""Weeks that have landed before the story begins: two months."""
Say = Callable[[str], None]


class DemoFailedError(EvergreenError):
    """A run of the demo failed; the message quotes its log."""


@dataclass
class Story:
    """One telling. `say` is given what is happening now; `advance` is called once for each week that is done."""

    definition: ModelDefinition
    settings: Settings
    airflow: AirflowApi
    say: Say
    advance: Callable[[int], None]
    broken_week: str | None = None
    """Key of a partition whose inputs first land truncated, as files do; it is landed again after its quarantine."""
    _seen_failures: set[tuple[str, str]] = field(default_factory=set)

    def dag(self, stage: str) -> str:
        """Id of one of the model's DAGs."""
        return f"{self.definition.name}.{stage}"

    def tell(self, keys: list[str]) -> None:
        """The whole story over the partitions `keys`, the first `HISTORY` of them as history."""
        self.open()
        self.history(keys[:HISTORY])
        self.first_champion(keys[: HISTORY - self.definition.feed.label_delay][-1])
        self.monitor(keys[HISTORY - 1])
        self.advance(HISTORY)
        for key in keys[HISTORY:]:
            self.week(key)
            self.advance(1)
        self.say("sending the last mails")
        self.airflow.wait_until_idle([self.dag(stage) for stage in STAGES], quiet=0.5)

    def open(self) -> None:
        """Wait until Airflow knows the model's DAGs, and let them run."""
        self.say("Airflow is reading the DAGs")
        ids = [*map(self.dag, (*STAGES, "rollback", "replay_quarantine")), "evergreen.housekeeping"]
        self.airflow.wait_until_dags_parsed(ids)
        self.airflow.unpause(ids)

    def history(self, keys: list[str]) -> None:
        """Land the partitions and have two backfills bring them in; features and scoring follow by themselves."""
        labels = keys[: -self.definition.feed.label_delay] if self.definition.feed.label_delay else keys
        self.say(f"landing {keys[0]} through {keys[-1]}")
        self.land(keys)
        for stage, wanted in (("ingest_inputs", keys), ("ingest_labels", labels)):
            first, last = (self.definition.partitions.clock_time(key) for key in (wanted[0], wanted[-1]))
            self.airflow.backfill(self.dag(stage), first, last, max_active_runs=8)
        self.wait(lambda: self._accepted("inputs", keys), "validating inputs of")
        self.wait(lambda: self._accepted("labels", labels), "validating labels of")
        self.wait(lambda: self._missing(Snapshot, keys), "building features of")

    def first_champion(self, as_of: str) -> None:
        """Ask for the first training, as a person would, and wait for its end."""
        self.say("training the first champion")
        conf = {"cause": "first", "cause_key": "first", "reason": "There is no champion yet.", "as_of": as_of}
        run_id = self.airflow.trigger(self.dag("train"), conf, run_id="first")
        self._wait_for_training(run_id)

    def week(self, key: str) -> None:
        """One week goes by: its inputs and the labels due by now land, and everything follows from that."""
        label_key = self.definition.partitions.shift(key, -self.definition.feed.label_delay)
        if key == self.broken_week:
            self._land_broken(key)
        self.land([key])
        self.say(f"{key}: bringing in, building features, scoring")
        suffix = "corrected" if key == self.broken_week else "week"
        self.airflow.trigger(self.dag("ingest_inputs"), run_id=f"{suffix}__{key}", partition_key=key)
        self.airflow.trigger(self.dag("ingest_labels"), run_id=f"week__{label_key}", partition_key=label_key)
        self.wait(lambda: self._accepted("labels", [label_key]), "validating labels of")
        self.wait(lambda: self._missing(Prediction, [key]), "scoring")
        self.monitor(key)

    def monitor(self, key: str) -> None:
        """Check the partition, and wait until what was decided is done: a challenger judged, the champion changed."""
        self.say(f"{key}: checking drift and realised loss")
        self.wait(lambda: self._missing(Prediction, [key]), "scoring")
        run_id = self.airflow.trigger(self.dag("monitor"), run_id=f"week__{key}", partition_key=key)
        self.wait(lambda: self._missing(DriftCheck, [key]), "checking")
        decided = self._decision(key)
        if decided is None or decided.kind not in ("retrain", "rollback", "promote"):
            return
        self.say(f"{key}: {decided.reason}")
        self._wait_for_run(self.dag("monitor"), run_id)
        if decided.kind == "retrain":
            self._wait_for_training(self._training_run_id(key))

    def land(self, keys: list[str]) -> None:
        """Land the partitions as the feed would: inputs, and the labels that are due with them."""
        from evergreen.tools.simulator.land import land

        land(self.definition, keys, landing_url=self.settings.landing_url)

    def wait(self, missing: Callable[[], list[str]], doing: str, timeout: float = 600) -> None:
        """Wait until `missing` is empty, saying what is still to come.

        Raises:
            DemoFailedError: a run failed meanwhile.
            UnavailableError: time is up.
        """
        deadline = time.monotonic() + timeout
        turn = 0
        while left := missing():
            self.say(f"{doing} {left[0]}" + (f" and {len(left) - 1} more" if len(left) > 1 else ""))
            turn += 1
            if turn % 8 == 0:
                self._raise_on_failure()
            if time.monotonic() > deadline:
                raise UnavailableError(
                    f"{doing} {', '.join(left)} was not done after {timeout:.0f} s: {self.airflow.url}"
                )
            time.sleep(0.25)

    def _land_broken(self, key: str) -> None:
        """Land the inputs with half their bytes, and wait until they are quarantined."""
        from fsspec import open as open_uri

        from evergreen.core.store.objects import publish
        from evergreen.loop.intake.landing_zone import SUCCESS
        from evergreen.tools.simulator.land import land_table

        self.say(f"{key}: a truncated file lands")
        landed = land_table(self.definition, "inputs", key, landing_url=self.settings.landing_url)
        with open_uri(landed.uri, "rb") as file:
            half = file.read(landed.bytes // 2)
        publish(landed.uri, half)
        publish(f"{landed.uri.rpartition('/')[0]}/{SUCCESS}", b"")
        run_id = self.airflow.trigger(self.dag("ingest_inputs"), run_id=f"week__{key}", partition_key=key)
        self._seen_failures.add((self.dag("ingest_inputs"), run_id))
        self.airflow.wait_for_run(self.dag("ingest_inputs"), run_id)
        self.say(f"{key}: quarantined; landing it again")

    def _accepted(self, table: str, keys: list[str]) -> list[str]:
        with self._ledger().transaction() as session:
            found = session.scalars(
                select(PartitionVersion.key)
                .join(Verdict)
                .where(
                    PartitionVersion.model == self.definition.name,
                    PartitionVersion.table == table,
                    Verdict.outcome == "accepted",
                )
            )
            return sorted(set(keys) - set(found))

    def _missing(self, table: type[Snapshot | Prediction | DriftCheck], keys: list[str]) -> list[str]:
        with self._ledger().transaction() as session:
            found = session.scalars(select(table.key).where(table.model == self.definition.name))
            return sorted(set(keys) - set(found))

    def _decision(self, key: str) -> Decision | None:
        with self._ledger().transaction() as session:
            return session.scalar(
                select(Decision)
                .where(Decision.model == self.definition.name, Decision.key == key, Decision.version.is_(None))
                .order_by(Decision.id.desc())
            )

    def _training_run_id(self, key: str) -> str:
        """Run id of the training that the check of `key` triggered (or that an earlier check of its cause did)."""
        runs = self.airflow.task_instances(self.dag("monitor"), f"week__{key}")
        if any(t["task_id"] == "retrain" and t["state"] == "success" for t in runs):
            return str(self.airflow.dag_runs(self.dag("train"))[-1]["dag_run_id"])
        return ""

    def _wait_for_training(self, run_id: str) -> None:
        if run_id:
            self._wait_for_run(self.dag("train"), run_id, lambda: self.say(f"training: {self._training_state()}"))

    def _training_state(self) -> str:
        with self._ledger().transaction() as session:
            run = session.scalar(
                select(TrainingRun).where(TrainingRun.model == self.definition.name).order_by(TrainingRun.id.desc())
            )
        return (
            {"assembled": "tuning and fitting", "trained": "comparing"}.get(run.state, run.state) if run else "starting"
        )

    def _wait_for_run(self, dag_id: str, run_id: str, tick: Callable[[], None] = lambda: None) -> None:
        deadline = time.monotonic() + 900
        while (state := self.airflow.dag_run(dag_id, run_id)["state"]) not in ("success", "failed"):
            tick()
            if time.monotonic() > deadline:
                raise UnavailableError(f"run {run_id} of {dag_id} did not end: {self.airflow.run_url(dag_id, run_id)}")
            time.sleep(0.4)
        if state == "failed":
            self._raise_on_failure()

    def _raise_on_failure(self) -> None:
        for run in self.airflow.dag_runs(state="failed"):
            where = (run["dag_id"], run["dag_run_id"])
            if where in self._seen_failures or not run["dag_id"].startswith(f"{self.definition.name}."):
                continue
            raise DemoFailedError(_explain(self.airflow, *where))

    def _ledger(self) -> Ledger:
        return Ledger.from_settings(self.settings)


def _explain(airflow: AirflowApi, dag_id: str, run_id: str) -> str:
    failed: list[dict[str, Any]] = [
        t for t in airflow.task_instances(dag_id, run_id) if t["state"] in ("failed", "up_for_retry")
    ]
    if not failed:
        return f"run {run_id} of {dag_id} failed: {airflow.run_url(dag_id, run_id)}"
    task = failed[0]
    log = airflow.task_log(dag_id, run_id, task["task_id"], task["try_number"])
    tail = "\n".join(log.splitlines()[-15:])
    return f"task {task['task_id']} of {dag_id} failed: {airflow.run_url(dag_id, run_id, task['task_id'])}\n{tail}"
