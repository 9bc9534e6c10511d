"""What comparisons ask for: numbers from the partitions before, and nothing that depends on when these landed."""

import datetime as dt
from dataclasses import replace

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from scipy import stats

from evergreen.core.definition.partition_keys import keys_before, seasons
from evergreen.loop.intake.comparisons.intervals import divergence, interval
from evergreen.loop.intake.comparisons.past import Past, no_past
from evergreen.loop.intake.comparisons.profile import ColumnProfile, Profile
from evergreen.loop.intake.comparisons.rules import (
    Categories,
    MatchesInputs,
    Nulls,
    Numbers,
    PeriodCovered,
    RowCount,
    ask,
    decides,
    ordinary,
)
from evergreen.loop.intake.validation.judged_before import Judged, wanted_of
from evergreen.loop.intake.validation.judgement import Judgement

KEY = "2024-02-01"


def past(shop, profiles, key=KEY, decided=None) -> Past:
    """Of `key`, before which partitions with `profiles` were accepted, the newest the day before."""
    keys = keys_before(shop, key, 8)
    accepted = dict(zip(keys[-len(profiles) :], profiles, strict=True)) if profiles else {}
    known = no_past(shop, "inputs", key)
    return Past(
        known.table, known.period, known.entity, known.event_time, known.columns, keys, accepted,
        decided=keys if decided is None else decided,
    )  # fmt: skip


def of_rows(*counts):
    return [Profile(n, {}) for n in counts]


def of_shares(*shares):
    return [Profile(100, {"country": ColumnProfile(0.0, shares=s)}) for s in shares]


def test_a_number_of_rows_is_expected_where_one_more_like_those_before_would_lie(shop):
    counts = (100, 104, 98, 102, 96)
    (asked,) = ask([RowCount(alpha=0.05)], past(shop, of_rows(*counts))).expectations
    half = stats.t.ppf(0.975, 4) * np.std(counts, ddof=1) * np.sqrt(1.2)
    assert (asked.min_value, asked.max_value) == (int(100 - half), int(100 + half) + 1)
    assert asked.severity == "warning"
    assert asked.meta == {"compared_with": "5 accepted partitions, 2024-01-27 to 2024-01-31"}


def test_too_few_partitions_before_are_said_and_nothing_fails(shop):
    asked = ask([RowCount(), Nulls()], past(shop, of_rows(100, 100, 100)))
    assert asked.expectations == ()
    assert asked.notes == ("not compared with earlier partitions: 3 accepted, 4 of the 8 before it are needed",)
    assert "none accepted" in ask([RowCount()], no_past(shop, "inputs", "2024-01-01")).notes[0]


def test_what_is_critical_only_warns_while_a_partition_before_has_no_verdict(shop):
    profiles, rule = of_rows(*[100] * 5), RowCount(severity="critical")
    whole = ask([rule], past(shop, profiles))
    assert (whole.expectations[0].severity, whole.notes) == ("critical", ())
    early = ask([rule], past(shop, profiles, decided=keys_before(shop, KEY, 8)[2:]))
    assert early.expectations[0].severity == "warning"
    assert "no verdict yet on 2024-01-24, 2024-01-25" in early.notes[0]


def test_the_same_season_of_last_year_stands_in_where_enough_of_it_is_accepted(shop):
    calendar = shop.calendar.model_copy(update={"start": dt.date(2022, 1, 1)})
    shop, rule = shop.model_copy(update={"calendar": calendar}), RowCount(reference="season")
    (keys,) = seasons(shop, KEY, [8]).values()
    assert keys == tuple(f"2023-{day}" for day in ("01-29", "01-30", "01-31", *(f"02-0{n}" for n in range(1, 6))))
    before = past(shop, of_rows(100, 104, 98, 102, 96))
    of_year = dict(zip(keys, of_rows(*range(500, 508)), strict=True))

    def known(count):
        chosen = dict(list(of_year.items())[:count])
        return replace(before, seasons={8: keys}, accepted={**before.accepted, **chosen})

    (asked,) = ask([rule], known(8)).expectations
    assert 400 < asked.min_value < 500
    assert asked.meta == {"compared_with": "8 accepted partitions, 2023-01-29 to 2023-02-05"}
    few = ask([rule], known(3))
    assert few.notes == ("compared with the partitions before it: of the same season a year ago 3 accepted",)
    assert few.expectations == ask([RowCount()], before).expectations
    assert known(8).digest != known(7).digest


def test_both_what_was_before_and_the_season_are_looked_for(shop):
    calendar = shop.calendar.model_copy(update={"start": dt.date(2023, 2, 1)})
    shop = shop.model_copy(update={"calendar": calendar})
    rules = [RowCount(last=2, least=2), Nulls(last=4, least=2, reference="season")]
    found = Judged(shop).past("inputs", KEY, rules)
    assert found.keys == ("2024-01-28", "2024-01-29", "2024-01-30", "2024-01-31")
    assert found.seasons == {4: ("2023-02-01", "2023-02-02", "2023-02-03")}, "there was no partition before these"
    assert wanted_of(found) == [*found.seasons[4], *found.keys]


def test_missing_values_are_expected_to_be_no_more_than_before(shop):
    profiles = [Profile(100, {"price": ColumnProfile(n)}) for n in (0.1, 0.12, 0.11, 0.09)]
    (asked,) = ask([Nulls(columns=["price"], room=0)], past(shop, profiles)).expectations
    assert 0.6 < asked.min_value < 0.88
    assert asked.max_value is None


def test_numbers_of_a_column_that_had_none_are_not_compared(shop):
    profiles = [Profile(100, {"price": ColumnProfile(1.0)}) for _ in range(6)]
    asked = ask([Numbers(columns=["price"])], past(shop, profiles))
    assert asked.expectations == ()
    assert asked.notes == ("price not compared: none of the partitions before has numbers in it",)


def test_shares_may_move_as_far_as_they_did_before(shop):
    quiet = of_shares(*[{"SE": 0.5, "FI": 0.5}] * 6)
    lively = of_shares(*[{"SE": s, "FI": 1 - s} for s in (0.2, 0.8, 0.3, 0.7, 0.5, 0.4)])
    rule = Categories(columns=["country"], room=0.01)
    (calm,), (wide,) = (ask([rule], past(shop, p)).expectations for p in (quiet, lively))
    assert calm.threshold == 0.01
    assert wide.threshold > 0.3
    assert calm.partition_object == {"values": ["SE", "FI"], "weights": [0.5, 0.5]}


def test_the_share_of_true_values_is_compared_as_a_mean(shop):
    profiles = [
        Profile(9, {"gift": ColumnProfile(0.0, shares={"False": 1 - s, "True": s})}) for s in (0.3, 0.32, 0.28, 0.3)
    ]
    (asked,) = ask([Categories(columns=["gift"])], past(shop, profiles)).expectations
    assert 0 <= asked.min_value < 0.28
    assert 0.32 < asked.max_value <= 1


def test_the_period_is_covered_where_events_reach_both_ends(shop):
    first, last = ask([PeriodCovered()], no_past(shop, "inputs", KEY)).expectations
    assert first.max_value == dt.datetime(2024, 2, 1, 2, 24, tzinfo=dt.UTC)
    assert last.min_value == dt.datetime(2024, 2, 1, 21, 36, tzinfo=dt.UTC)
    (_, critical) = ask(
        [PeriodCovered(within=dt.timedelta(0), severity="critical")], no_past(shop, "inputs", KEY)
    ).expectations
    assert (critical.min_value, critical.severity) == (dt.datetime(2024, 2, 2, tzinfo=dt.UTC), "critical")


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: RowCount(severity="fatal"),
        lambda: PeriodCovered(severity="fatal"),
        lambda: RowCount(least=9),
        lambda: RowCount(reference="lately"),
        lambda: RowCount(last=1000),
        lambda: Nulls(alpha=0),
        lambda: MatchesInputs(unknown=2),
    ],
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=r"must (be|lie)"):
        wrong()


def test_identity_covers_what_is_asked_for():
    rules = [
        RowCount(reference="season"),
        RowCount(),
        RowCount(last=9),
        RowCount(severity="critical"),
        Nulls(),
        Categories(columns=["a"]),
    ]
    rules += [Numbers(columns=["a"]), PeriodCovered(), PeriodCovered(within=dt.timedelta(hours=1)), MatchesInputs()]
    assert len({rule.identity for rule in rules}) == len(rules)
    # A rule that was written before there was a choice keeps its verdicts.
    assert "reference" not in RowCount().identity
    assert Categories(columns=["a"]).identity == Categories(columns=("a",)).identity


def test_those_that_decide_are_told_from_those_that_warn():
    rules = [RowCount(), RowCount(severity="critical"), MatchesInputs(), "an expectation"]
    assert decides(rules) == rules[1:]
    assert ordinary(rules) == rules[3:]


@settings(max_examples=10, deadline=None)
@given(st.integers(2, 12), st.sampled_from([0.01, 0.05, 0.2]), st.integers(0, 2**32 - 1))
def test_an_interval_holds_its_rate_on_values_that_are_alike(n, alpha, seed):
    draws = np.random.default_rng(seed).normal(100, 7, (200, n + 1))
    outside = 0
    for row in draws:
        low, high = interval(list(row[:-1]), alpha, 0.0)
        outside += not low <= row[-1] <= high
    assert outside <= stats.binom.ppf(1 - 1e-7, 200, alpha)


SHARES = st.dictionaries(st.sampled_from("abcdef"), st.floats(0.01, 1), min_size=1).map(
    lambda d: {k: v / sum(d.values()) for k, v in d.items()}
)


@given(SHARES, SHARES)
def test_a_divergence_is_finite_and_zero_for_the_same_shares(one, other):
    assert divergence(one, one) == pytest.approx(0, abs=1e-12)
    assert -1e-12 <= divergence(one, other) < 20


@given(st.randoms(use_true_random=False), st.lists(st.booleans(), min_size=1, max_size=14))
@settings(max_examples=50, deadline=None)
def test_the_past_of_a_partition_never_holds_what_comes_after_it_in_whatever_order_they_land(shop, dice, accepted):
    """And once all have landed, each is compared with the same partitions as if they had landed in order."""
    rules = [RowCount(last=5, least=2, severity="critical")]
    keys = shop.partitions.keys("2024-01-01", shop.partitions.shift("2024-01-01", len(accepted) - 1))
    columns = shop.feed.tables["inputs"].columns

    def judgement(number):
        frame = pd.DataFrame({name: pd.Series(dtype="object") for name in columns}, index=range(number + 1))
        return Judgement(accepted[number], "", (), frame, None)

    def landed(order):
        judged = Judged(shop)
        for number in order:
            before = judged.past("inputs", keys[number], rules)
            assert all(key < keys[number] for key in (*before.keys, *before.accepted, *before.decided))
            if ask(rules, before).expectations and any(key not in before.decided for key in before.keys):
                assert all(e.severity == "warning" for e in ask(rules, before).expectations)
            judged.keep("inputs", keys[number], judgement(number))
        return [judged.past("inputs", key, rules).digest for key in keys]

    order = list(range(len(keys)))
    in_order = landed(order)
    dice.shuffle(order)
    assert landed(order) == in_order == landed(range(len(keys) - 1, -1, -1))
