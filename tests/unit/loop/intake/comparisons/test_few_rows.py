"""Partitions of few rows differ from those before by chance: comparisons reckon with it, and still see what changed."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from evergreen.loop.intake.comparisons.intervals import divergence, divergence_error, quantile_errors, share_error
from evergreen.loop.intake.comparisons.past import no_past
from evergreen.loop.intake.comparisons.profile import QUANTILES, profile
from evergreen.loop.intake.comparisons.rules import Categories, Nulls, Numbers, ask

COLUMNS = {"price": "float", "minutes": "float", "pieces": "integer", "country": "string", "gift": "boolean"}
RULES = [
    Nulls(columns=list(COLUMNS)),
    Numbers(columns=["price", "minutes", "pieces"]),
    Categories(columns=["country", "gift"]),
]
PARTITIONS = 150


def rows(dice, n, shift=0.0):
    return pd.DataFrame(
        {
            "price": dice.normal(20 + 5 * shift, 5, n),
            "minutes": np.where(dice.random(n) < 0.1, np.nan, dice.exponential(30, n)),
            "pieces": dice.poisson(3, n),
            "country": dice.choice(["SE", "FI", "NO", "DK", "IS"], n, p=[0.5, 0.25, 0.15, 0.08, 0.02]),
            "gift": dice.random(n) < 0.1,
        }
    )


def breaks(found, asked):
    """Whether the column `found` breaks what a comparison asked of it."""
    if hasattr(asked, "quantile_ranges"):
        ranges = asked.quantile_ranges["value_ranges"]
        return any(not low <= q <= high for q, (low, high) in zip(found.quantiles, ranges, strict=True))
    if hasattr(asked, "partition_object"):
        usual = dict(zip(asked.partition_object["values"], asked.partition_object["weights"], strict=True))
        return divergence(found.shares, usual) > asked.threshold
    if type(asked).__name__ == "ExpectColumnMeanToBeBetween":
        return not asked.min_value <= (found.true or 0.0) <= asked.max_value
    return 1 - found.nulls < asked.min_value


def warned(shop, sizes, shift=0.0, *, told=True, seed=5):
    """Share of partitions of so many rows, each `shift` of a standard deviation off, of which something is said."""
    dice, profiles, count = np.random.default_rng(seed), [], 0
    for n in sizes:
        found = profile(rows(dice, n, shift if len(profiles) >= 8 else 0.0), COLUMNS)
        if len(profiles) < 8:
            profiles.append(found)
            continue
        accepted = {str(n): p for n, p in enumerate(profiles)}
        past = replace(no_past(shop, "inputs", "2024-02-01"), keys=tuple(accepted), accepted=accepted, decided=accepted)
        asked = ask(RULES, replace(past, rows=n) if told else past).expectations
        count += any(breaks(found.columns[e.column], e) for e in asked)
        if not shift:
            profiles = [*profiles[1:], found]
    return count / (len(sizes) - 8)


@pytest.mark.parametrize("n", [40, 200])
@pytest.mark.parametrize("spread", [0.0, 0.6], ids=["alike", "of all sizes"])
def test_few_rows_drawn_from_the_same_warn_seldom(shop, n, spread):
    dice = np.random.default_rng(1)
    sizes = np.maximum(8, n * np.exp(spread * dice.standard_normal(PARTITIONS + 8))).astype(int)
    assert warned(shop, sizes) <= 0.03


def test_what_a_column_of_few_rows_may_do_is_what_made_them_warn(shop):
    sizes = [60] * (PARTITIONS + 8)
    assert warned(shop, sizes, told=False) > 3 * warned(shop, sizes) + 0.03


def test_a_change_is_seen_in_as_many_rows_as_it_needs(shop):
    assert warned(shop, [200] * 28, shift=2.0) == 1.0
    assert warned(shop, [5000] * 28, shift=0.5) == 1.0


def test_the_errors_are_those_of_drawing():
    dice, n = np.random.default_rng(3), 400
    for draw in (dice.standard_normal, dice.standard_exponential, dice.random):
        samples = np.sort(draw((2000, n)), axis=1)
        seen = np.quantile(samples, QUANTILES, axis=1, method="nearest").std(axis=1)
        known = [(s[0], *np.quantile(s, QUANTILES, method="nearest"), s[-1]) for s in samples[:8]]
        said = quantile_errors(known, QUANTILES, [n] * 8, n)
        assert (np.asarray(said) > 0.8 * seen).all()
        assert (np.asarray(said) < 4 * seen).all()
    usual = {"a": 0.5, "b": 0.3, "c": 0.2}
    counts = dice.multinomial(n, list(usual.values()), 4000) / n
    apart = [divergence(dict(zip(usual, row, strict=True)), usual) for row in counts]
    assert np.mean(np.asarray(apart) > divergence_error(3, n, 0.05)) == pytest.approx(0.05, abs=0.015)
    assert share_error([0.1, 0.3], n) == pytest.approx(dice.binomial(n, 0.2, 4000).std() / n, rel=0.1)


def test_where_the_number_of_rows_is_not_known_nothing_is_made_of_it():
    assert share_error([0.2], math.inf) == 0
    assert divergence_error(5, math.inf, 0.001) == 0
    assert quantile_errors([(0, 1, 2, 3, 4, 5, 6)], QUANTILES, [50], math.inf) == [0.0] * 5
    assert divergence_error(1, 10, 0.001) == 0
