"""DAGs `<model>.ingest_inputs` and `<model>.ingest_labels`: from the landing zone to a validated raw partition."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, get_current_context, task

from arrival import PartitionSensor
from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.model import TableName
from evergreen.core.definition.query import query_of
from wiring import (
    active_runs,
    arrivals,
    asset,
    body,
    call,
    dag_arguments,
    database_address,
    definitions,
    end_skipped,
    partition_key,
    send_owed_mail,
    skip,
)

DOC = """
Bring {table} of one partition in: wait for the drop, keep its bytes, validate, accept or quarantine.

1. {first}
2. **validate** copies the bytes into the store, with their SHA-256 (the same bytes again are the same version; other
   bytes are the next version, and the old one stays), and runs the structural checks and the Great Expectations suite
   on the copy. A quarantined partition fails this task with the reason, is kept, and is reported by mail; nothing
   downstream runs.
3. **rebuild** emits the partitions whose features looked back on these {table} and were built without them, or with
   an older version; their features are then built again. Skipped if there are none.

Schedule: one run a partition, when it is due. Past partitions: run a backfill over their dates.
Rerunning a run changes nothing unless the drop was replaced.
"""


WAITS = """\
**wait_for_drop** waits for `landing/{feed}/<partition key>/{table}.parquet` (or .csv) and a `_SUCCESS` not older
   than it. It is deferred from the first moment: no worker is held, nor asked."""
ASKS = """\
**extract** runs the query of `feed.source` in the database {connection}, with the bounds of the partition, and lands
   its rows as `landing/{feed}/<partition key>/{table}.parquet`: of one instant, and all or none."""


@task
@body
def extract(model: str, table: TableName) -> None:
    """Land the rows of the partition from the database that the definition names."""
    from evergreen.loop.intake.database.extract import extract

    definition, common = call(model)
    extract(definition, table, partition_key(), landing_url=common["settings"].landing_url, address_of=database_address)


@task
@body
def validate(model: str, table: TableName) -> None:
    """Copy the drop, and give its verdict; fails if that is `quarantined`."""
    from evergreen.errors import QuarantinedError
    from evergreen.loop.features.stale import to_rebuild
    from evergreen.loop.intake.receive import receive
    from evergreen.loop.intake.validate import validate

    definition, common = call(model)
    received = receive(definition, table, partition_key(), **common)
    validated = validate(definition, received.partition_version_id, **common)
    send_owed_mail(quietly=True)  # of a quarantine, or the all-clear after one
    if validated.outcome == "quarantined":
        raise QuarantinedError(validated.reason)
    if not to_rebuild(definition, table, partition_key(), settings=common["settings"]):
        skip(["rebuild"], f"no other features were built without these {table}")


@task
@body
def rebuild(model: str, table: TableName) -> None:
    """Emit the partitions whose features looked back on these rows and are older than they."""
    from evergreen.loop.features.stale import to_rebuild

    definition, common = call(model)
    stale = to_rebuild(definition, table, partition_key(), settings=common["settings"])
    if not stale:
        end_skipped("the features have been built again meanwhile")
    get_current_context()["outlet_events"][asset(model, "inputs")].add_partitions([*stale])


def ingest(definition: ModelDefinition, table: TableName) -> DAG:
    """The DAG that brings one table of a model in."""
    delay = definition.feed.label_delay if table == "labels" else 0
    query = query_of(definition, table)
    about = {"table": table, "feed": definition.feed.name, "connection": query.connection if query else ""}
    doc = DOC.format(first=(ASKS if query else WAITS).format(**about), **about)
    with DAG(
        **dag_arguments(definition, f"ingest_{table}", doc, delay=delay),
        schedule=arrivals(definition, delay),
        max_active_runs=active_runs(definition),
    ) as dag:
        first: Any = (
            extract(definition.name, table)
            if query
            else PartitionSensor(task_id="wait_for_drop", subject=table, model=definition.name)
        )
        validated = validate.override(outlets=[asset(definition.name, table)])(definition.name, table)
        rebuilt = rebuild.override(outlets=[asset(definition.name, "inputs")])(definition.name, table)
        first >> validated >> rebuilt
    return dag


for _definition in definitions():
    ingest(_definition, "inputs")
    ingest(_definition, "labels")
