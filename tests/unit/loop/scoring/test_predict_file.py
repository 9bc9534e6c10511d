"""Predicting a file slice by slice gives, to the bit, what predicting its frame at once gives."""

import io

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from evergreen.errors import BadInputError
from evergreen.loop.features.compute import write_parquet
from evergreen.loop.scoring.predict_file import predict_file, read_slices
from evergreen.loop.training.estimators.built_in import START
from evergreen.loop.training.examples import concatenate
from evergreen.loop.training.learn import fit_pipeline
from evergreen.loop.training.model_files import CHUNK_ROWS, Predictor
from evergreen.loop.training.search import Trial
from evergreen.tools.backtest.synthetic_streams import stream, stream_definition

pytestmark = pytest.mark.xdist_group("slices")  # one worker fits the models, not each

DEFINITION = stream_definition()
COLUMNS = list(DEFINITION.features.columns)


@pytest.fixture(scope="module")
def weeks():
    return stream("stationary", 1, partitions=4, rows=500, definition=DEFINITION).partitions


@pytest.fixture(scope="module", params=["linear", "boosted"])
def predictor(request, weeks):
    trial = Trial(request.param, 0, START[request.param], 0.0, [])
    return Predictor(fit_pipeline(DEFINITION, trial, concatenate([w.examples for w in weeks])), 1)


@pytest.fixture(scope="module")
def frame(weeks):
    """A partition's features with nulls and a category that training never saw."""
    rows = weeks[0].examples
    made = rows.features.assign(id=rows.entity, at=rows.event_time)
    made.loc[3:7, "c"] = None
    made.loc[8:9, "c"] = "never seen"
    made.loc[5:6, "x"] = np.nan
    return made


def at_once(frame, predictor):
    """The predictions of a frame and their file, as pandas writes it."""
    found = frame[["id", "at"]].assign(prediction=predictor.predict(frame[COLUMNS]))
    buffer = io.BytesIO()
    found.to_parquet(buffer, index=False, compression="zstd")
    return found, buffer.getvalue()


def test_a_partition_of_one_slice_gives_the_same_bytes(frame, predictor, tmp_path):
    write_parquet(DEFINITION, frame, tmp_path / "f.parquet")
    found = predict_file(DEFINITION, predictor, tmp_path / "f.parquet")
    expected, data = at_once(pd.read_parquet(tmp_path / "f.parquet"), predictor)
    assert found.values.tobytes() == expected["prediction"].to_numpy().tobytes()
    assert found.parquet == data


@pytest.fixture(scope="module")
def whole(frame, predictor, tmp_path_factory):
    """A file of more rows than two slices have, and its predictions, made at once."""
    many = frame.iloc[np.arange(2 * CHUNK_ROWS + 33) % len(frame)].reset_index(drop=True)
    path = tmp_path_factory.mktemp("whole") / "whole.parquet"
    write_parquet(DEFINITION, many, path)
    return path, at_once(many, predictor)[0]


@pytest.mark.slow
@pytest.mark.parametrize("group", [70_001, CHUNK_ROWS, 2**20])
def test_neither_slices_nor_row_groups_change_a_prediction(whole, predictor, group, tmp_path):
    source, expected = whole
    path = tmp_path / "grouped.parquet"
    pq.write_table(pq.read_table(source), path, row_group_size=group)
    found = predict_file(DEFINITION, predictor, path)
    assert found.values.tobytes() == expected["prediction"].to_numpy().tobytes()
    pd.testing.assert_frame_equal(pd.read_parquet(io.BytesIO(found.parquet)), expected, check_exact=True)


def test_slices_are_of_one_size_whatever_the_row_groups(frame, tmp_path):
    many = frame.iloc[np.arange(CHUNK_ROWS + 5) % len(frame)]
    write_parquet(DEFINITION, many, tmp_path / "f.parquet")
    pq.write_table(pq.read_table(tmp_path / "f.parquet"), tmp_path / "g.parquet", row_group_size=30_011)
    with pq.ParquetFile(tmp_path / "g.parquet", read_dictionary=["c"]) as file:
        tables = list(read_slices(file, ["id", "c"]))
    assert [len(table) for table in tables] == [CHUNK_ROWS, 5]
    assert [v for table in tables for v in table["c"].to_pylist()] == many["c"].tolist()


def test_a_partition_without_rows_gives_a_file_without_rows(frame, predictor, tmp_path):
    write_parquet(DEFINITION, frame.iloc[:0], tmp_path / "f.parquet")
    found = predict_file(DEFINITION, predictor, tmp_path / "f.parquet")
    assert found.values.shape == (0,)
    back = pd.read_parquet(io.BytesIO(found.parquet))
    assert back.columns.tolist() == ["id", "at", "prediction"]
    assert len(back) == 0


def test_a_feature_that_the_file_lacks_is_named(frame, predictor, tmp_path):
    frame.drop(columns="z").to_parquet(tmp_path / "f.parquet", index=False)
    with pytest.raises(BadInputError, match="reads the features z, which the frame lacks"):
        predict_file(DEFINITION, predictor, tmp_path / "f.parquet")


def test_an_entity_may_be_a_feature_too(frame, predictor, tmp_path):
    definition = DEFINITION.model_copy(update={"feed": DEFINITION.feed.model_copy(update={"entity": "c"})})
    write_parquet(DEFINITION, frame, tmp_path / "f.parquet")
    found = predict_file(definition, predictor, tmp_path / "f.parquet")
    assert found.values.tobytes() == predictor.predict(frame[COLUMNS]).tobytes()
    assert pd.read_parquet(io.BytesIO(found.parquet))["c"].isna().sum() == 5
