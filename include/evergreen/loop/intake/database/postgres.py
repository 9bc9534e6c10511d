"""PostgreSQL, by `COPY ... TO STDOUT`: the server writes each value as text, to the last digit, at its full speed.

ADBC gives numerics as opaque text, infinite times as times of the far past and new enums as bytes; connectorx rounds
numerics to ten digits; a cursor of Python objects takes ten times as long (decision 037).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import IO, Any

import pyarrow as pa
import pyarrow.csv as pc

from evergreen.core.definition.calendar import Period
from evergreen.core.definition.model import ColumnType
from evergreen.core.definition.query import with_bounds
from evergreen.core.text import plain
from evergreen.errors import BadInputError, SettingsError, UnavailableError
from evergreen.loop.intake.database.rows import Rows, check_columns, refusal

_BLOCK = 4 << 20
"""Bytes of text that are parsed at once"""
_PIPE = 1 << 20
_INTEGERS = pa.int64()
_NATIVE: dict[int, tuple[pa.DataType, tuple[ColumnType, ...]]] = {
    16: (pa.bool_(), ("boolean",)),
    20: (_INTEGERS, ("integer", "float", "boolean")),
    21: (_INTEGERS, ("integer", "float", "boolean")),
    23: (_INTEGERS, ("integer", "float", "boolean")),
    700: (pa.float32(), ("integer", "float")),
    701: (pa.float64(), ("integer", "float")),
    1082: (pa.date32(), ("timestamp",)),
    1114: (pa.timestamp("us"), ("timestamp",)),
    1184: (pa.timestamp("us", "UTC"), ("timestamp",)),
}
"""OID -> Arrow's type of the same values, and the definition's types for which it is used; else the text is kept"""
MAY_PASS = ("08", "40", "53", "55", "57", "58")
"""Classes of SQLSTATE that are about the connection, the server or other transactions"""
_SESSION = (
    "SET TIME ZONE 'UTC'", "SET DateStyle = 'ISO, YMD'", "SET IntervalStyle = 'postgres'", "SET bytea_output = 'hex'",
    "SET extra_float_digits = 1", "SET client_encoding = 'UTF8'",
)  # fmt: skip
"""Nothing that a role or a database is set to may change how values are written"""


@contextmanager
def read(
    url: Any, query: str, period: Period, columns: Mapping[str, ColumnType], personal: Collection[str] = ()
) -> Iterator[Rows]:
    """As `rows.Driver`."""
    import psycopg2

    text = with_bounds(query, *(f"TIMESTAMPTZ '{at:%Y-%m-%d %H:%M:%S}+00'" for at in (period.start, period.end)))
    connection = connect(url)
    try:
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        with connection.cursor() as cursor:
            for statement in _SESSION:
                cursor.execute(statement)
            # Both see the snapshot of the first statement after these settings.
            cursor.execute(f"SELECT * FROM (\n{text}\n) AS asked LIMIT 0")  # noqa: S608 - the definition's own query
            described = cursor.description or ()
            names, types = [column.name for column in described], [column.type_code for column in described]
            check_columns(names, columns)
            said = _type_names(cursor, types)
            oids = dict(zip(names, types, strict=True))
            asked = ", ".join('"' + name.replace('"', '""') + '"' for name in columns)
            chosen = f"SELECT {asked} FROM (\n{text}\n) AS asked"  # noqa: S608 - the definition's own query
            with _Stream(connection, chosen) as stream:
                batches = _parsed(stream, oids, columns, personal)
                yield Rows(dict(zip(names, said, strict=True)), batches, stream.counted)
    except psycopg2.Error as error:
        # Without a code the connection has gone: in the middle of COPY that is no OperationalError (psycopg2 2.9).
        if error.pgcode is None or error.pgcode.startswith(MAY_PASS):
            raise UnavailableError(f"PostgreSQL went away ({in_words(error)}); nothing has landed") from None
        raise refusal("PostgreSQL", in_words(error), personal, error.pgcode) from None
    finally:
        with suppress(psycopg2.Error):
            connection.close()


def connect(url: Any) -> Any:
    """A connection of psycopg2 to `url`, as of SQLAlchemy; its query holds options of libpq.

    Raises:
        SettingsError: libpq does not know an option.
        UnavailableError: the server does not answer, or refuses the login.
    """
    import psycopg2

    given = {"host": url.host, "port": url.port, "user": url.username, "password": url.password, "dbname": url.database}
    options = {**url.query, **{name: value for name, value in given.items() if value is not None}}
    try:
        return psycopg2.connect(**{"connect_timeout": 30, **options})
    except psycopg2.ProgrammingError as error:  # libpq knows no such parameter: another try would change nothing
        words = in_words(error).replace(url.password or "\0", "***")
        raise SettingsError(f"the address of PostgreSQL at {url.host or 'its socket'} is wrong: {words}") from None
    except psycopg2.Error as error:
        words = in_words(error).replace(url.password or "\0", "***")
        raise UnavailableError(f"PostgreSQL at {url.host or 'its socket'} does not answer: {words}") from None


def in_words(error: Exception) -> str:
    """What the database says, on one line."""
    return plain(" ".join(str(error).split()), 300)


def _type_names(cursor: Any, oids: list[int]) -> list[str]:
    cursor.execute("SELECT oid, format_type(oid, NULL) FROM pg_type WHERE oid = ANY(%s::oid[])", (oids,))
    known = dict(cursor.fetchall())
    return [known.get(oid, "unknown") for oid in oids]


class _Stream:
    """What `COPY` writes, to be read as a file: a thread of its own writes into a pipe, so that both sides work."""

    def __init__(self, connection: Any, text: str) -> None:
        self._connection, self._text = connection, text
        self._error: Exception | None = None
        self._rows: int | None = None
        reading, writing = os.pipe()
        with suppress(OSError, AttributeError, ImportError):
            import fcntl

            fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, _PIPE)
        self.file: IO[bytes] = os.fdopen(reading, "rb", buffering=_PIPE)
        self._writing = os.fdopen(writing, "wb", buffering=0)
        self._thread = threading.Thread(target=self._copy, name="evergreen-copy", daemon=True)

    def _copy(self) -> None:
        try:
            with self._connection.cursor() as cursor:
                cursor.copy_expert(f"COPY (\n{self._text}\n) TO STDOUT (FORMAT csv)", self._writing)
                self._rows = cursor.rowcount
        except Exception as error:  # the thread that reads raises it
            self._error = error
        finally:
            with suppress(OSError):
                self._writing.close()

    def __enter__(self) -> _Stream:
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self.stop()

    def stop(self) -> Exception | None:
        """End the copy from this side, and give what it had met before: that is why the stream was cut off, if it was.

        What the thread meets later is only that nobody reads any more. It is told so before it is waited for: a full
        pipe holds it, and a reader that waits for bytes holds the file.
        """
        met = self._error  # set before the pipe's end can be seen
        if self._thread.is_alive():
            with suppress(Exception):
                self._connection.cancel()
        self.file.close()
        self._thread.join(60)
        return met

    def counted(self) -> int | None:
        """The rows that the server says it has sent; raises what went wrong while it did.

        Only after the stream's end was read: until then the thread may wait for a reader.
        """
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._rows


def _parsed(
    stream: _Stream, oids: Mapping[str, int], columns: Mapping[str, ColumnType], personal: Collection[str]
) -> Iterator[pa.RecordBatch]:
    """Batches of the columns in their order. A quoted empty text is empty; without quotes it is null."""
    names = list(columns)
    own = [str(number) for number in range(len(names))]  # any text may be a name
    chosen = {place: _type(oids[name], columns[name]) for place, name in zip(own, names, strict=True)}
    if not (peek := stream.file.peek(1)):  # type: ignore[attr-defined]
        stream.counted()
        schema = pa.schema(list(zip(names, chosen.values(), strict=True)))
        yield pa.RecordBatch.from_pylist([], schema=schema)
        return
    del peek
    convert = pc.ConvertOptions(
        column_types=chosen,
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        true_values=["t"],
        false_values=["f"],
    )
    reading = pc.ReadOptions(column_names=own, block_size=_BLOCK)
    parsing = pc.ParseOptions(newlines_in_values=True)
    with _in_words(stream, names, personal), pc.open_csv(stream.file, reading, parsing, convert) as reader:
        for batch in reader:
            yield batch.rename_columns(names)


def _type(oid: int, kind: ColumnType) -> pa.DataType:
    native, kinds = _NATIVE.get(oid, (pa.string(), ()))
    return native if kind in kinds else pa.string()


@contextmanager
def _in_words(stream: _Stream, names: list[str], personal: Collection[str]) -> Iterator[None]:
    """A value that its type in Arrow does not hold, by the name of its column, and a row that no block holds."""
    import re

    try:
        yield
    except pa.ArrowInvalid as error:
        met = stream.stop()
        if met is not None:  # a stream that was cut off says why itself
            raise met from None
        if "straddl" in str(error):
            raise BadInputError(
                f"the query gives a row that is too large: as text, a row may have {_BLOCK:,} bytes. Leave such rows "
                "out, or shorten their values in the query (LEFT)"
            ) from None
        found = re.search(r"In CSV column #(\d+):.*?invalid value (.*)", str(error).partition("\n")[0])
        if not found:
            why = "" if personal else f" ({plain(error, 200)})"
            raise UnavailableError(f"what PostgreSQL sent cannot be read{why}") from None
        column = names[int(found[1])]
        value = "a value (not shown: personal)" if column in personal else plain(found[2], 80)
        raise BadInputError(
            f"column {plain(column)} holds {value}, which no timestamp or number can say; "
            "leave such rows out, or turn them into null in the query (NULLIF)"
        ) from None
