"""The gate and its guards: what passes, what fails, and that no guard can be left out."""

import re
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.champion import guards
from evergreen.champion.comparison import compare
from evergreen.champion.gate import LOOKS, MOST, decide, level, mode_for
from evergreen.champion.guards import Guard
from evergreen.definition.model import GateSection

GATE = GateSection()
PASSED = [Guard(name, "passed", "fine", []) for name in guards.REQUIRED]
DAYS = np.repeat([f"2024-01-{d + 1:02}" for d in range(14)], 933).astype(object)


def losses(gain, seed=0):
    rng = np.random.default_rng(seed)
    champion = np.abs(rng.normal(0.17, 0.05, len(DAYS)))
    return champion, champion - 0.17 * gain + np.repeat(rng.normal(0, 0.003, 14), 933)


def comparison(gain, **options):
    return compare(*losses(gain), DAYS, alpha=0.01, **options)


def ask(found, answers=PASSED, gate=GATE, challenger=3, champion=2):
    return decide(found, answers, gate, loss="brier", challenger=challenger, champion=champion)


def test_the_reason_of_a_promotion_reads_like_a_sentence():
    said = ask(comparison(0.04))
    assert said.outcome == "promote"
    assert re.fullmatch(
        r"challenger 3 lowers the Brier score of version 2 by \d\.\d % \(from 0\.1\d+ to 0\.1\d+; "
        r"99 % interval \d\.\d % to \d\.\d %; 14 days, 13,062 rows\) and passes all guards: promoted",
        said.reason,
    )


def test_equal_and_worse_challengers_are_refused_with_their_reasons():
    equal = ask(comparison(0.0))
    assert equal.outcome == "refuse"
    assert "it is no better on these rows, refused" in equal.reason or "is no proof that it is" in equal.reason
    worse = ask(comparison(-0.1))
    assert (worse.outcome, "raises the Brier score" in worse.reason) == ("refuse", True)
    assert "it is worse, refused" in worse.reason
    assert "of the base rate" in ask(comparison(0.0), champion=None).reason


def test_of_a_first_model_no_proof_is_asked_and_the_reason_says_so():
    unsure = next(c for c in (comparison(g / 1000) for g in range(-10, 20)) if c.relative > 0)
    assert unsure.verdict == "inconclusive"
    first = ask(unsure, champion=None)
    assert first.outcome == "promote"
    assert "no proof; none is asked of a first model, which replaces nothing" in first.reason
    assert ask(unsure).outcome == "refuse"
    assert "no proof; none" not in ask(comparison(0.3), champion=None).reason
    worse = ask(comparison(-0.1), champion=None)
    assert (worse.outcome, "it is worse, refused" in worse.reason) == ("refuse", True)
    broken = [*PASSED[1:], Guard("slices", "failed", "the loss rises", [])]
    assert ask(unsure, broken, champion=None).outcome == "refuse"
    assert ask(unsure, gate=GateSection(approval="borderline"), champion=None).outcome == "ask"


def test_a_failed_guard_refuses_whatever_the_loss():
    broken = [*PASSED[1:], Guard("slices", "failed", "the loss rises on origin = JFK", [])]
    for approval in ("never", "borderline", "always"):
        said = ask(comparison(0.3), broken, GateSection(approval=approval))
        assert said.outcome == "refuse"
        assert "the guard on slices failed (the loss rises on origin = JFK)" in said.reason


@pytest.mark.parametrize("left_out", guards.REQUIRED)
def test_no_guard_can_be_left_out(left_out):
    with pytest.raises(ValueError, match="needs one answer of each guard"):
        ask(comparison(0.3), [guard for guard in PASSED if guard.name != left_out])
    with pytest.raises(ValueError, match="needs one answer of each guard"):
        ask(comparison(0.3), [*PASSED, PASSED[0]])


def test_a_model_is_never_compared_with_itself():
    with pytest.raises(ValueError, match="with itself"):
        ask(comparison(0.3), challenger=2, champion=2)


def test_a_person_is_asked_where_the_definition_says_so():
    always, borderline = GateSection(approval="always"), GateSection(approval="borderline")
    assert ask(comparison(0.3), gate=always).outcome == "ask"
    assert ask(comparison(0.0), gate=always).outcome == "refuse"
    assert ask(comparison(0.3), gate=borderline).outcome == "promote"
    close = next(c for c in (comparison(g / 1000) for g in range(1, 60)) if c.verdict == "superior")
    assert 0.001 < close.p_value <= 0.01
    assert ask(close, gate=borderline).outcome == "ask"
    assert ask(close).outcome == "promote"


def test_harm_asks_for_non_inferiority_only():
    assert {cause: mode_for(cause) for cause in ("first", "drift", "harm", "age", "operator")} == {
        "first": "superiority", "drift": "superiority", "harm": "non_inferiority", "age": "superiority",
        "operator": "superiority",
    }  # fmt: skip
    assert ask(comparison(0.0, margin=0.05, mode="non_inferiority")).outcome == "promote"
    assert ask(comparison(0.0, margin=0.05)).outcome == "refuse"


def slices(hurt, gate=GATE, column=None):
    champion, challenger = losses(0.05)
    origin = pd.Series(np.resize(["EWR", "JFK", "LGA"], len(DAYS)))
    challenger = challenger + np.where(origin == "JFK", 0.17 * hurt, 0.0)
    return guards.slices({"origin": origin if column is None else column}, champion, challenger, DAYS, gate)


def test_a_slice_that_loses_much_fails_and_chance_does_not():
    assert slices(0.0).state == "passed"
    broken = slices(0.3)
    assert broken.state == "failed"
    assert "origin = JFK by 25" in broken.sentence
    assert slices(0.08).state == "passed"  # 3 % worse: within the margin
    assert slices(0.3, GateSection(slice_min_rows=10_000)).state == "not_applicable"
    rng = np.random.default_rng(0)
    many = pd.Series(rng.choice([f"carrier {n}" for n in range(20)], len(DAYS)))
    seen = []
    for seed in range(40):
        champion = np.abs(np.random.default_rng(seed).normal(0.17, 0.15, len(DAYS)))
        noise = np.random.default_rng(seed + 1000).normal(0, 0.1, len(DAYS))
        seen.append(guards.slices({"carrier": many}, champion, champion + noise, DAYS, GATE).state)
    assert seen.count("failed") <= 4  # 5 % promised


def test_numbers_and_nulls_make_slices_too():
    assert guards.slices({}, *losses(0.0), DAYS, GATE).state == "not_applicable"
    number = pd.Series(np.linspace(0, 1, len(DAYS)))
    number[:500] = np.nan
    names = [d["value"] for d in slices(0.0, column=number).detail]
    assert len(names) == 5
    assert guards.MISSING in names


def test_calibration_latency_and_signature():
    rng = np.random.default_rng(0)
    probability = rng.uniform(0, 0.8, 5000)
    target = (rng.random(5000) < probability).astype(float)
    assert guards.calibration("binary", target, probability, probability, GATE).state == "passed"
    assert guards.calibration("binary", target, probability, probability + 0.1, GATE).state == "failed"
    assert guards.calibration("regression", target, probability, probability, GATE).state == "not_applicable"
    assert guards.calibration("binary", target[:0], target[:0], target[:0], GATE).state == "not_applicable"
    assert guards.latency(49.9, GATE).state == "passed"
    assert guards.latency(50.1, GATE).state == "failed"
    assert guards.latency(float("nan"), GATE).state == "failed"
    assert guards.signature("binary", ["a", "b"], ["b", "a"], probability, 5000).state == "passed"
    assert "does not read b" in guards.signature("binary", ["a", "b"], ["a"], probability, 5000).sentence
    assert "reads c, which the definition" in guards.signature("binary", ["a"], ["a", "c"], probability, 5000).sentence
    assert guards.signature("binary", ["a"], ["a"], probability + 1, 5000).state == "failed"
    assert guards.signature("regression", ["a"], ["a"], probability + 1, 5000).state == "passed"
    assert guards.signature("regression", ["a"], ["a"], np.array([np.nan]), 1).state == "failed"
    assert guards.signature("regression", ["a"], ["a"], probability, 4999).state == "failed"


@given(st.floats(1e-6, 0.2), st.integers(0, 60))
def test_a_champion_spends_no_more_than_it_has(alpha, looks):
    spent = [level(alpha, n) for n in range(looks + 1)]
    assert sum(spent) <= LOOKS * alpha * (1 + 1e-12)
    assert all(0 < after <= before for before, after in pairwise(spent))
    assert max(spent) <= max(alpha, MOST)


def test_the_first_challenger_has_the_best_chance():
    assert [round(level(0.01, n), 6) for n in range(4)] == [0.04, 0.02, 0.01, 0.005]
    assert level(0.05, 0) == 0.05
