"""An id that joins the texts of several columns, for rows that no column names. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

MARK = "|"


def joined(frame: pd.DataFrame, parts: Sequence[str]) -> pd.Series:
    """The texts of the columns `parts` of `frame`, joined by `MARK`; null if one of them is missing.

    `frame` has the dtypes that intake gives. A value has the same text in every file: an instant is
    `2013-01-07T06:00:00Z`, with six more digits if it has parts of a second; true is `true`. Different values never
    give the same id: a mark within a text has a backslash before it.
    """
    texts = [_texts(frame[name]).astype("string") for name in parts]
    found = texts[0]
    for more in texts[1:]:
        found = found + MARK + more
    return _plain(found)


def _texts(values: pd.Series) -> pd.Series:
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
