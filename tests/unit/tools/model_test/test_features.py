"""Each fault that `features.py` may have is found by the test that is about it, and a sound file passes all."""

import numpy as np
import pandas as pd
import pytest

from evergreen.core.definition.load import read_definition
from evergreen.tools.model_test.feature_tests import TESTS, Subject
from evergreen.tools.model_test.result import attempt
from helpers import orders_model

KEY = "2024-01-01"
SOUND = """
import numpy as np


def build(inputs, history):
    rates = history.groupby("country")["returned"].mean() if len(history) else {}
    out = inputs.drop(columns="day")
    out["age"] = out["age"].clip(0, 120)
    out["price"] = np.log(out["price"].where(out["price"] > 0))
    out["country"] = out["country"].fillna("none")
    return out
"""
FAULTS = {
    "the same rows give the same features": """
import itertools
count = itertools.count()
def build(inputs, history):
    return inputs.assign(price=inputs["price"] + next(count) * 1e-9)
""",
    "build() does not change its arguments": """
def build(inputs, history):
    inputs.loc[inputs["price"] > 10, "price"] = 10.0
    return inputs
""",
    "a row alone gets the features of its batch": """
def build(inputs, history):
    return inputs.assign(price=inputs["price"] - inputs["price"].mean())
""",
    "the order of rows does not matter": """
def build(inputs, history):
    return inputs.assign(price=inputs["price"].diff().fillna(0.0))
""",
    "nothing later leaks into a row": """
def build(inputs, history):
    return inputs.assign(price=inputs["price"].rank(pct=True))
""",
    "gaps, extremes and unseen categories are borne": """
CODES = {"SE": 0, "FI": 1, "NO": 2}
def build(inputs, history):
    return inputs.assign(price=[CODES[c] * 1.0 for c in inputs["country"]])
""",
}


def subject(folder, features, expectations=orders_model.EXPECTATIONS):
    orders_model.write_model(folder / "orders")
    (folder / "orders" / "features.py").write_text(features)
    (folder / "orders" / "expectations.py").write_text(expectations)
    definition = read_definition(folder / "orders" / "model.yaml")
    inputs, _ = orders_model.week(0, KEY)
    before, truth = orders_model.week(1, "2023-12-25")
    return Subject(definition, KEY, inputs.head(60), before.merge(truth[["order_id", "returned"]]))


def outcomes(about):
    return {name: attempt("features", name, lambda test=test: test(about)) for name, test in TESTS}


def test_a_sound_file_passes_all(tmp_path):
    found = outcomes(subject(tmp_path, SOUND))
    assert {name: o.said for name, o in found.items() if o.state != "passed"} == {}
    assert "12 rows built alone" in found["a row alone gets the features of its batch"].said


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_by_its_own_test(tmp_path, name):
    found = outcomes(subject(tmp_path, FAULTS[name]))[name]
    assert found.state == "failed"
    assert "'price'" in found.said or "'country'" in found.said


def test_what_the_expectations_stop_cannot_break_build(tmp_path):
    """The same fault is none if a table with an unseen country never gets through."""
    name = "gaps, extremes and unseen categories are borne"
    rules = orders_model.EXPECTATIONS.replace(
        "def inputs():\n    return []",
        "def inputs():\n    import great_expectations.expectations as gxe\n"
        "    return [gxe.ExpectColumnValuesToBeInSet(column='country', value_set=['SE', 'FI', 'NO'],"
        " severity='critical'),\n        gxe.ExpectColumnValuesToNotBeNull(column='country', severity='critical'),\n"
        "        gxe.ExpectTableRowCountToBeBetween(min_value=500, severity='critical')]",
    )
    found = outcomes(subject(tmp_path, FAULTS[name], rules))[name]
    assert found.state == "passed"
    assert "2 stopped by the expectations" in found.said


def test_an_infinite_feature_is_a_fault(tmp_path):
    text = "def build(inputs, history):\n    return inputs.assign(price=1 / inputs['age'])\n"
    found = outcomes(subject(tmp_path, text))["gaps, extremes and unseen categories are borne"]
    assert found.state == "failed"
    assert "'age' 0: feature 'price' is infinite" in found.said


def test_rows_of_one_instant_have_no_future(tmp_path):
    about = subject(tmp_path, SOUND)
    once = about.inputs.assign(ordered_at=about.inputs["ordered_at"].iloc[0])
    found = outcomes(Subject(about.definition, KEY, once, about.history))["nothing later leaks into a row"]
    assert (found.state, found.said) == ("skipped", "all rows of 2024-01-01 have one ordered_at")


def test_a_mistake_in_the_file_fails_the_test_and_names_the_line(tmp_path):
    text = "def build(inputs, history):\n    return inputs.assign(price=inputs['cost'])\n"
    found = outcomes(subject(tmp_path, text))
    assert {o.state for o in found.values()} == {"failed"}
    assert "features.py:2: build() raised" in next(iter(found.values())).said
    assert "KeyError" in next(iter(found.values())).said


def test_gaps_in_truth_stay_gaps():
    from evergreen.tools.model_test.perturb import changed_after

    times = pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-03"], utc=True)
    rows = pd.DataFrame({"at": times, "gift": pd.array([True, None, False], dtype="boolean"), "n": [1.0, np.nan, 3.0]})
    changed, earlier = changed_after(rows, {"gift": "boolean", "n": "float"}, "at")
    assert earlier.tolist() == [True, True, False]
    assert changed["gift"].tolist() == [True, pd.NA, True]
    assert changed["n"].iloc[2] == -4.0


def test_truth_may_be_missing_in_every_row():
    from evergreen.tools.model_test.perturb import variants

    rows = pd.DataFrame({"gift": [True, False], "paid": pd.array([True, None], dtype="boolean")})
    found = {(name, words): frame for name, words, frame in variants(rows, {"gift": "boolean", "paid": "boolean"})}
    for name in ("gift", "paid"):
        assert found[name, "missing in every row"][name].dtype == "boolean"
        assert found[name, "missing in every row"][name].isna().all()
