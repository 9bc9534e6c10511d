"""What moved, in words a colleague would use."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evergreen.core.text import number, percent, quoted_name

MAJOR = 0.5
"""Effect from which drift is major: Cohen's (1988) medium effect, "visible to the naked eye of a careful observer"."""


def size(effect: float) -> str:
    """Cohen's words for an effect in standard deviations."""
    for limit, word in ((0.2, "slight"), (0.5, "small"), (0.8, "medium")):
        if effect < limit:
            return word
    return "large"


def change_of_numbers(reference: NDArray[np.float64], current: NDArray[np.float64]) -> str:
    """'rose: median 61 -> 74, middle half 50 to 68 -> 66 to 80'."""
    low, middle, high = np.quantile(reference, [0.25, 0.5, 0.75])
    low_now, middle_now, high_now = np.quantile(current, [0.25, 0.5, 0.75])
    moved = middle_now - middle or float(current.mean() - reference.mean())
    verb = "rose" if moved > 0 else "fell" if moved < 0 else "changed shape"
    if middle_now == middle:
        return f"{verb}: median still {number(middle)}, mean {number(reference.mean())} → {number(current.mean())}"
    return (
        f"{verb}: median {number(middle)} → {number(middle_now)}, "
        f"middle half {number(low)} to {number(high)} → {number(low_now)} to {number(high_now)}"
    )


def change_of_categories(reference: pd.Series[Any], current: pd.Series[Any]) -> str:
    """The category whose share moved most, and how many rows have one that the reference never saw."""
    before, now = reference.value_counts(normalize=True), current.value_counts(normalize=True)
    shares = pd.DataFrame({"before": before, "now": now}).fillna(0.0)
    new = shares[shares["before"] == 0.0]
    if len(new) > 1 and new["now"].sum() >= 0.01:
        return f"{percent(float(new['now'].sum()))} of rows have one of {len(new)} categories not seen before"
    most = str((shares["now"] - shares["before"]).abs().idxmax())
    was, is_now = float(before.get(most, 0.0)), float(now.get(most, 0.0))
    if was == 0.0:
        return f"{quoted_name(most)} is new and makes up {percent(is_now)} of rows"
    if is_now == 0.0:
        return f"{quoted_name(most)} is gone; it made up {percent(was)} of rows"
    return f"share of {quoted_name(most)} {change_of_share(was, is_now)}"


def change_of_missing(before: float, now: float) -> str:
    """'missing in 30 % of rows, was 1.2 %'."""
    return f"missing in {percent(now)} of rows, {f'was {percent(before)}' if before else 'never before'}"


def change_of_share(before: float, now: float) -> str:
    """'rose from 25 % to 31 %'."""
    return (
        f"{'rose' if now > before else 'fell' if now < before else 'stayed'} from {percent(before)} to {percent(now)}"
    )


def change_of_correlation(one: str, other: str, before: float, now: float, *, ranks: bool) -> str:
    """'hour with departures_in_hour (rank correlation 0.61 → 0.02)'."""
    return f"{one} with {other} ({'rank ' if ranks else ''}correlation {_signed(before)} → {_signed(now)})"


def change_of_pattern(ratio: float) -> str:
    """'on the whole the columns depend on each other 83 % less'."""
    if ratio < 0:
        return "on the whole the columns depend on each other the other way round"
    share = percent(min(abs(ratio - 1), 9.99))
    return f"on the whole the columns depend on each other {share} {'less' if ratio < 1 else 'more'}"


def _signed(correlation: float) -> str:
    return f"{correlation:.2f}".replace("-0.00", "0.00")
