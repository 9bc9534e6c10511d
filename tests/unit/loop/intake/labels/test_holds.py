"""One-sided partitions near each other have one cause, which one notice tells."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.core.definition import load_definition
from evergreen.loop.intake.labels.holds import beginnings, last_near


def reach(key):
    return f"{int(key) + 4:05}"


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (["7", "8", "9"], ["7"]),
        (["7", "11", "15", "19"], ["7"]),  # each is near the one before
        (["7", "20"], ["7", "20"]),
        (["20", "7", "18"], ["20", "7"]),  # the order in which they were found counts, as in a backfill
        (["7", "7"], ["7"]),  # it was mended, and is so again
        ([], []),
    ],
)
def test_one_that_is_near_an_earlier_one_is_not_told(found, told):
    found, told = ([key.zfill(5) for key in keys] for keys in (found, told))
    assert [found[place] for place in beginnings(found, reach)] == told


@given(st.lists(st.integers(0, 60), max_size=40))
def test_it_is_what_comparing_each_with_all_before_says(numbers):
    told = [place for place, n in enumerate(numbers) if all(abs(n - before) > 4 for before in numbers[:place])]
    assert beginnings([f"{n:05}" for n in numbers], reach) == told


def test_thousands_that_were_found_need_one_look_at_the_calendar_each():
    asked = []

    def counted(key):
        asked.append(key)
        return reach(key)

    days = [f"{n:05}" for n in np.random.default_rng(7).permutation(5_000)]
    assert len(beginnings(days, counted)) < 1_000
    assert len(asked) == len(set(asked))


def test_near_is_four_partitions_away():
    weeks = load_definition("nyc_flights")
    assert last_near(weeks, "2013-01-07") == "2013-02-04"
