"""DAGs `<model>.ingest_inputs` and `<model>.ingest_labels`: from the landing zone to a validated raw partition."""

from __future__ import annotations

from airflow.sdk import DAG, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from arrival import PartitionSensor
from evergreen.definition import ModelDefinition
from wiring import arrivals, asset, call, dag_arguments, definitions, partition_key, send_owed_mail

DOC = """
Bring {table} of one partition in: wait for the drop, keep its bytes, validate, accept or quarantine.

1. **wait_for_drop** waits for `landing/{feed}/<partition key>/{table}.parquet` (or .csv) and a `_SUCCESS` not older
   than it. While it waits it is deferred: no worker slot is held.
2. **receive** copies the bytes into the store, with their SHA-256. The same bytes again are the same version;
   other bytes are the next version, and the old one stays.
3. **validate** runs the structural checks and the Great Expectations suite. A quarantined partition fails this task
   with the reason, is kept, and is reported by mail; nothing downstream runs.
{last}
Schedule: one run a partition, when it is due. Past partitions: run a backfill over their dates.
Rerunning a run changes nothing unless the drop was replaced.
"""
LABELS_LAST = """
4. **rebuild** emits the partitions whose features looked back on these labels and were built without them, or with an
   older version; their features are then built anew.
"""


@task
def receive(model: str, table: str) -> int:
    """Copy the landed bytes; returns the id of the partition version."""
    from evergreen.intake.receive import receive

    definition, common = call(model)
    return receive(definition, table, partition_key(), **common).partition_version_id


def _validate(model: str, version_id: int) -> None:
    from evergreen.errors import QuarantinedError
    from evergreen.intake.validate import validate

    definition, common = call(model)
    validated = validate(definition, version_id, **common)
    if validated.outcome == "quarantined":
        send_owed_mail(quietly=True)
        raise QuarantinedError(validated.reason)


def _rebuild(model: str) -> None:
    from evergreen.features.stale import stale_keys

    definition, common = call(model)
    stale = stale_keys(definition, settings=common["settings"])
    if not stale:
        raise AirflowSkipException("no features were built without these labels: nothing to build anew")
    get_current_context()["outlet_events"][asset(model, "inputs")].add_partitions(stale)


def ingest(definition: ModelDefinition, table: str) -> DAG:
    """The DAG that brings one table of a model in."""
    labels = table == "labels"
    delay = definition.feed.label_delay if labels else 0
    doc = DOC.format(table=table, feed=definition.feed.name, last=LABELS_LAST if labels else "")
    with DAG(
        **dag_arguments(definition, f"ingest_{table}", doc, delay=delay),
        schedule=arrivals(definition, delay),
        max_active_runs=16,
    ) as dag:
        wait = PartitionSensor(task_id="wait_for_drop", subject=table, model=definition.name, timeout=14 * 86400)
        version = receive(definition.name, table)
        validate = task(task_id="validate", outlets=[asset(definition.name, table)])(_validate)
        validated = validate(definition.name, version)
        wait >> version
        if labels:
            rebuild = task(task_id="rebuild", outlets=[asset(definition.name, "inputs")])(_rebuild)
            validated >> rebuild(definition.name)
    return dag


for _definition in definitions():
    for _table in ("inputs", "labels"):
        ingest(_definition, _table)
