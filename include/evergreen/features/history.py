"""What `features.py` may see: the inputs of a partition, and the labelled rows of the partitions looked back on."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from evergreen.definition import ModelDefinition
from evergreen.definition.model import ColumnType
from evergreen.features.plan import BuildPlan
from evergreen.ledger.tables import Verdict

Read = Callable[[Verdict], pd.DataFrame]
DTYPES: dict[ColumnType, str] = {
    "string": "object",
    "integer": "Int64",
    "float": "float64",
    "boolean": "bool",
    "timestamp": "datetime64[us, UTC]",
}


def read_history(definition: ModelDefinition, plan: BuildPlan, read: Read) -> pd.DataFrame:
    """Labelled rows of the plan's look-back partitions, oldest partition first.

    Columns: those of the inputs table, then those of the labels table that it lacks. All are there when no partition
    is looked back on; the frame then has no rows.
    """
    parts = [
        join(read(past.inputs[1]), read(past.labels[1]), definition.feed.entity)
        for past in plan.history
    ]  # fmt: skip
    filled = [part for part in parts if len(part)]
    return pd.concat(filled, ignore_index=True, copy=False) if filled else empty_history(definition)


def join(inputs: pd.DataFrame, labels: pd.DataFrame, entity: str) -> pd.DataFrame:
    """The rows of `inputs` that have a label, in their order, with the columns of `labels` that `inputs` lacks.

    Raises:
        pandas.errors.MergeError: an entity stands in `inputs` or in `labels` more than once.
    """
    extra = [column for column in labels.columns if column not in inputs.columns]
    if _side_by_side(inputs[entity], labels[entity]):
        # As feeds mostly land them: putting columns beside each other costs a tenth of looking partners up.
        columns = {**dict(inputs.items()), **dict(labels[extra].items())}
        return pd.DataFrame({name: column.array for name, column in columns.items()}, copy=False)
    return inputs.merge(labels[[entity, *extra]], on=entity, how="inner", validate="one_to_one")


def _side_by_side(inputs: pd.Series, labels: pd.Series) -> bool:
    """Whether both hold the same entities in the same order, each once."""
    if len(inputs) != len(labels) or inputs.dtype != labels.dtype or inputs.hasnans:
        return False
    return bool((inputs.array == labels.array).all()) and inputs.is_unique


def empty_history(definition: ModelDefinition) -> pd.DataFrame:
    """A history without rows: all columns, with their dtypes."""
    tables = definition.feed.tables
    types = {**tables["labels"].columns, **tables["inputs"].columns}
    names = dict.fromkeys([*tables["inputs"].columns, *tables["labels"].columns])
    return pd.DataFrame({name: pd.Series(dtype=DTYPES[types[name]]) for name in names})
