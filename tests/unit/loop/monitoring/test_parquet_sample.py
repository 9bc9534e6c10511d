"""A sample of a Parquet file is uniform, the same each time, and what pandas would have read."""

import io

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.stats import chisquare

from evergreen.errors import BadInputError
from evergreen.loop.monitoring import parquet_sample

ROWS = 20_000


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "row": np.arange(ROWS),
            "value": np.where(rng.random(ROWS) < 0.1, None, rng.normal(size=ROWS)).astype("float64"),
            "name": rng.choice(np.array(["a", "b", None], dtype=object), ROWS),
            "at": pd.date_range("2013-01-01", periods=ROWS, freq="min", tz="UTC"),
        }
    )


@pytest.fixture(scope="module")
def file(rows, tmp_path_factory):
    path = tmp_path_factory.mktemp("sample") / "rows.parquet"
    pq.write_table(pa.Table.from_pandas(rows), path, row_group_size=3000)
    return path


def test_it_is_rows_of_the_file_in_their_order_and_types(file, rows):
    found = parquet_sample.read_sample(file, ["name", "row", "value", "at"], 500, seed=3)
    assert len(found) == 500
    assert found["row"].is_monotonic_increasing
    expected = rows.loc[found["row"], ["name", "row", "value", "at"]].reset_index(drop=True)
    pd.testing.assert_frame_equal(found, expected)


def test_every_row_is_as_likely(file):
    drawn = np.concatenate([parquet_sample.read_sample(file, ["row"], 400, seed=s)["row"] for s in range(50)])
    assert chisquare(np.bincount(drawn // 1000, minlength=20)).pvalue > 0.001


def test_the_draw_depends_on_the_seed_alone(file):
    one, two = (parquet_sample.read_sample(file, columns, 300, seed=7) for columns in (["row"], ["value", "row"]))
    assert one["row"].tolist() == two["row"].tolist()
    assert one["row"].tolist() != parquet_sample.read_sample(file, ["row"], 300, seed=8)["row"].tolist()


def test_a_small_file_is_read_whole_from_an_open_file_too(file, rows):
    found = parquet_sample.read_sample(io.BytesIO(file.read_bytes()), list(rows.columns), ROWS)
    pd.testing.assert_frame_equal(found, rows)


def test_rows_are_found_by_their_key(file, rows):
    found = parquet_sample.read_matching(file, ["value"], "row", [5, 19_999, -1])
    assert found["value"].tolist() == rows["value"].iloc[[5, 19_999]].tolist()
    assert len(parquet_sample.read_matching(file, ["row"], "name", {"a"})) == (rows["name"] == "a").sum()


def test_rows_and_nulls_are_counted_from_the_footer(file, rows):
    assert parquet_sample.count_rows(file) == ROWS
    assert parquet_sample.count_nulls(file, ["value", "name"]) == rows[["value", "name"]].isna().sum().to_dict()


def test_what_cannot_be_read_says_why(file):
    with pytest.raises(BadInputError, match="lacks speed; it has row, value, name, at"):
        parquet_sample.read_sample(file, ["speed"], 10)
    with pytest.raises(BadInputError, match="cannot be read as Parquet"):
        parquet_sample.read_sample(io.BytesIO(b"not parquet"), ["row"], 10)
