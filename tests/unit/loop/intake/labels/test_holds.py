"""One-sided partitions near each other have one cause, which one notice tells."""

import pytest

from evergreen.core.definition import load_definition
from evergreen.loop.intake.labels.holds import beginnings, is_near


def near(one, other):
    return abs(int(one) - int(other)) <= 4


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
    assert [found[place] for place in beginnings(found, near)] == told


def test_near_is_four_partitions_away():
    weeks = load_definition("nyc_flights")
    assert is_near(weeks, "2013-01-07", "2013-02-04")
    assert is_near(weeks, "2013-02-04", "2013-01-07")
    assert not is_near(weeks, "2013-01-07", "2013-02-11")
