"""Feature partitions that were built from what is no longer current."""

from __future__ import annotations

import datetime as dt

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.model import TableName
from evergreen.core.ledger import Ledger
from evergreen.core.ledger.queries import collected, partitions, references, sightings, snapshots
from evergreen.core.names import PartitionKey
from evergreen.loop.features.build_plan import make_plan
from evergreen.loop.features.feature_code import definitions_of, serving
from evergreen.loop.intake.labels import coverage
from evergreen.loop.intake.labels.usable import held_back
from evergreen.settings import Settings

ASKED_AGAIN = dt.timedelta(days=1)
"""After this long a build that was asked for and has not come is asked for again"""


def stale_keys(definition: ModelDefinition, *, settings: Settings) -> list[PartitionKey]:
    """Keys, oldest first, whose snapshot was built from other rows than are accepted today.

    Labels that came late or were completed, partitions that were restated, rows that came out of quarantine, and a
    version of a reference that was known before the partition began make a snapshot stale.
    New feature code does not. Of a partition that several codes have built, the snapshot of the one that feeds the
    champion counts, by what that code looks back on. What can no longer be built, because retention has removed rows
    that it looks back on, is left out.
    """
    return [key for key, _ in _stale(definition, settings)]


def rebuilds_due(definition: ModelDefinition, *, settings: Settings) -> list[PartitionKey]:
    """The stale keys whose build has not been asked for yet; they count as asked for with this call.

    For who looks every ten minutes: a build that fails, or waits its turn, is not asked for at each look.
    """
    stale = {f"{key} {wanted[:12]}": key for key, wanted in _stale(definition, settings)}
    with Ledger.from_settings(settings).transaction() as session:
        due = sightings.act_on(session, definition.name, "rebuild", stale, again_after=ASKED_AGAIN)
    return [key for name, key in stale.items() if name in due]


def _stale(definition: ModelDefinition, settings: Settings) -> list[tuple[PartitionKey, str]]:
    """Stale keys, each with the hash of the build that is wanted."""
    model = definition.name
    coverage.review(definition, settings=settings)
    with Ledger.from_settings(settings).transaction() as session:
        built = snapshots.live_map(session, model, serving(session, definition).hash)
        by_code = definitions_of(session, definition, built.values())
        keys = {table: partitions.accepted_keys(session, model, table) for table in ("inputs", "labels")}
        inputs = partitions.current_map(session, model, "inputs", keys["inputs"])
        labels = partitions.current_map(session, model, "labels", keys["labels"])
        gone, held = collected.gone(session, model), held_back(session, definition)
        names = {name for then in by_code.values() for name in then.feed.references}
        tables = references.accepted(session, model, names)
    plans = [
        (snapshot, make_plan(by_code[snapshot.code_hash], key, inputs, labels, held, tables))
        for key, snapshot in built.items()
        if key in inputs
    ]
    wanted = [(plan, plan.build_hash(model, snapshot.code_hash), snapshot.build_hash) for snapshot, plan in plans]
    return [(plan.key, now) for plan, now, built_as in wanted if now != built_as and not plan.names & gone]


def to_rebuild(
    definition: ModelDefinition, table: TableName, key: PartitionKey, *, settings: Settings
) -> list[PartitionKey]:
    """The stale keys once `table` of the partition `key` was brought in; inputs start the build of their own key."""
    return [stale for stale in stale_keys(definition, settings=settings) if table == "labels" or stale != key]
