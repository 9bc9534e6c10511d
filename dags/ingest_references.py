"""DAG `<model>.ingest_references`: versions of reference tables, from the landing zone to what features may read."""

from __future__ import annotations

import datetime as dt
from typing import Any

from airflow.sdk import DAG, get_current_context, task

from evergreen.core.definition import ModelDefinition
from wiring import asset, body, call, dag_arguments, definitions, end_skipped, send_owed_mail

DOC = """
Bring versions of reference tables in: what has landed as `landing/{feed}/references/<name>/<stamp>/<name>.parquet` (or
.csv, or a folder of part files) with a `_SUCCESS`, and is not on record.

1. **bring_in** copies the bytes into the store, checks types, keys and expectations, and accepts or quarantines each
   version. A quarantined one fails this task with the reason and is reported by mail; features go on reading the
   version before.
2. **rebuild** emits the partitions whose features should have read a version that has come now: its stamp lies before
   they began. Their features are built again. Skipped if there are none.

Runs every ten minutes, and when a person triggers it. Rerunning a run changes nothing.
"""


@task
@body
def bring_in(model: str) -> list[dict[str, Any]]:
    """Bring in what has landed; what was recorded. Fails if a version is quarantined."""
    from evergreen.errors import QuarantinedError
    from evergreen.loop.intake.references.bring_in import bring_in

    definition, common = call(model)
    done = bring_in(definition, **common)
    send_owed_mail(quietly=True)
    bad = [f"{one.name} of {one.stamp}: {one.reason}" for one in done if one.outcome == "quarantined"]
    found = [{"name": one.name, "stamp": one.stamp, "outcome": one.outcome} for one in done]
    if bad:
        # What was accepted beside it is built in by the next run, which finds it still to be asked for.
        raise QuarantinedError("; ".join(bad))
    return found


@task
@body
def rebuild(model: str) -> None:
    """Emit the partitions whose features are older than what they should have read."""
    from evergreen.loop.features.stale import rebuilds_due

    definition, common = call(model)
    stale = rebuilds_due(definition, settings=common["settings"])
    if not stale:
        end_skipped("no features were built without what has come, or their builds were asked for before")
    get_current_context()["outlet_events"][asset(model, "inputs")].add_partitions([*stale])


def ingest_references(definition: ModelDefinition) -> DAG:
    """The DAG that brings the reference tables of a model in."""
    name = definition.name
    arguments = dag_arguments(definition, "ingest_references", DOC.format(feed=definition.feed.name))
    with DAG(
        **{**arguments, "end_date": None, "start_date": dt.datetime(2026, 1, 1, tzinfo=dt.UTC)},
        schedule=dt.timedelta(minutes=10),
        max_active_runs=1,
    ) as dag:
        bring_in(name) >> rebuild.override(outlets=[asset(name, "inputs")])(name)
    return dag


for _definition in definitions():
    if _definition.feed.references:
        ingest_references(_definition)
