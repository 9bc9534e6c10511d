"""When labels count: by what is usual, which is learned from complete partitions alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.loop.intake.labels.maturity import FLOOR, START, WIDE, Coverage, judge, usual


def coverages(*shares, rows=1000):
    return [
        Coverage(f"2024-{number:03}", rows, None if share is None else round(share * rows))
        for number, share in enumerate(shares)
    ]


def mature(*shares, complete=None, rows=1000):
    return [stands.mature for stands in judge(coverages(*shares, rows=rows), complete).values()]


def test_labels_of_every_row_count_and_early_ones_do_not():
    assert mature(1, 1, 1, 0.25, 0.25, 1) == [True, True, True, False, False, True]


def test_a_fall_is_never_learned_however_long_it_lasts():
    assert mature(*[1] * 6, *[0.6] * 40) == [True] * 6 + [False] * 40


@pytest.mark.parametrize("shares", [(0.61, 0.59, 0.6, 0.62, 0.58), (0.7, 0.72, 0.68), (0.55, 0.55, 0.55, 0.52)])
def test_a_feed_that_labels_a_part_of_its_rows_is_taken_at_that_once_it_is_steady(shares):
    assert mature(*shares[:2]) == [False, False]
    assert all(mature(*shares))


def test_labels_that_trickle_in_count_when_they_are_complete():
    """Each week every partition has a fifth of its labels more; nothing was complete before."""
    trickle = (0.2, 0.4, 0.6, 0.8, 1.0)
    for week in range(12):
        now = [trickle[min(week - n, 4)] for n in range(week + 1)]
        assert mature(*now) == [share == 1.0 for share in now]


def test_few_labels_are_never_taken_for_usual_without_being_told():
    assert mature(*[0.3] * 20) == [False] * 20
    assert mature(*[0.3] * 20, complete=0.25) == [True] * 20


@pytest.mark.parametrize(("complete", "expected"), [(0.0, True), (0.25, True), (0.26, False), (1.0, False)])
def test_what_the_definition_says_is_what_counts(complete, expected):
    assert mature(1, 1, 0.25, complete=complete)[-1] is expected


def test_a_first_partition_is_judged_by_what_is_asked_at_first_and_then_by_the_first_complete_one():
    (alone,) = judge(coverages(0.89), None).values()
    assert (alone.mature, alone.needed, alone.basis) == (False, START, "start")
    first, second = judge(coverages(0.89, 0.92), None).values()
    assert (first.mature, first.basis, second.mature) == (True, "usual", True)


def test_small_partitions_have_room_for_chance():
    assert mature(1, 1, 1, 0.9, rows=20)[-1]
    assert not mature(1, 1, 1, 0.9, rows=1000)[-1]
    honest = np.random.default_rng(1).binomial(40, 0.7, 60) / 40
    assert np.mean(mature(*honest, rows=40)[3:]) > 0.9


def test_rows_that_are_gone_change_nothing_and_teach_nothing():
    assert mature(None, 1, None, 0.3) == [True, True, True, False]
    assert mature(None, None, None, 0.3) == [True, True, True, False]
    assert judge(coverages(None), None)["2024-000"].needed == START
    assert [s.mature for s in judge([Coverage("a", 0, 0)], None).values()] == [True]


shares = st.lists(st.floats(0, 1), min_size=1, max_size=30)


@given(shares)
def test_a_partition_with_every_label_always_counts(values):
    assert all(m for m, share in zip(mature(*values), values, strict=True) if round(share * 1000) == 1000)


@given(shares, st.integers(20, 100_000))
def test_what_is_needed_is_near_what_was_complete(values, rows):
    needed = usual(coverages(*(0.5 + value / 2 for value in values)), rows)
    assert needed >= FLOOR
    assert needed >= min(0.5 + value / 2 for value in values[-8:]) - WIDE - 0.001


@given(shares, shares)
def test_partitions_before_do_not_hang_on_later_ones_once_one_was_complete(before, after):
    early = mature(1, *before)
    assert mature(1, *before, *after)[: len(early)] == early
