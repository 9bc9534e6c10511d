"""What columns and targets mean beside their type."""

import datetime as dt
import re

import numpy as np
import pandas as pd
import pytest

from evergreen.errors import BadInputError
from evergreen.tools.scaffold.columns import far_value, spellings

ROWS = 400


def said(plan, about):
    """The texts of a plan's notes about something."""
    return [note.text for note in plan.notes if note.about == about]


def rows(**columns):
    count = range(ROWS)
    start = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    common = {
        "id": [f"r{n}" for n in count],
        "at": [f"{start + dt.timedelta(hours=6 * n):%Y-%m-%d %H:%M:%S}" for n in count],
        "x": [n * 37 % 101 / 7 for n in count],
        "y": [n * 53 % 89 / 3 for n in count],
    }
    return pd.DataFrame(common | columns)


@pytest.mark.parametrize(
    ("make", "task", "words"),
    [
        (lambda n: n % 2 + 1, "regression", "y holds only 1 and 2: write 0/1 for a probability; taken as regression"),
        (lambda n: n % 2 * 2 - 1, "regression", "y holds only -1 and 1: write 0/1"),
        (lambda n: n % 3, "multiclass", "y holds 0, 1 and 2: taken as classes; --task regression takes it as a number"),
        (
            lambda n: [0, 0, 0, 1, 1, 2, 0, 1, 0, 3][n % 10] + (n % 200 == 199),
            "regression",
            "If these are classes, --task",
        ),
        (lambda n: n % 8 + 1, "multiclass", "y holds 1, 2, .* taken as classes"),
        (
            lambda n: ["kept", "swapped", "returned"][n % 3],
            "multiclass",
            "y holds kept, returned and swapped: taken as",
        ),
        (lambda n: ["yes", "no"][n % 2], "multiclass", "taken as classes: write true/false or 0/1 for a binary task"),
        (lambda n: n % 4 / 2, "regression", None),
        (lambda n: int(n % 50 == 0), "binary", r"y is 1 in only 8 of 400 \(2.0 %\) rows"),
        (lambda n: n % 2, "binary", None),
    ],
)
def test_a_target_of_few_values_is_named_with_them(planned, make, task, words):
    plan = planned(rows(y=[make(n) for n in range(ROWS)]))
    assert plan.task == task
    # What the gate makes of rare rows is a note of its own (test_targets.py).
    found = [note for note in said(plan, "task") if "promotes nothing" not in note]
    assert len(found) == (words is not None)
    if words:
        assert re.search(words, found[0])


def test_a_target_that_never_differs_is_refused(planned):
    with pytest.raises(BadInputError, match="--target 'y' is 0 in all 400 rows that have it"):
        planned(rows(y=0))


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["12,5", "7,25", "0"], "decimal comma"),
        (["1.234,50", "999,00"], "decimal comma"),
        (["1,200", "17", "2,000,000"], "comma between thousands"),
        (["12.5%", "3 %"], "% sign"),
        (["$1,200.00", "$7.10"], "currency sign"),
        (["1200 €", "7,5 €"], "currency sign"),
        (["EUR 12", "EUR 1200"], "currency sign"),
        (["1 200", "33 000"], "mark between thousands"),
        (["5 km", "12 km", "7.5 km"], "unit km"),
        (["31/12/2024", "01/02/2025"], "dates such as '31/12/2024'"),
        (["12.31.24", "1.2.25"], "dates"),
        (["5-Jan-09", "12-Feb-10"], "dates"),
        (["Jan 5, 2024", "March 12, 2024"], "dates"),
        (["Mon Jan 5 2024", "Tue Feb 6 2024"], "dates"),
        (["10:30", "7:05 pm"], "times of the day"),
        (["2024Q1", "2024Q2"], "quarters"),
        (["A-12", "B-13"], None),
        (["EWR", "JFK"], None),
        (["1st floor", "2nd floor"], None),
        (["007", "012"], None),
    ],
)
def test_texts_that_are_numbers_or_dates_are_named(texts, words):
    found = spellings({"c": "string"}, pd.DataFrame({"c": texts}))
    assert (words is None) == (not found)
    if words:
        assert words in found["c"]


def test_they_are_left_out_and_no_categories(planned):
    plan = planned(rows(price=[f"{n // 4},5" for n in range(ROWS)]))
    assert "price" not in plan.categorical
    assert "decimal comma" in plan.left_out["price"]


def test_codes_that_look_like_numbers_are_categorical_with_a_word(planned):
    count = range(ROWS)
    plan = planned(
        rows(
            zip=[10_001 + n % 9 for n in count],
            season=[n % 4 + 1 for n in count],
            year=[2020 + n // 100 for n in count],
        )
    )
    assert {"zip", "season"} <= {*plan.categorical}
    assert "year" in plan.numeric, "its later values are new"
    assert any("zip holds 10001, 10002" in text and "taken as categorical" in text for text in said(plan, "column"))


def test_a_constant_column_and_a_running_number_are_left_out(planned):
    plan = planned(rows(always=3, row=list(range(ROWS))))
    assert plan.left_out["always"] == "never differs"
    assert plan.left_out["row"].startswith("a running number")


@pytest.mark.parametrize(
    ("values", "far"),
    [
        (lambda n: -200.0 if n % 20 == 0 else n % 11 + 0.5, "-200 in 20 of 400"),
        (lambda n: 9999.0 if n % 50 == 0 else n % 90 * 1.1, "9999 in 8 of 400"),
        (lambda n: 0.0 if n % 10 == 0 else 1000 + n % 30, "0 in 40 of 400"),
        (lambda n: float(n), None),
        (lambda n: 0.0 if n % 2 else n % 40, None),  # rain
        (lambda n: float(n == 7) * 1e6 + n % 9, None),  # once is no word for nothing
    ],
)
def test_one_far_value_that_recurs_is_asked_about(values, far):
    found = far_value("c", pd.Series([values(n) for n in range(ROWS)], dtype="float64"))
    assert (far is None) == (found is None)
    if far:
        assert found.startswith(f"c is {far}")
        assert "does it stand for missing" in found


def test_nothing_is_changed_for_it(planned):
    plan = planned(rows(co=np.where(np.arange(ROWS) % 20 == 0, -200, np.arange(ROWS) % 11 + 0.5)))
    assert "co" in plan.numeric
    assert len(said(plan, "missing")) == 1
