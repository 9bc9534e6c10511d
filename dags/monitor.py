"""DAG `<model>.monitor`: drift and realised loss of one partition, a decision, a mail, and a retrain if decided."""

from __future__ import annotations

from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, Context, task

from arrival import PartitionSensor
from evergreen.core.definition import ModelDefinition
from wiring import (
    active_runs,
    arrivals,
    asset,
    body,
    call,
    dag_arguments,
    definitions,
    end_skipped,
    partition_key,
    send_owed_mail,
    skip,
)

DOC = """
Check one partition in production: has the data moved, does the champion still predict as well as when it was promoted?

1. **wait_for_predictions** waits (deferred) until the partition has been scored, and the labels due by now are judged.
   Skipped where no predictions have come six hours after the grace period, or none can: housekeeping starts the check
   of what is scored later.
2. **check** compares inputs, predictions and landed labels with the champion's reference (Evidently), measures the
   realised loss on labels that have landed, scores versions that served earlier and a challenger that was refused for
   want of proof beside the champion, and decides: no_action, alert, retrain, rollback or promote. Decision, evidence
   and the mail that is owed are written to the ledger in one transaction; the report goes to the store.
3. **alert** sends the mail, if the check owes one: a bad week or a fault is told whatever is decided. Skipped where
   nothing is decided.
4. **retrain** triggers `{name}.train` with the cause. One cause makes one retrain, however many checks see it. Skipped
   where the check did not decide so.
5. **change_champion** has the version serve that is proven better, from the next partition on, and sends the mail about
   it. Skipped where the check did not decide so.

Schedule: one run a partition, when it is due. Backfills decide with what was known at the time.
"""

ACTS_ON = {
    "alert": ("alert", "retrain", "rollback", "promote"),
    "retrain": ("retrain",),
    "change_champion": ("rollback", "promote"),
}
"""The decisions on which each task after the check acts."""


# One at a time, since they are anyway: others would hold a worker while they wait for the ledger's lock.
@task(max_active_tis_per_dag=1)
@body
def check(model: str) -> dict[str, Any]:
    """Check the partition of this run; returns what was decided."""
    from dataclasses import asdict

    from evergreen.loop.monitoring.check import run

    definition, common = call(model)
    checked = run(definition, partition_key(), **common)
    idle = [task_id for task_id, kinds in ACTS_ON.items() if checked.kind not in kinds]
    if idle:
        skip(idle, f"decided {checked.kind}", result=asdict(checked))
    return asdict(checked)


@task
@body
def alert() -> int:
    """Send what the outbox holds; the number of mails sent."""
    return send_owed_mail()


@task
@body
def change_champion(model: str, checked: dict[str, Any]) -> str:
    """Have the version serve that the check's decision names; returns the reason as recorded."""
    from evergreen.errors import NotReadyError
    from evergreen.loop.champion.apply_decision import follow

    definition, common = call(model)
    try:
        reason = follow(definition, checked["decision_id"], **common).reason
    except NotReadyError as changed:
        end_skipped(str(changed))
    send_owed_mail(quietly=True)
    return reason


class RetrainOperator(TriggerDagRunOperator):
    """Trigger the train DAG as the check decided; skipped if the run exists."""

    def execute(self, context: Context) -> None:
        """Read the decision, and trigger under a run id that its cause determines."""
        decided = context["ti"].xcom_pull(task_ids="check")
        self.conf = {name: decided[name] for name in ("cause", "cause_key", "reason", "as_of")}
        self.trigger_run_id = f"retrain__{decided['cause_key']}"
        self.log.info("Triggering %s: %s", self.trigger_dag_id, decided["reason"])
        super().execute(context)


def monitor(definition: ModelDefinition) -> DAG:
    """The DAG that watches a model."""
    name = definition.name
    with DAG(
        **dag_arguments(definition, "monitor", DOC.format(name=name)),
        schedule=arrivals(definition),
        max_active_runs=active_runs(definition),  # the checks themselves go one at a time
    ) as dag:
        wait = PartitionSensor(task_id="wait_for_predictions", subject="predictions", model=name)
        checked = check.override(outlets=[asset(name, "drift_decision")])(name)
        retrain = RetrainOperator(
            task_id="retrain", trigger_dag_id=f"{name}.train", logical_date=None, skip_when_already_exists=True
        )
        changed = change_champion(name, checked)  # type: ignore[arg-type]  # Airflow hands the value over at run time
        wait >> checked >> [alert(), retrain, changed]
    return dag


for _definition in definitions():
    monitor(_definition)
