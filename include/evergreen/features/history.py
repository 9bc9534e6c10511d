"""What `features.py` may see: the inputs of a partition, and the labelled rows of the partitions looked back on."""

from __future__ import annotations

from collections.abc import Callable, Iterable

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
    """The rows of `inputs` that have a label, in their order, with the columns of `labels` that `inputs` lacks."""
    extra: Iterable[str] = [column for column in labels.columns if column not in inputs.columns]
    return inputs.merge(labels[[entity, *extra]], on=entity, how="inner", validate="one_to_one")


def empty_history(definition: ModelDefinition) -> pd.DataFrame:
    """A history without rows: all columns, with their dtypes."""
    tables = definition.feed.tables
    types = {**tables["labels"].columns, **tables["inputs"].columns}
    names = dict.fromkeys([*tables["inputs"].columns, *tables["labels"].columns])
    return pd.DataFrame({name: pd.Series(dtype=DTYPES[types[name]]) for name in names})
