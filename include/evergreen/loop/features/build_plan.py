"""Which partition versions the features of a partition are built from: the one place that knows the cut-off.

Only what a plan names reaches `features.py`, so what landed later cannot leak into features.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.model import TableName
from evergreen.core.ledger.queries import partitions
from evergreen.core.ledger.tables import PartitionVersion, Verdict
from evergreen.errors import NotReadyError
from evergreen.loop.intake.labels.usable import held_back

Current = tuple[PartitionVersion, Verdict]


@dataclass(frozen=True)
class Past:
    """A partition that is looked back on: its inputs and labels are joined into history."""

    key: str
    inputs: Current
    labels: Current


@dataclass(frozen=True)
class BuildPlan:
    """What the features of partition `key` are built from."""

    key: str
    inputs: Current
    history: tuple[Past, ...]
    """Oldest first"""
    missing: Mapping[str, tuple[TableName, ...]]
    """Partitions that should be looked back on and cannot be yet: which of their tables are not accepted"""
    held: frozenset[str] = frozenset()
    """Those of `missing` whose labels are accepted, and held back because they are incomplete"""

    @property
    def labels_used(self) -> dict[str, int]:
        """Label partition key -> partition version id."""
        return {past.key: past.labels[0].id for past in self.history}

    @property
    def inputs_looked_back(self) -> dict[str, int]:
        """Partition key -> version id of the inputs that the labels looked back on are joined with."""
        return {past.key: past.inputs[0].id for past in self.history}

    @property
    def names(self) -> set[str | None]:
        """The objects that a build reads, as the ledger names them."""
        read = [self.inputs, *(past.inputs for past in self.history), *(past.labels for past in self.history)]
        return {verdict.clean_uri for _, verdict in read}

    def build_hash(self, model: str, code_hash: str) -> str:
        """SHA-256, hex, over the rows that are read and the code that reads them: equal hashes, equal features."""
        rows = partitions.rows_hash
        past = [(p.key, rows(p.inputs), rows(p.labels)) for p in self.history]
        parts = [model, self.key, rows(self.inputs), past, code_hash]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def describe_missing(self) -> str:
        """The missing tables in words, such as 'labels of 2013-02-04, inputs and labels of 2013-02-11'."""
        return ", ".join(
            f"{' and '.join(tables)} of {key}{' (incomplete)' if key in self.held else ''}"
            for key, tables in self.missing.items()
        )


def make_plan(
    definition: ModelDefinition,
    key: str,
    inputs: Mapping[str, Current],
    labels: Mapping[str, Current],
    held: Collection[str] = (),
) -> BuildPlan:
    """The plan of partition `key` where `inputs` and `labels` are the current versions by key. Pure.

    Labels of the partitions `held` are incomplete: they are not looked back on.

    Raises:
        NotReadyError: the inputs of `key` have no accepted version.
    """
    if key not in inputs:
        raise NotReadyError(
            f"{definition.name} {key}: there are no accepted inputs to build features from; "
            "they have not landed, or are in quarantine"
        )
    complete = {k: found for k, found in labels.items() if k not in held}
    history, missing = look_back(definition, key, inputs, complete)
    return BuildPlan(key, inputs[key], history, missing, frozenset(k for k in missing if k in held and k in labels))


def look_back(
    definition: ModelDefinition, key: str, inputs: Mapping[str, Current], labels: Mapping[str, Current]
) -> tuple[tuple[Past, ...], Mapping[str, tuple[TableName, ...]]]:
    """What of the accepted partitions features of `key` may look back on, and what of them is missing: see `BuildPlan`.

    Pure. The inputs of `key` themselves need not be there.
    """
    wanted = wanted_keys(definition, key)
    history = tuple(Past(k, inputs[k], labels[k]) for k in wanted if k in inputs and k in labels)
    found: dict[TableName, Mapping[str, Current]] = {"inputs": inputs, "labels": labels}
    missing = {k: tuple(name for name, table in found.items() if k not in table) for k in wanted}
    return history, {k: tables for k, tables in missing.items() if tables}


def wanted_keys(definition: ModelDefinition, key: str) -> list[str]:
    """Label partitions that the features of `key` look back on, oldest first."""
    return definition.partitions.look_back(key, definition.features.look_back, definition.feed.label_delay)


def read_plan(session: Session, definition: ModelDefinition, key: str, *, unmeasured: bool = True) -> BuildPlan:
    """The plan of partition `key` from the ledger; raises as `make_plan`.

    Labels of which nobody knows yet whether they are complete are held back too, unless `unmeasured` is False.
    """
    wanted = wanted_keys(definition, key)
    inputs = partitions.current_map(session, definition.name, "inputs", [*wanted, key])
    labels = partitions.current_map(session, definition.name, "labels", wanted)
    held = held_back(session, definition, unmeasured=unmeasured) if labels else frozenset[str]()
    return make_plan(definition, key, inputs, labels, held)
