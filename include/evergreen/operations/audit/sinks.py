"""Ledger and sinks: each sink has the newest predictions of each partition, and nothing else of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.database_address import AddressOf, url_of, without_address
from evergreen.core.definition.sinks import SinkSection
from evergreen.core.names import PartitionKey
from evergreen.errors import EvergreenError
from evergreen.operations.audit import files
from evergreen.operations.audit.disagreement import Disagreement, Row
from evergreen.operations.audit.ledger_rows import Rows

AREA = "sinks"
NEWEST = "newest"
DELIVER = "Run `evergreen deliver {model} --from {key} --through {key}`, or clear the task deliver of its score DAG."
Had = dict[str, tuple[Any, ...]]
"""Entity, as text -> model version, prediction, of several classes their probabilities by name, and the choice"""
_PROBABILITY = "probability_"


@dataclass(frozen=True)
class _Sink:
    """A sink, and what is known about it."""

    definition: ModelDefinition
    name: str
    section: SinkSection
    rows: Rows
    store_url: str
    address_of: AddressOf
    reachable: bool
    """False: nobody says where its database is"""


def check(definition: ModelDefinition, rows: Rows, store_url: str, address_of: AddressOf) -> Iterator[Disagreement]:
    """Compare what each sink has with the newest predictions of each partition that it was given or has to be given.

    The rows of a table whose address is not known are not compared; `not_compared` says so.
    """
    newest = {row["key"]: row for row in rows.predictions}
    unknown = without_address(definition.sinks, address_of)
    for name, section in definition.sinks.items():
        sink = _Sink(definition, name, section, rows, store_url, address_of, name not in unknown)
        given = [row for row in rows.sink_deliverys if row["sink"] == name]
        since = min((row["delivered_at"] for row in given), default=None)
        last = {row["key"]: row for row in sorted(given, key=lambda row: row["prediction_id"])}
        for key, prediction in newest.items():
            if key in last or (since is not None and prediction["created_at"] >= since):
                yield from _one(sink, prediction, last.get(key), is_newest=key == max(newest))
        if since is None and newest:
            what = "it has never been given any predictions"
            yield Disagreement(AREA, name, what, DELIVER.format(model=definition.name, key=max(newest)))


def not_compared(definition: ModelDefinition, address_of: AddressOf) -> list[str]:
    """For each sink whose rows `check` cannot read, the reason."""
    unknown = without_address(definition.sinks, address_of).items()
    return [f"sink {name}: rows not compared: this command knows only the variable {said}" for name, said in unknown]


def _one(sink: _Sink, prediction: Row, given: Row | None, *, is_newest: bool) -> Iterator[Disagreement]:
    key, since = prediction["key"], prediction["created_at"]
    about, fix = f"{sink.name}, {key}", DELIVER.format(model=sink.definition.name, key=key)
    if given is None or given["prediction_id"] != prediction["id"]:
        what = f"the predictions by version {prediction['version']} were not delivered"
        yield Disagreement(AREA, about, what, fix, since)
        return
    data = files.read(prediction["uri"]) if prediction["uri"] not in sink.rows.collected else None
    table = files.table(data) if data is not None else None
    if table is None or not sink.reachable:  # collected, or said elsewhere
        return
    decided = sink.definition.decision is not None and "choice" in table.column_names
    wanted = _had(table, table.column_names[0], [prediction["version"]] * table.num_rows, decided=decided)
    try:
        if sink.section.type == "table":
            found = {"it": _of_table(sink.definition, sink.section, key, sink.address_of, decided=decided)}
        else:
            found = {
                f"{name}.parquet": _of_file(sink, name, key, decided=decided) for name in (key, *[NEWEST] * is_newest)
            }
    except EvergreenError as error:
        what = f"it could not be looked at: {error}"
        yield Disagreement(AREA, about, what, "Make it answer, and verify again.", since)
        return
    for place, had in found.items():
        wrong = [entity for entity in wanted.keys() | had.keys() if wanted.get(entity) != had.get(entity)]
        if wrong:
            few = f"{len(wrong):,} differ, such as {min(wrong)[:60]!r}"
            what = f"{place} has {len(had):,} rows of {len(wanted):,}, and {few}"
            yield Disagreement(AREA, about, what, f"Find out who changed it, remove what it has, and: {fix}", since)


def _of_file(sink: _Sink, name: str, key: PartitionKey, *, decided: bool) -> Had:
    """The rows of the partition that a file has."""
    data = files.read(f"{sink.store_url.rstrip('/')}/current/{sink.definition.name}/{sink.name}/{name}.parquet")
    table = files.table(data) if data is not None else None
    if table is None:
        return {}
    import pyarrow.compute as pc

    table = table.filter(pc.equal(table["partition_key"], key))
    decided = decided and "choice" in table.column_names
    return _had(table, "entity", table["model_version"].to_pylist(), decided=decided)


def _had(table: Any, entity: str, versions: list[int], *, decided: bool) -> Had:
    said = table["choice"].to_pylist() if decided else []
    names = [name for name in table.column_names if name.startswith(_PROBABILITY)]
    entities, values = table[entity].to_pylist(), table["prediction"].to_pylist()
    chosen = [(choice,) for choice in said] if decided else [()] * len(entities)
    if not names:
        rows = zip(entities, versions, values, chosen, strict=True)
        return {_named(e): (version, value, *choice) for e, version, value, choice in rows}
    shares = [{n.removeprefix(_PROBABILITY): share for n, share in r.items()} for r in table.select(names).to_pylist()]
    several = zip(entities, versions, values, shares, chosen, strict=True)
    return {_named(e): (version, value, by_class, *choice) for e, version, value, by_class, choice in several}


def _named(entity: Any) -> str:
    """The same text for the same value, of PostgreSQL as of Parquet: an instant is said in UTC."""
    return str(entity.astimezone(dt.UTC) if isinstance(entity, dt.datetime) else entity)


def _of_table(
    definition: ModelDefinition, sink: SinkSection, key: PartitionKey, address_of: AddressOf, *, decided: bool
) -> Had:
    from sqlalchemy import create_engine, text
    from sqlalchemy.exc import SQLAlchemyError

    from evergreen.errors import UnavailableError

    url = url_of(sink.connection or "", address_of)
    engine = create_engine(url.set(drivername="postgresql+psycopg2"))
    where = "WHERE model = :model AND partition_key = :key"
    said = "prediction, probabilities" if definition.task == "multiclass" else "prediction"
    said += ", choice" if decided else ""
    table = ".".join(f'"{part}"' for part in (sink.table or "").split("."))
    query = f"SELECT entity, model_version, {said} FROM {table} {where}"  # noqa: S608 - a checked name
    try:
        with engine.connect() as connection:
            connection.execute(text("SET TRANSACTION READ ONLY"))
            asked: Mapping[str, Any] = {"model": definition.name, "key": key}
            return {_named(row[0]): tuple(row[1:]) for row in connection.execute(text(query), asked)}
    except SQLAlchemyError as error:
        raise UnavailableError(f"{sink.connection}: {sink.table} cannot be read ({type(error).__name__})") from None
    finally:
        engine.dispose()
