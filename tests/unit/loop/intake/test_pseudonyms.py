"""Tokens in place of personal values: the same for the same, nothing of the value, and nulls stay nulls."""

import io

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evergreen.errors import DefinitionError
from evergreen.loop.intake.failures import UnfitFileError
from evergreen.loop.intake.limits import LIMITS
from evergreen.loop.intake.pseudonyms import replace, token
from evergreen.loop.intake.reading import csv_file, parquet_file
from evergreen.loop.intake.validation.judge import judge, verdict_hash
from evergreen.tools.check_drops import check_folder

KEY = b"k" * 32
READERS = {"parquet": parquet_file.read, "csv": csv_file.read}
VALUES = st.lists(st.none() | st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1), min_size=1)


@pytest.fixture(scope="module")
def private(shop):
    """The shop, whose orders are personal."""
    feed = shop.feed.model_copy(update={"personal": ("order_id", "country")})
    return shop.model_copy(update={"feed": feed})


def as_file(frame, suffix):
    if suffix == "csv":
        return frame.to_csv(index=False).encode()
    sink = io.BytesIO()
    frame.to_parquet(sink, index=False)
    return sink.getvalue()


def read(data, suffix, definition, table="inputs"):
    return READERS[suffix](data, definition.feed.tables[table].columns, LIMITS)


@pytest.mark.slow
@settings(deadline=None)  # each file is read in a process of its own
@given(values=VALUES)
def test_equal_values_and_only_those_have_equal_tokens_and_nulls_stay(private, values):
    frame = pd.DataFrame({"order_id": values, "ordered_at": "2024-01-01", "returned": 1.0})
    data = replace(as_file(frame, "parquet"), "parquet", private, "labels", KEY)
    tokens = read(data, "parquet", private, "labels").column("order_id").to_pylist()
    assert [t is None for t in tokens] == [v is None for v in values]
    pairs = {(v, t) for v, t in zip(values, tokens, strict=True) if v is not None}
    assert len(pairs) == len({v for v, _ in pairs}) == len({t for _, t in pairs})
    assert all(len(t) == 32 and set(t) <= set("0123456789abcdef") for _, t in pairs)


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_nothing_personal_is_left_in_the_file_and_nothing_else_changes(private, orders, suffix):
    orders["order_id"] = [f'Ada "{n}", Lovelace' for n in range(6)]
    orders["email"] = "ada@example.com"  # nobody declared it
    before = as_file(orders, suffix)
    after = replace(before, suffix, private, "inputs", KEY)
    told = read(after, suffix, private)
    assert not any(word in str(told.to_pylist()) + str(after) for word in ("Ada", "Lovelace", "ada@"))
    kept = ["ordered_at", "items", "price", "gift"]
    assert told.select(kept).equals(read(before, suffix, private).select(kept))
    assert told.column_names == list(private.feed.tables["inputs"].columns)
    assert told.column("country").null_count == 1


def test_tables_and_formats_join_and_feeds_and_keys_do_not(private, orders):
    both = [replace(as_file(orders, suffix), suffix, private, "inputs", KEY) for suffix in READERS]
    first, second = (read(data, suffix, private) for data, suffix in zip(both, READERS, strict=True))
    assert first.column("order_id").to_pylist() == second.column("order_id").to_pylist()
    numbers = pa.table({"order_id": [42], "ordered_at": ["2024-01-01"], "returned": [1.0]})
    sink = io.BytesIO()
    pq.write_table(numbers, sink)
    landed = replace(sink.getvalue(), "parquet", private, "labels", KEY)
    assert read(landed, "parquet", private, "labels").column("order_id").to_pylist() == [token(KEY, "orders", "42")]
    assert len({token(KEY, "orders", "42"), token(KEY, "returns", "42"), token(b"x" * 32, "orders", "42")}) == 3


def test_the_same_file_gives_the_same_copy(private, orders):
    data = as_file(orders, "parquet")
    assert replace(data, "parquet", private, "inputs", KEY) == replace(data, "parquet", private, "inputs", KEY)


def test_a_verdict_quotes_tokens_and_is_given_anew_when_a_column_becomes_personal(private, shop, orders):
    orders["order_id"] = "Ada Lovelace"
    data = replace(as_file(orders, "parquet"), "parquet", private, "inputs", KEY)
    verdict = judge(data, "parquet", private, "inputs", "2024-01-01", [])
    assert "repeat the identifier" in verdict.reason
    assert token(KEY, "orders", "Ada Lovelace") in verdict.reason
    assert "Ada" not in str(verdict)
    assert verdict_hash(private, "inputs", []) != verdict_hash(shop, "inputs", [])


def test_what_is_no_such_table_is_refused(private, orders):
    for data in (b"", b"Ada,Lovelace", as_file(orders.drop(columns="country"), "csv")):
        with pytest.raises(UnfitFileError):
            replace(data, "csv", private, "inputs", KEY)
    orders["order_id"] = 1.5
    with pytest.raises(
        UnfitFileError, match="holds double values; a personal column has to hold text or whole numbers"
    ):
        replace(as_file(orders, "parquet"), "parquet", private, "inputs", KEY)


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_a_file_that_lacks_a_column_of_no_person_is_left_to_the_verdict(private, orders, suffix):
    data = replace(as_file(orders.drop(columns="price"), suffix), suffix, private, "inputs", KEY)
    kept = {name: kind for name, kind in private.feed.tables["inputs"].columns.items() if name != "price"}
    tokens = READERS[suffix](data, kept, LIMITS).column("order_id").to_pylist()
    assert tokens == [token(KEY, "orders", value) for value in orders["order_id"]]
    verdict = judge(data, suffix, private, "inputs", "2024-01-01", [])
    assert (verdict.accepted, verdict.reason) == (False, "column is missing: price")


def test_a_check_offline_shows_no_personal_value(private, orders, tmp_path):
    (tmp_path / "expectations.py").write_text("def inputs():\n    return []\n\ndef labels():\n    return []\n")
    orders["order_id"] = "Ada Lovelace"
    orders.to_parquet(tmp_path / "inputs.parquet", index=False)
    (checked,) = check_folder(private.model_copy(update={"folder": tmp_path}), tmp_path, "2024-01-01")
    assert not checked.accepted
    assert "repeat the identifier" in checked.reason
    assert "Ada" not in str(checked)


@pytest.mark.parametrize(
    ("personal", "said"),
    [
        (["email"], "which no table of the feed has"),
        (["items"], "must have type string"),
        (["ordered_at"], "must have type string"),
    ],
)
def test_what_cannot_be_personal_is_refused(shop, personal, said):
    told = shop.model_dump(exclude={"folder"})
    told["feed"]["personal"] = personal
    with pytest.raises((ValueError, DefinitionError), match=said):
        type(shop).model_validate(told)
