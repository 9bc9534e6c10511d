"""Drops that must be quarantined, each with words that its reason must hold: bar R2 of the quality page.

Every one begins from a real week and is broken in one way.
"""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.model import TableName
from evergreen.core.frames import to_parquet
from helpers.deep_schema import deep_schema

Frame = pd.DataFrame


@dataclass(frozen=True)
class Malformed:
    """One broken file and what its reason must say."""

    name: str
    table: str
    suffix: str
    data: bytes
    says: str


def corpus(definition: ModelDefinition, table: TableName, frame: Frame) -> Iterator[Malformed]:
    """All malformed drops of `table`; `frame` is a good one."""
    good = to_parquet(frame, definition.feed.tables[table].columns)
    for name, data, says in [*_broken_parquet(good, frame), *_broken_schema(frame)]:
        yield Malformed(f"{table}-{name}", table, "parquet", data, says)
    for name, data, says in _broken_csv(frame.to_csv(index=False).encode()):
        yield Malformed(f"{table}-csv-{name}", table, "csv", data, says)
    yield from of_readable_rows(table, frame)


def unusual(frame: Frame) -> Iterator[tuple[str, str, bytes]]:
    """Good drops beside whose columns lie others, which nobody asked for and which could not be used."""
    header, *body = frame.to_csv(index=False).encode().split(b"\n")
    for label, name in _HOSTILE_NAMES.items():
        yield f"name-{label}", "parquet", _parquet(frame.assign(**{name: 1}))
        if label != "control":  # a NUL is no text
            quoted = b'"' + name.replace('"', '""').encode() + b'"'
            rest = (line + b",1" for line in body if line)
            yield f"csv-name-{label}", "csv", b"\n".join([header + b"," + quoted, *rest])
    yield "extra-struct", "parquet", _parquet(frame.assign(extra=[{"a": {"b": 1}}] * len(frame)))
    yield "extra-bytes", "parquet", _parquet(frame.assign(extra=b"\xff"))
    yield "padded-name", "parquet", _parquet(frame.rename(columns={"flight_id": " flight_id "}))
    yield "row-numbers", "csv", frame.to_csv().encode()
    twice = pa.Table.from_pandas(frame.assign(extra=1), preserve_index=False)
    yield "extra-twice", "parquet", _table(twice.append_column("extra", twice["extra"]))


def of_readable_rows(table: TableName, frame: Frame) -> Iterator[Malformed]:
    """Those that can be read as the table they should be: what is wrong is in their rows."""
    for name, data, says in _broken_rows(frame):
        yield Malformed(f"{table}-{name}", table, "parquet", data, says)
    for name, change, says in _broken_inputs() if table == "inputs" else _broken_labels():
        yield Malformed(f"{table}-{name}", table, "parquet", _changed(frame, change), says)


def _broken_parquet(good: bytes, frame: Frame) -> Iterator[tuple[str, bytes, str]]:
    yield "empty-file", b"", "the file is empty"
    yield "one-byte", b"P", "not a Parquet file"
    yield "magic-only", b"PAR1", "cut off"
    yield "two-magics", b"PAR1PAR1", "cut off"
    for share in (0.1, 0.5, 0.9, 0.999):
        yield f"truncated-{share}", good[: int(len(good) * share)], "cut off"
    yield "end-lost", good[:-1], "cut off"
    yield "start-lost", good[1:], "not a Parquet file"
    yield "footer-zeroed", good[:-200] + bytes(192) + good[-8:], "damaged"
    yield "footer-length-huge", good[:-8] + b"\xff\xff\xff\x7fPAR1", "damaged"
    yield "footer-length-zero", good[:-8] + b"\0\0\0\0PAR1", "damaged"
    yield "middle-zeroed", good[:1000] + bytes(20_000) + good[21_000:], "damaged"
    noise = random.Random(5).randbytes(20_000)
    yield "middle-noise", good[:1000] + noise + good[21_000:], "damaged"
    yield "only-noise", noise, "not a Parquet file"
    yield "html-page", b"<!DOCTYPE html><html><body>503 Service Unavailable</body></html>", "not a Parquet file"
    yield "json", frame.head(50).to_json().encode(), "not a Parquet file"
    yield "csv-named-parquet", frame.to_csv(index=False).encode(), "it is plain text"
    yield "pickle", b"\x80\x05\x95" + bytes(200), "not a Parquet file"
    yield "encrypted", b"PARE" + bytes(100) + b"PARE", "not a Parquet file"
    yield "nested-20000-deep", deep_schema(20_000), "nested"
    yield "nested-500-deep", deep_schema(500), "columns are missing"
    yield "two-files", good + good[: len(good) // 2], "cut off"
    yield "footer-reversed", good[:-300] + good[-300:-8][::-1] + good[-8:], "damaged"
    yield "footer-ones", good[:-300] + b"\xff" * 292 + good[-8:], "damaged"
    yield "footer-of-another", good[:-8] + (12).to_bytes(4, "little") + good[-4:], "damaged"
    yield "arrow-file", _arrow(frame), "an Arrow file"
    yield "orc", b"ORC" + bytes(200), "an ORC file"
    yield "avro", b"Obj\x01" + bytes(200), "an Avro file"
    yield "zstd", b"\x28\xb5\x2f\xfd" + bytes(200), "a zstd archive"
    yield "text-in-utf16", frame.head(5).to_csv().encode("utf-16"), "text in UTF-16"
    yield "xml", b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY x 'ha'>]><a>&x;</a>", "a web page or XML"


def _broken_schema(frame: Frame) -> Iterator[tuple[str, bytes, str]]:
    rows = len(frame)
    yield "no-rows", _parquet(frame.head(0)), "no rows"
    yield "no-columns", _parquet(frame[[]]), "missing"
    yield "other-table", _parquet(pd.DataFrame({"a": [1], "b": [2]})), "columns are missing"
    for column in frame.columns:
        yield f"without-{column}", _parquet(frame.drop(columns=column)), f"missing: {column}"
    yield "renamed", _parquet(frame.rename(columns={"flight_id": "Flight_ID"})), "'Flight_ID'"
    twice = pa.Table.from_pandas(frame, preserve_index=False)
    yield "column-twice", _table(twice.append_column("flight_id", twice["flight_id"])), "more than once: flight_id"
    yield "columns-10000", _parquet(pd.DataFrame({f"c{i}": [1] for i in range(10_000)})), "10,000 columns"
    many = pd.concat([frame, pd.DataFrame(1, frame.index, [f"c{i}" for i in range(1_001)])], axis=1)
    yield "columns-1001", _parquet(many), "a table may have 1,000"
    yield "rows-20000001", _many_nulls(frame, 20_000_001), "20,000,001 rows; a partition may have 20,000,000"
    for label, kind, shown in _FOREIGN_TYPES:
        yield f"id-as-{label}", _retyped(frame, "flight_id", kind), f"flight_id: {shown.format(kind=kind)}"
        if label not in ("date", "seconds-since-1970"):
            words = f"scheduled_departure: {shown.format(kind=kind)}"
            yield f"time-as-{label}", _retyped(frame, "scheduled_departure", kind), words
    yield "id-as-number", _parquet(frame.assign(flight_id=range(rows))), "flight_id: holds int64 values"
    yield "id-as-bytes", _parquet(frame.assign(flight_id=frame["flight_id"].str.encode("utf-8"))), "holds binary values"
    yield "time-as-text", _parquet(frame.assign(scheduled_departure="2013-01-07")), "holds string values"
    yield "time-as-number", _parquet(frame.assign(scheduled_departure=1357516800)), "holds int64 values"
    yield "id-nested", _parquet(frame.assign(flight_id=[[v] for v in frame["flight_id"]])), "nested values"
    yield "time-year-200000", _parquet(frame.assign(scheduled_departure=_far_future(rows))), "years 1 to 9999"


def _broken_rows(frame: Frame) -> Iterator[tuple[str, bytes, str]]:
    def changed(change: Callable[[Frame], None]) -> bytes:
        return _changed(frame, change)

    yield "half-the-rows", _parquet(frame.head(len(frame) // 2)), "the number of rows is"
    yield "one-row", _parquet(frame.head(1)), "the number of rows is 1"
    yield "twice-the-rows", _parquet(pd.concat([frame, frame])), "repeat the identifier"
    yield "one-id-repeated", changed(lambda f: _set(f, "flight_id", [7], f["flight_id"].iloc[6])), "1 of 6,114"
    yield "ids-all-the-same", changed(lambda f: _set(f, "flight_id", slice(None), "x")), "repeat the identifier"
    yield "id-missing", changed(lambda f: _set(f, "flight_id", [3], None)), "flight_id: 1 of 6,114"
    yield "ids-missing", changed(lambda f: _set(f, "flight_id", slice(None), None)), "(100 %) rows have no value"
    yield "ids-nameless", changed(lambda f: _set(f, "flight_id", [1], "")), "flight_id: 1 of"
    yield "time-missing", changed(lambda f: _set(f, "scheduled_departure", [3], pd.NaT)), "scheduled_departure: 1 of"
    week = pd.Timedelta(days=7)
    yield (
        "week-before",
        _parquet(frame.assign(scheduled_departure=frame["scheduled_departure"] - week)),
        "outside the period",
    )
    yield (
        "week-after",
        _parquet(frame.assign(scheduled_departure=frame["scheduled_departure"] + week)),
        "outside the period",
    )
    yield "year-1970", _parquet(frame.assign(scheduled_departure=pd.Timestamp(0, tz="UTC"))), "outside the period"
    one_late = changed(lambda f: _set(f, "scheduled_departure", [0], pd.Timestamp("2013-01-14T00:00Z")))
    yield "one-row-of-next-week", one_late, "1 of 6,114"
    yield "id-huge", changed(lambda f: _set(f, "flight_id", [0], "x" * 20_000_000)), "20,000,000 bytes long"
    yield "id-100-mb", changed(lambda f: _set(f, "flight_id", [0], "x" * 100_000_000)), "100,000,000 bytes long"
    yield "id-huge-often", _same_huge_id(frame), "1,000,000 bytes long"
    yield "id-control", changed(lambda f: _set(f, "flight_id", [0], "2013\x00\x1b[31m")), "control characters"
    yield "id-html", changed(lambda f: _set(f, "flight_id", [0], "<script>alert(1)</script>")), "do not look like"
    yield "id-formula", changed(lambda f: _set(f, "flight_id", [0], "=cmd|'/c calc'!A1")), "do not look like"
    yield "id-mojibake", changed(lambda f: _set(f, "flight_id", [0], "2013-01-07-UA-1-EWRÃ©")), "do not look like"
    yield "id-not-utf8", _invalid_utf8(frame), "not valid UTF-8"
    for label, text in _HOSTILE_TEXTS.items():
        says = "control characters" if label in ("nul", "escape", "delete") else "do not look like"
        yield f"id-text-{label}", changed(lambda f, text=text: _set(f, "flight_id", [0], text)), says
    yield "id-bidi", changed(lambda f: _set(f, "flight_id", [0], "2013\u202e-01")), "\\u202e"


def _broken_csv(text: bytes) -> Iterator[tuple[str, bytes, str]]:
    lines = text.split(b"\n")
    header, body = lines[0], lines[1:]
    yield "empty", b"", "the file is empty"
    yield "header-only", header + b"\n", "no rows"
    yield (
        "column-twice",
        b"\n".join([header + b",flight_id", *(line + b",1" for line in body if line)]),
        "more than once",
    )
    yield "json-lines", b'{"flight_id": "2013-01-07-UA-1-EWR"}\n' * 50, "JSON"
    yield "xml", b"<?xml version='1.0'?><rows/>", "a web page or XML"
    yield "old-spreadsheet", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500), "not UTF-8"
    yield "utf16-without-mark", text.decode().encode("utf-16-le"), "NUL"
    yield "header-of-a-million", b",".join(b"c%d" % i for i in range(200_000)) + b"\n", "columns"
    yield "quote-never-closed", text + b'"' + b"x" * 1000, "open quote"
    yield "id-control", b"\n".join([header, b"2013\x1b[31m" + body[0], *body[1:]]), "control characters"
    yield "no-header", b"\n".join(body), "missing"
    yield "blank-lines", b"\n\n\n", "missing"
    yield "cut-in-a-line", text[: len(text) // 2].rpartition(b",")[0], "a cut-off end"
    yield "line-too-long", b"\n".join([header, body[0] + b",1,2", *body[1:]]), "do not have the header's"
    yield "semicolons", text.replace(b",", b";"), "separated by ';'"
    yield "tabs", text.replace(b",", b"\t"), "separated by '\\t'"
    yield "utf16", text.decode().encode("utf-16"), "UTF-16"
    yield "latin1", b"\n".join([header, body[0].replace(b"2013", b"20\xe93", 1), *body[1:]]), "not UTF-8"
    yield "nul", b"\n".join([header, body[0].replace(b"2013", b"20\x003", 1), *body[1:]]), "NUL"
    yield "gzip", b"\x1f\x8b\x08" + bytes(100), "gzip"
    yield "spreadsheet", b"PK\x03\x04" + bytes(100), "zip archive or a spreadsheet"
    yield "parquet-named-csv", b"PAR1" + bytes(100), "Parquet"
    yield "open-quote", b"\n".join([header, b'"' + body[0], *body[1:]]), "an open quote"
    yield "time-in-words", text.replace(b"2013-01-07 ", b"7 January 2013 "), "are not a timestamp"
    yield "time-american", text.replace(b"2013-01-07 ", b"01/07/2013 "), "are not a timestamp"
    yield "time-of-no-day", text.replace(b"2013-01-08 ", b"2013-02-30 "), "are not a timestamp"
    yield "time-in-seconds", text.replace(b"2013-01-07 ", b"1357516800"), "are not a timestamp"
    yield "html", b"<html>\n<body>Not found</body>\n</html>", "a web page"
    yield "one-huge-line", header + b"\n" + b"x" * 20_000_000, "do not have the header's"


def _broken_inputs() -> Iterator[tuple[str, Callable[[Frame], None], str]]:
    every = slice(None)
    for column in ("temperature", "dew_point", "humidity", "wind_direction", "pressure", "visibility"):
        yield f"flood-of-nan-{column}", lambda f, c=column: _set(f, c, every, np.nan), f"{column}: 6,114 of 6,114"
    for column in ("carrier", "origin", "destination", "flight_date", "tail_number"):
        yield f"flood-of-null-{column}", lambda f, c=column: _set(f, c, every, None), f"{column}: 6,114 of 6,114"
    yield "half-of-temperature-nan", lambda f: _set(f, "temperature", slice(0, 3057), np.nan), "50 %"
    yield "temperature-absurd", lambda f: _set(f, "temperature", [0], 9999.0), "temperature: 1 of"
    yield "temperature-infinite", lambda f: _set(f, "temperature", [0], np.inf), "are infinite"
    yield "temperature-in-kelvin", lambda f: _set(f, "temperature", every, f["temperature"] + 273), "temperature:"
    yield "humidity-as-a-share", lambda f: _set(f, "humidity", every, f["humidity"] / 100), "humidity: the mean"
    yield "pressure-zero", lambda f: _set(f, "pressure", every, 0.0), "pressure:"
    yield "precipitation-negative", lambda f: _set(f, "precipitation", [0], -1.0), "precipitation: 1 of"
    yield "distance-negative", lambda f: _set(f, "distance", [0], -200), "distance: 1 of"
    yield "distance-in-kilometres", lambda f: _set(f, "distance", every, f["distance"] * 16 // 10), "distance:"
    yield "distance-largest-integer", lambda f: _set(f, "distance", [0], 2**63 - 1), "distance: 1 of"
    yield "distance-broken", lambda f: _set(f, "distance", every, f["distance"] + 0.5), "are not whole numbers"
    yield "distance-text", lambda f: _set(f, "distance", every, "far"), "distance: holds string values"
    yield "distance-nan", lambda f: _set(f, "distance", every, np.nan), "distance: 6,114 of 6,114"
    yield "hour-25", lambda f: _set(f, "scheduled_hour", [0], 25), "scheduled_hour: 1 of"
    yield "minutes-zero", lambda f: _set(f, "scheduled_minutes", every, 0), "scheduled_minutes:"
    yield "origin-unknown", lambda f: _set(f, "origin", [0], "XXX"), "origin:"
    yield "origin-lower-case", lambda f: _set(f, "origin", every, f["origin"].str.lower()), "origin:"
    yield "origin-only-one", lambda f: _set(f, "origin", every, "EWR"), "origin:"
    yield "carrier-one", lambda f: _set(f, "carrier", every, "UA"), "carrier: the number of distinct values is 1"
    yield "carrier-huge", lambda f: _set(f, "carrier", [0], "U" * 20_000), "20,000 bytes long"
    yield "carrier-shuffled-in", lambda f: _set(f, "carrier", every, f["destination"]), "carrier:"
    yield "destination-tag", lambda f: _set(f, "destination", [5], "<b>"), "destination: 1 of"
    yield "date-american", lambda f: _set(f, "flight_date", every, "01/07/2013"), "flight_date:"
    yield "days-missing", lambda f: _set(f, "flight_date", every, "2013-01-07"), "flight_date: the number of distinct"
    yield "flight-number-bool", lambda f: _set(f, "flight_number", every, True), "flight_number: holds bool values"


def _broken_labels() -> Iterator[tuple[str, Callable[[Frame], None], str]]:
    every = slice(None)
    yield "late-missing", lambda f: _set(f, "late", [0], None), "late: 1 of 6,114"
    yield "late-all-missing", lambda f: _set(f, "late", every, None), "late: 6,114 of 6,114"
    yield "late-as-number", lambda f: _set(f, "late", every, 2), "are not true or false"
    yield "late-as-text", lambda f: _set(f, "late", every, "yes"), "late: holds string values"
    yield "late-all", lambda f: _set(f, "late", every, True), "late: the mean is 1"
    yield "late-none", lambda f: _set(f, "late", every, False), "late: the mean is 0"
    yield "cancelled-all", lambda f: _set(f, "cancelled", every, True), "cancelled: the mean"
    yield "delay-flood-of-nan", lambda f: _set(f, "arrival_delay", every, np.nan), "arrival_delay: 6,114 of 6,114"
    yield "delay-absurd", lambda f: _set(f, "arrival_delay", [0], 1e9), "arrival_delay: 1 of"
    yield "delay-infinite", lambda f: _set(f, "arrival_delay", [0], -np.inf), "are infinite"
    yield "delay-in-seconds", lambda f: _set(f, "arrival_delay", every, f["arrival_delay"] * 60), "arrival_delay:"
    yield "delay-text", lambda f: _set(f, "arrival_delay", every, "late"), "arrival_delay: holds string values"


_HOSTILE_NAMES = {
    "empty": "",
    "formula": "=HYPERLINK('http://x','y')",
    "html": "<img src=x onerror=alert(1)>",
    "control": "a\x00b\x1b[2J",
    "newline": "a\nb",
    "path": "../../etc/passwd",
    "bidi": "a\u202eb",
    "long": "n" * 5_000,
    "template": "{{ conf }}",
    "sql": "'; DROP TABLE verdict; --",
    "plus": "+1+cmd|' /C calc'!A0",
    "at": "@SUM(1)",
    "minus": "-2+3",
    "option": "--help",
    "tab": "\tname",
    "space": " name",
    "zero-width": "na\u200bme",
    "joiner": "na\u200dme",
    "line-separator": "na\u2028me",
    "isolate": "na\u2066me",
    "private": "na\ue000me",
    "backtick": "a`b`",
    "quote": 'a" onload="x',
    "backslash": "a\\b",
    "dot": ".hidden",
    "escape": "a\x1b[2Jb",
    "delete": "a\x7fb",
    "tilde": "~/.ssh/id",
    "dollar": "${jndi:ldap://x}",
    "129-letters": "n" * 129,
}
_HOSTILE_TEXTS = {
    "nul": "a\x00b",
    "escape": "a\x1b[2J",
    "delete": "a\x7f",
    "attribute": "x' onmouseover='alert(1)",
    "template": "{{ 7*7 }}{% raw %}",
    "format": "%s%n%x",
    "lookup": "${jndi:ldap://x/a}",
    "sql": "'; DROP TABLE verdict;--",
    "path": "../../../../etc/passwd",
    "plus": "+1+cmd|' /C calc'!A0",
    "at": "@SUM(1)",
    "line-separator": "a\u2028b",
    "zero-width": "2013-01-07-UA-1-EWR\u200b",
    "combining": "Z\u0335a\u0334l\u0337g\u0336o" * 100,
    "right-to-left": "\u0645\u0631\u062d\u0628\u0627",
    "space": " ",
    "10000-bytes": "x" * 10_000,
}
_FOREIGN_TYPES: list[tuple[str, pa.DataType, str]] = [
    ("int8", pa.int8(), "holds {kind} values"),
    ("uint64", pa.uint64(), "holds {kind} values"),
    ("float", pa.float64(), "holds {kind} values"),
    ("decimal", pa.decimal128(20, 3), "holds {kind} values"),
    ("bool", pa.bool_(), "holds {kind} values"),
    ("date", pa.date32(), "holds {kind} values"),
    ("time", pa.time64("us"), "holds {kind} values"),
    ("duration", pa.duration("us"), "holds {kind} values"),
    ("seconds-since-1970", pa.timestamp("s"), "holds timestamp"),
    ("bytes", pa.binary(), "holds {kind} values"),
    ("fixed-bytes", pa.binary(4), "holds {kind} values"),
]


def _changed(frame: Frame, change: Callable[[Frame], None]) -> bytes:
    copy = frame.copy()
    change(copy)
    return _parquet(copy)


def _set(frame: Frame, column: str, rows: object, value: object) -> None:
    if isinstance(rows, slice) and rows == slice(None):
        frame[column] = value
        return
    values = frame[column].astype(object) if value is None else frame[column]
    values = values.copy()
    values.iloc[rows] = value
    frame[column] = values


def _parquet(frame: Frame) -> bytes:
    return _table(pa.Table.from_pandas(frame, preserve_index=False))


def _table(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def _arrow(frame: Frame) -> bytes:
    table, sink = pa.Table.from_pandas(frame.head(9), preserve_index=False), io.BytesIO()
    with pa.ipc.new_file(sink, table.schema) as file:
        file.write_table(table)
    return sink.getvalue()


def _many_nulls(frame: Frame, rows: int) -> bytes:
    """Some kilobytes that say they are millions of rows."""
    sink = io.BytesIO()
    pq.write_table(pa.table({name: pa.nulls(rows) for name in frame.columns}), sink, write_statistics=False)
    return sink.getvalue()


def _retyped(frame: Frame, column: str, kind: pa.DataType) -> bytes:
    """Every value of `column` is the same one of another type."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    if pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind):
        values = pa.array([b"abcd"] * len(frame), kind)
    else:
        values = pa.array([1] * len(frame), pa.int32()).cast(pa.int64() if pa.types.is_int64(kind) else pa.int32())
        values = values.cast(pa.int64()).cast(kind) if kind.bit_width == 64 else values.cast(kind)
    return _table(table.set_column(table.schema.get_field_index(column), column, values))


def _far_future(rows: int) -> pa.Array:
    return pd.Series(pd.arrays.ArrowExtensionArray(pa.array([6_000_000_000_000] * rows, pa.timestamp("s", "UTC"))))


def _invalid_utf8(frame: Frame) -> bytes:
    table = pa.Table.from_pandas(frame, preserve_index=False)
    raw = pa.array([b"\xff\xfe" + value.encode() for value in frame["flight_id"]], pa.binary())
    text = pa.Array.from_buffers(pa.string(), len(raw), raw.buffers())
    return _table(table.set_column(table.schema.get_field_index("flight_id"), "flight_id", text))


def _same_huge_id(frame: Frame) -> bytes:
    """A small file that unpacks to gigabytes: each row names the same dictionary entry."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    ids = pa.DictionaryArray.from_arrays(pa.array(np.zeros(len(frame), "int32")), pa.array(["y" * 1_000_000]))
    return _table(table.set_column(table.schema.get_field_index("flight_id"), "flight_id", ids))
