"""Drive a live Airflow through a model's life: history, first champion, then week by week.

Everything here goes in through the doors an operator has: files land in the landing zone, backfills and runs are asked
for over the REST API. What happened is read from the ledger afterwards (`summary`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from evergreen.core.ledger.tables import Prediction, Snapshot
from evergreen.core.names import PartitionKey
from evergreen.tools.start.walk import BY_HAND, HOUSEKEEPING, STAGES, Walk

HISTORY = 9
"""Weeks that have landed before the story begins: two months."""


@dataclass
class Story(Walk):
    """One telling. `say` is given what is happening now; `advance` is called once for each week that is done."""

    advance: Callable[[int], None]
    broken_week: str | None = None
    """Key of a partition whose inputs first land truncated, as files do; it is landed again after its quarantine."""

    def tell(self, keys: list[PartitionKey]) -> None:
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
        ids = [*map(self.dag, (*STAGES, *BY_HAND)), HOUSEKEEPING]
        self.airflow.wait_until_dags_parsed(ids)
        self.airflow.unpause(ids)

    def history(self, keys: list[PartitionKey]) -> None:
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

    def first_champion(self, as_of: PartitionKey) -> None:
        """Ask for the first training, as a person would, and wait for its end."""
        self.say("training the first champion")
        conf = {"cause": "first", "cause_key": "first", "reason": "There is no champion yet.", "as_of": as_of}
        run_id = self.airflow.trigger(self.dag("train"), conf, run_id="first")
        self._wait_for_training(run_id)

    def week(self, key: PartitionKey) -> None:
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

    def monitor(self, key: PartitionKey) -> None:
        """Check the partition, and wait until what was decided is done: a challenger judged, the champion changed."""
        self.wait(lambda: self._missing(Prediction, [key]), "scoring")
        decided = self.check_partition(key, f"week__{key}")
        if decided is not None and decided.kind == "retrain":
            self._wait_for_training(self._training_run_id(key))

    def land(self, keys: list[PartitionKey]) -> None:
        """Land the partitions as the feed would: inputs, and the labels that are due with them."""
        from evergreen.tools.simulator.land import land

        land(self.definition, keys, landing_url=self.settings.landing_url)

    def _land_broken(self, key: PartitionKey) -> None:
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

    def _training_run_id(self, key: PartitionKey) -> str:
        """Run id of the training that the check of `key` triggered (or that an earlier check of its cause did)."""
        runs = self.airflow.task_instances(self.dag("monitor"), f"week__{key}")
        if any(t["task_id"] == "retrain" and t["state"] == "success" for t in runs):
            return str(self.airflow.dag_runs(self.dag("train"))[-1]["dag_run_id"])
        return ""

    def _wait_for_training(self, run_id: str) -> None:
        if run_id:
            self._wait_for_run(self.dag("train"), run_id, lambda: self.say(f"training: {self._training_state()}"))
