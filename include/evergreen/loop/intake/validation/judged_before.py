"""What files that were judged one after the other are compared with: no ledger, no store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.model import TableName
from evergreen.core.definition.partition_keys import keys_before, seasons
from evergreen.core.names import PartitionKey
from evergreen.loop.intake import pseudonyms
from evergreen.loop.intake.comparisons.past import Ids, Past, no_past
from evergreen.loop.intake.comparisons.profile import Profile, profile
from evergreen.loop.intake.comparisons.rules import Comparison
from evergreen.loop.intake.validation.load_expectations import load_expectations

if TYPE_CHECKING:
    import pandas as pd

    from evergreen.loop.intake.validation.judgement import Judgement

OTHER: dict[TableName, TableName] = {"inputs": "labels", "labels": "inputs"}


class Judged:
    """Files that were judged one after the other: what the later ones are compared with."""

    def __init__(self, definition: ModelDefinition) -> None:
        self.definition = definition
        self._profiles: dict[tuple[TableName, str], Profile] = {}
        self._ids: dict[tuple[TableName, str], Ids] = {}
        self._decided: set[tuple[TableName, str]] = set()

    def past(self, table: TableName, key: PartitionKey, rules: Sequence[Any]) -> Past:
        """What is known about `table` of the partition `key`."""
        known = calendar_of(self.definition, table, key, rules)
        wanted = wanted_of(known)
        return replace(
            known,
            accepted={k: self._profiles[table, k] for k in wanted if (table, k) in self._profiles},
            decided={k for k in wanted if (table, k) in self._decided},
            other=self._ids.get((OTHER[table], key)),
        )

    def keep(self, table: TableName, key: PartitionKey, judgement: Judgement) -> None:
        """Remember a verdict."""
        import pyarrow as pa

        self._decided.add((table, key))
        if not judgement.accepted or judgement.frame is None:
            return
        self._profiles[table, key] = profile_of(self.definition, table, judgement.frame)
        values = pa.array(judgement.frame[self.definition.feed.entity], from_pandas=True)
        self._ids[table, key] = Ids(values, ids_name(table, key))


def profile_of(definition: ModelDefinition, table: TableName, frame: pd.DataFrame) -> Profile:
    """The profile of accepted rows of `table`."""
    columns = definition.feed.tables[table].columns
    return profile(frame, columns, pseudonyms.personal(definition, table))


def ids_name(table: str, key: PartitionKey, version: int | None = None) -> str:
    """What accepted rows are, in words."""
    return f"{table} of {key}" + (f", version {version}" if version else "")


def compared_keys(definition: ModelDefinition, key: PartitionKey) -> set[PartitionKey]:
    """All partitions that comparisons of either table look at when `key` is judged."""
    return {
        k
        for table in OTHER
        for k in wanted_of(calendar_of(definition, table, key, load_expectations(definition, table)))
    }


def wanted_of(past: Past) -> list[PartitionKey]:
    """The partitions that somebody asks about, oldest first."""
    return sorted({*past.keys, *(key for season in past.seasons.values() for key in season)})


def calendar_of(definition: ModelDefinition, table: TableName, key: PartitionKey, rules: Sequence[Any]) -> Past:
    """Which partitions `rules` look at when `key` is judged; nothing is known of them yet."""
    asked = [rule for rule in rules if isinstance(rule, Comparison)]
    return replace(
        no_past(definition, table, key),
        keys=keys_before(definition, key, max((rule.last for rule in asked), default=0)),
        seasons=seasons(definition, key, (rule.last for rule in asked if rule.reference == "season")),
    )
