"""A model's `build` is held to its contract, and the same features give the same bytes."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.load import load_definition
from evergreen.errors import BadInputError, DefinitionError
from evergreen.loop.features.compute import compute, write_parquet
from evergreen.loop.features.features_file import code_hash, load_build

SHIPPED = load_definition("nyc_flights")
GOOD = """
def build(inputs, history):
    out = inputs[["flight_id", "scheduled_departure"]].copy()
    for name in {names!r}:
        out[name] = 1
    out["carrier"] = inputs["carrier"]
    out["origin"] = None
    {extra}
    return out
"""


@pytest.fixture
def model(tmp_path):
    """Writes a features.py beside a copy of the shipped definition."""

    def write(source: str) -> ModelDefinition:
        (tmp_path / "features.py").write_text(source)
        return SHIPPED.model_copy(update={"folder": tmp_path})

    return write


def good(extra: str = "pass") -> str:
    return GOOD.format(names=SHIPPED.features.numeric, extra=extra)


def rows(count: int = 3) -> pd.DataFrame:
    times = pd.date_range("2013-03-04", periods=count, freq="h", tz="UTC").astype("datetime64[us, UTC]")
    carriers = [f"C{n}" for n in range(count)]
    return pd.DataFrame({"flight_id": carriers, "scheduled_departure": times, "carrier": carriers})


def run(definition: ModelDefinition, inputs: pd.DataFrame | None = None) -> pd.DataFrame:
    return compute(definition, rows() if inputs is None else inputs, pd.DataFrame())


def test_features_come_with_entity_and_time_and_with_the_definitions_dtypes(model):
    built = run(model(good()), rows().set_index(pd.Index([7, 3, 5])))
    assert built.columns.tolist() == ["flight_id", "scheduled_departure", *SHIPPED.features.columns]
    assert built.index.tolist() == [0, 1, 2]
    assert (built[list(SHIPPED.features.numeric)].dtypes == "float64").all()
    assert built["carrier"].tolist() == ["C0", "C1", "C2"]
    assert built["origin"].isna().all()


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        ("[1, None, 'x']", ["1", None, "x"]),
        ("['a', None, 'b']", ["a", None, "b"]),
        ("[1, 2, 3]", ["1", "2", "3"]),
        ("__import__('pandas').Categorical(['a', None, 'a'])", ["a", None, "a"]),
        ("[None, None, None]", [None, None, None]),
    ],
)
def test_categorical_features_become_text_or_null(model, made, expected, tmp_path):
    definition = model(good(f"out['carrier'] = {made}"))
    built = run(definition)
    assert [None if pd.isna(value) else value for value in built["carrier"]] == expected
    write_parquet(definition, built, tmp_path / "f.parquet")
    assert pq.read_table(tmp_path / "f.parquet")["carrier"].to_pylist() == expected


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ("return 7", "must return a pandas DataFrame"),
        ("out = out.drop(columns='distance')", "no column distance"),
        ("out = out.iloc[1:]", "2 rows for 3 rows of inputs"),
        ("out = out.iloc[::-1]", "changed the order of the rows"),
        ("out['distance'] = 'far'", "numeric feature 'distance' cannot be a float64"),
        ("out['nowhere'] + 1", "KeyError: 'nowhere'"),
    ],
)
def test_a_build_that_breaks_its_contract_is_told_what_is_wrong_and_where(model, extra, said):
    definition = model(good(extra))
    with pytest.raises(BadInputError, match=said) as caught:
        run(definition)
    assert str(definition.folder / "features.py") in str(caught.value)


def test_an_error_in_features_py_names_its_line(model):
    with pytest.raises(BadInputError, match=r"features\.py:8: build\(\) raised ZeroDivisionError"):
        run(model(good("1 / 0")))
    with pytest.raises(DefinitionError, match=r"features\.py:2: cannot be imported"):
        load_build(model("import os\nimport nothing_like_it\n"))
    with pytest.raises(DefinitionError, match=r"features\.py:1: cannot be imported: SyntaxError"):
        load_build(model("def build(:\n"))


def test_a_model_without_a_build_function_is_refused(model):
    with pytest.raises(DefinitionError, match="no function build"):
        load_build(model("x = 1\n"))
    definition = model("x = 1\n")
    (definition.folder / "features.py").unlink()
    with pytest.raises(DefinitionError, match="is missing"):
        code_hash(definition)


def test_a_build_cannot_reach_the_callers_frames_through_new_columns(model):
    inputs = rows()
    run(model(good("inputs['carrier'] = 'X'")), inputs)
    assert inputs["carrier"].tolist() == ["C0", "C1", "C2"]


def test_the_code_hash_covers_the_file_and_the_features_section(model):
    definition = model(good())
    first = code_hash(definition)
    assert code_hash(model(good())) == first
    section = definition.features.model_copy(update={"look_back": 2})
    assert code_hash(definition.model_copy(update={"features": section})) != first
    tables = definition.feed.model_copy(update={"event_time": "landed"})
    assert code_hash(definition.model_copy(update={"feed": tables})) != first
    assert code_hash(definition.model_copy(update={"owner": "another team"})) == first
    assert code_hash(model(good() + "\n# another byte\n")) != first


def parquet(definition: ModelDefinition, frame: pd.DataFrame, path: Path) -> str:
    write_parquet(definition, frame, path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_same_features_give_the_same_bytes(model, tmp_path):
    definition = model(good("out['distance'] = [0.1, float('nan'), 3e300]"))
    assert parquet(definition, run(definition), tmp_path / "1") == parquet(definition, run(definition), tmp_path / "2")


def test_the_schema_does_not_depend_on_the_values(model, tmp_path):
    definition = model(good("out['distance'] = float('nan'); out['carrier'] = None"))
    parquet(definition, run(definition), tmp_path / "nulls")
    parquet(definition, run(model(good())), tmp_path / "values")
    assert pq.read_schema(tmp_path / "nulls").equals(pq.read_schema(tmp_path / "values"))
    assert pq.read_schema(tmp_path / "values").metadata is None


def test_what_is_written_is_what_is_read(model, tmp_path):
    definition = model(good("out['distance'] = [0.1, float('nan'), -1e-300]"))
    frame = run(definition)
    write_parquet(definition, frame, tmp_path / "file")
    back = pq.read_table(tmp_path / "file").to_pandas()
    assert np.array_equal(back["distance"], frame["distance"], equal_nan=True)
    assert back["scheduled_departure"].dtype == "datetime64[us, UTC]"
    assert back["origin"].tolist() == [None, None, None]
