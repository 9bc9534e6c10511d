"""What features read beside inputs and history, from landed files alone: `recent` and `references`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.references import newest_known
from evergreen.core.frames import to_table
from evergreen.core.names import PartitionKey
from evergreen.loop.features.beside import RECENT, REFERENCES, arguments
from evergreen.loop.features.build_plan import recent_keys
from evergreen.loop.features.look_back import recent_of
from evergreen.loop.intake.references.judge import judge_reference_drop
from evergreen.loop.intake.references.landed import list_references
from evergreen.loop.intake.references.read import visible
from evergreen.loop.intake.validation.load_expectations import load_reference_expectations

if TYPE_CHECKING:
    import pandas as pd

    from evergreen.core.definition.references import Stamp


@dataclass(frozen=True)
class Kept:
    """An accepted version of a reference."""

    stamp: Stamp
    rows: pd.DataFrame


Versions = Mapping[str, Sequence[Kept]]
"""By name of the reference, in the order in which they were known"""


def read_references(definition: ModelDefinition, landing_url: str) -> tuple[dict[str, list[Kept]], dict[str, str]]:
    """The versions of references that the loop would accept, and why not the others, by what they are called.

    Raises:
        DefinitionError: the expectations cannot be loaded.
        UnavailableError: the landing zone does not answer.
    """
    found: dict[str, list[Kept]] = {name: [] for name in definition.feed.references}
    if not found:
        return found, {}
    zone, left_out = list_references(definition, landing_url), dict[str, str]()
    for landed in zone.landed:
        rules = load_reference_expectations(definition, landed.name)
        judgement = judge_reference_drop(landed.drop, definition, landed.name, rules)
        if judgement.accepted and judgement.frame is not None:
            found[landed.name].append(Kept(landed.stamp, judgement.frame))
        else:
            left_out[f"{landed.stamp.text} {landed.name}"] = judgement.reason
    return found, left_out | {f"references/{name}": why for name, why in zone.strays.items()}


def beside_of(
    definition: ModelDefinition, inputs: Mapping[PartitionKey, pd.DataFrame], references: Versions, key: PartitionKey
) -> dict[str, Any]:
    """The arguments of `build` that the definition asks for, for the features of partition `key`. Pure."""
    found: dict[str, Any] = {}
    wanted = arguments(definition)
    if RECENT in wanted:
        found[RECENT] = recent_of(definition, [inputs[k] for k in recent_keys(definition, key) if k in inputs])
    if REFERENCES in wanted:
        period, found[REFERENCES] = definition.partitions.period(key), {}
        for name, section in definition.feed.references.items():
            newest = newest_known(references.get(name, ()), period.start, lambda kept: kept.stamp)
            table = None if newest is None else to_table(newest.rows, section.columns)
            found[REFERENCES][name] = visible(section, table, period.end)
    return found
