"""Feature partitions that were built from what is no longer current."""

from __future__ import annotations

from evergreen.definition import ModelDefinition
from evergreen.features.plan import BuildPlan, make_plan
from evergreen.ledger import Ledger, partitions, snapshots
from evergreen.ledger.tables import Snapshot
from evergreen.settings import Settings


def stale_keys(definition: ModelDefinition, *, settings: Settings) -> list[str]:
    """Keys, oldest first, whose snapshot was built from other partition versions than are current today.

    Labels that came late and partitions that were restated make a snapshot stale. New feature code does not: what
    was built by the old code stays until somebody asks for a build.
    """
    model = definition.name
    with Ledger.from_settings(settings).transaction() as session:
        built = snapshots.current_map(session, model)
        keys = {table: partitions.accepted_keys(session, model, table) for table in ("inputs", "labels")}
        inputs = partitions.current_map(session, model, "inputs", keys["inputs"])
        labels = partitions.current_map(session, model, "labels", keys["labels"])
    return [
        key
        for key, snapshot in built.items()
        if key in inputs and not _is_built_from(snapshot, make_plan(definition, key, inputs, labels))
    ]


def _is_built_from(snapshot: Snapshot, plan: BuildPlan) -> bool:
    return (snapshot.inputs_version_id, snapshot.labels_used, snapshot.inputs_looked_back) == (
        plan.inputs[0].id,
        plan.labels_used,
        plan.inputs_looked_back,
    )
