"""Columns that give the target away are named, and an honest strong feature is not."""

import time

import numpy as np
import pandas as pd
import pytest

from evergreen.tools.scaffold.leaks import leaks, strength

DICE = np.random.default_rng(5)
ROWS = 2_000


def found(frame, target="y", task="regression"):
    kinds = {n: "string" if frame[n].dtype == object else "float" for n in frame if n != target}
    return [(note.columns, note.text) for note in leaks(target, task, kinds, frame)]


def noise(count=ROWS):
    return DICE.normal(size=count)


def numbers():
    a, b = DICE.uniform(1, 50, ROWS), DICE.uniform(1, 90, ROWS)
    return pd.DataFrame({"a": a, "b": b, "c": noise(), "d": noise()})


@pytest.mark.parametrize(
    ("make", "how"),
    [
        (lambda f: f.a + f.b, "a + b"),
        (lambda f: f.a - f.b, "a - b"),
        (lambda f: f.a / f.b, "a / b"),
        (lambda f: f.a * f.b, "a * b"),
        (lambda f: 3 * f.a + 0.7 * f.b, "a weighted sum of a and b"),
    ],
)
def test_two_columns_that_make_the_target_are_named(make, how):
    frame = numbers()
    frame["y"] = make(frame)
    columns, text = found(frame)[0]
    assert columns == ("a", "b")
    assert text.startswith(f"{how} gives y: are both known before?")


def test_a_difference_that_decides_a_yes_or_no_is_named():
    frame = numbers()
    frame["y"] = (frame.a - frame.b > 10).astype(float)
    assert found(frame, task="binary")[0][0] == ("a", "b")


def test_alone_in_another_unit_as_a_prediction_and_as_a_class():
    y = DICE.uniform(0, 100, ROWS)
    frame = pd.DataFrame({"cents": 100 * y, "y_pred": y + noise(), "grade": np.floor(y / 2).astype(int), "c": noise()})
    frame["grade"] = "g" + frame["grade"].astype(str)
    said = dict(found(frame.assign(y=y)))
    assert said[("cents",)].startswith("cents alone gives y: it is the same in another unit")
    assert "named like a prediction" in said[("y_pred",)]
    assert said[("grade",)].startswith("grade alone gives y (rank correlation 0.99")
    assert ("c",) not in said
    assert all(f"--later {columns[0]}" in text for columns, text in said.items())


def test_a_column_that_is_only_there_afterwards_is_named():
    y = DICE.integers(0, 2, ROWS).astype(float)
    frame = pd.DataFrame({"refund": np.where(y > 0, DICE.uniform(1, 9, ROWS), np.nan), "c": noise(), "y": y})
    assert found(frame, task="binary") == [
        (("refund",), "whether refund is there alone gives y (AUC 0.9999): known before? If not, --later refund")
    ]


def test_an_honest_strong_feature_is_not_named():
    y = DICE.integers(0, 2, ROWS).astype(float)
    x = noise() + 2.33 * y  # AUC 0.95
    assert strength(x, y, "binary") == pytest.approx(0.95, abs=0.015)
    frame = pd.DataFrame({"x": x, **{f"n{i}": noise() for i in range(30)}, "y": y})
    assert found(frame, task="binary") == []
    t = noise()
    honest = pd.DataFrame({"x": t + 0.3 * noise(), "z": t + 0.5 * noise(), "c": noise(), "y": t})
    assert found(honest) == []


def test_wide_and_long_files_take_seconds():
    wide = pd.DataFrame(DICE.normal(size=(20_000, 800)), columns=[f"c{i}" for i in range(800)])
    wide["y"] = wide["c3"] - wide["c700"]
    begun = time.process_time()
    assert found(wide)[0][0] == ("c3", "c700")
    assert time.process_time() - begun < 30, "a hang, not a slow machine"


def test_a_column_that_alone_gives_the_class_is_asked_about_and_an_honest_one_is_not():
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 3, 900)
    frame = pd.DataFrame(
        {
            "y": np.array(["a", "b", "c"], dtype=object)[kind],
            "code": np.array(["x", "z", "y"], dtype=object)[kind],
            "measured": kind * 10 + rng.normal(0, 0.1, 900),
            "honest": kind + rng.normal(0, 0.7, 900),
            "id": [f"i{n}" for n in range(900)],
            "noise": rng.normal(size=900),
        }
    )
    kinds = {"code": "string", "measured": "float", "honest": "float", "id": "string", "noise": "float"}
    notes = leaks("y", "multiclass", kinds, frame)
    assert {note.columns for note in notes} == {("code",), ("measured",)}
    assert any(
        note.text == "code alone gives y in 100.0% of rows: known before? If not, --later code" for note in notes
    )
