"""The reference of a model version: a sample of what it was trained and judged on, which drift is measured against."""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from evergreen.core.store import Store, layout
from evergreen.loop.training.classes import as_columns
from evergreen.loop.training.decide import chosen
from evergreen.loop.training.examples import Examples
from evergreen.loop.training.model_files import Predictor
from evergreen.settings import Settings

if TYPE_CHECKING:
    from evergreen.core.definition import ModelDefinition

log = logging.getLogger("evergreen.champion")

REFERENCE_ROWS = 20_000
"""At most, of each part."""
COMPLETE = "__complete__"
"""Column that says which rows' partitions were built with every feature; written if some were not. No feed's column
may be called so."""


def write_reference(
    definition: ModelDefinition, challenger: Predictor, train: Examples, held_out: Examples, *, settings: Settings
) -> str:
    """Write the version's reference, unless an earlier attempt has, and return its URI.

    Parquet with the feed's entity and event time, `cluster`, the features, `target`, the columns of the prediction
    (`classes.as_columns`) and `part` (train | holdout); at most `REFERENCE_ROWS` rows of each part, drawn with the
    definition's seed. Features that none of the partitions was built with are left out: nothing is known of them.
    """
    store, name = Store.from_settings(settings), layout.reference(definition.name, challenger.version)
    if store.exists(name):
        return store.uri(name)
    seed = definition.training.seed
    parts = [
        _part(definition, challenger, train.sample(REFERENCE_ROWS, seed), "train"),
        _part(definition, challenger, held_out.sample(REFERENCE_ROWS, seed), "holdout"),
    ]
    frame = _known(definition, pd.concat(parts, ignore_index=True), train, held_out)
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False, compression="zstd")
    uri = store.write(name, buffer.getvalue())
    log.info("reference of version %d: %s rows in %s", challenger.version, f"{len(frame):,}", uri)
    return uri


def _known(definition: ModelDefinition, frame: pd.DataFrame, train: Examples, held_out: Examples) -> pd.DataFrame:
    """The frame without features that no partition has, and without `COMPLETE` if it says nothing."""
    lacking = {**train.lacking, **held_out.lacking}
    keys = {*train.key.tolist(), *held_out.key.tolist()}
    never = [name for name in definition.features.columns if all(name in lacking.get(key, ()) for key in keys)]
    some = any(names - set(never) for names in lacking.values())
    return frame.drop(columns=never if some else [*never, COMPLETE])


def _part(definition: ModelDefinition, challenger: Predictor, rows: Examples, part: str) -> pd.DataFrame:
    predicted = challenger.predict(rows.features)
    choice = chosen(definition, challenger.rule, predicted, challenger.classes)
    about = {
        definition.feed.entity: rows.entity,
        definition.feed.event_time: rows.event_time,
        "cluster": rows.cluster,
        "target": rows.target,
        **as_columns(predicted, challenger.classes, choice),
        "part": part,
        COMPLETE: ~np.isin(rows.key, list(rows.lacking)),
    }
    beside = {name: values for name, values in about.items() if name not in rows.features}  # an entity may be a feature
    return pd.concat([pd.DataFrame(beside), rows.features], axis=1)
