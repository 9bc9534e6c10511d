"""Predict a features file slice by slice: what is in memory at once is a slice, not the partition."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from evergreen.core.definition.decision import CHOICE
from evergreen.loop.intake.reading.made_columns import id_parts
from evergreen.loop.training.classes import PREDICTION, as_columns, nothing
from evergreen.loop.training.decide import chosen
from evergreen.loop.training.losses import Floats
from evergreen.loop.training.model_files import CHUNK_ROWS, Predictor

if TYPE_CHECKING:
    from evergreen.core.definition import ModelDefinition


class Predictions(NamedTuple):
    """What was predicted for one features file."""

    values: Floats
    """float64, in the rows' order; of a multiclass model rows x classes"""
    parquet: bytes
    """The file that is published: entity, event time, prediction, the choice if the definition has a `decision`, of
    several classes their probabilities, and the columns that the entity is made of"""


def predict_file(definition: ModelDefinition, predictor: Predictor, path: Path) -> Predictions:
    """Predict every row of the features file `path`.

    Entities and event times go from file to file without becoming Python objects; beside three slices (one is read,
    one predicted, one written) only the predictions themselves (8 bytes a row, of several classes for each) and the
    compressed output are held.

    Raises:
        BadInputError: a feature the model was trained on is missing from the file, or a numeric one holds text.
    """
    names = [definition.feed.entity, definition.feed.event_time]
    texts = [name for name in predictor.categorical if name not in names]
    # Categories stay codes: a slice then converts the few that there are, not one for each row.
    with pq.ParquetFile(path, read_dictionary=texts) as file:
        held = [name for name in predictor.columns if name in file.schema_arrow.names]
        classes = predictor.classes
        schema = _schema(file, names, classes, definition)
        values, buffer = [nothing(classes)], io.BytesIO()
        columns = list(dict.fromkeys([*names, *held]))
        with pq.ParquetWriter(buffer, schema, compression="zstd") as writer, ThreadPoolExecutor(2) as aside:
            written: list[Future[None]] = []
            for table in _ahead(read_slices(file, columns), aside):
                values.append(predictor.predict(table.select(held).to_pandas()))
                _wait(written)
                choice = chosen(definition, predictor.rule, values[-1], classes)
                said = map(pa.array, as_columns(values[-1], classes, choice).values())
                parts = id_parts(table[names[0]].combine_chunks(), definition.feed).values()
                made = [*(table[name] for name in names), *said, *parts]
                written = [aside.submit(writer.write_table, pa.Table.from_arrays(made, schema=schema))]
            _wait(written)
            if not file.metadata.num_rows:
                writer.write_table(schema.empty_table())
    return Predictions(np.concatenate(values), buffer.getvalue())


def read_slices(file: pq.ParquetFile, columns: list[str]) -> Iterator[pa.Table]:
    """Tables of `CHUNK_ROWS` rows each, the last of what is left.

    Where row groups end makes no difference: a linear model's last bit can depend on where in its slice a row stands.
    """
    held: list[pa.RecordBatch] = []
    rows = 0
    for batch in file.iter_batches(CHUNK_ROWS, columns=columns):
        held.append(batch)
        rows += batch.num_rows
        while rows >= CHUNK_ROWS:
            table = pa.Table.from_batches(held)
            yield table.slice(0, CHUNK_ROWS).unify_dictionaries()
            held, rows = table.slice(CHUNK_ROWS).to_batches(), rows - CHUNK_ROWS
    if rows:
        yield pa.Table.from_batches(held).unify_dictionaries()


def _ahead(tables: Iterator[pa.Table], aside: ThreadPoolExecutor) -> Iterator[pa.Table]:
    """The same tables; while one is used the next is read: pyarrow reads and writes without Python's lock."""
    following = aside.submit(next, tables, None)
    while (table := following.result()) is not None:
        following = aside.submit(next, tables, None)
        yield table


def _wait(written: list[Future[None]]) -> None:
    """Until what was handed over is written, so that no queue grows; raises what writing raised."""
    for future in written:
        future.result()


def _schema(file: pq.ParquetFile, names: list[str], classes: Sequence[str], definition: ModelDefinition) -> pa.Schema:
    """Schema of the predictions, with what pandas notes about its dtypes: one row is enough to see them."""
    first = next(file.iter_batches(1, columns=names), None)
    sample = (first if first is not None else file.schema_arrow.empty_table().select(names)).to_pandas()[names]
    none = np.zeros((len(sample), len(classes)) if classes else len(sample))
    nobody = None if definition.decision is None else np.zeros(len(sample), dtype=bool)
    schema = pa.Schema.from_pandas(sample.assign(**as_columns(none, classes, nobody)), preserve_index=False)
    # without a row pandas does not know that the names of classes are text
    for name in ((PREDICTION, CHOICE) if nobody is not None else (PREDICTION,)) if classes else ():
        schema = schema.set(schema.get_field_index(name), pa.field(name, pa.string()))
    for name, empty in id_parts(pa.array([], pa.string()), definition.feed).items():
        schema = schema.append(pa.field(name, empty.type))
    return schema
