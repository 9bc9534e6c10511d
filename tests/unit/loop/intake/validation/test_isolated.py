"""Judging that comes to no end: a verdict in words, in the time that it was given, and which rule it was."""

import json
import time
from dataclasses import replace

import great_expectations.expectations as gxe
import numpy as np
import pandas as pd
import pytest

from evergreen.core.definition import load_definition
from evergreen.core.frames import to_parquet
from evergreen.errors import DefinitionError, EvergreenError
from evergreen.loop.intake.limits import LIMITS
from evergreen.loop.intake.validation import judge as judging
from evergreen.loop.intake.validation.judge import judge

KEY = "2013-01-07"
QUICK = replace(LIMITS, judge_seconds=3)
HOSTILE = "a" * 40 + "!"
BACKTRACKS = gxe.ExpectColumnValuesToMatchRegex(column="flight_id", regex="^(a+)+$")
HARMLESS = [
    gxe.ExpectColumnValuesToNotBeNull(column="flight_id"),
    gxe.ExpectColumnValuesToBeBetween(column="arrival_delay", min_value=-100, max_value=2000),
]


@pytest.fixture
def definition():
    return load_definition("nyc_flights")


@pytest.fixture
def labels(definition):
    """The file of a hundred labels; a flight_id may be given."""

    def made(first="F0"):
        ids = [first, *(f"F{n}" for n in range(1, 100))]
        frame = pd.DataFrame(
            {
                "flight_id": ids,
                "scheduled_departure": pd.date_range(KEY, periods=100, freq="h", tz="UTC").as_unit("us"),
                "late": np.arange(100) % 3 == 0,
                "cancelled": False,
                "arrival_delay": np.where(np.arange(100) % 10, np.arange(100.0), np.nan),
            }
        )
        return to_parquet(frame, definition.feed.tables["labels"].columns), frame

    return made


def ask(definition, data, expectations, limits=QUICK):
    return judge(data, "parquet", definition, "labels", KEY, expectations, limits)


def test_an_expression_that_backtracks_is_named_and_quarantines(definition, labels):
    begun = time.process_time()
    said = ask(definition, labels(HOSTILE)[0], [*HARMLESS, BACKTRACKS])
    assert (said.accepted, said.frame) == (False, None)
    assert said.reason == (
        "the expectation ExpectColumnValuesToMatchRegex on flight_id ('^(a+)+$') did not finish within 3 seconds "
        "of processor time on the 100 rows of this drop"
    )
    assert (said.failures[0].name, said.failures[0].column) == ("time", "flight_id")
    assert time.process_time() - begun < 3, "the task itself did nothing meanwhile"
    assert ask(definition, labels()[0], HARMLESS).accepted


class TakesAll(gxe.ExpectColumnValuesToNotBeNull):
    """A team's own rule that builds something huge."""

    def _validate(self, *args, **kwargs):
        np.ones(1 << 32, dtype="float64")
        raise AssertionError("it has all that memory")


def test_an_expectation_that_takes_all_memory_is_named_and_quarantines(definition, labels):
    said = ask(definition, labels()[0], [*HARMLESS, TakesAll(column="late")])
    assert not said.accepted
    assert said.reason.startswith("late: takes all could not be computed (Unable to allocate 32.0 GiB")


def test_a_conversion_that_comes_to_no_end_is_named(definition, labels, monkeypatch):
    def spin(*_, **__):
        while True:
            pass

    monkeypatch.setitem(judging.to_frame.__globals__["CONVERTERS"], "float", spin)
    said = ask(definition, labels()[0], HARMLESS)
    assert said.reason.startswith("converting arrival_delay to float did not finish within 3 seconds")
    assert said.failures[0].column == "arrival_delay"


def test_what_is_said_comes_back_as_it_was(definition, labels):
    data, frame = labels()
    wrong = gxe.ExpectColumnValuesToBeBetween(column="arrival_delay", max_value=50)
    said = ask(definition, data, [*HARMLESS, wrong])
    assert not said.accepted
    assert said.failures[0].rows == (51, 52, 53, 54, 55)
    assert said.failures[0].rule == "arrival_delay: values are above 50"
    assert said.suite.checked == 3
    assert len(json.loads(said.suite.json)["results"]) == 3
    frame["flight_id"] = frame["flight_id"].astype(object)
    pd.testing.assert_frame_equal(said.frame, frame, check_index_type=True)

    table = definition.feed.tables["labels"].model_copy(update={"max_bad_rows": 0.5})
    feed = definition.feed.model_copy(update={"tables": {**definition.feed.tables, "labels": table}})
    said = ask(definition.model_copy(update={"feed": feed}), data, [*HARMLESS, wrong])
    assert (said.accepted, said.rows, said.rows_rejected) == (True, 100, len(said.rejected))
    assert set(said.rejected["evergreen_reason"].to_pylist()) == {"arrival_delay: values are above 50"}


def test_a_mistake_in_a_rule_is_no_verdict(definition, labels, monkeypatch):
    with pytest.raises(DefinitionError, match="there is no column height"):
        ask(definition, labels()[0], [gxe.ExpectColumnValuesToNotBeNull(column="height")])

    def mistaken(*_):
        raise KeyError("day")

    monkeypatch.setattr(judging, "check_structure", mistaken)
    with pytest.raises(EvergreenError, match=r"judging the rows failed: KeyError\('day'\)") as caught:
        ask(definition, labels()[0], HARMLESS)
    assert "in mistaken" in caught.value.__notes__[0]
