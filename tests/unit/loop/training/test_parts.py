"""Losses, conversion of frames, calibration, provenance and the choice of partitions."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.errors import BadInputError, NotReadyError
from evergreen.loop.training.assemble import choose
from evergreen.loop.training.diagnostics import calibration_curve, calibration_error, metrics
from evergreen.loop.training.losses import best_constant, mean_loss, row_losses
from evergreen.loop.training.model_matrix import model_frame, target_values
from evergreen.loop.training.provenance import code_hash, hash_json, lock_hash
from helpers.synthetic_examples import definition, examples


def test_losses_are_what_their_names_say():
    target, prediction = np.array([1.0, 0.0]), np.array([0.8, 0.4])
    assert row_losses("brier", target, prediction) == pytest.approx([0.04, 0.16])
    assert row_losses("log_loss", target, prediction) == pytest.approx([-np.log(0.8), -np.log(0.6)])
    assert row_losses("absolute_error", target, prediction) == pytest.approx([0.2, 0.4])
    assert mean_loss("squared_error", target, prediction) == pytest.approx(0.1)
    assert np.isfinite(row_losses("log_loss", target, np.array([0.0, 1.0]))).all()
    with pytest.raises(ValueError, match="do not pair"):
        row_losses("brier", target, prediction[:1])


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=50), st.floats(-1e3, 1e3))
def test_no_constant_beats_the_best_constant(values, other):
    target = np.array(values)
    for loss in ("squared_error", "absolute_error"):
        best = np.full(len(target), best_constant(loss, target))
        assert mean_loss(loss, target, best) <= mean_loss(loss, target, np.full(len(target), other)) + 1e-6


def test_frames_become_floats_and_text():
    frame = pd.DataFrame(
        {
            "n": pd.array([1, None], dtype="Int64"),
            "b": pd.array([True, None], dtype="boolean"),
            "f": [np.inf, 2.0],
            "c": ["x", None],
            "i": [3, 4],
        }
    )
    found = model_frame(frame, ["n", "b", "f"], ["c", "i"])
    assert found[["n", "b", "f"]].dtypes.eq("float64").all()
    assert np.isnan(found.loc[1, "n"])
    assert np.isnan(found.loc[0, "f"])
    assert found["i"].tolist() == ["3", "4"]
    assert found["c"].isna().tolist() == [False, True]
    with pytest.raises(BadInputError, match="features z, which the frame lacks"):
        model_frame(frame, ["z"], [])
    with pytest.raises(BadInputError, match="numeric column 'c' holds something that is no number"):
        model_frame(frame, ["c"], [])


@pytest.mark.parametrize("values", [["x", None, "y", "x"], [3, 1, 3, 2], [1.5, np.nan, 2.0, 1.5], [None, None], []])
def test_codes_of_categories_become_the_text_that_values_become(values):
    plain = pd.DataFrame({"c": pd.Series(values, dtype="object")}, index=range(5, 5 + len(values)))
    found = model_frame(plain.astype("category"), [], ["c"])
    pd.testing.assert_frame_equal(found, model_frame(plain, [], ["c"]), check_exact=True)
    assert all(isinstance(v, str) or np.isnan(v) for v in found["c"])


def test_converting_leaves_the_frame_as_it_was():
    frame = pd.DataFrame({"f": [np.inf, 2.0], "c": ["x", None], "g": [1.0, 2.0]})
    before = frame.copy(deep=True)
    found = model_frame(frame, ["f", "g"], ["c"])
    found.loc[0, ["f", "g"]] = 7.0
    pd.testing.assert_frame_equal(frame, before)


def test_a_binary_target_is_true_or_false():
    assert target_values(definition(), pd.Series([True, False])).tolist() == [1.0, 0.0]
    with pytest.raises(BadInputError, match=r"target 'y' of a binary task holds 2\.0"):
        target_values(definition(), pd.Series([0, 1, 2]))
    assert target_values(definition("regression"), pd.Series([2, 5])).tolist() == [2.0, 5.0]


def test_calibration_error_is_the_gap():
    rng = np.random.default_rng(0)
    probability = rng.uniform(0, 0.8, 50_000)
    target = (rng.random(50_000) < probability).astype(float)
    assert calibration_error(target, probability) < 0.01
    assert calibration_error(target, probability + 0.1) == pytest.approx(0.1, abs=0.01)
    assert sum(b.rows for b in calibration_curve(target, probability)) == 50_000
    assert calibration_error(target[:0], probability[:0]) == 0.0


def test_metrics_leave_out_what_one_class_cannot_give():
    assert "roc_auc" not in metrics("binary", np.ones(5), np.full(5, 0.5))
    assert metrics("binary", np.array([0.0, 1.0]), np.array([0.1, 0.9]))["roc_auc"] == 1.0
    assert metrics("regression", np.array([0.0, 1.0]), np.array([0.0, 1.0]))["r2"] == 1.0


def test_hashes_name_what_they_are_of(tmp_path):
    assert hash_json({"a": 1, "b": 2}) == hash_json({"b": 2, "a": 1}) != hash_json({"a": 1, "b": 3})
    (tmp_path / "features.py").write_text("def build(inputs, history): ...")
    rule = definition().model_copy(update={"folder": tmp_path})
    before = code_hash(rule)
    assert before == code_hash(rule)
    assert before != code_hash(definition(seed=1).model_copy(update={"folder": tmp_path}))
    (tmp_path / "features.py").write_text("def build(inputs, history): pass")
    assert before != code_hash(rule)
    assert len(lock_hash()) == 64


@dataclass
class Week:
    key: str
    rows: int = 1000


@given(st.integers(0, 30))
def test_the_newest_partitions_are_held_out_and_the_window_lies_before(count):
    rule = definition(window=8, min_rows=2000)
    weeks = [Week(f"{n:03}") for n in range(count)]
    if count < 4:
        with pytest.raises(NotReadyError, match=f"{count} have features and labels"):
            choose(rule, weeks, None)
        return
    train, holdout = choose(rule, weeks, None)
    assert holdout == weeks[-2:]
    assert train == weeks[:-2][-8:]


def test_too_few_rows_are_not_trained_on():
    with pytest.raises(NotReadyError, match=r"through 003: .*20 rows of them to train on.*1,000 rows are needed"):
        choose(definition(), [Week(f"{n:03}", 10) for n in range(4)], "003")


def test_rows_of_some_partitions_are_the_same_whether_they_stand_together_or_not():
    rows = examples()
    keys = sorted(set(rows.key))
    for chosen in (keys[1:3], [keys[0], keys[3]], []):
        found, copied = rows.of_keys(chosen), rows.take(np.flatnonzero(np.isin(rows.key, chosen)))
        for name in ("features", "extra"):
            pd.testing.assert_frame_equal(getattr(found, name), getattr(copied, name))
        pd.testing.assert_series_equal(found.event_time, copied.event_time)
        for name in ("target", "key", "cluster", "entity"):
            assert getattr(found, name).tolist() == getattr(copied, name).tolist()
    assert np.shares_memory(rows.of_keys(keys[1:3]).target, rows.target)
    assert list(rows.features.index) == list(range(len(rows)))


def test_the_team_s_file_belongs_to_the_code_where_it_is_used(tmp_path):
    (tmp_path / "features.py").write_text("def build(inputs, history): ...")
    (tmp_path / "candidates.py").write_text("one")
    own, built_in = (
        definition(candidates=names).model_copy(update={"folder": tmp_path}) for names in (("own",), ("linear",))
    )
    before = code_hash(own), code_hash(built_in)
    (tmp_path / "candidates.py").write_text("another")
    assert code_hash(own) != before[0]
    assert code_hash(built_in) == before[1]
