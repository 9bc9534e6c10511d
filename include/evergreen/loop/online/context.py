"""What the features of a partition's rows are computed from, beside the rows themselves: as of this moment.

The look-back is that of the batch features (`evergreen.loop.features.build_plan`), so that a row asked for online and
the same row in its partition get the same features as long as the same labels are accepted.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from evergreen.core.ledger.queries import labels as coverages
from evergreen.core.ledger.queries import partitions, references
from evergreen.core.names import PartitionKey
from evergreen.loop.features.beside import RECENT, REFERENCES, read_beside
from evergreen.loop.features.build_plan import (
    NOTHING,
    Beside,
    Current,
    Past,
    look_back,
    look_beside,
    recent_keys,
    wanted_keys,
)

if TYPE_CHECKING:
    import pandas as pd
    from sqlalchemy.orm import Session

    from evergreen.core.definition import ModelDefinition
    from evergreen.core.definition.model import TableName
    from evergreen.loop.features.feature_code import FeatureCode
    from evergreen.settings import Settings

KEPT_ROWS = 2_000_000
"""Rows of contexts that stay in memory, of all models together; the newest context stays however many it has."""


@dataclass(frozen=True)
class Basis:
    """Which partition versions features of partition `key` are computed from now."""

    key: PartitionKey
    history: tuple[Past, ...]
    missing: Mapping[str, tuple[TableName, ...]]
    context: Current | None
    """Inputs that stand beside the rows asked for; None if none do, or none are accepted yet"""
    more: Beside = NOTHING
    """What the definition asks for beside the look-back"""

    @cached_property
    def hash(self) -> str:
        """SHA-256, hex, over the rows that are read."""
        rows = partitions.rows_hash
        past = [(p.key, rows(p.inputs), rows(p.labels)) for p in self.history]
        beside = rows(self.context) if self.context else None
        return hashlib.sha256(json.dumps([self.key, past, beside, *self.more.parts]).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """As the ledger keeps it with each request."""
        more = {"recent": self.more.recent_used, "references": self.more.references_used}
        return {
            "labels": {past.key: past.labels[0].id for past in self.history},
            "inputs": {past.key: past.inputs[0].id for past in self.history},
            "context": self.context[0].id if self.context else None,
            "missing": list(dict.fromkeys([*self.missing, *self.more.recent_missing])),
        } | {name: used for name, used in more.items() if used}


class Context(NamedTuple):
    """The rows that a basis names."""

    history: pd.DataFrame
    """As `features.py` gets it"""
    beside: pd.DataFrame | None
    """Accepted inputs of the partition"""
    more: Mapping[str, Any] = MappingProxyType({})
    """Arguments of `build` that the definition asks for"""

    @property
    def rows(self) -> int:
        """Of all."""
        frames = [self.history, self.beside, self.more.get(RECENT), *self.more.get(REFERENCES, {}).values()]
        return sum(len(frame) for frame in frames if frame is not None)


def read_basis(session: Session, definition: ModelDefinition, key: PartitionKey) -> Basis:
    """What features of `key` are computed from, by what the ledger says is accepted."""
    wanted, recent = wanted_keys(definition, key), recent_keys(definition, key)
    beside = [key] if definition.online.context == "partition" else []
    inputs = partitions.current_map(session, definition.name, "inputs", {*wanted, *recent, *beside})
    labels = partitions.current_map(session, definition.name, "labels", wanted)
    held = coverages.held_keys(session, definition.name, wanted)
    labels = {k: found for k, found in labels.items() if k not in held}
    tables = references.accepted(session, definition.name, definition.feed.references)
    more = look_beside(definition, key, inputs, tables)
    return Basis(key, *look_back(definition, key, inputs, labels), inputs.get(key) if beside else None, more)


class Contexts:
    """The contexts used last, kept in memory: rows once accepted do not change."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._kept: OrderedDict[tuple[str, str, str], Context] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, code: FeatureCode, basis: Basis) -> Context:
        """The rows that `basis` names, as `code` knows them; read from the store if they are not at hand.

        Raises:
            CollectedError: retention has removed some of them.
            UnavailableError: the store does not answer.
        """
        # The code's hash covers the columns that are read: a definition may change under a running server.
        name = (code.definition.name, code.hash, basis.hash)
        with self._lock:
            found = self._kept.get(name)
        if found is None:
            # Not under the lock: who asks for another model does not wait for this one's store.
            found = _read(code.definition, basis, self._settings)
        with self._lock:
            self._kept[name] = found
            self._kept.move_to_end(name)
            while len(self._kept) > 1 and sum(context.rows for context in self._kept.values()) > KEPT_ROWS:
                self._kept.popitem(last=False)
        return found


def _read(definition: ModelDefinition, basis: Basis, settings: Settings) -> Context:
    from evergreen.loop.features.look_back import read_history
    from evergreen.loop.intake.accepted_rows import read_clean_table, read_known

    history = read_history(
        definition, basis.history, lambda verdict, columns: read_clean_table(verdict, settings, columns)
    )
    more = read_beside(definition, basis.key, basis.more, settings)
    if basis.context is None:
        return Context(history, None, more)
    return Context(history, read_known(basis.context[1], settings, definition, "inputs"), more)
