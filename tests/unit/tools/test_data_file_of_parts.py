"""A file of a model's past may be a folder of part files, or a table of a lake."""

import datetime as dt
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from evergreen.cli import app
from evergreen.errors import BadInputError
from evergreen.tools.data_file import DataFile
from helpers.drops import write_parts


def week(number, rows=60):
    start, draw = dt.datetime(2024, 1, 1, tzinfo=dt.UTC) + dt.timedelta(weeks=number), np.random.default_rng(number)
    return pd.DataFrame(
        {
            "order_id": [f"{number}-{row}" for row in range(rows)],
            "ordered_at": pd.date_range(start, periods=rows, freq="2h").as_unit("us"),
            "items": draw.integers(1, 9, rows).astype("int32"),
            "price": draw.normal(20, 4, rows).round(2),
            "returned": draw.random(rows) < 0.3,
        }
    )


def test_columns_are_matched_by_name_and_widened(tmp_path):
    later = week(1).assign(items=lambda f: f["items"].astype("int64") + 2**40, note="x")
    write_parts(tmp_path / "past", [week(0), later[later.columns[::-1]]])
    file = DataFile(tmp_path / "past")
    assert file.types() == {
        "order_id": "string", "ordered_at": "timestamp", "items": "integer", "price": "float", "returned": "boolean",
        "note": "string",
    }  # fmt: skip
    assert file.table.num_rows == 120
    assert file.table.column("items").to_pylist()[60:] == later["items"].tolist()
    assert file.table.column("note").null_count == 60


def test_a_column_whose_type_nothing_holds_is_left_out(tmp_path):
    write_parts(tmp_path / "past", [week(0).assign(code=1), week(1).assign(code="A")])
    file = DataFile(tmp_path / "past")
    assert "code" not in file.table.column_names
    assert "differs from part file to part file" in file.left_out["code"]


def test_a_damaged_part_is_named(tmp_path):
    write_parts(tmp_path / "past", [week(0), week(1)])
    (tmp_path / "past" / "part-00001.parquet").write_bytes(b"PAR1")
    with pytest.raises(BadInputError, match=r"part-00001.parquet: the Parquet file is cut off"):
        DataFile(tmp_path / "past")


@pytest.mark.parametrize("kind", ["parts", "csv", "delta"])
def test_from_a_folder_to_a_model_whose_drops_are_accepted(tmp_path, monkeypatch, kind):
    monkeypatch.setenv("EVERGREEN_MODELS_DIR", str(tmp_path / "models"))
    past, weeks = tmp_path / "past", [week(number) for number in range(4)]
    if kind == "delta":
        from deltalake import write_deltalake

        for one in weeks:
            write_deltalake(str(past), pa.Table.from_pandas(one, preserve_index=False), mode="append")
    else:
        write_parts(past, weeks, name="part-{:05d}." + ("csv" if kind == "csv" else "parquet"))

    def run(*arguments):
        found = CliRunner().invoke(app, [*map(str, arguments)])
        assert found.exit_code == 0, found.output
        return found.output

    given = ("--target", "returned", "--time", "ordered_at", "--id", "order_id", "--period", "week", "--yes")
    run("new", "shop", "--data", past, *given)
    run("feed", "land", "shop", "--data", past, "--to", tmp_path / "landing", "--with-labels")
    landed = tmp_path / "landing" / "shop" / "2024-01-08"
    write_parts(landed / "inputs", [pd.read_parquet(landed / "inputs.parquet").iloc[::2], week(1).iloc[1::2]])
    (landed / "inputs.parquet").unlink()
    checked = json.loads(run("check", "shop", tmp_path / "landing" / "shop", "--json"))
    assert checked["accepted"], checked
    assert any(table["file"].endswith("2024-01-08/inputs") for table in checked["tables"])
