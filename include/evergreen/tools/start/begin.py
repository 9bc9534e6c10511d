"""From what has landed to a model that is monitored: history, a first champion, then partition by partition.

The partitions after the first champion are walked one by one, because what is decided in one matters to the next: a
retrain that one asks for serves from the next one on, as it would have then. Every step looks first whether it has been
done, so the walk goes on where an earlier one ended, however that ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from evergreen.core.ledger.queries import references, versions
from evergreen.core.ledger.queries.partitions import ACCEPTED, QUARANTINED
from evergreen.core.ledger.tables import Comparison, DriftCheck, Prediction, Snapshot, TrainingRun
from evergreen.core.names import PartitionKey
from evergreen.core.values import TableName
from evergreen.errors import NotReadyError, RefusedError
from evergreen.tools.start.plan import Landed, choose_first, labels_due
from evergreen.tools.start.walk import BY_HAND, HOUSEKEEPING, PARSED_WITHIN, STAGES, RunFailedError, Walk, explain

RUN_MADE_WITHIN = 6.0
"""Seconds within which Airflow makes the run of the newest partition of a DAG that may run from now on"""
INGEST: dict[TableName, str] = {"inputs": "ingest_inputs", "labels": "ingest_labels"}


@dataclass
class Beginning(Walk):
    """A model's first steps. `advance` is told how many partitions are done."""

    advance: Callable[[int], None]
    passed_over: dict[str, str] = field(default_factory=dict)
    """Partitions that went no further than their accepted inputs, with the reason"""
    waits_for_person: list[str] = field(default_factory=list)
    """Addresses of the forms in which the gate asks a person about a challenger"""

    def open(self) -> list[str]:
        """Wait until Airflow has read the model's DAGs, and let them and the housekeeping run; returns their ids."""
        ids = self._parsed()
        self.airflow.unpause([*ids, HOUSEKEEPING])
        return [*ids, HOUSEKEEPING]

    def _parsed(self) -> list[str]:
        self.say("waiting until Airflow has read the DAGs of the model (it looks every half minute)")
        beside = ("ingest_references",) if self.definition.feed.references else ()
        ids = [self.dag(stage) for stage in (*STAGES, *BY_HAND, *beside)]
        self.airflow.wait_until_dags_parsed(ids, timeout=PARSED_WITHIN)
        return ids

    def open_for_history(self, landed: Landed) -> None:
        """The same, but the housekeeping, which would bring in what is not yet its turn.

        Once they may run, Airflow makes a run for the newest partition. If that has landed, its inputs are validated at
        once; its features must wait for their turn, so the DAG `features` is let run only after that.
        """
        ids, features = self._parsed(), self.dag("features")
        self._bring_in_references()
        if self.airflow.dag(features)["is_paused"]:
            self.airflow.unpause([dag for dag in ids if dag != features])
            self._let_scheduled_pass(landed)
        self.airflow.unpause(ids)

    def _bring_in_references(self) -> None:
        """Reference tables first: features of the past read the versions of their day.

        A version that is quarantined fails the run, and a mail says so; features go on with the version before.
        """
        if not self.definition.feed.references:
            return
        dag, before = self.dag("ingest_references"), self._newest_reference()
        self.airflow.unpause([dag])
        self.say("bringing reference tables in")
        run_id = self.airflow.trigger(dag, run_id=f"start__{int(time.time())}")
        if self.airflow.wait_for_run(dag, run_id)["state"] == "failed" and not self._refused_since(before):
            said = explain(self.airflow, dag, run_id)
            raise RunFailedError(f"{said}\nCorrect what it names, then run this command again")

    def _newest_reference(self) -> int:
        """Id of what was recorded last of the reference tables; 0 before that."""
        with self._ledger().transaction() as session:
            return max((row.id for row in references.all_of(session, self.definition.name)), default=0)

    def _refused_since(self, number: int) -> bool:
        """Whether a version was quarantined after that one."""
        with self._ledger().transaction() as session:
            rows = references.all_of(session, self.definition.name)
        return any(row.id > number and row.outcome == QUARANTINED for row in rows)

    def _let_scheduled_pass(self, landed: Landed) -> None:
        begun, dag = time.monotonic(), self.dag("ingest_inputs")
        while time.monotonic() < begun + RUN_MADE_WITHIN:
            runs = [run for run in self.airflow.newest_runs(dag) if run["run_type"] == "scheduled"]
            ours = [run for run in runs if run.get("partition_key") in landed.inputs]
            if runs and all(run["state"] in ("success", "failed") for run in ours):
                return
            if ours:
                begun = time.monotonic()
            time.sleep(0.4)

    def check(self, landed: Landed, as_of: PartitionKey | None) -> None:
        """Raise NotReadyError if too little has landed for a first champion, before anything is begun."""
        if self._served_from() is None:
            choose_first(self.definition, landed, as_of)

    def history(self, landed: Landed, as_of: PartitionKey | None) -> None:
        """The whole way, from what has landed.

        Raises:
            NotReadyError: too little has landed to train, or the labels cannot teach.
            RefusedError: the gate refused the first model, or asks a person.
            RunFailedError: a run failed; the message quotes its log.
            UnavailableError: Airflow, the ledger or a run do not answer.
        """
        served_from = self._served_from()
        chosen = () if served_from else choose_first(self.definition, landed, as_of)
        self._restart_failed()
        first = served_from or self._first_champion(landed, chosen)
        before = [key for key in landed.inputs if key < first]
        if served_from:
            known = self.definition.partitions.shift(first, -max(1, self.definition.feed.label_delay))
            self._bring_in(before, [key for key in landed.labels if key <= known])
            self.advance(len(before))
        self._wait_for_trainings()
        for key in landed.inputs[len(before) :]:
            self._partition(key, labels_due(self.definition, landed.labels, key))
            self.advance(1)
        self._bring_in([], list(landed.labels))
        self.say("sending the last mails")
        while any(self._own_active(stage) for stage in (*INGEST.values(), "monitor")):
            time.sleep(0.4)

    # Steps ------------------------------------------------------------------------------------------------------------

    def _first_champion(self, landed: Landed, chosen: tuple[PartitionKey, ...]) -> PartitionKey:
        """Train on what was known as of the first of `chosen` that has rows enough; the first partition it serves."""
        from evergreen.loop.champion.promotion import first_served

        why = ""
        for as_of in chosen:
            served = first_served(self.definition, as_of)
            inputs = [key for key in landed.inputs if key <= served]
            self._bring_in(inputs, [key for key in landed.labels if key <= as_of])
            why = self._cannot_train(as_of)
            if not why:
                self.advance(sum(key < served for key in inputs))
                self._train_first(as_of)
                return served
        raise NotReadyError(why)

    def _bring_in(self, inputs: list[PartitionKey], labels: list[PartitionKey]) -> None:
        """Have these tables validated, and the features of what is accepted built; quarantine is an outcome too."""
        wanted: dict[TableName, list[PartitionKey]] = {"inputs": inputs, "labels": labels}
        for key in self._unbuilt(inputs):  # accepted before: nothing will ask for their features any more
            self.airflow.trigger(self.dag("features"), run_id=f"start__{key}", partition_key=key)
        for table, keys in wanted.items():
            for key in self._unjudged(table, keys):
                self.airflow.trigger(self.dag(INGEST[table]), run_id=f"start__{key}", partition_key=key)
        for table, keys in wanted.items():
            self.wait(lambda table=table, keys=keys: self._unjudged(table, keys), f"validating {table} of")  # type: ignore[misc]
        self.wait(lambda: self._unbuilt(inputs), "building features of")

    def _partition(self, key: PartitionKey, labels: list[PartitionKey]) -> None:
        """One partition as it came then: in, scored, checked, and what the check decided done."""
        if not self._missing(DriftCheck, [key]):
            return
        self.say(f"{key}: bringing in, building features, scoring")
        self._bring_in([key], labels)
        if key in self.passed_over or self._accepted("inputs", [key]):
            return
        self.wait(lambda: self._unscored(key), "scoring")
        if key in self.passed_over:
            return
        if self.check_partition(key, f"start__{key}") is not None:
            self._wait_for_trainings()

    def _train_first(self, as_of: PartitionKey) -> None:
        from evergreen.loop.training.provenance import code_hash

        # Another code or definition is another cause: what was refused is tried again after a correction.
        cause = f"first-{as_of}-{code_hash(self.definition)[:12]}"
        conf = {
            "cause": "first", "cause_key": cause, "as_of": as_of,
            "reason": f"There is no champion yet; evergreen start made one as of {as_of}.",
        }  # fmt: skip
        dag = self.dag("train")
        self.say(f"training the first champion, as of {as_of}")
        run_id = self.airflow.trigger(dag, conf, run_id=cause)
        if self.airflow.dag_run(dag, run_id)["state"] == "failed":
            self.airflow.clear(dag, run_id)
        self._wait_for_trainings()
        self._check_first(cause, run_id)

    def _check_first(self, cause: str, run_id: str) -> None:
        """Raise unless the first model was promoted."""
        name, dag = self.definition.name, self.dag("train")
        with self._ledger().transaction() as session:
            if versions.current_deployment(session, name) is not None:
                return
            run = versions.run_of_cause(session, name, cause)
            compared = versions.comparison_of(session, run.id) if run else None
            reason = str(compared.result["reason"]) if compared else ""
        if self.waits_for_person:
            raise RefusedError(
                f"the gate leaves the first model to a person: answer the form at {self.waits_for_person[0]}, then run "
                "this command again; it goes on from there"
            )
        if run is None or run.version is None or compared is None:
            raise RunFailedError(
                f"{explain(self.airflow, dag, run_id)}\nCorrect what it names, then run this command again"
            )
        raise RefusedError(
            f"the first model was refused: {reason}. There is no champion, so nothing is scored. Correct features.py "
            f"or model.yaml and run this command again; or give a later --as-of, with more to learn from; or have it "
            f"serve all the same: `evergreen promote {name} {run.version} --why REASON`, then this command again"
        )

    # What is there ----------------------------------------------------------------------------------------------------

    def _served_from(self) -> str | None:
        """First partition that a champion served; None if there was none."""
        with self._ledger().transaction() as session:
            first = versions.first_deployment(session, self.definition.name)
            return (first.from_key or self.definition.partitions.first_key) if first else None

    def _unjudged(self, table: TableName, keys: Collection[PartitionKey]) -> list[PartitionKey]:
        return sorted(set(keys) - set(self._outcomes(table)))

    def _unbuilt(self, keys: Collection[PartitionKey]) -> list[PartitionKey]:
        """Those whose inputs are accepted and whose features are neither built nor refused."""
        outcomes = self._outcomes("inputs")
        left = self._missing(Snapshot, [key for key in keys if outcomes.get(key) == ACCEPTED])
        return self._without_failed(left, "features")

    def _unscored(self, key: PartitionKey) -> list[PartitionKey]:
        return self._without_failed(self._missing(Prediction, [key]), "score")

    def _without_failed(self, left: list[PartitionKey], stage: str) -> list[PartitionKey]:
        """Those of `left` whose run of `stage` has not failed; the others are passed over, with the reason."""
        if not left:
            return left
        dag = self.dag(stage)
        for run in self.airflow.newest_runs(dag, state="failed"):
            key = str(run.get("partition_key"))
            if key in left:
                self._seen_failures.add((dag, run["dag_run_id"]))
                self.passed_over[key] = explain(self.airflow, dag, run["dag_run_id"])
        return [key for key in left if key not in self.passed_over]

    def _cannot_train(self, as_of: PartitionKey) -> str:
        """Why there is too little to train on through `as_of`; empty if there is enough."""
        from evergreen.loop.features.feature_code import today
        from evergreen.loop.intake.labels import coverage
        from evergreen.loop.intake.labels.usable import standings
        from evergreen.loop.training.assemble import choose, read_labelled

        coverage.review(self.definition, settings=self.settings)
        with self._ledger().transaction() as session:
            stands = standings(session, self.definition, as_of)
            code = today(self.definition).hash
            found, held = read_labelled(session, self.definition, as_of, stands, code)
        try:
            choose(self.definition, found, as_of, held)
        except NotReadyError as reason:
            broken = next(iter(self.passed_over.values()), "")
            return f"{reason}" + (f"\nFeatures that could not be built: {broken}" if broken else "")
        return ""

    # Runs -------------------------------------------------------------------------------------------------------------

    def _restart_failed(self) -> None:
        """Run again what failed before it had done its work, such as features whose code has been corrected since."""
        for stage, done in (("features", Snapshot), ("score", Prediction), ("monitor", DriftCheck)):
            self._clear_failed(stage, lambda keys, done=done: self._missing(done, keys))  # type: ignore[misc]
        for table, stage in INGEST.items():
            self._clear_failed(stage, lambda keys, table=table: self._unjudged(table, keys))  # type: ignore[misc]

    def _clear_failed(self, stage: str, undone: Callable[[Collection[PartitionKey]], list[PartitionKey]]) -> None:
        dag = self.dag(stage)
        failed = {
            PartitionKey(str(run["partition_key"])): run["dag_run_id"]
            for run in self.airflow.dag_runs(dag, state="failed")
        }
        again = set(undone([key for key in failed if key != "None"]))
        for key, run_id in failed.items():
            if key in again:
                self.airflow.clear(dag, run_id)
            else:
                self._seen_failures.add((dag, run_id))

    def _own_active(self, stage: str) -> bool:
        """Whether a run of ours has not ended. Others may wait for days, for what has not landed."""
        runs = self.airflow.newest_runs(self.dag(stage), state=["queued", "running"])
        return any(str(run["dag_run_id"]).startswith("start__") for run in runs)

    def _wait_for_trainings(self) -> None:
        """Until no training of the model runs but those that wait for a person."""
        dag = self.dag("train")
        while running := [r for r in self.airflow.newest_runs(dag) if r["state"] in ("queued", "running")]:
            if all(self._asks_person(run["dag_run_id"]) for run in running):
                return
            self.say(f"training: {self._training_state()}")
            time.sleep(0.4)

    def _asks_person(self, run_id: str) -> bool:
        """Whether this training waits for the answer of a person, whose form is noted."""
        with self._ledger().transaction() as session:
            newest = (
                session.query(Comparison)
                .join(TrainingRun, TrainingRun.id == Comparison.training_run_id)
                .filter(TrainingRun.model == self.definition.name, TrainingRun.state == "compared")
                .order_by(Comparison.id.desc())
                .first()
            )
            if newest is None or newest.result["outcome"] != "ask":
                return False
        states = {t["task_id"]: t["state"] for t in self.airflow.task_instances(self.dag("train"), run_id)}
        if states.get("approve") in (None, "success", "failed", "skipped"):
            return False
        form = f"{self.airflow.run_url(self.dag('train'), run_id, 'approve')}/required_actions"
        if form not in self.waits_for_person:
            self.waits_for_person.append(form)
        return True

    def _raise_on_failure(self) -> None:
        """Raise if a run failed that is no quarantine: that is an outcome, and its mail is on its way."""
        quarantined = {
            (self.dag(stage), key)
            for table, stage in INGEST.items()
            for key, outcome in self._outcomes(table).items()
            if outcome != ACCEPTED
        }
        for stage in (*INGEST.values(), "monitor", "train"):
            dag = self.dag(stage)
            for run in self.airflow.newest_runs(dag, state="failed"):
                where = (dag, run["dag_run_id"])
                if where in self._seen_failures or (dag, str(run.get("partition_key"))) in quarantined:
                    continue
                raise RunFailedError(
                    f"{explain(self.airflow, *where)}\nCorrect what it names, then run this command again: it goes on "
                    "where it ended"
                )
