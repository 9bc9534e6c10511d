"""An id that joins the texts of several columns, for rows that no column names. Pure."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence

import pandas as pd
import pyarrow as pa

from evergreen.core.definition.model import ColumnType

MARK = "|"
_PART = re.compile(r"((?:[^\\|]|\\.)*)\|", re.DOTALL)
"""What stands before a mark that is none within a text"""
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def joined(frame: pd.DataFrame, parts: Sequence[str]) -> pd.Series:
    """The texts of the columns `parts` of `frame`, joined by `MARK`; null if one of them is missing.

    `frame` has the dtypes that intake gives. A value has the same text in every file: an instant is
    `2013-01-07T06:00:00Z`, with six more digits if it has parts of a second; true is `true`. Different values never
    give the same id: a mark within a text has a backslash before it.
    """
    texts = [texts_of(frame[name]).astype("string") for name in parts]
    found = texts[0]
    for more in texts[1:]:
        found = found + MARK + more
    return _plain(found)


def parted(ids: pa.Array, kinds: Mapping[str, ColumnType]) -> dict[str, pa.Array]:
    """The reverse: the columns whose texts were joined, by name, as values that `cast` to the types `kinds`.

    `ids` holds no null.
    """
    rows = [_split(one) for one in ids.to_pylist()]
    columns = zip(*rows, strict=True) if rows else ((),) * len(kinds)
    return {name: _values(list(column), kind) for (name, kind), column in zip(kinds.items(), columns, strict=True)}


def _split(one: str) -> list[str]:
    if "\\" not in one:
        return one.split(MARK)
    return [_ESCAPED.sub(r"\1", part) for part in _PART.findall(one + MARK)]


def _values(column: list[str], kind: ColumnType) -> pa.Array:
    if kind == "boolean":
        return pa.array([one == "true" for one in column], pa.bool_())
    if kind == "timestamp":
        return pa.array([dt.datetime.fromisoformat(one) for one in column], pa.timestamp("us", "UTC"))
    return pa.array(column, pa.string())


def texts_of(values: pd.Series) -> pd.Series:
    """The text that each value has in an id, with marks within texts told apart; None if it is missing."""
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        whole = values.dt.strftime("%Y-%m-%dT%H:%M:%SZ")
        split = values.dt.microsecond.fillna(0) > 0
        if split.any():
            whole = whole.where(~split, values.dt.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
        return _plain(whole)
    if pd.api.types.is_bool_dtype(values.dtype) and not pd.api.types.is_object_dtype(values.dtype):
        return _plain(values.map({True: "true", False: "false"}))
    texts = values.astype("string")
    if pd.api.types.is_object_dtype(values.dtype) or pd.api.types.is_string_dtype(values.dtype):
        texts = texts.str.replace("\\", "\\\\", regex=False).str.replace(MARK, "\\" + MARK, regex=False)
    return _plain(texts)


def _plain(texts: pd.Series) -> pd.Series:
    """Texts as intake has them: objects, None if one is missing."""
    return pd.Series([None if pd.isna(text) else str(text) for text in texts], index=texts.index, dtype=object)
