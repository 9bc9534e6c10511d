"""What is quoted from a file cannot hide or break anything, and says how much is wrong."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.core.text import plain, quoted, share
from evergreen.loop.intake.failures import breach, reason, unfit
from evergreen.loop.intake.reading.file_types import contents
from evergreen.loop.intake.validation.sentences import failure, impossible


@given(st.text(alphabet=st.characters()))
def test_whatever_is_quoted_is_printable_and_short(text):
    shown = plain(text)
    assert shown.isprintable() or not shown
    assert len(shown) <= 60 * 10 + 3
    shown.encode("utf-8")


@pytest.mark.parametrize(
    ("count", "total", "words"),
    [
        (0, 10, "0 of 10 (0 %)"),
        (27, 6114, "27 of 6,114 (0.44 %)"),
        (1, 6114, "1 of 6,114 (0.016 %)"),
        (6113, 6114, "6,113 of 6,114 (over 99 %)"),
        (6114, 6114, "6,114 of 6,114 (100 %)"),
        (1, 10_000_000, "1 of 10,000,000 (0.000010 %)"),
        (0, 0, "0 of 0 (0 %)"),
    ],
)
def test_a_share_never_rounds_a_fault_away(count, total, words):
    assert share(count, total) == words


def test_samples_are_distinct_and_few():
    found = breach(
        "r", "c", "are odd", rows=list(range(50)), total=50, expected="even", sample=[1, 1, 2, 3, 4, 5, 6, 7]
    )
    assert found.sample == ("1", "2", "3", "4", "5")
    assert found.rows == (0, 1, 2, 3, 4)
    assert found.sentence == "c: 50 of 50 (100 %) rows are odd, such as 1, 2, 3, 4, 5"
    json.dumps(found.to_json())


def test_a_reason_names_the_first_four():
    assert reason([unfit("a", letter) for letter in "abcdef"]) == "a; b; c; d; and 2 more"
    assert reason([]) == ""


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_a_missing_value_is_a_word(missing):
    assert quoted(missing) == "missing"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"<!DOCTYPE html><p>", "a web page or XML"),
        (b'[{"a": 1}]', "JSON"),
        (b"a,b\r\n1,2", "plain text"),
        (b"\x1f\x8b\x08\x00", "a gzip archive"),
        (b"\x01\x02\xfe", "of no known kind"),
        (b"", "of no known kind"),
    ],
)
def test_what_a_file_seems_to_be(data, words):
    assert contents(data) == words


def config(kind: str, **kwargs) -> dict:
    return {"type": f"expect_{kind}", "kwargs": kwargs}


@pytest.mark.parametrize(
    ("asked", "result", "words"),
    [
        (
            config("column_values_to_be_between", column="price", min_value=0, max_value=1e5),
            {"element_count": 110, "missing_count": 10, "unexpected_count": 2, "partial_unexpected_list": [-1.0, -1.0]},
            "price: 2 of 100 (2.0 %) values lie outside 0 to 100,000, such as -1",
        ),
        (
            config("column_values_to_be_between", column="price", min_value=0),
            {"element_count": 100, "missing_count": 0, "unexpected_count": 1, "partial_unexpected_list": [-1.0]},
            "price: 1 of 100 (1.0 %) values are below 0, such as -1",
        ),
        (
            config("column_values_to_not_be_null", column="price", mostly=0.9),
            {"element_count": 100, "unexpected_count": 50, "partial_unexpected_list": [None]},
            "price: 50 of 100 (50 %) values are missing; at most 10 % may",
        ),
        (
            config("column_values_to_be_in_set", column="country", value_set=["SE", "FI"]),
            {"element_count": 9, "missing_count": 0, "unexpected_count": 9, "partial_unexpected_list": ["<b>"]},
            "country: 9 of 9 (100 %) values are not one of 'SE', 'FI', such as '<b>'",
        ),
        (
            config("table_row_count_to_be_between", min_value=5000, max_value=8500),
            {"observed_value": 3057},
            "the number of rows is 3,057, expected 5,000 to 8,500",
        ),
        (
            config("column_mean_to_be_between", column="price", max_value=3),
            {"observed_value": None},
            "price: the mean is missing, expected at most 3",
        ),
        (
            config("column_distinct_values_to_equal_set", column="origin", value_set=["EWR", "JFK"]),
            {"observed_value": None, "partial_unexpected_list": ["XXX"], "partial_missing_list": ["JFK"]},
            "origin: has the unexpected values 'XXX' and lacks the values 'JFK'",
        ),
        (
            config("column_pair_cramers_phi_value_to_be_less_than", column_A="a", column_B="b", threshold=0.1),
            {"observed_value": 0.4},
            "a, b: column pair cramers phi value to be less than: found 0.4, expected threshold 0.1",
        ),
        (
            config("column_kl_divergence_to_be_less_than", column="country", threshold=0.1),
            {
                "observed_value": 0.4,
                "details": {
                    "observed_partition": {"values": ["SE", "<b>"], "weights": [0.5, 0.5]},
                    "expected_partition": {"values": ["SE", "<b>"], "weights": [0.995, 0.005]},
                },
            },
            "country: the shares of the values have moved: 'SE' 50 % (was 99.5 %), '<b>' 50 % (was 0.5 %); "
            "divergence 0.4, expected at most 0.1",
        ),
        (
            config("column_kl_divergence_to_be_less_than", column="country", threshold=0.1),
            {"observed_value": None, "details": {}},
            "country: there are no values whose shares could be compared",
        ),
        (
            config(
                "column_quantile_values_to_be_between",
                column="price",
                quantile_ranges={"quantiles": [0.05, 0.5, 0.95], "value_ranges": [[0, 1], [2, 3], [4, 5]]},
            ),
            {
                "observed_value": {"quantiles": [0.05, 0.5, 0.95], "values": [0.5, None, 9]},
                "details": {"success_details": [True, False, False]},
            },
            "price: the median is missing, expected 2 to 3; the 95 % quantile is 9, expected 4 to 5",
        ),
    ],
)
def test_expectations_are_put_into_words(asked, result, words):
    assert failure(asked, "critical", result).sentence == words


def test_an_expectation_that_cannot_be_computed_says_so_without_a_trace():
    found = impossible(config("column_mean_to_be_between", column="a"), "critical", "boom\nTraceback ...")
    assert found.sentence == "a: column mean to be between could not be computed (boom)"
