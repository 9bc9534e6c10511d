"""Numbers that differ by rounding alone are one number: 0.1 + 0.2 is 0.3, and so is what float32 makes of it.

Tests by ranks see which of two values is larger and not by how much. A column that is always 0.3, and comes as
0.1 + 0.2 from one week on, would have moved as far as can be.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
ROUNDING = 1e-12
"""Part of a number, or of what is usual in its column, by which sums in another order differ: a few thousand ulps"""
ABOUT_ZERO = 1e-15
"""What 0.3 - 0.2 - 0.1 leaves, and no more"""


def as_one(reference: NDArray[np.floating[Any]], current: NDArray[np.floating[Any]]) -> tuple[Floats, Floats]:
    """Both samples (float64, NaN if missing), with one value for those that differ by rounding.

    If both hold whole numbers only, nothing is changed. Otherwise values that are some ulps apart become the smallest
    of them; and a value whose float32 stands in the samples becomes that, so that a feed that changes between single
    and double precision has not moved.
    """
    pooled = np.concatenate([reference, current]).astype(np.float64)
    known = ~np.isnan(pooled)
    values = pooled[known]
    if not len(values) or (values == np.trunc(values)).all():
        return np.asarray(reference, np.float64), np.asarray(current, np.float64)
    distinct, places = np.unique(values, return_inverse=True)
    joined = _float32(_groups(distinct))
    pooled[known] = joined[places]
    return pooled[: len(reference)], pooled[len(reference) :]


def _groups(distinct: Floats) -> Floats:
    """For each of the sorted values, the smallest of those that are within rounding of each other.

    No group is wider than the rounding: a row of values, each near its neighbour, does not become one. Where two values
    lie just one rounding apart, a group may begin between one of them and what is some ulps from it. If there is a
    zero, what a difference leaves of numbers about one is zero too.
    """
    usual = float(np.median(np.abs(distinct)))
    least = ABOUT_ZERO if (distinct == 0).any() else 0.0
    near = np.maximum(ROUNDING * np.maximum(np.abs(distinct), usual), least)
    first = np.concatenate([[True], np.diff(distinct) > near[1:]])
    starts = np.flatnonzero(first)
    found: Floats = distinct[starts][np.cumsum(first) - 1]
    for place in np.flatnonzero(distinct - found > near):  # seldom any: a group that is too wide is cut
        start = found[place - 1] if not first[place] else distinct[place]
        found[place] = start if distinct[place] - start <= near[place] else distinct[place]
    return found


def _float32(joined: Floats) -> Floats:
    """The values, each as its float32 if that is one of them."""
    with np.errstate(over="ignore"):
        single = joined.astype(np.float32).astype(np.float64)
    return np.where(np.isin(single, joined), single, joined)
