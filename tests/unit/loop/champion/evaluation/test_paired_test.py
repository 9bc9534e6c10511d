"""The comparison tells equal, worse, slightly and much better challengers apart, at the error it promises."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from evergreen.loop.champion.evaluation.paired_test import compare, nothing


def losses(gain, *, seed, days=14, rows=300, day_effect=0.02):
    """Losses of champion and challenger whose differences move together within a day."""
    rng = np.random.default_rng(seed)
    champion = rng.gamma(2.0, 0.1, days * rows)
    day = np.repeat(np.arange(days), rows)
    challenger = champion * (1 - gain) + rng.normal(0, day_effect, days)[day] + rng.normal(0, 0.05, days * rows)
    return champion, challenger, np.array([f"2024-01-{d + 1:02}" for d in range(days)], dtype=object)[day]


def verdict(gain, seed=0, **options):
    return compare(*losses(gain, seed=seed), alpha=0.01, **options)


def test_clear_cases_are_clear():
    assert verdict(0.30).verdict == "superior"
    assert verdict(-0.30).verdict == "worse"
    assert verdict(0.0).verdict == "inconclusive"
    better = verdict(0.30)
    assert better.low < better.delta < better.high
    assert better.delta == pytest.approx(better.champion_loss - better.challenger_loss)
    assert better.relative == pytest.approx(0.30, abs=0.1)
    assert (better.clusters, better.rows) == (14, 4200)


def test_non_inferiority_forgives_the_margin_and_no_more():
    quiet = {"day_effect": 0.002}
    slightly_worse = losses(-0.005, seed=1, **quiet)
    much_worse = losses(-0.2, seed=1, **quiet)
    equal = losses(0.0, seed=3, **quiet)
    assert compare(*equal, alpha=0.01, margin=0.05, mode="non_inferiority").verdict == "non_inferior"
    assert compare(*equal, alpha=0.01, margin=0.05).verdict == "inconclusive"
    assert compare(*equal, alpha=0.01, margin=0.0, mode="non_inferiority").verdict == "inconclusive"
    assert compare(*slightly_worse, alpha=0.01, margin=0.05, mode="non_inferiority").verdict in (
        "non_inferior", "worse",
    )  # fmt: skip
    assert compare(*much_worse, alpha=0.01, margin=0.05, mode="non_inferiority").verdict == "worse"


@pytest.mark.slow
def test_an_equal_model_is_promoted_no_more_often_than_promised():
    seen = [verdict(0.0, seed=seed).verdict for seed in range(1000)]
    rows_alone = [
        stats.ttest_rel(*losses(0.0, seed=seed)[:2], alternative="greater").pvalue < 0.005 for seed in range(200)
    ]
    assert seen.count("superior") <= 12  # 0.5 % promised; 1.2 % would come about once in 300 tries
    assert np.mean(rows_alone) > 0.2  # what pairing by row alone would do


def weather(seed):
    """Losses of equally good models whose difference on one day lives on into the next."""
    rng = np.random.default_rng(seed)
    day = np.zeros(14)
    for n in range(1, 14):
        day[n] = 0.5 * day[n - 1] + rng.normal(0, 0.02)
    champion = rng.gamma(2.0, 0.1, 14 * 100)
    return champion, champion + np.repeat(day, 100), np.repeat([f"{n:02}" for n in range(14)], 100)


@pytest.mark.slow
def test_days_that_follow_each_other_are_not_taken_for_independent():
    ours, t_test = [], []
    for seed in range(600):
        champion, challenger, days = weather(seed)
        by_day = (champion - challenger).reshape(14, 100).mean(axis=1)
        ours.append(compare(champion, challenger, days, alpha=0.05).verdict == "superior")
        t_test.append(stats.ttest_1samp(by_day, 0, alternative="greater").pvalue < 0.025)
    assert np.mean(t_test) > 2 * 0.025  # what days taken for independent do
    assert np.mean(ours) < 0.75 * np.mean(t_test)


def test_a_real_gain_is_found():
    assert np.mean([verdict(0.15, seed=seed).verdict == "superior" for seed in range(200)]) > 0.8


def test_the_jackknife_is_the_paired_t_test_of_days_where_neighbours_do_not_help():
    for seed in range(20):
        champion, challenger, days = losses(0.1, seed=seed)
        by_day = (champion - challenger).reshape(14, 300).mean(axis=1)
        residuals = by_day - by_day.mean()
        if (residuals[1:] * residuals[:-1]).sum() < 0:  # else the neighbours' covariance widens it
            break
    found = compare(champion, challenger, days, alpha=0.05)
    error = stats.sem(by_day) * np.sqrt(14 / 13)
    reaches = found.high - found.delta, found.delta - found.low
    assert min(reaches) == pytest.approx(stats.t.ppf(0.975, 13) * error)
    assert max(reaches) >= min(reaches)  # the skewness of the days widens one side and narrows none


def test_nothing_is_concluded_from_nothing_or_from_one_day():
    champion, challenger, days = losses(0.5, seed=0, days=1)
    one = compare(champion, challenger, days, alpha=0.05)
    assert (one.verdict, one.low, one.high, one.clusters) == ("inconclusive", None, None, 1)
    none = nothing(alpha=0.05, margin=0.4, mode="non_inferiority")
    assert (none.verdict, none.rows, none.delta) == ("inconclusive", 0, 0.0)
    same = compare(*[losses(0.0, seed=0)[0]] * 2, losses(0.0, seed=0)[2], alpha=0.05)
    assert (same.verdict, same.delta, same.p_value) == ("inconclusive", 0.0, 1.0)


@pytest.mark.parametrize(
    ("champion", "challenger", "days", "options", "message"),
    [
        ([], [], [], {}, "no rows"),
        ([1, 2], [1, 2, 3], [0, 1], {}, "of one length"),
        ([1, 2], [1, 2], [0], {}, "of one length"),
        ([[1, 2]], [[1, 2]], [0, 1], {}, "of one length"),
        ([1, np.nan], [1, 2], [0, 1], {}, "1 of the champion's 2 losses are no finite"),
        ([1, 2], [1, np.inf], [0, 1], {}, "1 of the challenger's 2 losses are no finite"),
        ([1, 2], [1, 2], [0, np.nan], {}, "1 rows have no cluster"),
        ([1, 2], [1, 2], ["a", None], {}, "1 rows have no cluster"),
        ([1, 2], [1, 2], [0, 1], {"alpha": 0.0}, "alpha is 0.0"),
        ([1, 2], [1, 2], [0, 1], {"margin": -0.1}, "margin is -0.1"),
        ([1, 2], [1, 2], [0, 1], {"mode": "better"}, "mode is 'better'"),
        ([1, 2], [1, 2], [0, 1], {"looks": 0}, "looks is 0"),
    ],
)
def test_what_cannot_be_compared_is_an_error_that_says_why(champion, challenger, days, options, message):
    with pytest.raises(ValueError, match=message):
        compare(champion, challenger, days, **({"alpha": 0.05} | options))


def test_clusters_of_any_type_stand_in_the_order_of_time():
    champion, challenger, _ = losses(0.1, seed=4)
    number = np.repeat(np.arange(14), 300)
    instant = pd.Timestamp("2024-01-01") + pd.to_timedelta(number, unit="D")
    found = {
        str(compare(champion, challenger, days, alpha=0.05))
        for days in (
            number, number.tolist(), pd.Series(instant, index=number), instant.to_numpy(), instant.date,
            instant.strftime("%Y-%m-%d"), pd.Categorical(instant.strftime("%Y-%m-%d")),
        )
    }  # fmt: skip
    assert len(found) == 1


def test_equal_and_constantly_different_models():
    champion, _, days = losses(0.0, seed=0)
    equal = compare(champion, champion.copy(), days, alpha=0.05, mode="non_inferiority")
    assert (equal.verdict, equal.low, equal.high) == ("non_inferior", 0.0, 0.0)
    summed_in_another_order = compare(champion, (champion * 3) / 3, days, alpha=0.05)
    assert (summed_in_another_order.verdict, summed_in_another_order.delta) == ("inconclusive", 0.0)
    assert compare(champion, champion - 0.01, days, alpha=0.05).verdict == "superior"
    assert compare(champion, champion + 0.01, days, alpha=0.05, mode="non_inferiority", margin=0.4).verdict == "worse"


def test_looks_share_alpha_and_the_seed_changes_nothing():
    data = losses(0.05, seed=2)
    assert compare(*data, alpha=0.08, looks=8) == compare(*data, alpha=0.01, seed=7)


@pytest.mark.slow
def test_days_of_rare_great_losses_are_not_taken_for_luck():
    rng = np.random.default_rng(0)
    ours, t_test = [], []
    for _ in range(800):
        by_day = 1 - rng.exponential(1.0, 10)  # mean 0; most days a little better, a few much worse
        ours.append(compare(np.repeat(by_day, 2) + 9, np.full(20, 9.0), np.repeat(range(10), 2), alpha=0.05).verdict)
        t_test.append(stats.ttest_1samp(by_day, 0, alternative="greater").pvalue < 0.025)
    assert np.mean(t_test) > 0.08
    assert ours.count("superior") / 800 < 0.06


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.floats(-0.5, 0.5), st.sampled_from([0.01, 0.05, 0.2]))
def test_swapping_the_models_turns_the_verdict_around(seed, gain, alpha):
    champion, challenger, days = losses(gain, seed=seed, rows=30)
    there, back = compare(champion, challenger, days, alpha=alpha), compare(challenger, champion, days, alpha=alpha)
    turned = {"superior": "worse", "worse": "superior", "inconclusive": "inconclusive"}
    assert back.verdict == turned[there.verdict]
    assert back.delta == pytest.approx(-there.delta)
    assert back.low == pytest.approx(-there.high)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_the_order_of_rows_does_not_matter(seed):
    champion, challenger, days = losses(0.05, seed=seed, rows=20)
    order = np.random.default_rng(seed).permutation(len(days))
    there = compare(champion, challenger, days, alpha=0.05)
    back = compare(champion[order], challenger[order], days[order], alpha=0.05)
    assert back.low == pytest.approx(there.low)
    assert back.verdict == there.verdict
