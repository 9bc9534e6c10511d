"""Good files are read without loss, bad ones become a failure in words: never another exception."""

import csv
import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evergreen.core.frames import to_parquet
from evergreen.loop.intake.failures import UnfitFileError
from evergreen.loop.intake.limits import LIMITS
from evergreen.loop.intake.reading import csv_file, parquet_file
from evergreen.loop.intake.reading.convert import to_frame

FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read(data: bytes, shop, suffix: str = "parquet", limits=LIMITS) -> pd.DataFrame:
    columns = shop.feed.tables["inputs"].columns
    reader = csv_file if suffix == "csv" else parquet_file
    return to_frame(reader.read(data, columns, limits), columns, limits, from_text=suffix == "csv")


def written(frame: pd.DataFrame | pa.Table, **options) -> bytes:
    buffer = io.BytesIO()
    table = frame if isinstance(frame, pa.Table) else pa.Table.from_pandas(frame, preserve_index=False)
    pq.write_table(table, buffer, **options)
    return buffer.getvalue()


def refusal(data: bytes, shop, suffix: str = "parquet", limits=LIMITS) -> str:
    with pytest.raises(UnfitFileError) as caught:
        read(data, shop, suffix, limits)
    return str(caught.value)


def test_parquet_comes_back_as_it_was(shop, orders):
    pd.testing.assert_frame_equal(read(to_parquet(orders, shop.feed.tables["inputs"].columns), shop), orders)


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "gzip"},
        {"compression": "none", "use_dictionary": False},
        {"data_page_version": "2.0"},
        {"row_group_size": 2},
        {"store_schema": False},
    ],
)
def test_any_parquet_writer_will_do(shop, orders, options):
    pd.testing.assert_frame_equal(read(written(orders, **options), shop), orders)


def test_csv_says_the_same_as_parquet(shop, orders):
    exact = orders.assign(price=[1.5, 0.1, np.nan, 1e-9, -2.0, 1e300])
    pd.testing.assert_frame_equal(read(exact.to_csv(index=False).encode(), shop, "csv"), exact)
    with_bom = b"\xef\xbb\xbf" + exact.to_csv(index=False, lineterminator="\r\n").encode()
    pd.testing.assert_frame_equal(read(with_bom, shop, "csv"), exact)


def test_only_text_columns_keep_the_text_na(shop, orders):
    text = orders.assign(country="NA").to_csv(index=False, na_rep="NA").encode()
    frame = read(text, shop, "csv")
    assert (frame["country"] == "NA").all()
    assert frame["items"].isna().sum() == 1


def test_more_columns_and_another_order_are_fine(shop, orders):
    shuffled = orders[list(reversed(orders.columns))].assign(extra=1, Größe="x")
    pd.testing.assert_frame_equal(read(written(shuffled), shop), orders)
    pd.testing.assert_frame_equal(read(shuffled.to_csv(index=False).encode(), shop, "csv"), orders)


@pytest.mark.parametrize("kind", ["int8", "uint16", "int64", "float64", "float32"])
def test_whole_numbers_of_any_width_are_integers(shop, orders, kind):
    frame = read(written(orders.assign(items=np.arange(6).astype(kind))), shop)
    assert frame["items"].dtype == "Int64"
    assert frame["items"].tolist() == list(range(6))


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York"])
def test_timestamps_of_any_unit_and_zone_are_utc_instants(shop, orders, unit, zone):
    column = pa.array(orders["ordered_at"]).cast(pa.timestamp(unit, zone))
    table = pa.Table.from_pandas(orders, preserve_index=False)
    frame = read(written(table.set_column(1, "ordered_at", column)), shop)
    pd.testing.assert_series_equal(frame["ordered_at"], orders["ordered_at"])


def test_a_date_is_its_midnight(shop, orders):
    frame = read(written(orders.assign(ordered_at=orders["ordered_at"].dt.date)), shop)
    assert (frame["ordered_at"] == pd.Timestamp("2024-01-01T00:00Z")).all()


@pytest.mark.parametrize(
    "text", ["2024-01-01T01:00:00+01:00", "2024-01-01 00:00", "2024-01-01", "2024-01-01T00:00:00.0Z"]
)
def test_csv_timestamps_are_iso_8601(shop, orders, text):
    frame = read(orders.assign(ordered_at=text).to_csv(index=False).encode(), shop, "csv")
    assert (frame["ordered_at"] == pd.Timestamp("2024-01-01T00:00Z")).all()


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("items", 1.5, "items: 6 of 6 (100 %) rows are not whole numbers, such as 1.5"),
        ("items", float("inf"), "items: 6 of 6 (100 %) rows are not whole numbers"),
        ("items", 2.0**60, "are floats of 2**53 (9,007,199,254,740,992) or more"),
        ("items", "3", "items: holds string values, where the definition says integer"),
        ("items", True, "items: holds bool values"),
        ("price", float("inf"), "price: 6 of 6 (100 %) rows are infinite"),
        ("gift", 2, "gift: 6 of 6 (100 %) rows are not true or false, 1 or 0, such as 2"),
        ("gift", 1.0, "gift: holds double values, where the definition says boolean"),
        ("country", 5, "country: holds int64 values"),
        ("country", "a\x00b", "control characters, such as 'a\\u0000b'"),
        ("country", "x" * 10_001, "country: a text value is 10,001 bytes long"),
        ("ordered_at", "2024-01-01", "ordered_at: holds string values"),
    ],
)
def test_what_does_not_fit_is_said(shop, orders, column, value, says):
    assert says in refusal(written(orders.assign(**{column: value})), shop)


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("items", "1.5", "are not a whole number, such as '1.5'"),
        ("items", "1e3", "are not a whole number"),
        ("items", "9" * 30, "do not fit 64 bits"),
        ("price", "1,5", "are not a number, such as '1,5'"),
        ("price", "0x1F", "are not a number"),
        ("price", "inf", "are infinite"),
        ("gift", "yes", "are not true or false"),
        ("ordered_at", "2024-13-01", "are not a timestamp"),
        ("ordered_at", "yesterday", "are not a timestamp"),
    ],
)
def test_text_that_does_not_parse_is_said(shop, orders, column, value, says):
    assert says in refusal(orders.assign(**{column: value}).to_csv(index=False).encode(), shop, "csv")


def test_every_column_that_does_not_fit_is_named(shop, orders):
    words = refusal(written(orders.assign(items="x", gift="y")), shop)
    assert "items:" in words
    assert "gift:" in words


def test_one_huge_value_named_by_many_rows_is_seen_before_it_multiplies(shop):
    rows = 500_000
    huge = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, "int32")), pa.array(["x" * 1_000_000]))
    table = pa.table(
        {name: huge if name == "country" else pa.nulls(rows) for name in shop.feed.tables["inputs"].columns}
    )
    data = written(table)
    assert len(data) < 3_000_000  # for 500 GB of text
    assert "country: a text value is 1,000,000 bytes long" in refusal(data, shop)


def test_limits_on_rows_and_memory(shop, orders):
    many = pd.concat([orders] * 1000)
    assert "6,000 rows; a partition may have 100" in refusal(written(many), shop, limits=replace(LIMITS, rows=100))
    assert "6,000 rows" in refusal(many.to_csv(index=False).encode(), shop, "csv", replace(LIMITS, rows=100))
    assert "unpacked, the file takes" in refusal(written(many), shop, limits=replace(LIMITS, read_bytes=1000))


@FUZZ
@given(st.data())
def test_a_damaged_file_is_read_or_refused_in_words(shop, orders, data):
    suffix = data.draw(st.sampled_from(["parquet", "csv"]))
    good = written(orders, store_schema=False) if suffix == "parquet" else orders.to_csv(index=False).encode()
    broken = bytearray(good)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(broken) - 1))
        how = data.draw(st.sampled_from(["change", "cut", "insert"]))
        if how == "cut":
            del broken[at : at + data.draw(st.integers(1, 9))]
        else:
            broken[at : at + (how == "change")] = data.draw(st.binary(min_size=1, max_size=4))
        if not broken:
            break
    try:
        read(bytes(broken), shop, suffix)
    except UnfitFileError as error:
        words = str(error)
        assert words.isprintable()
        assert "Traceback" not in words


@FUZZ
@given(name=st.text(max_size=12))
def test_a_column_that_nobody_asked_for_is_no_reason_whatever_its_name(shop, orders, name):
    table = pa.Table.from_pandas(orders, preserve_index=False)
    try:
        data = written(table.append_column(name, pa.array([1] * 6)))
    except (UnicodeEncodeError, pa.ArrowInvalid):
        return  # not a name that a Parquet file can hold
    pd.testing.assert_frame_equal(read(data, shop), orders)
    head = io.StringIO()
    csv.writer(head, lineterminator="\n").writerow([name, *orders.columns])
    if "\0" not in name and "\r" not in name and not name.startswith("\ufeff"):
        lines = orders.to_csv(index=False, header=False, lineterminator="\n").splitlines()
        text = head.getvalue() + "".join(f"7,{line}\n" for line in lines)
        pd.testing.assert_frame_equal(read(text.encode(), shop, "csv"), orders)
