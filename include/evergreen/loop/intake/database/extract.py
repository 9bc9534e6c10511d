"""Land one table of one partition from the database that the definition names.

One query in one read-only transaction: the rows are of one instant. They are written some at a time, and the file
appears when it is whole; then a note of the query, which is the mark that this table has landed. `_SUCCESS` is never
written: it would vouch for the other table too, whose task may have been killed before its note. A task that is killed
leaves what was there before, and the next try begins again. The same rows in the same order are the same bytes.

A file that somebody has landed in place of an answer is a correction: it is left alone, and taken as any drop.
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass
from importlib import import_module
from typing import Any, cast

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.calendar import Period
from evergreen.core.definition.database_address import AddressOf, url_of
from evergreen.core.definition.model import TableName
from evergreen.core.definition.partition_keys import check_key
from evergreen.core.definition.query import QuerySection, query_of
from evergreen.core.names import PartitionKey, Uri
from evergreen.core.store.objects import publish, published
from evergreen.errors import DefinitionError, UnavailableError
from evergreen.loop.intake.database.note import is_answer, note
from evergreen.loop.intake.database.rows import Driver
from evergreen.loop.intake.landing_zone import find_drop, folder_uri, note_name

log = logging.getLogger("evergreen.intake")
_DRIVERS = {"postgresql": "postgres", "mariadb": "mariadb", "duckdb": "duck", "sqlite": "sqlite"}
_GROUP = 1 << 17
"""Rows of a row group: what is held at once"""


@dataclass(frozen=True)
class Extracted:
    """One table in the landing zone that a query gave."""

    table: str
    key: PartitionKey
    uri: Uri
    rows: int
    bytes: int
    query_hash: str


def extract(
    definition: ModelDefinition, table: TableName, key: PartitionKey, *, landing_url: str, address_of: AddressOf
) -> Extracted | None:
    """Run the query of `table` with the bounds of the partition `key`, and land its rows.

    None if a whole drop lies there that no query gave: it stays as it is.

    Raises:
        BadInputError: the database refuses the query, or a value does not fit its type; nothing has landed.
        DefinitionError: the definition has no query for the table.
        PartitionKeyError: `key` is not a partition of the model's calendar.
        SettingsError: there is no address of the connection.
        UnavailableError: database or landing zone do not answer; nothing has landed.
    """
    check_key(definition, key)
    asked = query_of(definition, table)
    if asked is None:
        raise DefinitionError(
            f"feed.source of {definition.name} has no query for {table}; add it in model.yaml, or land a file"
        )
    period, folder = definition.partitions.period(key), folder_uri(landing_url, definition.feed.name, key)
    there = find_drop(landing_url, definition.feed.name, table, key)
    if there is not None and not is_answer(there):
        log.warning(
            "%s of %s: %s was landed by hand, and is taken as it is; the query is not run. To have the query's answer "
            "again, delete that file and clear this task", table, key, there.uri,
        )  # fmt: skip
        return None
    url = url_of(asked.connection, address_of)
    driver = cast("Driver", import_module(f"evergreen.loop.intake.database.{_DRIVERS[url.drivername]}").read)
    uri = Uri(f"{folder}/{table}.parquet")
    rows, size, digest = _write(uri, driver, url, asked, period, definition, table)
    said = note(asked, period, rows, digest)
    publish(f"{folder}/{note_name(table)}", json.dumps(said, indent=1).encode())
    log.info(
        "%s of %s: %s rows of the database %s (%s bytes) landed as %s; SHA-256 of the query: %s",
        table, key, f"{rows:,}", asked.connection, f"{size:,}", uri, said["query_sha256"],
    )  # fmt: skip
    return Extracted(table, key, uri, rows, size, said["query_sha256"])


class _Counted:
    """A file that is written, with the SHA-256 and the number of its bytes."""

    closed = False

    def __init__(self, file: Any) -> None:
        self._file, self.digest, self.size = file, hashlib.sha256(), 0

    def write(self, data: Any) -> int:
        """As a file's; and the other methods that pyarrow asks for."""
        view = memoryview(data)
        self.digest.update(view)
        self.size += view.nbytes
        self._file.write(view)
        return view.nbytes

    def tell(self) -> int:
        return self.size

    def flush(self) -> None: ...

    def writable(self) -> bool:
        return True


def _write(
    uri: Uri,
    driver: Driver,
    url: object,
    asked: QuerySection,
    period: Period,
    definition: ModelDefinition,
    table: TableName,
) -> tuple[int, int, str]:
    """Rows, bytes and SHA-256 of the file that is published as `uri`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from evergreen.loop.intake.database.values import converted, schema_of

    columns, rows, personal = definition.feed.landed_columns(table), 0, definition.feed.personal
    with published(uri) as file:
        counted = _Counted(file)
        with driver(url, asked.query, period, columns, personal) as answer:
            with pq.ParquetWriter(
                pa.PythonFile(counted, mode="w"), schema_of(columns), compression="zstd", write_page_checksum=True
            ) as writer:
                clock, dates = definition.calendar.clock, definition.feed.date_columns
                for batch in _grouped(converted(answer, columns, personal=personal, clock=clock, dates=dates)):
                    writer.write_table(batch)
                    rows += batch.num_rows
            sent = answer.counted()
        if sent is not None and sent != rows:
            raise UnavailableError(
                f"the database {asked.connection} says that it sent {sent:,} rows, and {rows:,} arrived; nothing has "
                "landed"
            )
    return rows, counted.size, counted.digest.hexdigest()


def _grouped(batches: Any) -> Any:
    """Tables of some `_GROUP` rows, whatever the batches of the driver are: the same rows are the same bytes."""
    import pyarrow as pa

    held, rows, schema = [], 0, None
    for batch in batches:
        schema = batch.schema
        held.append(batch)
        rows += batch.num_rows
        while rows >= _GROUP:
            table = pa.Table.from_batches(held)
            yield table.slice(0, _GROUP).combine_chunks()
            held, rows = table.slice(_GROUP).to_batches(), rows - _GROUP
    if schema is not None and rows:
        yield pa.Table.from_batches(held, schema).combine_chunks()
