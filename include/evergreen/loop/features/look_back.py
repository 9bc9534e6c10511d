"""What `features.py` may see: the inputs of a partition, and the labelled rows of the partitions looked back on.

In Arrow until the end: looking partners up and stacking partitions costs a third of what it costs in pandas.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.model import ColumnType, TableName
from evergreen.core.frames import ARROW_TYPES, conform, to_frame, to_table
from evergreen.core.ledger.tables import Verdict
from evergreen.errors import BadInputError
from evergreen.loop.features.build_plan import Past

Read = Callable[[Verdict, Sequence[str]], pa.Table]


def read_history(definition: ModelDefinition, looked_back: Iterable[Past], read: Read) -> pd.DataFrame:
    """Labelled rows of the partitions `looked_back` on (`plan.look_back`), in their order: oldest first.

    Columns: those of `features.history`, by default all, as `history_columns` orders them. They are there when no
    partition is looked back on as well; the frame then has no rows. `read` returns the named columns, as far as the
    rows of that partition have them: a column that came to the definition later is null there.
    """
    inputs, labels = (read_columns(definition, table) for table in ("inputs", "labels"))

    def accepted(past: Past, table: TableName, columns: list[str]) -> pa.Table:
        section, verdict = definition.feed.tables[table], (past.inputs if table == "inputs" else past.labels)[1]
        earlier = [name for column in columns for name in section.aliases.get(column, ())]
        try:
            rows = read(verdict, [*columns, *earlier])
            return conform(rows, {name: section.columns[name] for name in columns}, section.aliases)
        except BadInputError as error:
            raise type(error)(f"{table} of {past.key}, which is looked back on: {error}") from None

    return stack(
        definition,
        (
            join(
                accepted(past, "inputs", inputs),
                accepted(past, "labels", labels),
                definition.feed.entity,
            )
            for past in looked_back
        ),
    )


def history_of(definition: ModelDefinition, partitions: Iterable[tuple[pd.DataFrame, pd.DataFrame]]) -> pd.DataFrame:
    """The history that the inputs and labels of `partitions`, oldest first, make: what `read_history` reads."""
    tables = definition.feed.tables
    return stack(
        definition,
        (
            join(
                to_table(inputs, tables["inputs"].columns),
                to_table(labels, tables["labels"].columns),
                definition.feed.entity,
            )
            for inputs, labels in partitions
        ),
    )


def read_recent(definition: ModelDefinition, recent: Iterable[tuple[str, Verdict]], read: Read) -> pd.DataFrame:
    """Inputs of the partitions `recent`, oldest first, with the columns of `features.recent_columns`; as `read_history`
    of those that have no labels yet.
    """
    names, section = recent_columns(definition), definition.feed.tables["inputs"]
    earlier = [name for column in names for name in section.aliases.get(column, ())]
    types = {name: section.columns[name] for name in names}
    parts = []
    for key, verdict in recent:
        try:
            parts.append(conform(read(verdict, [*names, *earlier]), types, section.aliases))
        except BadInputError as error:
            raise type(error)(f"inputs of {key}, which recent_inputs asks for: {error}") from None
    return _stacked(types, parts)


def recent_of(definition: ModelDefinition, partitions: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """What `read_recent` reads if the inputs of the partitions, oldest first, are `partitions`."""
    columns = definition.feed.tables["inputs"].columns
    types = {name: columns[name] for name in recent_columns(definition)}
    return _stacked(types, [to_table(inputs, types) for inputs in partitions])


def recent_columns(definition: ModelDefinition) -> list[str]:
    """Columns of `recent`, in the order of the inputs."""
    wanted = definition.features.recent_columns
    return [c for c in definition.feed.tables["inputs"].columns if wanted is None or c in wanted]


def history_columns(definition: ModelDefinition) -> list[str]:
    """Columns of the history: those of the inputs table, then those of the labels table that it lacks."""
    tables = definition.feed.tables
    known = dict.fromkeys([*tables["inputs"].columns, *tables["labels"].columns])
    wanted = definition.features.history
    return [column for column in known if wanted is None or column in wanted]


def read_columns(definition: ModelDefinition, table: TableName) -> list[str]:
    """What must be read of `table` for a history: its columns of the history, and the entity."""
    wanted = {*history_columns(definition), definition.feed.entity}
    return [column for column in definition.feed.tables[table].columns if column in wanted]


def stack(definition: ModelDefinition, parts: Iterable[pa.Table]) -> pd.DataFrame:
    """The rows of `parts`, as `join` returns them, below each other; without parts, no rows but all columns."""
    tables = definition.feed.tables
    types = {**tables["labels"].columns, **tables["inputs"].columns}
    return _stacked({name: types[name] for name in history_columns(definition)}, parts)


def _stacked(types: Mapping[str, ColumnType], parts: Iterable[pa.Table]) -> pd.DataFrame:
    schema = pa.schema([(name, ARROW_TYPES[kind]) for name, kind in types.items()])
    chosen = [part.select(schema.names).cast(schema) for part in parts]
    return to_frame(pa.concat_tables([schema.empty_table(), *chosen]))


def join(inputs: pa.Table, labels: pa.Table, entity: str) -> pa.Table:
    """The rows of `inputs` that have a label, in their order, with the columns of `labels` that `inputs` lacks.

    Raises:
        BadInputError: an entity stands in `inputs` or in `labels` more than once.
    """
    left, right = (table.column(entity).combine_chunks() for table in (inputs, labels))
    _require_unique("labels", entity, right)
    if not left.equals(right):
        # Feeds mostly land both in the same order; only then is there nobody to look up.
        _require_unique("inputs", entity, left)
        places = pc.index_in(left, value_set=right)
        inputs, labels = inputs.filter(pc.is_valid(places)), labels.take(places.drop_null())
    for column in labels.column_names:
        if column not in inputs.column_names:
            inputs = inputs.append_column(column, labels.column(column))
    return inputs


def _require_unique(table: TableName, entity: str, column: pa.Array) -> None:
    if pc.count_distinct(column).as_py() != len(column):
        raise BadInputError(f"{table}: {entity} is not unique; every row must be one {entity}")
