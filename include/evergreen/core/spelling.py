"""One value is one text: how values of a category are spelled, whatever type a table happened to hold them in.

A left merge makes whole numbers floats if one row finds no partner; a file may hold them as float32 or decimals.
Spelled as they are held, 20, 20.0 and Decimal("20.00") would be three categories.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

_DIGITS = 15
"""Significant digits that a float64 keeps of any decimal: 0.1 + 0.2 and 0.3 are one number in them."""


def spell(value: Any) -> str:
    """The text of one value, which is not null: '20' for 20, 20.0, np.float32(20) and Decimal('20.00'); text is itself.

    Booleans are 'True' and 'False', numbers the shortest decimal that names them, all else is `str(value)`.
    """
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if isinstance(value, int | np.integer):
        return str(int(value))
    if isinstance(value, np.floating) and value.dtype.itemsize < 8:
        return _number(float(str(value)))  # the shortest decimal that is this number at its own precision
    if isinstance(value, float | np.floating):
        return _number(float(value))
    if isinstance(value, Decimal) and value.is_finite():
        return str(int(value)) if value == value.to_integral_value() else _number(float(value))
    return str(value)


def _number(value: float) -> str:
    if value.is_integer():
        return str(int(value))
    short = float(f"{value:.{_DIGITS}g}")
    return str(int(short)) if short.is_integer() else repr(short)


def spelled(column: pd.Series[Any]) -> pd.Series[Any]:
    """The values of `column` as text (dtype object), nulls as they are."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        names = spelled(pd.Series(column.cat.categories)).to_numpy(dtype=object)
        # the code of null is -1: the last
        return pd.Series(np.append(names, np.nan)[column.cat.codes], index=column.index, name=column.name)
    dtype = column.dtype
    if isinstance(dtype, np.dtype) and dtype.kind == "f":
        return _of_floats(column)
    values = column.astype("object")
    # Most are text already, and looking costs a fifth of converting.
    if pd.api.types.infer_dtype(values, skipna=True) == "string":
        return values
    known = values.notna().to_numpy()
    single = str(dtype) in ("Float32", "float[pyarrow]")  # as objects they are float64
    found = values.to_numpy(dtype=object).copy()
    found[known] = [spell(np.float32(value) if single else value) for value in found[known]]
    return pd.Series(found, index=column.index, name=column.name, dtype=object)


def _of_floats(column: pd.Series[Any]) -> pd.Series[Any]:
    """The same for a column of floats: each distinct value is spelled once."""
    values = column.to_numpy()
    distinct, places = np.unique(values, return_inverse=True)
    texts = np.array([np.nan if np.isnan(value) else spell(value) for value in distinct], dtype=object)
    found = texts[places] if len(distinct) else np.empty(0, dtype=object)
    return pd.Series(found, index=column.index, name=column.name, dtype=object)
