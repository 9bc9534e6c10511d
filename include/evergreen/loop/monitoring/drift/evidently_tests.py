"""Evidently's own two-sample tests, and those of `two_sample` registered through its API.

They stand apart because importing Evidently takes seconds: whoever only asks for a design effect need not wait for it.
"""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
from evidently.legacy.calculations.stattests.registry import StatTest, get_registered_stattest, register_stattest
from evidently.legacy.core import ColumnType

from evergreen.monitoring.two_sample import category_log_p, count_table, missing_log_p

CATEGORIES = "evergreen_categories"
MISSING = "evergreen_missing"


def kolmogorov_smirnov(reference: pd.Series[float], current: pd.Series[float]) -> float:
    """P-value of Evidently's `ks`: two samples of float64 without nulls, neither of them empty."""
    kind = ColumnType.Numerical
    return float(get_registered_stattest("ks", kind)(reference, current, kind, None).drift_score)


def _categories_stattest(
    reference: pd.Series[Any], current: pd.Series[Any], _kind: ColumnType, threshold: float
) -> tuple[float, bool]:
    p = math.exp(category_log_p(count_table(reference, current)))
    return p, p <= threshold


def _missing_stattest(
    reference: pd.Series[Any], current: pd.Series[Any], _kind: ColumnType, threshold: float
) -> tuple[float, bool]:
    """Of two series that say where values are missing: Evidently drops the nulls themselves before a test sees them."""
    p = math.exp(missing_log_p(reference.to_numpy(bool), current.to_numpy(bool)))
    return p, p <= threshold


register_stattest(
    StatTest(name=CATEGORIES, display_name="category shares p_value", allowed_feature_types=[ColumnType.Categorical]),
    default_impl=_categories_stattest,
)
register_stattest(
    StatTest(name=MISSING, display_name="missing values p_value", allowed_feature_types=[ColumnType.Categorical]),
    default_impl=_missing_stattest,
)
