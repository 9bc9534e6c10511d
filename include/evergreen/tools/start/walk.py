"""Ask a live Airflow for runs of a model's DAGs, and wait for what they write to the ledger.

What `evergreen start` and the demo have in common. Everything goes in through the doors an operator has, over the REST
API; what happened is read from the ledger.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select

from evergreen.core.definition import ModelDefinition
from evergreen.core.ledger import Ledger
from evergreen.core.ledger.queries.partitions import ACCEPTED, newest_map
from evergreen.core.ledger.tables import Decision, DriftCheck, Prediction, Snapshot, TrainingRun
from evergreen.core.names import PartitionKey
from evergreen.core.values import TableName
from evergreen.errors import EvergreenError, UnavailableError
from evergreen.settings import Settings
from evergreen.stack.airflow_client import AirflowApi

STAGES = ("ingest_inputs", "ingest_labels", "features", "score", "monitor", "train")
BY_HAND = ("rollback", "replay_quarantine", "reproduce")
HOUSEKEEPING = "evergreen.housekeeping"
PARSED_WITHIN = 180.0
"""Seconds within which a new model's DAGs are there: Airflow looks at each of the DAG files every half minute."""
Say = Callable[[str], None]


class RunFailedError(EvergreenError):
    """A run failed; the message quotes its log."""


@dataclass
class Walk:
    """A model's way through a live Airflow. `say` is given what is happening now."""

    definition: ModelDefinition
    settings: Settings
    airflow: AirflowApi
    say: Say
    _seen_failures: set[tuple[str, str]] = field(default_factory=set, kw_only=True)

    def dag(self, stage: str) -> str:
        """Id of one of the model's DAGs."""
        return f"{self.definition.name}.{stage}"

    def wait(self, missing: Callable[[], Sequence[str]], doing: str, timeout: float = 600) -> None:
        """Wait until `missing` is empty, saying what is still to come.

        Raises:
            RunFailedError: a run failed meanwhile.
            UnavailableError: nothing of it was done for `timeout` seconds.
        """
        deadline, before = time.monotonic() + timeout, -1
        turn = 0
        while left := missing():
            self.say(f"{doing} {left[0]}" + (f" and {len(left) - 1} more" if len(left) > 1 else ""))
            turn += 1
            if turn % 8 == 0:
                self._raise_on_failure()
            if len(left) != before:
                deadline, before = time.monotonic() + timeout, len(left)
            if time.monotonic() > deadline:
                raise UnavailableError(
                    f"{doing} {', '.join(left)} was not done after {timeout:.0f} s: {self.airflow.url}"
                )
            time.sleep(0.25)

    def _outcomes(self, table: TableName) -> dict[str, str]:
        """The latest verdict on the newest version of each partition of `table` that has one, by key."""
        with self._ledger().transaction() as session:
            found = newest_map(session, self.definition.name, table)
            return {key: verdict.outcome for key, (_, verdict) in found.items() if verdict is not None}

    def _accepted(self, table: TableName, keys: Collection[PartitionKey]) -> list[PartitionKey]:
        """Those of `keys` that are not accepted."""
        outcomes = self._outcomes(table)
        return sorted(key for key in set(keys) if outcomes.get(key) != ACCEPTED)

    def _missing(
        self, table: type[Snapshot | Prediction | DriftCheck], keys: Collection[PartitionKey]
    ) -> list[PartitionKey]:
        with self._ledger().transaction() as session:
            found = session.scalars(select(table.key).where(table.model == self.definition.name))
            return sorted(set(keys) - set(found))

    def check_partition(self, key: PartitionKey, run_id: str) -> Decision | None:
        """Have the monitor check `key`, and wait; what it decided if that starts a training or another champion."""
        self.say(f"{key}: checking drift and realised loss")
        run_id = self.airflow.trigger(self.dag("monitor"), run_id=run_id, partition_key=key)
        self.wait(lambda: self._missing(DriftCheck, [key]), "checking")
        decided = self._decision(key)
        if decided is None or decided.kind not in ("retrain", "rollback", "promote"):
            return None
        self.say(f"{key}: {decided.reason}")
        self._wait_for_run(self.dag("monitor"), run_id)
        return decided

    def _decision(self, key: PartitionKey) -> Decision | None:
        """The newest decision that the checks of `key` came to."""
        with self._ledger().transaction() as session:
            return session.scalar(
                select(Decision)
                .where(Decision.model == self.definition.name, Decision.key == key)
                .where(Decision.dedup_key.startswith("monitor:"))
                .order_by(Decision.id.desc())
                .limit(1)
            )

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
            raise RunFailedError(explain(self.airflow, *where))

    def _ledger(self) -> Ledger:
        return Ledger.from_settings(self.settings)


def explain(airflow: AirflowApi, dag_id: str, run_id: str) -> str:
    """What failed in a run: the task, its address and the end of its log."""
    failed: list[dict[str, Any]] = [
        t for t in airflow.task_instances(dag_id, run_id) if t["state"] in ("failed", "up_for_retry")
    ]
    if not failed:
        return f"run {run_id} of {dag_id} failed: {airflow.run_url(dag_id, run_id)}"
    task = failed[0]
    log = airflow.task_log(dag_id, run_id, task["task_id"], task["try_number"])
    tail = "\n".join(log.splitlines()[-15:])
    return f"task {task['task_id']} of {dag_id} failed: {airflow.run_url(dag_id, run_id, task['task_id'])}\n{tail}"
