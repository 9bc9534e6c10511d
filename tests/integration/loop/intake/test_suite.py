"""Great Expectations, as the stages use it."""

import json

import great_expectations.expectations as gxe
import pandas as pd
import pytest

from evergreen.errors import DefinitionError
from evergreen.loop.intake.validation.suite import run_suite, suite_hash

pytestmark = pytest.mark.integration
FRAME = pd.DataFrame(
    {"a": [1.0, 2.0, float("nan"), 400.0], "b": ["x", "y", None, "z"], "n": pd.array([1, None, 3, 4], "Int64")}
)


def test_a_suite_that_holds():
    result = run_suite(FRAME, [gxe.ExpectColumnValuesToBeBetween(column="n", min_value=0)], "m.inputs")
    assert (result.success, result.failures, result.checked) == (True, [], 1)
    assert result.reason == "all 1 expectations hold"
    assert json.loads(result.json)["success"] is True


def test_critical_failures_come_first_and_only_they_count():
    result = run_suite(
        FRAME,
        [
            gxe.ExpectColumnValuesToNotBeNull(column="b", severity="warning"),
            gxe.ExpectColumnMeanToBeBetween(column="a", max_value=3, severity="info"),
            gxe.ExpectColumnValuesToBeBetween(column="a", max_value=100),
        ],
        "m.inputs",
    )
    assert result.success is False
    assert [failure["severity"] for failure in result.failures] == ["critical", "warning", "warning"]
    assert result.failures[0]["rows"] == [3]
    assert result.failures[0]["sentence"] == "a: 1 of 3 (33 %) values are above 100, such as 400"
    warnings = run_suite(FRAME, [gxe.ExpectColumnValuesToNotBeNull(column="b", severity="warning")], "m.inputs")
    assert warnings.success is True
    assert warnings.failures[0]["sentence"] == "b: 1 of 4 (25 %) values are missing"


def test_what_cannot_be_computed_fails_without_a_trace():
    result = run_suite(FRAME, [gxe.ExpectColumnMeanToBeBetween(column="b", min_value=0)], "m.inputs")
    assert result.success is False
    assert "could not be computed" in result.reason
    assert "Traceback" not in result.reason + result.json


def test_a_column_that_is_not_there_is_the_definitions_fault():
    with pytest.raises(DefinitionError, match=r"m\.inputs: there is no column q"):
        run_suite(FRAME, [gxe.ExpectColumnValuesToNotBeNull(column="q")], "m.inputs")
    with pytest.raises(DefinitionError, match="no column c, d"):
        run_suite(FRAME, [gxe.ExpectColumnPairValuesToBeEqual(column_A="c", column_B="d")], "m.inputs")


def test_the_hash_is_of_what_is_asked_and_not_of_notes_or_data():
    def asked(high: int, **more):
        return [gxe.ExpectColumnValuesToBeBetween(column="a", max_value=high, **more)]

    assert suite_hash(asked(1)) == suite_hash(asked(1, notes="why", meta={"by": "us"}))
    assert (
        len({suite_hash(asked(1)), suite_hash(asked(2)), suite_hash(asked(1, severity="warning")), suite_hash([])}) == 4
    )
    expectations = asked(500)
    before = suite_hash(expectations)
    assert run_suite(FRAME, expectations, "m.inputs").suite_hash == before == suite_hash(expectations)


def test_the_same_expectation_twice_is_no_trouble():
    twice = [gxe.ExpectColumnValuesToBeBetween(column="a", max_value=3) for _ in range(2)]
    assert run_suite(FRAME, twice, "m.inputs").success is False


def test_an_empty_suite_holds():
    assert run_suite(FRAME, [], "m.inputs").success is True
