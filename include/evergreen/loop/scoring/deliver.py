"""Deliver the predictions of a partition to the sinks of its model: each once, whatever dies.

A sink knows which predictions it has, and changes that with the rows, in one step. The ledger's row follows. A process
that dies in between is run again: the sink has them already, and the row is written. Under the ledger's lock of the
sink and the partition the newest predictions are read, so that older ones never replace newer ones.
"""

from __future__ import annotations

import io
import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.database_address import AddressOf, url_of
from evergreen.core.definition.decision import CHOICE
from evergreen.core.definition.sinks import SinkSection
from evergreen.core.definition.tasks import PROBABILITY
from evergreen.core.ledger import Ledger
from evergreen.core.ledger.queries import collected, decisions
from evergreen.core.ledger.session import hold
from evergreen.core.ledger.tables import Prediction, SinkDelivery
from evergreen.core.names import ObjectName, PartitionKey
from evergreen.core.store import Store, layout
from evergreen.core.store.objects import publish
from evergreen.errors import BadInputError, NotReadyError
from evergreen.loop.scoring.score import read_bytes
from evergreen.loop.training.classes import classes_in, columns_in
from evergreen.loop.training.decide import chosen_in
from evergreen.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger("evergreen.scoring")
NEWEST = "newest"
"""Name of the file of the newest partition, and of its lock; no key is called so"""


@dataclass(frozen=True)
class Delivered:
    """What one sink has of one partition."""

    sink: str
    key: PartitionKey
    prediction_id: int
    version: int
    rows: int
    place: str
    new: bool
    """False: it had these predictions already"""


def deliver(
    definition: ModelDefinition,
    key: PartitionKey,
    *,
    settings: Settings,
    address_of: AddressOf,
    run_url: str | None = None,
) -> list[Delivered]:
    """Have every sink of the model hold the newest predictions of the partition `key`, and no others of it.

    Raises:
        NotReadyError: the partition has no predictions.
        BadInputError: a sink's table has other columns or types than predictions have; nothing of it was changed.
        CollectedError: retention has removed the predictions.
        SettingsError: a sink's database has no address.
        UnavailableError: ledger, store or a sink do not answer; what was delivered stays, run it again.
    """
    definition.partitions.parse(key)
    return [
        _deliver(definition, name, sink, key, settings, address_of, run_url) for name, sink in definition.sinks.items()
    ]


def predicted_keys(definition: ModelDefinition, *, settings: Settings) -> dict[PartitionKey, bool]:
    """The partitions that have predictions, oldest first -> whether the newest are kept: retention removes old ones."""
    with Ledger.from_settings(settings).transaction() as session:
        found, gone = decisions.current_predictions(session, definition.name), collected.gone(session, definition.name)
        return {key: prediction.uri not in gone for key, prediction in found.items()}


def _deliver(
    definition: ModelDefinition,
    name: str,
    sink: SinkSection,
    key: PartitionKey,
    settings: Settings,
    address_of: AddressOf,
    run_url: str | None,
) -> Delivered:
    with Ledger.from_settings(settings).lock("sink", definition.name, name, key) as session:
        prediction = _newest(session, definition.name, key)
        if prediction is None:
            raise NotReadyError(f"{definition.name} has no predictions of {key} to deliver; its DAG score makes them")
        if sink.type == "table":
            place, new = _to_table(definition, sink, prediction, settings, address_of)
        else:
            place, new = _to_file(session, definition, name, prediction, settings)
        row = {
            "model": definition.name, "sink": name, "key": key, "prediction_id": prediction.id,
            "version": prediction.version, "rows": prediction.rows, "place": place, "run_url": run_url,
        }  # fmt: skip
        once = ["model", "sink", "prediction_id"]
        session.execute(insert(SinkDelivery).values(row).on_conflict_do_nothing(index_elements=once))
    state = "delivered" if new else "had them already"
    log.info(
        "%s: %s rows of version %d to %s (%s): %s", key, f"{prediction.rows:,}", prediction.version, name, place, state
    )
    return Delivered(name, key, prediction.id, prediction.version, prediction.rows, place, new)


def _newest(session: Session, model: str, key: PartitionKey) -> Prediction | None:
    """The newest predictions: of the newest snapshot, by the version that served when it was predicted."""
    query = select(Prediction).where(Prediction.model == model, Prediction.key == key)
    return session.scalar(query.order_by(Prediction.id.desc()).limit(1))


def _to_table(
    definition: ModelDefinition, sink: SinkSection, prediction: Prediction, settings: Settings, address_of: AddressOf
) -> tuple[str, bool]:
    from evergreen.loop.scoring.sink_table import columns, write

    url = url_of(sink.connection or "", address_of)
    kind = definition.feed.tables["inputs"].columns[definition.feed.entity]
    place, several = f"{sink.connection}: {sink.table}", definition.task == "multiclass"

    def rows() -> pa.Table:
        found = _rows(definition, prediction, settings)
        _check_task(definition, prediction, found)
        return _with_json(found) if several else found

    types = columns(kind, several=several, decided=definition.decision is not None)
    return place, write(url, sink.table or "", prediction, types, rows)


def _check_task(definition: ModelDefinition, prediction: Prediction, rows: pa.Table) -> None:
    """Raise BadInputError if the version that predicted was made for another task than the table is."""
    import pyarrow as pa

    several = not pa.types.is_floating(rows["prediction"].type)
    if rows.num_rows and several != (definition.task == "multiclass"):
        held = "classes" if several else "numbers"
        raise BadInputError(
            f"version {prediction.version} predicted {held} for {prediction.key}: it was made before the model's task "
            f"became {definition.task}. Trigger {definition.name}.train for a version of that task; what that predicts "
            "is delivered"
        )


def _to_file(
    session: Session, definition: ModelDefinition, sink: str, prediction: Prediction, settings: Settings
) -> tuple[str, bool]:
    """The partition's file, and that of the newest partition; each appears whole in place of the one before.

    All partitions write the second one: until the session ends no other does, so that it never goes back.
    """
    store = Store.from_settings(settings)
    data = _as_file(_rows(definition, prediction, settings))
    new = _have(store, layout.current(definition.name, sink, prediction.key), data)
    hold(session, "sink", definition.name, sink, NEWEST)
    last = session.scalar(select(func.max(Prediction.key)).where(Prediction.model == definition.name))
    if last == prediction.key:
        new = _have(store, layout.current(definition.name, sink, NEWEST), data) or new
    return store.uri(layout.current(definition.name, sink, prediction.key)), new


def _have(store: Store, name: ObjectName, data: bytes) -> bool:
    """Have the object hold `data`; whether it did not before."""
    if store.exists(name) and store.read(name) == data:
        return False
    publish(store.uri(name), data)
    return True


def _rows(definition: ModelDefinition, prediction: Prediction, settings: Settings) -> pa.Table:
    """The predictions as they are delivered.

    Columns: entity and event_time (of the feed's types), prediction (double; of several classes the name of the most
    probable one, and probability_<class> of each), choice (boolean or text) if the definition has a `decision`,
    partition_key (text), model_version (int64), predicted_at (microseconds, UTC): when they were made.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    found = _decided(definition, pq.read_table(io.BytesIO(read_bytes(prediction, settings))))
    count, decided = found.num_rows, definition.decision is not None

    def constant(value: Any, kind: pa.DataType) -> pa.Array:
        return pa.repeat(pa.scalar(value, kind), count)

    return pa.table(
        {
            "entity": found.column(0),
            "event_time": found.column(1).cast(pa.timestamp("us", "UTC")),
            **{name: found.column(name) for name in columns_in(found.column_names, decided=decided)},
            "partition_key": constant(prediction.key, pa.string()),
            "model_version": constant(prediction.version, pa.int64()),
            "predicted_at": constant(prediction.created_at, pa.timestamp("us", "UTC")),
        }
    )


def _decided(definition: ModelDefinition, table: pa.Table) -> pa.Table:
    """The predictions with the chosen class: those from before there was a `decision` were written without."""
    import pyarrow as pa

    if definition.decision is None or CHOICE in table.column_names:
        return table
    names = columns_in(table.column_names)
    choice = chosen_in(definition, table.select(names).to_pandas())
    kind = pa.string() if definition.task == "multiclass" else pa.bool_()
    return table.add_column(table.column_names.index("prediction") + 1, CHOICE, pa.array(choice, kind))


def _with_json(table: pa.Table) -> pa.Table:
    """The probabilities of all classes as one column `probabilities`, JSON: the digits name the very doubles."""
    import pyarrow as pa

    names = {f"{PROBABILITY}{name}": name for name in classes_in(table.column_names)}
    rows = ({names[column]: share for column, share in row.items()} for row in table.select(list(names)).to_pylist())
    return table.drop_columns(list(names)).append_column("probabilities", pa.array(map(json.dumps, rows), pa.string()))


def _as_file(table: pa.Table) -> bytes:
    from evergreen.core.frames import as_file

    return as_file(table)
