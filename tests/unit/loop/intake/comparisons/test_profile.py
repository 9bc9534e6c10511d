import hypothesis.strategies as st
import pandas as pd
from hypothesis import given

from evergreen.core.frames import to_frame, to_table
from evergreen.loop.intake.comparisons.profile import ColumnProfile, Profile, profile
from helpers.small_shop import COLUMNS


def test_a_profile_holds_each_column_in_a_few_numbers(orders):
    found = profile(orders, COLUMNS)
    assert found.rows == 6
    assert found.columns["ordered_at"] == ColumnProfile(0.0)
    assert found.columns["country"].nulls == 1 / 6
    assert found.columns["country"].shares == {"SE": 0.4, "DÄ": 0.2, "FI": 0.2, "NO": 0.2}
    assert found.columns["gift"].true == 0.5
    items = found.columns["items"]
    assert (items.low, items.quantiles[2], items.nulls) == (-6, 2, 1 / 6)


def test_columns_of_many_or_of_long_values_keep_no_shares():
    frame = pd.DataFrame({"many": [f"v{n}" for n in range(201)], "long": ["x" * 101] * 201, "none": [None] * 201})
    found = profile(frame, {"many": "string", "long": "string", "none": "string"}).columns
    assert [found[name].shares for name in frame] == [None, None, None]
    assert found["none"].nulls == 1


def test_accepted_rows_have_the_same_profile_when_they_are_read_back(orders):
    assert profile(to_frame(to_table(orders, COLUMNS)), COLUMNS) == profile(orders, COLUMNS)


def test_of_personal_columns_it_holds_how_many_are_missing_and_nothing_else(orders):
    found = profile(orders, COLUMNS, personal=["country", "items"])
    assert found.columns["country"] == ColumnProfile(1 / 6)
    assert "SE" not in found.to_json()


ROWS = st.lists(
    st.tuples(st.none() | st.text(max_size=3), st.none() | st.floats(allow_nan=False, allow_infinity=False)), max_size=9
)


@given(ROWS)
def test_a_profile_survives_being_written_down_and_does_not_depend_on_the_order_of_rows(rows):
    frame = pd.DataFrame(rows, columns=["text", "number"]).astype({"text": object, "number": "float64"})
    kinds = {"text": "string", "number": "float"}
    found = profile(frame, kinds)
    assert Profile.from_json(found.to_json()).to_json() == found.to_json()
    backwards = profile(frame[::-1].reset_index(drop=True), kinds)
    assert backwards.columns["text"] == found.columns["text"]
    assert backwards.columns["number"].quantiles == found.columns["number"].quantiles
