"""Rows that an earlier definition accepted, read with the columns that there are now."""

import pyarrow as pa
import pytest

from evergreen.core.frames import conform
from evergreen.errors import BadInputError

TABLE = pa.table({"id": pa.array(["a", "b"]), "price": pa.array([1.0, 2.0]), "store": pa.array([1, None], pa.int64())})


def test_a_table_that_has_the_columns_is_returned_as_it_is():
    assert conform(TABLE, {"id": "string", "price": "float", "store": "integer"}) is TABLE


def test_what_came_later_is_null_and_what_is_gone_is_dropped():
    kinds = {"n": "integer", "x": "float", "s": "string", "b": "boolean", "t": "timestamp"}
    found = conform(TABLE, {"price": "float", **kinds, "id": "string"})
    assert found.column_names == ["price", *kinds, "id"]
    assert all(found.column(name).null_count == 2 for name in kinds)
    assert found.column("id").to_pylist() == ["a", "b"]


def test_a_renamed_column_is_found_under_its_earlier_names_in_order():
    assert conform(TABLE, {"cost": "float"}, {"cost": ("amount", "price")}).column("cost").to_pylist() == [1.0, 2.0]
    assert conform(TABLE, {"price": "float"}, {"price": ("store",)}).column("price").to_pylist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("values", "kind", "read"),
    [
        (pa.array([1, None]), "float", [1.0, None]),
        (pa.array([1.0, 2.0]), "integer", [1, 2]),
        (pa.array([True, False]), "integer", [1, 0]),
        (pa.array([20, None]), "string", ["20", None]),
        (pa.array(["a"], pa.large_string()), "string", ["a"]),
        (pa.nulls(2), "float", [None, None]),
        (pa.array([0, 1, None]), "boolean", [False, True, None]),
        (pa.array([0.0, 1.0]), "boolean", [False, True]),
        (pa.nulls(2), "boolean", [None, None]),
    ],
)
def test_a_type_is_widened_if_nothing_is_lost(values, kind, read):
    assert conform(pa.table({"x": values}), {"x": kind}).column("x").to_pylist() == read


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (pa.array([1.5]), "integer"), (pa.array(["1"]), "integer"), (pa.array([1.5]), "string"),
        (pa.array(["true"]), "boolean"), (pa.array([1]), "timestamp"), (pa.array([2**53 + 1]), "float"),
        (pa.array([0, 2]), "boolean"), (pa.array([0.5]), "boolean"),
    ],
)  # fmt: skip
def test_another_type_is_refused_in_a_sentence_that_names_the_column(values, kind):
    with pytest.raises(BadInputError, match=r"column x: .*give the new type another column"):
        conform(pa.table({"x": values}), {"x": kind})
