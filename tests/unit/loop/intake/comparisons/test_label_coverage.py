"""Labels and inputs of a partition are about the same entities, or it is said how many are not."""

import hypothesis.strategies as st
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given

from evergreen.loop.intake.comparisons.label_coverage import mismatches
from evergreen.loop.intake.comparisons.past import Ids, no_past
from evergreen.loop.intake.comparisons.rules import MatchesInputs, ask

INPUTS = [f"o-{n}" for n in range(200)]


def labels(*ids, unknown=0.01, covered=0.9):
    return mismatches(
        pd.Series(ids, dtype=object), Ids(pa.array(INPUTS), "inputs of K, version 2"), "labels", "id", unknown, covered
    )


def test_labels_of_all_inputs_are_fine():
    assert labels(*INPUTS) == []


def test_a_few_unknown_labels_warn_and_many_are_critical():
    (few,) = labels(*INPUTS, "stranger")
    assert few.severity == "warning"
    assert few.sentence == "id: 1 of 201 (0.50 %) rows have an id that inputs of K, version 2 lack, such as 'stranger'"
    (many,) = labels(*INPUTS, *(f"s-{n}" for n in range(9)))
    assert (many.severity, many.count) == ("critical", 9)
    assert "(at most 1 % may)" in many.sentence
    assert many.bad is None  # it is about two tables, so no single rows are taken out


def test_labels_that_cover_too_few_inputs_warn():
    (found,) = labels(*INPUTS[:150])
    assert (found.severity, found.sentence) == (
        "warning",
        "id: 150 of 200 (75 %) inputs have a label, expected at least 90 %",
    )


def test_inputs_that_come_after_their_labels_are_told_and_never_refused():
    waiting = Ids(pa.array(["a", "b", *INPUTS[:50]]), "labels of K, version 1")
    found = mismatches(pd.Series(INPUTS, dtype=object), waiting, "inputs", "id", 0.01, 0.9)
    assert {f.severity for f in found} == {"warning"}
    assert found[0].sentence == "id: 2 of 52 (3.8 %) rows of labels of K, version 1 have an id that these inputs lack"
    assert found[0].rows == ()


@pytest.mark.parametrize(("table", "said"), [("labels", 1), ("inputs", 0)])
def test_inputs_that_are_not_accepted_are_said(shop, table, said):
    asked = ask([MatchesInputs()], no_past(shop, table, "2024-01-01"))
    assert (asked.checks, len(asked.notes)) == ((), said)


@given(st.sets(st.integers(-(2**60), 2**60), min_size=1), st.sets(st.integers(-(2**60), 2**60), min_size=1))
def test_whole_numbers_are_matched_as_sets_are(own, other):
    found = mismatches(
        pd.Series(sorted(own), dtype="Int64"), Ids(pa.chunked_array([sorted(other)]), "x"), "labels", "id", 0.0, 1.0
    )
    counts = {f.name: f.count for f in found}
    assert counts.get("labels_known", 0) == len(own - other)
    assert ("inputs_covered" in counts) == bool(other - own)
