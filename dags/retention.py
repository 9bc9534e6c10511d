"""DAG `evergreen.retention`: collects what no champion and no policy needs, for all models."""

from __future__ import annotations

import datetime as dt
from typing import Any

from airflow.sdk import DAG, Param, get_current_context, task

from wiring import call, default_args, definitions

DOC = """
Collect old objects that nothing needs, each Sunday: landed copies, accepted rows, features in the DVC remote,
predictions, validation results, reports, and versions in the registry with their runs.

- **collect** does so for one model: how much is kept stands in `retention` of its `model.yaml`. A model without that
  section keeps everything, and the log says so. What the champion, a rollback or the next training needs always stays
  (decision 016), and so does what was recorded in the last seven days.

Unpaused, it may run at once, for the Sunday before: try `evergreen gc MODEL` first, which changes nothing.

With the parameter `dry_run` it says in its logs what would go, and changes nothing: so does `evergreen gc MODEL`.
Rerunning a run that was interrupted finishes it.
"""


@task(map_index_template="{{ task.op_kwargs['model'] }}")
def collect(model: str) -> dict[str, Any]:
    """Collect what one model's retention lets go; how many objects and bytes went, or would go."""
    from evergreen.operations.retention.collect import collect

    definition, common = call(model)
    dry_run = bool(get_current_context()["params"]["dry_run"])
    found = collect(definition, now=dt.datetime.now(dt.UTC), dry_run=dry_run, **common)
    return {"model": model, "dry_run": found.dry_run, "objects": found.objects, "bytes": found.bytes}


with DAG(
    dag_id="evergreen.retention",
    dag_display_name="evergreen · retention",
    description="Collect what no champion and no policy needs.",
    doc_md=DOC,
    tags=["evergreen"],
    schedule="0 4 * * 0",
    start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    catchup=False,
    max_active_runs=1,
    params={"dry_run": Param(False, type="boolean", description="Only say what would go; change nothing.")},
    default_args=default_args("evergreen"),
):
    collect.expand(model=[definition.name for definition in definitions()])
