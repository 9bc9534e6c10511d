"""DAG `<model>.score`: the champion's predictions of one partition."""

from __future__ import annotations

from airflow.sdk import DAG, PartitionedAssetTimetable, task

from evergreen.core.definition import ModelDefinition
from wiring import (
    active_runs,
    asset,
    body,
    call,
    dag_arguments,
    database_address,
    definitions,
    end_skipped,
    partition_key,
)

DOC = """
Write the champion's predictions of one partition to the store: once, whole, and recorded with the version that made
them.

If the model has `sinks`, **deliver** brings the newest predictions of the partition to each of them, once, and emits
`{name}.delivered`; other DAGs can be scheduled on it.

Runs when `{name}.features` has a new partition. Skipped while there is no champion; the first promotion scores what is
waiting. Rerunning a run finds the predictions it wrote; a new feature snapshot gets predictions of its own.
"""


@task
@body
def score(model: str) -> str:
    """Write the champion's predictions of this run's partition; returns their address."""
    from evergreen.errors import NotReadyError
    from evergreen.loop.scoring.score import score

    definition, common = call(model)
    try:
        return score(definition, partition_key(), **common).uri
    except NotReadyError as reason:
        end_skipped(str(reason))


@task
@body
def deliver(model: str) -> list[str]:
    """Have each sink hold the newest predictions of this run's partition; returns where."""
    from evergreen.loop.scoring.deliver import deliver

    definition, common = call(model)
    return [done.place for done in deliver(definition, partition_key(), address_of=database_address, **common)]


def scoring(definition: ModelDefinition) -> DAG:
    """The DAG that scores the partitions of a model."""
    name = definition.name
    with DAG(
        **dag_arguments(definition, "score", DOC.format(name=name)),
        schedule=PartitionedAssetTimetable(assets=asset(name, "features")),
        max_active_runs=active_runs(definition),
    ) as dag:
        scored = score.override(outlets=[asset(name, "predictions")])(name)
        if definition.sinks:
            scored >> deliver.override(outlets=[asset(name, "delivered")])(name)
    return dag


for _definition in definitions():
    scoring(_definition)
