"""Which partition versions the features of a partition are built from: the one place that knows the cut-off.

Only what a plan names reaches `features.py`, so what landed later cannot leak into features.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.model import TableName
from evergreen.core.ledger.queries import partitions, references
from evergreen.core.ledger.tables import PartitionVersion, ReferenceVersion, Verdict
from evergreen.core.names import PartitionKey
from evergreen.errors import NotReadyError
from evergreen.loop.intake.labels.usable import held_back

Current = tuple[PartitionVersion, Verdict]


@dataclass(frozen=True)
class Past:
    """A partition that is looked back on: its inputs and labels are joined into history."""

    key: PartitionKey
    inputs: Current
    labels: Current


@dataclass(frozen=True)
class Beside:
    """What `build` reads beside inputs and history, if the definition asks for it."""

    recent: tuple[tuple[str, Current], ...] = ()
    """Partition keys and inputs of `features.recent_inputs`, oldest first"""
    recent_missing: tuple[str, ...] = ()
    """Those of them that are not accepted"""
    references: Mapping[str, ReferenceVersion | None] = field(default_factory=dict)
    """The version of each reference that was known when the partition began; None if none was"""
    never_landed: tuple[str, ...] = ()
    """References of which no version at all is accepted"""

    @property
    def parts(self) -> list[object]:
        """What is read, for a hash; nothing if nothing is asked for, so that hashes of before stay what they are."""
        if not (self.recent or self.references):
            return []
        tables = {name: found and [found.stamp, found.content_hash] for name, found in self.references.items()}
        return [[(key, partitions.rows_hash(found)) for key, found in self.recent], tables]

    @property
    def names(self) -> set[str | None]:
        """The objects that a build reads, as far as they can be collected: references never are."""
        return {verdict.clean_uri for _, (_, verdict) in self.recent}

    @property
    def recent_used(self) -> dict[str, int]:
        """Partition key -> partition version id."""
        return {key: found[0].id for key, found in self.recent}

    @property
    def references_used(self) -> dict[str, int | None]:
        """Name -> reference version id."""
        return {name: found.id if found else None for name, found in self.references.items()}

    def describe_missing(self) -> list[str]:
        """What is missing, in words."""
        return [f"inputs of {key}" for key in self.recent_missing] + [
            f"reference {name} (no version of it has been accepted)" for name in self.never_landed
        ]


NOTHING = Beside()


@dataclass(frozen=True)
class BuildPlan:
    """What the features of partition `key` are built from."""

    key: PartitionKey
    inputs: Current
    history: tuple[Past, ...]
    """Oldest first"""
    missing: Mapping[str, tuple[TableName, ...]]
    """Partitions that should be looked back on and cannot be yet: which of their tables are not accepted"""
    held: frozenset[str] = frozenset()
    """Those of `missing` whose labels are accepted, and held back because they are incomplete"""
    beside: Beside = NOTHING

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
        return {verdict.clean_uri for _, verdict in read} | self.beside.names

    def build_hash(self, model: str, code_hash: str) -> str:
        """SHA-256, hex, over the rows that are read and the code that reads them: equal hashes, equal features."""
        rows = partitions.rows_hash
        past = [(p.key, rows(p.inputs), rows(p.labels)) for p in self.history]
        parts = [model, self.key, rows(self.inputs), past, code_hash, *self.beside.parts]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def describe_missing(self) -> str:
        """The missing tables in words, such as 'labels of 2013-02-04, inputs and labels of 2013-02-11'."""
        looked_back = [
            f"{' and '.join(tables)} of {key}{' (incomplete)' if key in self.held else ''}"
            for key, tables in self.missing.items()
        ]
        return ", ".join(dict.fromkeys([*looked_back, *self.beside.describe_missing()]))


def make_plan(
    definition: ModelDefinition,
    key: PartitionKey,
    inputs: Mapping[PartitionKey, Current],
    labels: Mapping[PartitionKey, Current],
    held: Collection[str] = (),
    tables: references.Versions | None = None,
) -> BuildPlan:
    """The plan of partition `key` where `inputs` and `labels` are the current versions by key. Pure.

    Labels of the partitions `held` are incomplete: they are not looked back on. `tables` are the accepted versions of
    the references.

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
    if tables is None and definition.feed.references:
        raise TypeError("a plan of a model with references needs their versions: without them it is another plan")
    held_here = frozenset(k for k in missing if k in held and k in labels)
    return BuildPlan(key, inputs[key], history, missing, held_here, look_beside(definition, key, inputs, tables or {}))


def look_back(
    definition: ModelDefinition,
    key: PartitionKey,
    inputs: Mapping[PartitionKey, Current],
    labels: Mapping[PartitionKey, Current],
) -> tuple[tuple[Past, ...], Mapping[str, tuple[TableName, ...]]]:
    """What of the accepted partitions features of `key` may look back on, and what of them is missing: see `BuildPlan`.

    Pure. The inputs of `key` themselves need not be there.
    """
    wanted = wanted_keys(definition, key)
    history = tuple(Past(k, inputs[k], labels[k]) for k in wanted if k in inputs and k in labels)
    found: dict[TableName, Mapping[PartitionKey, Current]] = {"inputs": inputs, "labels": labels}
    missing = {k: tuple(name for name, table in found.items() if k not in table) for k in wanted}
    return history, {k: tables for k, tables in missing.items() if tables}


def look_beside(
    definition: ModelDefinition, key: PartitionKey, inputs: Mapping[PartitionKey, Current], tables: references.Versions
) -> Beside:
    """What features of `key` read beside the look-back, by what was known when its period began. Pure."""
    wanted = recent_keys(definition, key)
    versions = {name: tables.get(name, []) for name in definition.feed.references}
    begin = definition.partitions.period(key).start if versions else None
    return Beside(
        recent=tuple((k, inputs[k]) for k in wanted if k in inputs),
        recent_missing=tuple(k for k in wanted if k not in inputs),
        references=references.known_at(versions, begin) if begin is not None else {},
        never_landed=tuple(name for name, found in versions.items() if not found),
    )


def recent_keys(definition: ModelDefinition, key: PartitionKey) -> list[PartitionKey]:
    """Partitions whose inputs the features of `key` read, labelled or not, oldest first; the last is the one before."""
    if not definition.features.recent_inputs:
        return []
    return definition.partitions.look_back(key, definition.features.recent_inputs, 0)


def wanted_keys(definition: ModelDefinition, key: PartitionKey) -> list[PartitionKey]:
    """Label partitions that the features of `key` look back on, oldest first."""
    return definition.partitions.look_back(key, definition.features.look_back, definition.feed.label_delay)


def read_plan(
    session: Session, definition: ModelDefinition, key: PartitionKey, *, unmeasured: bool = True
) -> BuildPlan:
    """The plan of partition `key` from the ledger; raises as `make_plan`.

    Labels of which nobody knows yet whether they are complete are held back too, unless `unmeasured` is False.
    """
    wanted, recent = wanted_keys(definition, key), recent_keys(definition, key)
    inputs = partitions.current_map(session, definition.name, "inputs", {*wanted, *recent, key})
    labels = partitions.current_map(session, definition.name, "labels", wanted)
    held = held_back(session, definition, unmeasured=unmeasured) if labels else frozenset[str]()
    tables = references.accepted(session, definition.name, definition.feed.references)
    return make_plan(definition, key, inputs, labels, held, tables)
