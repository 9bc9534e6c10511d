"""What `build` gets beside inputs and history, if the definition asks for it: `recent` and `references`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from evergreen.core.definition import ModelDefinition
from evergreen.core.names import PartitionKey
from evergreen.loop.features.build_plan import Beside

if TYPE_CHECKING:
    import pandas as pd

    from evergreen.settings import Settings

RECENT, REFERENCES = "recent", "references"
"""Names of the parameters of `build`"""


def arguments(definition: ModelDefinition) -> tuple[str, ...]:
    """The parameters that `build` has beside `inputs` and `history`; it is called with them by name."""
    features, feed = definition.features, definition.feed
    return (RECENT,) * bool(features.recent_inputs) + (REFERENCES,) * bool(feed.references)


def read_beside(definition: ModelDefinition, key: PartitionKey, beside: Beside, settings: Settings) -> dict[str, Any]:
    """The arguments by name: `recent` as `read_recent` gives it, `references` as `read_references` does.

    Raises:
        BadInputError: rows do not fit the types of today, or the store has other bytes.
        CollectedError: retention has removed some.
        UnavailableError: the store does not answer.
    """
    from evergreen.loop.features.look_back import read_recent
    from evergreen.loop.intake.accepted_rows import read_clean_table
    from evergreen.loop.intake.references.read import read_references

    found: dict[str, Any] = {}
    wanted = arguments(definition)
    if RECENT in wanted:
        verdicts = [(k, verdict) for k, (_, verdict) in beside.recent]
        found[RECENT] = read_recent(
            definition, verdicts, lambda verdict, columns: read_clean_table(verdict, settings, columns)
        )
    if REFERENCES in wanted:
        until = definition.partitions.period(key).end
        found[REFERENCES] = read_references(definition.feed.references, beside.references, until, settings)
    return found


def mapped(beside: Mapping[str, Any], change: Callable[[pd.DataFrame], pd.DataFrame]) -> dict[str, Any]:
    """The same arguments with each frame changed."""
    return {
        name: {table: change(frame) for table, frame in value.items()} if name == REFERENCES else change(value)
        for name, value in beside.items()
    }


def copied(beside: Mapping[str, Any]) -> dict[str, Any]:
    """The same arguments, deeply copied: what `build` writes into them stays with it."""
    return mapped(beside, lambda frame: frame.copy())


def frames_of(beside: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """Each frame by what it is called: 'recent', 'references[prices]'."""
    found = {name: frame for name, frame in beside.items() if name != REFERENCES}
    return found | {f"{REFERENCES}[{name}]": frame for name, frame in beside.get(REFERENCES, {}).items()}
