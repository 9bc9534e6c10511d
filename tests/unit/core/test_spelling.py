"""One value is one text, whatever type a table holds it in."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.core.spelling import spell, spelled


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (20, "20"), (20.0, "20"), (np.int8(20), "20"), (np.float32(20), "20"), (Decimal("20.00"), "20"), (-0.0, "0"),
        (20.5, "20.5"), (np.float32(0.1), "0.1"), (0.1, "0.1"), (0.1 + 0.2, "0.3"), (Decimal("0.10"), "0.1"),
        (True, "True"), (np.bool_(False), "False"), ("20.0", "20.0"), ("x", "x"), (1e20, "100000000000000000000"),
        (2**53 + 1, "9007199254740993"), (float("inf"), "inf"), (2.9999999999999996, "3"),
        (pd.Timestamp("2024-01-01"), "2024-01-01 00:00:00"), (1e-7, "1e-07"),
    ],
)  # fmt: skip
def test_values_have_one_spelling(value, text):
    assert spell(value) == text


WHOLE = st.integers(-(2**24), 2**24)
HELD = ("int64", "Int64", "float64", "float32", "Float64", "Float32", "object", "int64[pyarrow]", "double[pyarrow]",
        "float[pyarrow]", "category")  # fmt: skip


@given(values=st.lists(WHOLE, min_size=1, max_size=20), data=st.data())
def test_whole_numbers_are_the_same_text_in_every_type_and_beside_nulls(values, data):
    held = data.draw(st.sampled_from(HELD))
    column = pd.Series(values).astype(held)
    assert spelled(column).tolist() == [str(value) for value in values]
    if held not in ("int64", "category"):
        with_null = pd.Series([*values, None], dtype="Int64").astype("object" if held == "object" else held)
        text = spelled(with_null)
        assert text.iloc[:-1].tolist() == [str(value) for value in values]
        assert text.isna().tolist() == [False] * len(values) + [True]


@given(values=st.lists(st.floats(-1e6, 1e6).map(lambda x: round(x, 3)), min_size=1, max_size=20))
def test_decimals_are_the_same_text_in_single_and_double_precision(values):
    values = [value for value in values if abs(value) < 1000]
    double, single = pd.Series(values, dtype="float64"), pd.Series(values, dtype="float32")
    assert spelled(double).tolist() == spelled(single).tolist() == spelled(single.astype("Float32")).tolist()


ANY = st.one_of(
    WHOLE, st.floats(allow_nan=False), st.booleans(), st.text(max_size=5), st.decimals(allow_nan=False, places=2),
    st.datetimes(),
)  # fmt: skip


@given(values=st.lists(ANY, min_size=1, max_size=20))
def test_a_value_is_spelled_alone_as_among_others_of_other_types(values):
    column = pd.Series(values, dtype=object)
    assert spelled(column).tolist() == [spell(value) for value in values]
    for value in values:
        assert spelled(pd.Series([value])).tolist() == spelled(pd.Series([value], dtype=object)).tolist()


@given(values=st.lists(st.booleans() | st.none(), min_size=1, max_size=10))
def test_booleans_are_booleans_beside_nulls(values):
    for held in ("object", "boolean"):
        text = spelled(pd.Series(values, dtype=held))
        assert [None if pd.isna(t) else t for t in text] == [None if v is None else str(v) for v in values]
