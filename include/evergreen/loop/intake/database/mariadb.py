"""MariaDB and MySQL, by PyMySQL without its conversions: each value is the text that the server writes.

A `FLOAT` in that text has six digits, whatever it holds, so that such columns are asked for as `DOUBLE`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import pyarrow as pa

from evergreen.core.definition.calendar import Period
from evergreen.core.definition.model import ColumnType
from evergreen.core.definition.query import with_bounds
from evergreen.core.text import plain
from evergreen.errors import SettingsError, UnavailableError
from evergreen.loop.intake.database.rows import BATCH, Rows, as_texts, check_columns, refusal

_FLOAT, _TIMESTAMP, _BIT = 4, 7, 16
_LOST = (1927, 2002, 2003, 2006, 2013, 2014, 1040, 1045, 1053, 1205, 1213)
"""Numbers of errors that are about the connection or the moment, not about the query"""

_YES_NO = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_OPTIONS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("ssl_ca", "ssl_cert", "ssl_key", "unix_socket"), str),
    **dict.fromkeys(("ssl_verify_cert", "ssl_verify_identity", "ssl_disabled"), lambda text: _YES_NO[text.lower()]),
    **dict.fromkeys(("connect_timeout", "read_timeout"), int),
}
"""Options of an address -> what makes PyMySQL's argument of the same name of their text"""
_IRRELEVANT = ("charset", "client", "cursor", "local_infile")
"""Of Airflow's hook: values come as UTF-8 text, whatever they are"""


@contextmanager
def read(
    url: Any, query: str, period: Period, columns: Mapping[str, ColumnType], personal: Collection[str] = ()
) -> Iterator[Rows]:
    """As `rows.Driver`."""
    import pymysql

    bounds = (f"TIMESTAMP '{at:%Y-%m-%d %H:%M:%S}'" for at in (period.start, period.end))
    text = with_bounds(query, *bounds, mysql=True)
    connection = _connect(url)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET time_zone = '+00:00'")
            cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
            cursor.execute(f"SELECT * FROM (\n{text}\n) AS asked LIMIT 0")  # noqa: S608 - the definition's own query
            described = cursor.description
            cursor.fetchall()
            types = {column[0]: column[1] for column in described}
            check_columns([column[0] for column in described], columns)
            chosen = ", ".join(_asked(name, types[name]) for name in columns)
            cursor.execute(f"SELECT {chosen} FROM (\n{text}\n) AS asked")  # noqa: S608 - the definition's own query
            said = {name: _called(kind) for name, kind in types.items()}
            yield Rows(said, _batches(cursor, columns, types), lambda: None)
    except pymysql.Error as error:
        number = error.args[0] if error.args else 0
        words = plain(" ".join(str(part) for part in error.args), 300)
        if number in _LOST or isinstance(error, pymysql.InterfaceError):
            raise UnavailableError(f"MariaDB went away while it was read ({words}); nothing has landed") from None
        raise refusal("MariaDB", words, personal, number) from None
    finally:
        with suppress(Exception):
            connection.close()


def _connect(url: Any) -> Any:
    try:
        import pymysql
    except ImportError:
        raise UnavailableError(
            "the driver of MariaDB is not installed: install evergreen[mariadb] where tasks run"
        ) from None
    options = options_of(url.query)
    try:
        return pymysql.connect(
            host=url.host or "127.0.0.1",
            port=url.port or 3306,
            user=url.username,
            password=url.password or "",
            database=url.database,
            charset="utf8mb4",
            conv=dict(pymysql.converters.encoders),  # and no decoders: values stay text
            cursorclass=pymysql.cursors.SSCursor,
            **{"connect_timeout": 30, **options},
        )
    except pymysql.Error as error:
        words = plain(" ".join(str(part) for part in error.args), 300).replace(url.password or "\0", "***")
        raise UnavailableError(f"MariaDB at {url.host} does not answer: {words}") from None


def options_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of the address as PyMySQL takes them.

    Raises:
        SettingsError: one is not known; left out, the connection might be without the TLS that was asked for.
    """
    found: dict[str, Any] = {}
    for name, value in given.items():
        if name in _OPTIONS:
            try:
                found[name] = _OPTIONS[name](str(value))
            except (KeyError, ValueError):
                raise SettingsError(f"the option {name} of the MariaDB address has no value that it takes") from None
        elif name not in _IRRELEVANT:
            raise SettingsError(
                f"the address of MariaDB has the option {plain(name)}, which is not known; known are "
                f"{', '.join(_OPTIONS)}"
            )
    return found


def _asked(name: str, kind: int) -> str:
    quoted = "`{}`".format(name.replace("`", "``"))
    return f"CAST({quoted} AS DOUBLE) AS {quoted}" if kind == _FLOAT else quoted


def _called(kind: int) -> str:
    """A type's name in the driver."""
    from pymysql.constants import FIELD_TYPE

    return next((name.lower() for name, number in vars(FIELD_TYPE).items() if number == kind), str(kind))


def _batches(cursor: Any, columns: Mapping[str, ColumnType], types: Mapping[str, int]) -> Iterator[pa.RecordBatch]:
    bits = [types[name] == _BIT for name in columns]
    # A TIMESTAMP is an instant, written in the session's zone, and a DATETIME is what some clock showed.
    instants = [types[name] == _TIMESTAMP and kind == "timestamp" for name, kind in columns.items()]
    rows = cursor.fetchmany(BATCH)
    while True:
        values: list[list[Any]] = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in columns]
        values = [_in_utc(column) if at else column for column, at in zip(values, instants, strict=True)]
        arrays = [_array(column, is_bit=bit) for column, bit in zip(values, bits, strict=True)]
        yield pa.RecordBatch.from_arrays(arrays, list(columns))
        rows = cursor.fetchmany(BATCH)
        if not rows:
            return


def _array(values: list[Any], *, is_bit: bool) -> pa.Array:
    return as_texts([None if v is None else _of_bits(v) for v in values] if is_bit else values)


def _in_utc(values: list[Any]) -> list[Any]:
    return [None if value is None else f"{value}+00:00" for value in values]


def _of_bits(value: bytes | str) -> int:
    return int.from_bytes(value if isinstance(value, bytes) else value.encode("latin-1"))
