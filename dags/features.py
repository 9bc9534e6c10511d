"""DAG `<model>.features`: from an accepted raw partition to a versioned feature snapshot."""

from __future__ import annotations

from airflow.sdk import DAG, PartitionedAssetTimetable

from arrival import PartitionOperator
from evergreen.core.definition import ModelDefinition
from wiring import active_runs, asset, call, dag_arguments, definitions, partition_key, send_owed_mail

DOC = """
Build the features of one partition as they could have been known when it began, and commit them to the feature
repository.

**build** waits (deferred, without a worker) while labels that the features look back on have not landed, for the
definition's grace period; then it goes on without them. It reads the partition's accepted inputs and the labels that
were due before its period began, builds, runs the Great Expectations suite of the features, adds the result to DVC
(data pushed first, Git last) and records the snapshot id: the Git commit and the DVC hash.

The code is the one that the champion was made from. If `features.py` has changed since, the new code feeds the next
version: `{name}.train` builds the partitions that it learns from.

Runs when `{name}.inputs` has a new partition; also when labels came late (from `{name}.ingest_labels`).
Rerunning a run finds the snapshot it made unless what it reads has a new version.
"""


def _build(model: str) -> str:
    from evergreen.loop.features.build import build

    definition, common = call(model)
    snapshot = build(definition, partition_key(), **common).snapshot_id
    send_owed_mail(quietly=True)  # the all-clear, if features of this partition or of one before had failed
    return snapshot


def features(definition: ModelDefinition) -> DAG:
    """The DAG that builds the features of a model."""
    name = definition.name
    with DAG(
        **dag_arguments(definition, "features", DOC.format(name=name)),
        schedule=PartitionedAssetTimetable(assets=asset(name, "inputs")),
        max_active_runs=active_runs(definition),
    ) as dag:
        PartitionOperator(
            task_id="build", subject="look_back", model=name, work=_build, outlets=[asset(name, "features")]
        )
    return dag


for _definition in definitions():
    features(_definition)
