"""Inputs and labels side by side, or looked up: the same rows, columns and dtypes either way."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from evergreen.core.frames import ARROW_TYPES, to_frame
from evergreen.errors import BadInputError
from evergreen.loop.features import look_back

ENTITY = "id"
TYPES = {
    "id": "string", "at": "timestamp", "origin": "string", "hour": "integer", "wind": "float", "late": "boolean",
    "delay": "float",
}  # fmt: skip


def table(frame):
    schema = pa.schema([(name, ARROW_TYPES[TYPES[name]]) for name in frame.columns])
    return pa.Table.from_pandas(frame, schema=schema, preserve_index=False)


def join(inputs, labels):
    return to_frame(look_back.join(table(inputs), table(labels), ENTITY))


@pytest.fixture
def inputs():
    return pd.DataFrame(
        {
            "id": [f"f-{n}" for n in range(6)],
            "at": pd.date_range("2024-01-01", periods=6, freq="h", tz="UTC", unit="us"),
            "origin": ["A", None, "B", "A", "B", "A"],
            "hour": pd.array([1, None, 3, 4, 5, 6], dtype="Int64"),
            "wind": [1.5, np.nan, 3.0, 4.0, 5.0, 6.0],
        }
    )


@pytest.fixture
def labels(inputs):
    late = [True, False, True, False, True, False]
    # Strings of their own, as another file gives them.
    names = [f"f-{n}" for n in range(6)]
    return pd.DataFrame({"id": names, "at": inputs["at"], "late": late, "delay": [1.0, np.nan, 3.0, 4.0, 5.0, 6.0]})


def looked_up(inputs, labels):
    return inputs.merge(labels[["id", "late", "delay"]], on="id", how="inner", validate="one_to_one")


def test_side_by_side_is_what_looking_up_gives(inputs, labels):
    found = join(inputs, labels)
    pd.testing.assert_frame_equal(found, looked_up(inputs, labels), check_exact=True)
    assert found.index.equals(pd.RangeIndex(6))


@pytest.mark.parametrize(
    "change",
    [
        lambda labels: labels.iloc[::-1],
        lambda labels: labels.iloc[[0, 2, 5]],
        lambda labels: labels.iloc[:0],
        lambda labels: labels.assign(id=[*labels["id"][:-1], "stranger"]),
        lambda labels: labels.sample(frac=1, random_state=3).set_index("at", drop=False),
    ],
)
def test_labels_in_another_order_or_number_are_looked_up(inputs, labels, change):
    changed = change(labels).rename_axis(None)
    pd.testing.assert_frame_equal(join(inputs, changed), looked_up(inputs, changed), check_exact=True)


def test_rows_out_of_order_on_both_sides_keep_the_inputs_order(inputs, labels):
    order = [3, 1, 5, 0, 4, 2]
    found = join(inputs.iloc[order], labels.iloc[order])
    pd.testing.assert_frame_equal(found, looked_up(inputs.iloc[order], labels.iloc[order]), check_exact=True)


def test_an_entity_that_stands_twice_is_refused(inputs, labels):
    twice = {"id": [*inputs["id"][:-1], "f-0"]}
    for left, right in ((inputs.assign(**twice), labels.assign(**twice)), (inputs, labels.assign(**twice))):
        with pytest.raises(BadInputError, match="id is not unique"):
            join(left, right)


def test_what_was_joined_stacks_to_what_was_looked_up(inputs, labels):
    shorter = labels.iloc[[4, 1]]
    joined = [look_back.join(table(inputs), table(some), ENTITY) for some in (labels, shorter)]
    expected = pd.concat([looked_up(inputs, labels), looked_up(inputs, shorter)], ignore_index=True)
    pd.testing.assert_frame_equal(to_frame(pa.concat_tables(joined)), expected, check_exact=True)
