"""Text becomes the value that it can mean, and no other; the same value is the same from every kind of file."""

import datetime as dt
import io
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evergreen.core.definition.sections import CsvSection
from evergreen.loop.intake.failures import UnfitFileError
from evergreen.loop.intake.limits import LIMITS
from evergreen.loop.intake.reading import csv_file, parquet_file, texts, times
from evergreen.loop.intake.reading.convert import to_frame
from evergreen.loop.intake.reading.infer import type_of_text
from evergreen.loop.online.request import read_rows, to_inputs

SIX = pd.Timestamp("2024-01-01T06:00Z")
ROW = st.fixed_dictionaries(
    {
        "order_id": st.text("abcXYZ0189-é", min_size=1, max_size=9),
        "ordered_at": st.datetimes(dt.datetime(1970, 1, 2), dt.datetime(2200, 1, 1)),  # noqa: DTZ001
        "country": st.none() | st.sampled_from(["SE", "NA", "null", "a,b", 'say "x"', "Åland"]),
        "items": st.none() | st.integers(-(2**63), 2**63 - 1),
        "price": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "gift": st.none() | st.booleans(),
    }
)


def parsed(text: str, kind: str, form: CsvSection = texts.DEFAULT) -> object:
    return texts.parse("z", pa.array([text]), kind, form)[0].as_py()


def refusal(text: str, kind: str, form: CsvSection = texts.DEFAULT) -> str:
    with pytest.raises(UnfitFileError) as caught:
        parsed(text, kind, form)
    return str(caught.value)


@settings(max_examples=60, deadline=None)
@given(st.lists(ROW, min_size=1, max_size=5))
def test_the_same_value_is_the_same_from_csv_parquet_and_a_request(shop, rows):
    columns = shop.feed.tables["inputs"].columns
    dtypes = {"items": "Int64", "gift": "boolean", "price": "Float64"}
    frame = pd.DataFrame({n: pd.Series([row[n] for row in rows], dtype=dtypes.get(n)) for n in columns})
    csv_text = frame.to_csv(index=False).encode()
    sent = [{**row, "ordered_at": row["ordered_at"].isoformat()} for row in rows]
    buffer = io.BytesIO()
    schema = pa.schema([("order_id", pa.string()), ("ordered_at", pa.timestamp("us")), ("country", pa.string()),
                        ("items", pa.int64()), ("price", pa.float64()), ("gift", pa.bool_())])  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows, schema), buffer)
    from_csv = to_frame(csv_file.read(csv_text, columns, LIMITS), columns, LIMITS, from_text=True)
    from_parquet = to_frame(parquet_file.read(buffer.getvalue(), columns, LIMITS), columns, LIMITS, from_text=False)
    from_json = to_inputs(shop, read_rows(json.dumps({"rows": sent}).encode()))
    pd.testing.assert_frame_equal(from_csv, from_parquet)
    pd.testing.assert_frame_equal(from_json, from_parquet)


@pytest.mark.parametrize(
    "text",
    [
        "2024-01-01 06:00:00+00", "2024-01-01 06:00:00 UTC", "2024-01-01 06:00:00+0000",
        "2024-01-01 06:00:00.000 +0000",
        "2024-01-01 06:00:00.000000+00", "2024/01/01 6:00", "2024-01-01 6:00", "2024/1/1 06:00",
        "2024-01-01T06:00:00Z", "2024-01-01t06:00:00z", "2024-1-1 6:00:00 GMT", "2024-01-01 08:00:00+02",
        "2024-01-01T06:00:00.0000000", "2024-01-01 06:00:00 Z",
    ],
)  # fmt: skip
def test_instants_that_can_mean_one_thing_are_read(text):
    assert parsed(text, "timestamp") == SIX
    assert type_of_text("z", pa.array([text])) == "timestamp"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("13/01/2024 00:15", r"'%d/%m/%Y %H:%M'"),
        ("01/13/2024", r"'%m/%d/%Y'"),
        ("31.12.2024 23:59:59", r"'%d.%m.%Y %H:%M:%S'"),
        ("01/13/2024 1:05 PM", r"'%m/%d/%Y %I:%M %p'"),
        ("1704067200", "unit='s'"),
        ("1704067200000", "unit='ms'"),
        ("1704067200000000", "unit='us'"),
        ("20240101", "'%Y%m%d'"),
        ("45292.25", "origin='1899-12-30'"),
    ],
)
def test_a_time_that_is_not_read_comes_with_the_line_that_converts_it(text, says):
    words = refusal(text, "timestamp")
    assert f"1 of 1 (100 %) rows are not a timestamp such as 2013-01-07T06:00:00Z, such as '{text}'" in words
    assert says in words
    assert "df['z'] = pd.to_datetime(df['z']" in words


def test_only_values_that_fail_are_shown():
    values = pa.array([*["2024-01-01 00:00:00"] * 29, "13/01/2024 00:15"])
    with pytest.raises(UnfitFileError) as caught:
        texts.parse("at", values, "timestamp")
    assert "1 of 30 (3.3 %) rows" in str(caught.value)
    assert "'13/01/2024 00:15'" in str(caught.value)
    assert "2024-01-01 00:00:00" not in str(caught.value)


@pytest.mark.parametrize("text", ["2024-02-30", "2024-13-01", "24-01-01", "2024-01-01 25:00", "2024-01-01 06:00 CET"])
def test_what_is_no_instant_is_none(text):
    assert "are not a timestamp" in refusal(text, "timestamp")


def test_a_declared_format_is_the_only_one():
    form = CsvSection(time_format={"z": "%d/%m/%Y %H:%M"})
    assert parsed("02/01/2024 6:00", "timestamp", form) == pd.Timestamp("2024-01-02T06:00Z")
    assert "of the format %d/%m/%Y %H:%M" in refusal("2024-01-02 06:00", "timestamp", form)
    for broken in ("%H:%M", "%d/%m", "soon"):
        with pytest.raises(ValueError, match="time format"):
            CsvSection(time_format=broken)


@pytest.mark.parametrize(
    "text", ["1234567890123450001", "-9223372036854775808", "9223372036854775807", "+007", "5.000"]
)
def test_whole_numbers_are_exact_to_the_last_digit(text):
    assert parsed(text, "integer") == int(text.partition(".")[0])


@given(st.integers(-(2**70), 2**70))
def test_a_whole_number_is_read_exactly_or_refused(number):
    if -(2**63) <= number < 2**63:
        assert parsed(str(number), "integer") == number
        assert type_of_text("z", pa.array([str(number)])) == "integer"
    else:
        assert "do not fit 64 bits" in refusal(str(number), "integer")
        assert type_of_text("z", pa.array([str(number)])) == "string"


def test_decimal_commas_and_thousands_are_read_where_declared():
    german = CsvSection(decimal=",", thousands=".")
    assert parsed("1.234.567,5", "float", german) == 1234567.5
    assert parsed("-12,5", "float", german) == -12.5
    assert parsed("1.234", "integer", german) == 1234
    assert "are not a number" in refusal("1.23", "float", german)
    assert "are not a number" in refusal("1.5", "float", CsvSection(decimal=","))
    assert "feed.csv.decimal" in refusal("1,5", "float")
    assert "feed.csv.thousands" in refusal("1,234,567", "float")


def test_a_float_of_a_request_that_names_no_whole_number_is_refused(shop):
    row = {"order_id": "a", "ordered_at": "2024-01-01", "country": None, "items": 2.0**53, "price": 1, "gift": None}
    with pytest.raises(UnfitFileError, match=r"items: 1 of 1 .* floats of 2\*\*53"):
        to_inputs(shop, [row])
    assert to_inputs(shop, [{**row, "items": 12.0}])["items"].tolist() == [12]


def test_a_column_of_booleans_with_gaps_is_nullable_and_one_without_is_not(shop, orders):
    columns = shop.feed.tables["inputs"].columns
    gaps = orders.assign(gift=pd.array([True, None, False, True, None, True], dtype="boolean"))
    for frame, dtype in ((orders, np.dtype(bool)), (gaps, pd.BooleanDtype())):
        text = frame.to_csv(index=False).encode()
        found = to_frame(csv_file.read(text, columns, LIMITS), columns, LIMITS, from_text=True)["gift"]
        assert found.dtype == dtype
        assert found.isna().sum() == frame["gift"].isna().sum()
        assert (found.to_numpy("float64", na_value=np.nan)[[0, 2]] == [1.0, frame["gift"].iloc[2]]).all()


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (["Jan-1-1995", "Dec-31-1995"], "--time-format '%b-%d-%Y' of"),
        (["1/June/1995", "31/May/1995"], "--time-format '%d/%B/%Y' of"),
        (["01/02/1987", "05/20/1987"], "--time-format '%m/%d/%Y' of"),  # the second tells what the first means
        (["01/02/1987", "03/04/1987"], "'%m/%d/%Y' reads all of them too, if the month stands first"),
        (["12/1/2009 7:45", "12/30/2009 8:01"], "'%m/%d/%Y %H:%M' of"),
        (["5-Jan-09", "31-Dec-10"], "'%d-%b-%y' of"),
        (["1749-01", "1750-12"], "'%Y-%m' of"),
        (["1977-Jan", "1977-Feb"], "'%Y-%b' of"),
        (["Jan 1 2000", "Feb 1 2000"], "'%b %d %Y' of"),
        (["19580329", "19580405"], "'%Y%m%d' of"),
        (["200901", "200912"], "'%Y%m' of"),
        (["111597", "11597"], "'%m%d%y' of"),
        (["013103", "020304"], "'%m%d%y' of"),
        (["010203", "020304"], "'%d%m%y' reads all of them too, if the day stands first"),
        (["1970 Q1", "1970 Q2"], "PeriodIndex"),
        (["1704067200000"], "unit='ms'"),
        (["736389", "736390"], "name the column of the event's time"),
        (["Aruba", "Andorra"], "name the column of the event's time"),
    ],
)
def test_times_of_another_spelling_are_refused_with_the_format_that_reads_all_of_them(values, says):
    assert says in times.advice("at", values, all_rows=True)
