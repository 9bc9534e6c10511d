"""docs/file-types.md is held to files that its writers write: duckdb, polars, fastparquet, pandas and pyarrow."""

import datetime as dt
import decimal
import re
import uuid
from collections.abc import Callable
from pathlib import Path

import duckdb
import fastparquet
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evergreen.loop.intake.failures import UnfitFileError
from evergreen.loop.intake.limits import LIMITS
from evergreen.loop.intake.reading import parquet_file
from evergreen.loop.intake.reading.convert import to_frame
from evergreen.tools.data_file import DataFile

PAGE = Path(__file__).parents[5] / "docs" / "file-types.md"
TEXT, DAY = "3f2504e0-4f89-11d3-9a0c-0305e82c3301", dt.date(2024, 1, 1)
NOON = dt.datetime(2024, 1, 1, 12)  # noqa: DTZ001 - as most files have it: without a zone
UTC_NOON = pd.Timestamp("2024-01-01T12:00Z")
MIDNIGHT = pd.Timestamp("2024-01-01T00:00Z")


def by_duckdb(sql: str) -> Callable[[Path], None]:
    return lambda path: duckdb.connect().execute(f"COPY (SELECT 1 AS id, {sql} AS z) TO '{path}' (FORMAT parquet)")


def by_polars(values: list[object], kind: object = None) -> Callable[[Path], None]:
    return lambda path: pl.DataFrame({"id": [1] * len(values), "z": pl.Series(values, dtype=kind)}).write_parquet(path)


def by_fastparquet(values: object, **options: str) -> Callable[[Path], None]:
    return lambda path: fastparquet.write(str(path), pd.DataFrame({"id": 1, "z": values}), **options)


def by_pandas(values: object) -> Callable[[Path], None]:
    return lambda path: pd.DataFrame({"id": 1, "z": values}).to_parquet(path)


def by_pyarrow(values: pa.Array, **options: object) -> Callable[[Path], None]:
    return lambda path: pq.write_table(pa.table({"id": [1] * len(values), "z": values}), path, **options)


def _opaque_uuid(path: Path) -> None:
    """As writers do that know Arrow's extension and not Parquet's mark: 16 bytes, and a word in the Arrow schema."""
    field = pa.field("z", pa.binary(16), metadata={b"ARROW:extension:name": b"arrow.uuid"})
    schema = pa.schema([pa.field("id", pa.int64()), field])
    pq.write_table(pa.table({"id": [1], "z": pa.array([uuid.UUID(TEXT).bytes], pa.binary(16))}, schema), path)


UUIDS = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([uuid.UUID(TEXT).bytes], pa.binary(16)))
BOOL8 = pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1], pa.int8()))
READ = [
    ("DuckDB", "VARCHAR", by_duckdb("'a'"), "string", "a"),
    ("DuckDB", "ENUM", by_duckdb("'a'::ENUM('a', 'b')"), "string", "a"),
    ("DuckDB", "UUID", by_duckdb(f"'{TEXT}'::UUID"), "string", TEXT),
    ("DuckDB", "JSON", by_duckdb("'{\"a\":1}'::JSON"), "string", '{"a":1}'),
    ("DuckDB", "BIT", by_duckdb("'101'::BIT"), "string", "101"),
    ("DuckDB", "BIGINT", by_duckdb("1234567890123456789"), "integer", 1234567890123456789),
    ("DuckDB", "DECIMAL(9, 0)", by_duckdb("12::DECIMAL(9, 0)"), "integer", 12),
    ("DuckDB", "DECIMAL(18, 2)", by_duckdb("12.25::DECIMAL(18, 2)"), "float", 12.25),
    ("DuckDB", "HUGEINT", by_duckdb("5::HUGEINT"), "integer", 5),
    ("DuckDB", "BOOLEAN", by_duckdb("true"), "boolean", True),
    ("DuckDB", "UTINYINT", by_duckdb("1::UTINYINT"), "boolean", True),
    ("DuckDB", "DATE", by_duckdb("DATE '2024-01-01'"), "timestamp", MIDNIGHT),
    ("DuckDB", "TIMESTAMP", by_duckdb("TIMESTAMP '2024-01-01 12:00'"), "timestamp", UTC_NOON),
    ("DuckDB", "TIMESTAMP_NS", by_duckdb("'2024-01-01 12:00'::TIMESTAMP_NS"), "timestamp", UTC_NOON),
    ("DuckDB", "TIMESTAMPTZ", by_duckdb("'2024-01-01 12:00+00'::TIMESTAMPTZ"), "timestamp", UTC_NOON),
    ("DuckDB", "NULL", by_duckdb("NULL"), "float", None),
    ("polars", "String", by_polars(["a"]), "string", "a"),
    ("polars", "Categorical", by_polars(["a"], pl.Categorical), "string", "a"),
    ("polars", "Enum", by_polars(["a"], pl.Enum(["a"])), "string", "a"),
    ("polars", "Boolean", by_polars([True, None]), "boolean", True),
    ("polars", "UInt8", by_polars([1, None], pl.UInt8), "boolean", True),
    ("polars", "Float16", by_polars([1.5], pl.Float16), "float", 1.5),
    ("polars", "Decimal", by_polars([decimal.Decimal("1.5")]), "float", 1.5),
    ("polars", "Date", by_polars([DAY]), "timestamp", MIDNIGHT),
    ("polars", "Datetime", by_polars([NOON], pl.Datetime("us", "UTC")), "timestamp", UTC_NOON),
    ("polars", "Null", by_polars([None]), "integer", None),
    ("fastparquet", "object (text)", by_fastparquet(["a"]), "string", "a"),
    ("fastparquet", "category", by_fastparquet(pd.Categorical(["a"])), "string", "a"),
    ("fastparquet", "object (dict)", by_fastparquet([{"a": 1}]), "string", '{"a":1}'),
    ("fastparquet", "boolean", by_fastparquet(pd.array([True, None], dtype="boolean")), "boolean", True),
    ("fastparquet", "Int64", by_fastparquet(pd.array([1, None], dtype="Int64")), "integer", 1),
    ("fastparquet", "float16", by_fastparquet(np.array([1.5], "float16")), "float", 1.5),
    ("fastparquet", "datetime64, INT96",
     by_fastparquet(pd.to_datetime([NOON]), times="int96"), "timestamp", UTC_NOON),
    ("fastparquet", "datetime64[ns]", by_fastparquet(pd.to_datetime([NOON])), "timestamp", UTC_NOON),
    ("pandas", "object (true, false, missing)", by_pandas([True, None]), "boolean", True),
    ("pandas", "float64 of whole numbers", by_pandas([1.0, np.nan]), "integer", 1),
    ("pandas", "category", by_pandas(pd.Categorical(["a"])), "string", "a"),
    ("pandas", "object (UUID)", by_pandas([uuid.UUID(TEXT)]), "string", TEXT),
    ("pyarrow", "large_string", by_pyarrow(pa.array(["a"], pa.large_string())), "string", "a"),
    ("pyarrow, delta-rs", "string_view", by_pyarrow(pa.array(["a"], pa.string_view())), "string", "a"),
    ("pyarrow", "dictionary", by_pyarrow(pa.array(["a"]).dictionary_encode()), "string", "a"),
    ("pyarrow", "uuid, marked in Parquet", by_pyarrow(UUIDS), "string", TEXT),
    ("pyarrow", "uuid, binary(16) marked in Arrow's schema", _opaque_uuid, "string", TEXT),
    ("pyarrow", "decimal32", by_pyarrow(pa.array([decimal.Decimal(12)], pa.decimal32(5, 0))), "integer", 12),
    ("pyarrow", "decimal64", by_pyarrow(pa.array([decimal.Decimal("1.5")], pa.decimal64(9, 1))), "float", 1.5),
    ("pyarrow", "decimal256", by_pyarrow(pa.array([decimal.Decimal(12)], pa.decimal256(60, 0))), "integer", 12),
    ("pyarrow", "float16", by_pyarrow(pa.array([np.float16(1.5)], pa.float16())), "float", 1.5),
    ("pyarrow", "bool8", by_pyarrow(BOOL8), "boolean", True),
    ("pyarrow", "date64", by_pyarrow(pa.array([DAY], pa.date64())), "timestamp", MIDNIGHT),
    ("pyarrow, Spark", "timestamp, INT96",
     by_pyarrow(pa.array([NOON], pa.timestamp("us")), use_deprecated_int96_timestamps=True), "timestamp", UTC_NOON),
]  # fmt: skip
REFUSED = [
    ("DuckDB", "TIME", by_duckdb("TIME '01:02:03'"), "time64[us] values (times of day)"),
    ("DuckDB", "INTERVAL", by_duckdb("INTERVAL 1 DAY"), "intervals (INTERVAL)"),
    ("DuckDB", "BLOB", by_duckdb("'ab'::BLOB"), "binary values (bytes)"),
    ("DuckDB", "LIST", by_duckdb("[1, 2]"), "nested values"),
    ("DuckDB", "STRUCT", by_duckdb("{'a': 1}"), "nested values"),
    ("DuckDB", "MAP", by_duckdb("MAP {'a': 1}"), "nested values"),
    ("DuckDB", "VARIANT", by_duckdb("1::VARIANT"), "nested values"),
    ("DuckDB", "UBIGINT over 2**63", by_duckdb("18446744073709551615::UBIGINT"), "do not fit 64 bits"),
    ("DuckDB", "infinite TIMESTAMP", by_duckdb("'infinity'::TIMESTAMP"), "years 1 to 9999"),
    ("polars", "Int128", by_polars([1], pl.Int128), "128-bit integers (Int128)"),
    ("polars", "Duration", by_polars([dt.timedelta(1)]), "duration[us] values (lengths of time)"),
    ("polars", "Time", by_polars([dt.time(1)]), "time64[ns] values (times of day)"),
    ("polars", "Binary", by_polars([b"a"]), "binary values (bytes)"),
    ("polars", "Array", by_polars([[1, 2]], pl.Array(pl.Int64, 2)), "nested values"),
    ("fastparquet", "timedelta64", by_fastparquet(pd.to_timedelta([1], unit="D")), "times of day"),
    ("fastparquet", "object (bytes)", by_fastparquet([b"a"]), "binary values (bytes)"),
    ("pandas", "timedelta64", by_pandas(pd.to_timedelta([1], unit="D")), "lengths of time"),
    ("pandas", "float64 with an infinite value", by_pandas([1.5, np.inf]), "are infinite, such as inf"),
    ("pyarrow", "time32", by_pyarrow(pa.array([dt.time(1)], pa.time32("s"))), "values (times of day)"),
    ("pyarrow", "binary_view", by_pyarrow(pa.array([b"a"], pa.binary_view())), "values (bytes)"),
]


@pytest.mark.parametrize(("writer", "kind", "write", "declared", "value"), READ)
def test_what_the_page_says_is_read_is_read(tmp_path, writer, kind, write, declared, value):
    path = tmp_path / "z.parquet"
    write(path)
    table = parquet_file.read(path.read_bytes(), {"z": declared}, LIMITS)
    found = to_frame(table, {"z": declared}, LIMITS, from_text=False)["z"].iloc[0]
    assert pd.isna(found) if value is None else found == value
    assert not DataFile(path).left_out
    assert _row(writer, kind)[-1] == f"`{declared}`"


@pytest.mark.parametrize(("writer", "kind", "write", "words"), REFUSED)
def test_a_column_of_a_kind_that_cannot_be_used_is_named_and_costs_no_other(tmp_path, writer, kind, write, words):
    path = tmp_path / "z.parquet"
    write(path)
    data, refused = path.read_bytes(), []
    for declared in ("string", "integer", "float", "boolean", "timestamp"):
        with pytest.raises(UnfitFileError, match=r"\bz\b") as caught:
            to_frame(parquet_file.read(data, {"z": declared}, LIMITS), {"z": declared}, LIMITS, from_text=False)
        refused.append(str(caught.value))
    assert any(words in sentence for sentence in refused)
    assert (
        to_frame(parquet_file.read(data, {"id": "integer"}, LIMITS), {"id": "integer"}, LIMITS, from_text=False)[
            "id"
        ].iloc[0]
        == 1
    )
    file = DataFile(path)
    assert file.types() == {"id": "integer"}
    assert words in file.left_out["z"]
    assert "refused" in _row(writer, kind)[-1]


def _row(writer: str, kind: str) -> list[str]:
    """The page's line on `kind` of `writer`."""
    rows = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in PAGE.read_text().splitlines()]
    (row,) = [row for row in rows if len(row) == 3 and row[:2] == [writer, f"`{kind}`"]]
    return row


def test_the_page_says_nothing_that_is_not_tried():
    shown = re.findall(r"^\| ([\w, -]+) \| `([^`]+)` \|", PAGE.read_text(), re.MULTILINE)
    assert sorted(shown) == sorted((writer, kind) for writer, kind, *_ in [*READ, *REFUSED])
