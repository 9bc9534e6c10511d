"""Part files become one table by name and by the definition's types; no file decides for another."""

import datetime as dt
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.core.definition.load import read_definition
from evergreen.loop.intake.failures import UnfitFileError
from evergreen.loop.intake.limits import LIMITS
from evergreen.loop.intake.reading.parts import Parts, one_column, wider
from evergreen.loop.intake.validation.judge import judge
from evergreen.loop.intake.validation.landed_parts import read_content
from helpers.intake_fixtures import DEFINITION

KEY = "2024-01-01"
DAY = dt.datetime(2024, 1, 1, 6, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def definition(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "shop"
    folder.mkdir()
    (folder / "model.yaml").write_text(DEFINITION)
    return read_definition(folder / "model.yaml")


def table(number, rows=2, **columns):
    found = {
        "order_id": pa.array([f"{number}-{row}" for row in range(rows)]),
        "ordered_at": pa.array([DAY] * rows, pa.timestamp("us", "UTC")),
        "country": pa.array(["SE"] * rows),
        "items": pa.array([1] * rows, pa.int64()),
        "price": pa.array([9.5] * rows),
    } | columns
    return pa.table({name: values for name, values in found.items() if values is not None})


def parts_of(*tables):
    files = []
    for one in tables:
        sink = pa.BufferOutputStream()
        pq.write_table(one, sink)
        files.append(sink.getvalue().to_pybytes())
    names = tuple(f"part-{number:05d}.parquet" for number in range(len(files)))
    return Parts(names, sum(map(len, files)), "parquet", files.__getitem__)


def verdict(definition, *tables, expectations=()):
    return judge(parts_of(*tables), "parquet", definition, "inputs", KEY, list(expectations))


def test_order_of_columns_width_nullability_and_a_missing_column(definition):
    first = table(0, country=None, items=pa.array([1, 2], pa.int32()))
    other = table(1, items=pa.array([2**53 + 1, None], pa.int64()))
    other = other.select(["price", "items", "country", "ordered_at", "order_id"])
    strict = table(2).cast(pa.schema([field.with_nullable(False) for field in table(2).schema]))
    found = verdict(definition, first, other, strict)
    assert found.accepted, found.reason
    assert "country is null in part-00000.parquet, which lacks it" in found.reason
    assert found.frame["order_id"].tolist() == ["0-0", "0-1", "1-0", "1-1", "2-0", "2-1"]
    assert found.frame["country"].tolist() == [None, None, "SE", "SE", "SE", "SE"]
    assert found.frame["items"].tolist()[:3] == [1, 2, 2**53 + 1]
    assert found.frame["items"].isna().tolist() == [False, False, False, True, False, False]


@pytest.mark.parametrize("turned", [False, True])
def test_the_first_file_does_not_round_the_others(definition, turned):
    tables = [
        table(0, price=pa.array([2, 3], pa.int32())),
        table(1, price=pa.array([1.5, 2.5])),
        table(2, price=pa.array([Decimal("0.1"), Decimal("0.2")], pa.decimal128(10, 2))),
    ]
    found = verdict(definition, *(tables[::-1] if turned else tables))
    assert sorted(found.frame["price"]) == [0.1, 0.2, 1.5, 2, 2.5, 3]


def test_floats_beside_whole_numbers_are_whole_or_refused_with_the_part(definition):
    good = verdict(definition, table(0, items=pa.array([1.0, None])), table(1))
    assert good.frame["items"].dropna().tolist() == [1, 1, 1]
    bad = verdict(definition, table(0), table(1, items=pa.array([1.0, 1.5])))
    assert not bad.accepted
    assert "part-00001.parquet: items: 1 of 2" in bad.reason
    assert "such as 1.5" in bad.reason


@pytest.mark.parametrize("lost", ["order_id", "ordered_at"])
def test_what_names_a_row_is_in_every_file(definition, lost):
    found = verdict(definition, table(0), table(1, **{lost: None}))
    assert not found.accepted
    assert f"part-00001.parquet: column is missing: {lost}" in found.reason


def test_a_date_that_files_write_in_several_types_is_its_day(tmp_path):
    text = DEFINITION.replace("event_time: ordered_at", "event_time: [ordered_at, hour]")
    text = text.replace("ordered_at: timestamp", "ordered_at: timestamp, hour: integer")
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "model.yaml").write_text(text)
    found = read_definition(tmp_path / "shop" / "model.yaml")
    cairo = found.model_copy(update={"calendar": found.calendar.model_copy(update={"timezone": "Africa/Cairo"})})
    hour, midnight = pa.array([5, 5]), dt.datetime(2024, 4, 26)  # noqa: DTZ001 - which clocks never showed
    tables = [
        table(0, hour=hour, ordered_at=pa.array([midnight] * 2)),
        table(1, hour=hour, ordered_at=pa.array([midnight.replace(tzinfo=dt.UTC)] * 2, pa.timestamp("us", "UTC"))),
    ]
    read = read_content(parts_of(*tables), "parquet", cairo, "inputs", LIMITS, lambda _: False)
    assert read.column("ordered_at").to_pylist()[0] == dt.datetime(2024, 4, 25, 22, tzinfo=dt.UTC)


def test_a_column_that_all_lack_is_missing(definition):
    found = verdict(definition, table(0, price=None), table(1, price=None))
    assert not found.accepted
    assert "column is missing in every part file: price" in found.reason


def test_a_damaged_file_is_named(definition):
    parts = parts_of(table(0), table(1))
    cut = Parts(parts.names, parts.size, "parquet", lambda number: parts.read(number)[: -5 if number else None])
    found = judge(cut, "parquet", definition, "inputs", KEY, [])
    assert not found.accepted
    assert found.reason.startswith("part-00001.parquet: the Parquet file is cut off")


def test_a_bad_row_says_in_which_file_it_is(definition):
    import great_expectations.expectations as gxe

    rule = gxe.ExpectColumnValuesToBeBetween(column="price", max_value=10)
    found = verdict(definition, table(0, 3), table(1, 3, price=pa.array([1.0, 99.0, 2.0])), expectations=[rule])
    assert not found.accepted
    assert "(first in row 2 of part-00001.parquet)" in found.reason
    several = verdict(definition, *(table(n, 1, price=pa.array([99.0])) for n in range(5)), expectations=[rule])
    assert "part-00000.parquet, part-00001.parquet, part-00002.parquet and 2 more" in several.reason


def test_text_files_have_each_their_header(definition):
    names = ("part-0.csv", "part-1.csv")
    files = [
        b"order_id,ordered_at,country,items,price\na,2024-01-01,SE,1,1.5\n",
        b"price,items,ordered_at,order_id\n2,3,2024-01-01 05:00:00,b\n",
    ]
    found = judge(Parts(names, 200, "csv", files.__getitem__), "csv", definition, "inputs", KEY, [])
    assert found.accepted, found.reason
    assert found.frame["price"].tolist() == [1.5, 2.0]
    assert found.frame["country"].tolist() == ["SE", None]


def test_all_together_keep_the_limits_of_one_file(definition):
    from dataclasses import replace

    with pytest.raises(UnfitFileError, match="more than 3 rows together"):
        read_content(
            parts_of(table(0), table(1)), "parquet", definition, "inputs", replace(LIMITS, rows=3), lambda _: False
        )


WHOLE = st.sampled_from(["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"])


@given(st.lists(st.tuples(WHOLE, st.lists(st.integers(-(2**63), 2**64 - 1), max_size=4)), min_size=1, max_size=4))
def test_whole_numbers_of_all_widths_keep_their_values(columns):
    arrays, expected = [], []
    for kind, values in columns:
        bits = int(kind.lstrip("uint"))
        low, high = (0, 2**bits - 1) if kind.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        kept = [value for value in values if low <= value <= high]
        arrays.append(pa.chunked_array([pa.array(kept, kind)]))
        expected += kept
    assert [int(value) for value in one_column(arrays).to_pylist()] == expected


def test_types_that_nothing_holds():
    assert wider([pa.int64(), pa.float64()]) is None
    assert wider([pa.string(), pa.int64()]) is None
    assert wider([pa.timestamp("us", "UTC"), pa.timestamp("us")]) is None
    assert wider([pa.null(), pa.int32(), pa.null()]) == pa.int32()
    assert one_column([pa.chunked_array([[2**53 + 1]]), pa.chunked_array([[0.5]])], mixed_numbers=True) is None
    assert one_column([pa.chunked_array([[2]]), pa.chunked_array([[0.5]])], mixed_numbers=True).to_pylist() == [
        2.0,
        0.5,
    ]
