"""Outcomes for CI, and differences said to the bit."""

import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.errors import BadInputError
from evergreen.tools.model_test.result import BrokenError, Outcome, SkipError, attempt, failures, junit
from evergreen.tools.model_test.same import difference


def fails(error):
    raise error


def test_an_outcome_says_what_its_test_found():
    assert attempt("data", "a", lambda: "all well").state == "passed"
    assert attempt("data", "a", lambda: fails(SkipError("no rows"))).state == "skipped"
    for error in (BrokenError("broken"), BadInputError("bad")):
        assert (found := attempt("data", "a", lambda error=error: fails(error))).state == "failed"
        assert found.said == str(error)


def test_a_mistake_of_this_program_is_not_the_models():
    with pytest.raises(ZeroDivisionError):
        attempt("data", "a", lambda: str(1 / 0))


def test_junit_counts_and_tells():
    outcomes = [
        Outcome("data", "a", "passed", "fine", 0.5),
        Outcome("features", "b", "failed", "x < y & \x00 ]]> \N{SNOWMAN}", 1.0),
        Outcome("model", "c", "skipped", "no labels", 0.0),
    ]
    suite = ET.fromstring(junit("orders", outcomes)).find("testsuite")
    assert {k: suite.get(k) for k in ("name", "tests", "failures", "skipped", "errors", "time")} == {
        "name": "evergreen.orders", "tests": "3", "failures": "1", "skipped": "1", "errors": "0", "time": "1.500",
    }  # fmt: skip
    cases = {case.get("name"): case for case in suite}
    assert cases["b"].get("classname") == "orders.features"
    assert cases["b"].find("failure").text == "x < y & \N{REPLACEMENT CHARACTER} ]]> \N{SNOWMAN}"
    assert cases["c"].find("skipped").get("message") == "no labels"
    assert failures(outcomes) == [outcomes[1]]


@given(st.lists(st.one_of(st.floats(allow_nan=True), st.just(float("nan"))), min_size=1, max_size=8))
def test_a_table_equals_itself_to_the_bit_and_no_other(values):
    frame = pd.DataFrame({"id": [str(n) for n in range(len(values))], "x": np.array(values, dtype=np.float64)})
    assert difference(frame, frame.copy(), ["x"], "id") is None
    other = frame.copy()
    other.loc[0, "x"] = 1.5 if np.isnan(values[0]) else np.nan
    assert difference(frame, other, ["x"], "id").startswith("feature 'x' of row '0' is ")


def test_the_smallest_difference_counts_and_is_told():
    one = pd.DataFrame({"id": ["a", "b"], "x": [0.3, 1.0], "c": ["u", None]})
    other = one.assign(x=[0.1 + 0.2, 1.0], c=["u", "v"])
    assert difference(one, other, ["x", "c"], "id") == (
        "feature 'x' of row 'a' is 0.3 and 0.30000000000000004 (1 of 2 rows differ, and so do 'c')"
    )
    assert difference(one, other, ["c"], "id") == "feature 'c' of row 'b' is missing and 'v' (1 of 2 rows differ)"
    zeros = pd.DataFrame({"id": ["a"], "x": [0.0]}), pd.DataFrame({"id": ["a"], "x": [-0.0]})
    assert difference(*zeros, ["x"], "id") is not None
