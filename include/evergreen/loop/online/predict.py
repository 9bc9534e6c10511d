"""Features and predictions of a request's rows: the same functions as in a batch, on fewer rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from evergreen.core.frames import conform, to_frame, to_table
from evergreen.errors import BadInputError, EvergreenError
from evergreen.loop.features.beside import copied
from evergreen.loop.features.compute import compute

if TYPE_CHECKING:
    from evergreen.core.definition import ModelDefinition
    from evergreen.loop.features.feature_code import FeatureCode
    from evergreen.loop.features.features_file import Build
    from evergreen.loop.online.context import Context
    from evergreen.loop.training.losses import Floats
    from evergreen.loop.training.model_files import Predictor


class BrokenModelError(EvergreenError):
    """The version that serves cannot predict, whatever the rows are: nothing that a caller could put right."""


def predict(
    definition: ModelDefinition, predictor: Predictor, asked: pd.DataFrame, context: Context, build: Build
) -> Floats:
    """Prediction of each row of `asked`: float64, in their order; of several classes rows x classes.

    Args:
        definition: the model.
        predictor: its version that serves.
        asked: inputs of one partition, as `to_inputs` returns them; at least one row.
        context: what stands beside them.
        build: the function of the model's `features.py`.

    Raises:
        BadInputError: `features.py` fails on these rows.
        BrokenModelError: the model lacks a feature that it was trained on, or predicts no finite number.
    """
    table, places = beside(definition.feed.entity, asked, context.beside)
    # A copy: what `build` may write into its history must not be there for the next request.
    features = compute(definition, table, context.history.copy(), build, copied(context.more))
    try:
        values = predictor.predict(features.iloc[places])
    except BadInputError as error:
        raise BrokenModelError(str(error)) from error
    finite = np.isfinite(values).reshape(len(values), -1).all(axis=1)
    if not finite.all():
        raise BrokenModelError(
            f"version {predictor.version} of {definition.name} predicts no finite number for "
            f"{int((~finite).sum())} of {len(values)} rows; look at their features, and trigger "
            f"{definition.name}.train for another model"
        )
    return values


def as_known(asked: pd.DataFrame, definition: ModelDefinition, code: FeatureCode) -> pd.DataFrame:
    """The rows of a request, which have the columns of `definition`, with those that `code` knows."""
    if code.is_today:
        return asked
    now, known = (d.feed.tables["inputs"] for d in (definition, code.definition))
    return to_frame(conform(to_table(asked, now.columns), known.columns, known.aliases))


def beside(
    entity: str, asked: pd.DataFrame, others: pd.DataFrame | None
) -> tuple[pd.DataFrame, np.ndarray[tuple[int], np.dtype[np.intp]]]:
    """The rows of `others` with those of `asked` among them, and where these stand.

    A row of an entity that is in `others` takes its place, others come after the last.
    """
    if others is None or others.empty:
        return asked, np.arange(len(asked))
    found = pd.Index(others[entity]).get_indexer(pd.Index(asked[entity]))
    known = found >= 0
    order = np.arange(len(others))
    order[found[known]] = len(others) + np.flatnonzero(known)
    order = np.concatenate([order, len(others) + np.flatnonzero(~known)])
    places = np.where(known, found, len(others) + np.cumsum(~known) - 1)
    return pd.concat([others, asked], ignore_index=True).take(order).reset_index(drop=True), places
