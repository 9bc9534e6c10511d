"""From a frame of features to the matrix a model reads: the same conversion in training and in scoring."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from evergreen.core.spelling import spelled
from evergreen.errors import BadInputError
from evergreen.loop.training.losses import Floats, Targets

if TYPE_CHECKING:
    from evergreen.core.definition import ModelDefinition
    from evergreen.core.definition.model import FeaturesSection


def model_frame(frame: pd.DataFrame, numeric: Sequence[str], categorical: Sequence[str]) -> pd.DataFrame:
    """The feature columns in the order models read them: numeric as float64, categorical as str with NaN for null.

    Nullable, boolean and integer columns become float64 with NaN; infinities become NaN, which every candidate
    handles. Nothing here is learned from data: whatever is (scales, categories, medians) lives in the pipeline.

    Raises:
        BadInputError: a feature column is missing, or a numeric one holds text.
    """
    missing = [c for c in (*numeric, *categorical) if c not in frame.columns]
    if missing:
        raise BadInputError(
            f"the model reads the features {', '.join(missing)}, which the frame lacks; "
            "rebuild the features with the definition the model was trained under"
        )
    columns: dict[str, object] = {name: _as_float(frame[name]) for name in numeric}
    columns.update({name: _as_text(frame[name]) for name in categorical})
    return pd.DataFrame(columns, index=frame.index)


def unknown_as_null(frame: pd.DataFrame, features: FeaturesSection) -> tuple[pd.DataFrame, frozenset[str]]:
    """`frame` with a column of nulls for each feature that it lacks, and the names of these.

    A partition that was built before the definition had a feature does not know it. To learn from it all the same is
    right; to predict from it with a model that reads the feature is not, so that `model_frame` refuses it.
    """
    lacking = frozenset(features.columns) - set(frame.columns)
    if lacking:
        frame = frame.copy()
    for name in sorted(lacking):
        frame[name] = np.nan if name in features.numeric else None
    return frame, lacking


def target_values(definition: ModelDefinition, column: pd.Series) -> Targets:
    """The target as float64; 0.0 and 1.0 for a binary task; of a multiclass task the names of classes, as objects.

    Raises:
        BadInputError: a binary target holds other values, counts are below 0, or only nulls remain to convert.
    """
    if definition.task == "multiclass":
        return spelled(column).to_numpy(dtype=object)
    values = _as_float(column)
    if definition.task == "binary":
        strange = np.unique(values[~np.isin(values, (0.0, 1.0))])
        if strange.size:
            shown = ", ".join(str(v) for v in strange[:3])
            raise BadInputError(
                f"target {definition.target!r} of a binary task holds {shown}; it must be true/false or 0/1: "
                "correct the label feed, or declare `task: regression`"
            )
    if definition.loss == "poisson" and (below := values < 0).any():
        raise BadInputError(
            f"target {definition.target!r} holds {values[below][0]:g}; gate.loss poisson is that of counts, which are "
            "not below 0: correct the label feed, or take gate.loss squared_error"
        )
    return values


def _as_float(column: pd.Series) -> Floats:
    try:
        values: Floats = column.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise BadInputError(
            f"numeric column {column.name!r} holds something that is no number ({error}); "
            "list it under features.categorical or convert it in features.py"
        ) from None
    infinite = np.isinf(values)
    return np.where(infinite, np.nan, values) if infinite.any() else values


def _as_text(column: pd.Series) -> pd.Series:
    text = spelled(column)
    present = text.notna()
    return text if present.all() else text.where(present, np.nan)
