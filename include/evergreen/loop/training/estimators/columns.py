"""Columns of a `model_frame` to the numbers that an estimator reads.

Everything learned from data is in here: medians, scales, known categories. Both ways take nulls and categories never
seen in training.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, QuantileTransformer, StandardScaler

if TYPE_CHECKING:
    import pandas as pd

MAX_CATEGORIES = 200
"""Categories kept apart in one column; rarer ones share one."""
RARE = 10
"""Rows below which linear models take categories together."""
QUANTILES = 100
"""Steps of the linear models' ranks; between them they are interpolated."""


def filled(rows: pd.DataFrame, names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Columns that hold something, and those that hold nothing."""
    held = [name for name in names if rows[name].notna().any()]
    return held, [name for name in names if name not in held]


def as_codes(numeric: Sequence[str], categorical: Sequence[str], rows: pd.DataFrame) -> ColumnTransformer:
    """Numbers as they are and categories as codes, for trees; not fitted yet.

    `rows` are those it will be fitted on. A column that holds nothing there (a feature that looks back, in the first
    weeks; one that is new) becomes a constant: boosted trees cannot bin it.
    """
    return _columns(numeric, categorical, rows, _tree_columns())


def as_ranks(numeric: Sequence[str], categorical: Sequence[str], rows: pd.DataFrame) -> ColumnTransformer:
    """Numbers as scaled ranks and a column of zeros and ones for each category, for linear models; not fitted yet.

    `rows` are those it will be fitted on; what is empty there is a constant, as in `as_codes`.
    """
    return _columns(numeric, categorical, rows, _linear_columns(len(rows)))


def as_they_are(numeric: Sequence[str], categorical: Sequence[str], rows: pd.DataFrame) -> ColumnTransformer:
    """The `model_frame` itself, as a DataFrame with its columns in their order; fitted: there is nothing to learn.

    It stands before the estimators of the team, so that a saved model knows which columns it reads, and how.
    """
    steps = [("numeric", "passthrough", list(numeric)), ("categorical", "passthrough", list(categorical))]
    columns = ColumnTransformer([step for step in steps if step[2]], verbose_feature_names_out=False)
    return columns.set_output(transform="pandas").fit(rows.head(2))


def _columns(
    numeric: Sequence[str], categorical: Sequence[str], rows: pd.DataFrame, ways: tuple[Any, Any]
) -> ColumnTransformer:
    numeric, empty = filled(rows, numeric)
    categorical, unheard = filled(rows, categorical)
    constant = SimpleImputer(strategy="constant", fill_value=0.0, keep_empty_features=True)
    unknown = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-1)
    steps = [
        ("numeric", ways[0], numeric),
        ("empty", constant, empty),
        ("categorical", ways[1], categorical),
        ("unheard", unknown, unheard),
    ]
    return ColumnTransformer([step for step in steps if step[2]], verbose_feature_names_out=False)


def _tree_columns() -> tuple[Any, Any]:
    """Trees need neither scales nor medians, and split codes as often as they need to.

    The trees' own handling of categories, and target means with a seeded split, would be saved with types that nobody
    should have to trust (`functools.partial`, splitters); on the flights codes do as well. One never seen is missing.
    """
    missing = float("nan")
    return "passthrough", OrdinalEncoder(
        handle_unknown="use_encoded_value",
        unknown_value=missing,
        encoded_missing_value=missing,
        max_categories=MAX_CATEGORIES,
    )


def _linear_columns(rows: int) -> tuple[Any, Any]:
    """Medians for nulls, which get a column of their own, then ranks; rare and unknown categories share a column.

    A rank ends where the training rows end: what lies beyond counts as the largest seen. A line through the values
    themselves would go on, and on the flights a model of the winter was surest, and most wrong, in the first hot week.
    """
    ranks = QuantileTransformer(n_quantiles=min(QUANTILES, rows), subsample=None)
    return make_pipeline(SimpleImputer(strategy="median", add_indicator=True), ranks, StandardScaler()), OneHotEncoder(
        handle_unknown="infrequent_if_exist",
        max_categories=MAX_CATEGORIES,
        min_frequency=RARE,
        sparse_output=False,
    )
