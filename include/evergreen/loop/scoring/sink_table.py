"""Predictions in a table of a PostgreSQL database: staged, compared and merged in one transaction.

Rows go into a temporary table by COPY. The target's types are compared with those of predictions before anything is
changed: an append that converts nothing (ADBC) writes a double's bits into a bigint. Then one transaction removes what
the partition no longer has, inserts or updates the rest, and notes which predictions the table has now.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from evergreen.core.definition.model import ColumnType
from evergreen.core.ledger.tables import Prediction
from evergreen.errors import BadInputError, UnavailableError
from evergreen.loop.intake.database.postgres import MAY_PASS, connect, in_words

if TYPE_CHECKING:
    import pyarrow as pa

ENTITY_TYPES: dict[ColumnType, str] = {
    "string": "text", "integer": "bigint", "float": "double precision", "boolean": "boolean",
    "timestamp": "timestamp with time zone",
}  # fmt: skip


def columns(entity: ColumnType, *, several: bool = False, decided: bool = False) -> dict[str, str]:
    """Column of a sink's table -> its PostgreSQL type; `several`: of a multiclass model; `decided`: with a choice."""
    kinds = {"prediction": "text", "probabilities": "jsonb"} if several else {"prediction": "double precision"}
    kinds |= {"choice": "text" if several else "boolean"} if decided else {}
    return {
        "model": "text",
        "partition_key": "text",
        "entity": ENTITY_TYPES[entity],
        "event_time": "timestamp with time zone",
        **kinds,
        "model_version": "bigint",
        "predicted_at": "timestamp with time zone",
    }


KEY = ("model", "partition_key", "entity")
"""The primary key"""
STATE = {
    "model": "text", "partition_key": "text", "prediction_id": "bigint", "content_hash": "text", "rows": "bigint",
    "model_version": "bigint", "delivered_at": "timestamp with time zone",
}  # fmt: skip
"""Columns of `<table>_delivery`: which predictions the table has of each partition"""


def write(url: Any, table: str, prediction: Prediction, types: dict[str, str], rows: Callable[[], pa.Table]) -> bool:
    """Have the table hold exactly `rows` of the prediction's partition; whether it did not before.

    Args:
        url: of the database, as of SQLAlchemy.
        table: its name, with or without a schema.
        prediction: the row of the ledger; its id and SHA-256 are noted.
        types: its `columns`.
        rows: gives them, with these columns but `model`; asked only if the table has other predictions.

    Raises:
        BadInputError: it is no PostgreSQL database, or the table has other types; nothing was changed.
        SettingsError: the address has an option that libpq does not know.
        UnavailableError: the database does not answer; nothing was changed.
    """
    import psycopg2

    if url.drivername != "postgresql":
        raise BadInputError(f"a sink of the type table is a PostgreSQL database, and this is {url.drivername}")
    connection = connect(url)
    try:
        with connection, connection.cursor() as cursor:  # commits at the end, or rolls back
            cursor.execute("SET LOCAL TIME ZONE 'UTC'; SET LOCAL DateStyle = 'ISO, YMD'")
            _hold(cursor, table, prediction.model, prediction.key)
            _make(cursor, table, types, KEY)
            _make(cursor, f"{table}_delivery", STATE, KEY[:2])
            _check_types(cursor, table, types)
            if _has(cursor, table, prediction):
                return False
            _merge(cursor, table, prediction, rows(), types)
            return True
    except psycopg2.Error as error:
        words = in_words(error)
        if error.pgcode is None or error.pgcode.startswith(MAY_PASS):
            raise UnavailableError(f"the database of {table} went away ({words}); nothing of it was changed") from None
        raise BadInputError(f"predictions cannot be written to {table}: {words}") from None
    finally:
        with suppress(psycopg2.Error):
            connection.close()


def quoted(table: str) -> str:
    """The name as SQL writes it, each part in quotes: it may be a reserved word, such as order."""
    return ".".join(f'"{part}"' for part in table.split("."))


def _hold(cursor: Any, *name: str) -> None:
    digest = hashlib.sha256(" ".join(("evergreen sink", *name)).encode()).digest()
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", (int.from_bytes(digest[:8], "big", signed=True),))


def _is_there(cursor: Any, table: str) -> bool:
    cursor.execute("SELECT to_regclass(%s) IS NOT NULL", (quoted(table),))
    return bool(cursor.fetchone()[0])


def _has(cursor: Any, table: str, prediction: Prediction) -> bool:
    """Whether the note says that the table has these predictions, and as many rows are there: a table can be lost."""
    where = (prediction.model, prediction.key)
    cursor.execute(
        f"SELECT prediction_id, content_hash FROM {quoted(f'{table}_delivery')} "  # noqa: S608 - a checked name
        "WHERE model = %s AND partition_key = %s",
        where,
    )
    if cursor.fetchone() != (prediction.id, prediction.content_hash):
        return False
    cursor.execute(f"SELECT count(*) FROM {quoted(table)} WHERE model = %s AND partition_key = %s", where)  # noqa: S608
    return bool(cursor.fetchone()[0] == prediction.rows)


def _make(cursor: Any, table: str, types: dict[str, str], key: tuple[str, ...]) -> None:
    """The table, if there is none: a role that may not create tables is given them.

    IF NOT EXISTS does not protect two that create it at once (the second fails on a key of the catalogue), so only one
    at a time does, until its transaction ends. The next one needs IF NOT EXISTS: `to_regclass` may answer from the
    cache of before.
    """
    if not _is_there(cursor, table):
        _hold(cursor, "create")
        said = ", ".join(f"{name} {kind} NOT NULL" for name, kind in types.items())
        cursor.execute(f"CREATE TABLE IF NOT EXISTS {quoted(table)} ({said}, PRIMARY KEY ({', '.join(key)}))")


def _check_types(cursor: Any, table: str, wanted: dict[str, str]) -> None:
    cursor.execute(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = to_regclass(%s) "
        "AND attnum > 0 AND NOT attisdropped",
        (quoted(table),),
    )
    found = dict(cursor.fetchall())
    known = {name: found.get(name, "missing") for name in wanted}
    wrong = [f"{name} is {known[name]}, not {kind}" for name, kind in wanted.items() if known[name] != kind]
    if wrong:
        raise BadInputError(
            f"the table {table} does not fit predictions: {'; '.join(wrong)}. Nothing was written: change the table, "
            "or name another one in `sinks`, which is made as it must be"
        )


def _merge(cursor: Any, table: str, prediction: Prediction, rows: pa.Table, types: dict[str, str]) -> None:
    import pyarrow as pa
    import pyarrow.csv as pc

    names = list(types)
    staged = rows.append_column("model", pa.repeat(pa.scalar(prediction.model), len(rows))).select(names)
    said = ", ".join(f"{name} {kind}" for name, kind in types.items())
    cursor.execute(f"CREATE TEMPORARY TABLE evergreen_staged ({said}) ON COMMIT DROP")
    with tempfile.TemporaryFile() as file:
        # Arrow writes a double with all digits that name it.
        pc.write_csv(staged, file, pc.WriteOptions(include_header=False, quoting_style="needed"))
        file.seek(0)
        cursor.copy_expert(f"COPY evergreen_staged ({', '.join(names)}) FROM STDIN (FORMAT csv)", file)
    where = (prediction.model, prediction.key)
    cursor.execute(
        f"DELETE FROM {quoted(table)} t WHERE model = %s AND partition_key = %s AND NOT EXISTS "  # noqa: S608 - a checked name
        "(SELECT FROM evergreen_staged s WHERE s.entity = t.entity)",
        where,
    )
    others = ", ".join(f"{name} = EXCLUDED.{name}" for name in names if name not in KEY)
    listed = ", ".join(names)
    cursor.execute(
        f"INSERT INTO {quoted(table)} ({listed}) SELECT {listed} FROM evergreen_staged "  # noqa: S608 - a checked name
        f"ON CONFLICT ({', '.join(KEY)}) DO UPDATE SET {others}"
    )
    if cursor.rowcount != prediction.rows:
        raise BadInputError(f"{table} took {cursor.rowcount} rows of {prediction.rows}; nothing was changed")
    values = (*where, prediction.id, prediction.content_hash, prediction.rows, prediction.version)
    kept = ", ".join(f"{name} = EXCLUDED.{name}" for name in STATE if name not in KEY)
    cursor.execute(
        f"INSERT INTO {quoted(f'{table}_delivery')} ({', '.join(STATE)}) VALUES (%s, %s, %s, %s, %s, %s, now()) "  # noqa: S608
        f"ON CONFLICT (model, partition_key) DO UPDATE SET {kept}",
        values,
    )
