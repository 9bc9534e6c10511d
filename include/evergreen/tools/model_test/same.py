"""Compare two tables of features bit for bit, and say the first difference as a person would."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from evergreen.core.text import quoted_name


def difference(expected: pd.DataFrame, found: pd.DataFrame, columns: Sequence[str], entity: str) -> str | None:
    """What differs between two tables with the same rows in the same order; None if nothing does.

    Numbers are equal if their bits are, apart from the many spellings of NaN. Text is equal if it is the same text;
    a missing value equals a missing value only.

    Args:
        expected: one row an entity, with `columns`: float64, or text with gaps.
        found: the same.
        columns: to compare.
        entity: column that names a row.
    """
    wrong = {c: rows for c in columns if len(rows := np.flatnonzero(~_equal(expected[c], found[c])))}
    if not wrong:
        return None
    column, rows = next(iter(wrong.items()))
    row = rows[0]
    others = f", and so do {', '.join(map(quoted_name, list(wrong)[1:4]))}" if len(wrong) > 1 else ""
    return (
        f"feature {quoted_name(column)} of row {_said(expected[entity].iloc[row])} is "
        f"{_said(expected[column].iloc[row])} and {_said(found[column].iloc[row])} "
        f"({len(rows):,} of {len(expected):,} rows differ{others})"
    )


def _equal(one: pd.Series, other: pd.Series) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    gaps_one, gaps_other = one.isna().to_numpy(), other.isna().to_numpy()
    if one.dtype == np.float64 and other.dtype == np.float64:
        same = one.to_numpy().view(np.int64) == other.to_numpy().view(np.int64)
    else:
        same = one.astype(object).to_numpy() == other.astype(object).to_numpy()
    return np.asarray((same & ~gaps_one & ~gaps_other) | (gaps_one & gaps_other), dtype=bool)


def _said(value: object) -> str:
    if value is None or value is pd.NA or value != value:
        return "missing"
    return repr(float(value)) if isinstance(value, np.floating) else quoted_name(str(value))
