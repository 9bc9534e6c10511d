"""Rows as a feed may bring them one day: gaps, extremes, categories that nobody has seen. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from evergreen.core.definition import ModelDefinition

UNSEEN = "never seen before"
BIG = 1e12
"""A number far beyond what a feed brings, and still exact as float64 and int64."""


def free_columns(definition: ModelDefinition) -> dict[str, str]:
    """The inputs' columns that say something about a row (not which row it is, nor when), with their types."""
    feed = definition.feed
    fixed = {feed.entity, feed.event_time, *feed.id_columns, *feed.time_columns}
    columns = feed.tables["inputs"].columns
    return {name: str(type_) for name, type_ in columns.items() if name not in fixed}


def variants(inputs: pd.DataFrame, columns: dict[str, str]) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """(column, what was done to it, the rows with it): each column by itself, in each way that fits its type."""
    for name, type_ in columns.items():
        for words, values in _values(inputs[name], type_):
            yield name, words, inputs.assign(**{name: values})


def _values(column: pd.Series, type_: str) -> Iterator[tuple[str, pd.Series]]:
    index = column.index
    yield "missing in every row", _missing(column)
    if type_ in ("integer", "float"):
        for words, number in (("very large", BIG), ("very small (negative)", -BIG), ("0", 0)):
            yield words, pd.Series(number, index=index).astype(column.dtype)
    elif type_ == "string":
        yield "a text that has not been seen", pd.Series(UNSEEN, index=index, dtype=column.dtype)
    elif type_ == "boolean":
        for value in (True, False):
            yield f"{str(value).lower()} in every row", pd.Series(value, index=index).astype(column.dtype)


def _missing(column: pd.Series) -> pd.Series:
    """As many rows without a value, in the column's dtype if that holds gaps, else as float64, or nullable boolean."""
    if column.dtype == bool:
        return pd.Series(pd.NA, index=column.index, dtype="boolean")
    whole = isinstance(column.dtype, np.dtype) and np.issubdtype(column.dtype, np.integer)
    found = pd.Series([None] * len(column), index=column.index, dtype=object)
    return found.astype("float64") if whole else found.astype(column.dtype)


def changed_after(
    inputs: pd.DataFrame, columns: dict[str, str], event_time: str
) -> tuple[pd.DataFrame, np.ndarray[tuple[int], np.dtype[np.bool_]]] | None:
    """The rows with everything about the later half changed, and which rows are the earlier ones.

    Numbers are negated and moved, text is replaced, truth is turned round. None if all rows have one event time.
    """
    times = inputs[event_time]
    middle = times.sort_values().iloc[(len(times) - 1) // 2]
    earlier = (times <= middle).to_numpy()
    if earlier.all():
        return None
    found, others = inputs.copy(), moved(inputs.loc[~earlier], columns)
    for name in columns:
        found.loc[~earlier, name] = others[name]
    return found, earlier


def moved(rows: pd.DataFrame, columns: dict[str, str]) -> pd.DataFrame:
    """The rows with other values in `columns`: numbers are negated and moved, text is replaced, truth turned round."""
    found = rows.copy()
    for name, type_ in columns.items():
        if type_ == "string":
            found[name] = pd.Series(UNSEEN, index=found.index, dtype=found[name].dtype)
        elif type_ == "boolean":
            turned = [value if pd.isna(value) else not value for value in found[name]]
            found[name] = pd.Series(turned, index=found.index, dtype=object).astype(found[name].dtype)
        elif type_ in ("integer", "float"):
            found[name] = (-found[name] - 1).astype(found[name].dtype)
    return found
