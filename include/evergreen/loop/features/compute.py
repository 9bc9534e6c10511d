"""Run a model's `build` and hold it to its contract; write the result as Parquet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from evergreen.core.definition import ModelDefinition
from evergreen.core.spelling import spelled
from evergreen.errors import BadInputError
from evergreen.loop.features.beside import arguments
from evergreen.loop.features.code_files import FILE
from evergreen.loop.features.features_file import load_build, where

if TYPE_CHECKING:
    from evergreen.loop.features.features_file import Build

ARROW = {
    "string": pa.string(),
    "integer": pa.int64(),
    "float": pa.float64(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}


def compute(
    definition: ModelDefinition,
    inputs: pd.DataFrame,
    history: pd.DataFrame,
    build: Build | None = None,
    beside: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """The features of `inputs`: entity, event time, numeric features (float64) and categorical ones (str, or null).

    One row an input row, in the same order, with a fresh index. `build` is the function of `features.py` if it has
    been loaded before. `beside` are the arguments that the definition asks for by name (`beside.arguments`).

    Raises:
        DefinitionError: `features.py` cannot be loaded.
        BadInputError: `build` raised, or returned something else than its contract says.
    """
    build = build or load_build(definition)
    given = {name: _shallow((beside or {})[name]) for name in arguments(definition)}
    try:
        built = build(inputs.copy(deep=False), history.copy(deep=False), **given)
    except (OSError, MemoryError):
        raise
    except Exception as error:
        raise BadInputError(f"{where(error, definition)}: build() raised {type(error).__name__}: {error}") from error
    _check(definition, inputs, built)
    return _typed(definition, inputs, built)


def _shallow(given: Any) -> Any:
    """A frame, or frames by name, whose columns can be replaced without a trace."""
    if isinstance(given, Mapping):
        return {name: _shallow(frame) for name, frame in given.items()}
    return given.copy(deep=False)


def _check(definition: ModelDefinition, inputs: pd.DataFrame, built: object) -> None:
    path, entity = definition.folder / FILE, definition.feed.entity
    if not isinstance(built, pd.DataFrame):
        raise BadInputError(f"{path}: build() returned {type(built).__name__}; it must return a pandas DataFrame")
    lacking = [c for c in (entity, definition.feed.event_time, *definition.features.columns) if c not in built.columns]
    if lacking:
        raise BadInputError(
            f"{path}: build() returned no column {', '.join(lacking)}; add it there, or drop it from model.yaml"
        )
    if len(built) != len(inputs):
        raise BadInputError(
            f"{path}: build() returned {len(built):,} rows for {len(inputs):,} rows of inputs; it must return one each"
        )
    if not (built[entity].to_numpy() == inputs[entity].to_numpy()).all():
        raise BadInputError(f"{path}: build() changed the order of the rows; it must return them as the inputs are")


def _typed(definition: ModelDefinition, inputs: pd.DataFrame, built: pd.DataFrame) -> pd.DataFrame:
    feed, features = definition.feed, definition.features
    columns: dict[str, object] = {feed.entity: inputs[feed.entity].reset_index(drop=True)}
    columns[feed.event_time] = inputs[feed.event_time].reset_index(drop=True)
    for name in features.numeric:
        try:
            columns[name] = built[name].to_numpy(dtype="float64", na_value=float("nan"))
        except (TypeError, ValueError) as error:
            raise BadInputError(
                f"{definition.folder / FILE}: numeric feature {name!r} cannot be a float64: {error}; "
                "return numbers, or list it under features.categorical"
            ) from None
    for name in features.categorical:
        columns[name] = spelled(built[name].reset_index(drop=True))
    return pd.DataFrame(columns)


def write_parquet(definition: ModelDefinition, frame: pd.DataFrame, path: Path) -> None:
    """Write `frame` (as `compute` returns it) to `path`: the same frame gives the same bytes.

    The schema comes from the definition and not from the values, and nothing about pandas is stored with it.
    """
    types = definition.feed.tables["inputs"].columns
    feed, features = definition.feed, definition.features
    schema = pa.schema(
        [
            (feed.entity, ARROW[types[feed.entity]]),
            (feed.event_time, ARROW["timestamp"]),
            *((name, pa.float64()) for name in features.numeric),
            *((name, pa.string()) for name in features.categorical),
        ]
    )
    table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False).replace_schema_metadata(None)
    pq.write_table(table, path, compression="zstd")
