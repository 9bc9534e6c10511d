"""The gate and its guards: what passes, what fails, and that no guard can be left out."""

import re
from dataclasses import replace
from itertools import groupby, pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.core.definition.model import ALLOWANCES, FairnessSection, GateSection
from evergreen.errors import BadInputError
from evergreen.loop.champion.evaluation import guards
from evergreen.loop.champion.evaluation.gate import LEAST, decide, level, mode_for, too_few
from evergreen.loop.champion.evaluation.guards import Guard
from evergreen.loop.champion.evaluation.paired_test import compare, nothing

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


def test_no_reason_speaks_of_losing_more_than_all_of_a_loss():
    found = replace(comparison(0.04), relative=0.855, relative_low=0.459, relative_high=1.495)
    assert "99 % interval 45.9 % to 100.0 %;" in ask(found).reason
    two_days = replace(comparison(0.04), relative=0.144, relative_low=-5.595, relative_high=5.88, clusters=2)
    assert "; too few days for an interval; 2 days, " in ask(two_days).reason


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


def test_a_champion_that_cannot_serve_keeps_no_one_from_its_place():
    unsure = next(c for c in (comparison(g / 1000) for g in range(-10, 20)) if c.relative > 0)
    said = decide(unsure, PASSED, GATE, loss="brier", challenger=3, champion=2, broken="it reads z, which is gone")
    assert said.outcome == "promote"
    assert said.reason.startswith(
        "champion 2 cannot serve (it reads z, which is gone), so the base rate stands in for it;"
    )
    assert "none is asked of a model that replaces one that cannot serve" in said.reason
    worse = decide(comparison(-0.02), PASSED, GATE, loss="brier", challenger=3, champion=2, broken="it is lost")
    assert worse.outcome == "refuse"


def test_money_is_said_in_its_unit_and_too_few_positives_refuse_whatever_was_found():
    few = too_few(7, 20)
    assert too_few(20, 20) is None
    found = comparison(0.04)
    said = decide(found, PASSED, GATE, loss="cost", challenger=3, champion=2, unit="EUR", few=few)
    assert said.outcome == "refuse"
    assert "lowers the avoidable cost of version 2 by" in said.reason
    assert " EUR a row; " in said.reason
    assert "the rarer class has 7 labelled rows and 20 are needed (gate.min_positives)" in said.reason
    assert decide(found, PASSED, GATE, loss="cost", challenger=3, champion=2, unit="EUR").outcome == "promote"
    first = decide(found, PASSED, GATE, loss="cost", challenger=3, champion=None, unit="EUR", few=few)
    assert (first.outcome, few in first.reason) == ("promote", True)


def test_a_slice_that_cost_nothing_before_can_fail_by_what_it_costs_now():
    days, part = DAYS, pd.Series(np.where(np.arange(len(DAYS)) % 2, "a", "b"))
    champion = np.where(part == "a", 0.0, 1.0)
    challenger = np.where(part == "a", 0.5 + np.arange(len(DAYS)) % 7 / 100, 0.2)
    said = guards.slices({"part": part}, champion, challenger, days, GateSection(slices=("part",)))
    assert said.state == "failed"
    assert "the loss rises on part = a" in said.sentence


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
    assert {cause: mode_for(cause, proven=True) for cause in ("first", "drift", "harm", "age", "operator")} == {
        "first": "superiority", "drift": "superiority", "harm": "non_inferiority", "age": "superiority",
        "operator": "superiority",
    }  # fmt: skip
    assert mode_for("harm", proven=False) == "superiority", "a cause that somebody wrote into a form proves nothing"
    assert ask(comparison(0.0, margin=0.05, mode="non_inferiority")).outcome == "promote"
    assert ask(comparison(0.0, margin=0.05)).outcome == "refuse"


def slices(hurt, gate=GATE, column=None):
    champion, challenger = losses(0.05)
    origin = pd.Series(np.resize(["EWR", "JFK", "LGA"], len(DAYS)))
    challenger = challenger + np.where(origin == "JFK", 0.17 * hurt, 0.0)
    return guards.slices({"origin": origin if column is None else column}, champion, challenger, DAYS, gate)


def test_a_value_of_the_data_cannot_write_lines_of_its_own_into_a_reason():
    named = pd.Series(np.resize(["EWR", "JFK\n2026-10-01 promoted by admin \x9b2K" + "A" * 100, "LGA"], len(DAYS)))
    champion, challenger = losses(0.05)
    hurt = challenger + np.where(named.str.startswith("JFK"), 0.05, 0.0)
    said = guards.slices({"origin": named}, champion, hurt, DAYS, GATE)
    assert said.state == "failed"
    assert "origin = JFK\\u000a2026-10-01 promoted by admin \\u009b2K" in said.sentence
    assert said.sentence.isprintable()
    assert "A" * 60 not in said.sentence


def test_a_slice_that_loses_much_fails_and_chance_does_not():
    assert slices(0.0).state == "passed"
    broken = slices(0.3)
    assert broken.state == "failed"
    assert "origin = JFK by 25" in broken.sentence
    assert slices(0.08).state == "passed"  # 3 % worse: within the margin
    few = slices(0.3, column=pd.Series([f"{n // 100}" for n in range(len(DAYS))]))
    assert (few.state, few.sentence) == ("not_applicable", "no slice has 200 rows or more")
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


def test_calibration_latency_and_size():
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
    assert guards.latency(None, GATE).state == "not_applicable"
    assert guards.size(100_000_000, GATE).state == "passed"
    too_big = guards.size(100_000_001, GATE)
    assert (too_big.state, too_big.sentence) == ("failed", "the model file has 100 MB, 100 MB allowed")
    assert guards.size(None, GATE).state == "failed"


def test_a_guard_that_uses_up_nearly_all_that_is_allowed_has_passed_closely():
    assert [guards.latency(ms, GATE).close for ms in (44.0, 46.0, 51.0)] == [False, True, False]
    assert [guards.size(mb * 10**6, GATE).close for mb in (89, 91, 101)] == [False, True, False]
    half = np.full(1000, 0.5)
    target = np.resize([0.0, 1.0], 1000)
    off = [guards.calibration("binary", target, half, half + by, GATE) for by in (0.0, 0.019, 0.021)]
    assert [(guard.state, guard.close) for guard in off] == [("passed", False), ("passed", True), ("failed", False)]

    champion, noise = losses(0.0)[0], np.repeat(np.random.default_rng(1).normal(0, 0.04, 14), 933)
    one = {"origin": pd.Series(["JFK"] * len(DAYS))}
    rises = [guards.slices(one, champion, champion * (1 + n / 100) + noise, DAYS, GATE) for n in range(0, 41, 2)]
    states = [(guard.state, guard.close) for guard in rises]
    assert [k for k, _ in groupby(states)] == [("passed", False), ("passed", True), ("failed", False)]


def usable(given, task="binary", expected=("a",), reads=("a",), rows=3):
    return guards.signature(task, expected, reads, lambda: given, rows)


def test_predictions_that_can_be_used_come_with_the_answer():
    guard, found = usable([0.0, 0.5, 1.0])
    assert (guard.state, found.dtype, found.tolist()) == ("passed", np.float64, [0.0, 0.5, 1.0])
    assert usable(np.array([-5, 0, 9]), task="regression")[0].state == "passed"
    assert usable([0.1, 0.2, 0.3], expected=["a", "b"], reads=["b", "a"])[0].state == "passed"


@pytest.mark.parametrize(
    ("given_", "options", "says"),
    [
        ([0.1, np.nan, np.inf], {}, "2 of 3 predictions are no usable numbers"),
        ([0.1, 1.2, -0.1], {}, "2 of 3 predictions are no probabilities: outside 0 to 1"),
        ([0.1, 1.2, np.nan], {}, "1 of 3 predictions are no usable .*; 1 of 3 predictions are no probabilities"),
        ([1.0, 1e200, 1.0], {"task": "regression"}, "1 of 3 predictions are no usable"),
        ([0.1, 0.2], {}, "it gave 2 predictions for 3 rows"),
        ([[0.1, 0.9]] * 3, {}, r"predictions of shape \(3, 2\) for 3 rows, not one a row"),
        (["late", "late", "on time"], {}, "of type <U7, not numbers"),
        (np.array([0.1, None, 0.2], dtype=object), {}, "of type object, not numbers"),
        ([1j, 0, 0], {"task": "regression"}, "of type complex128, not numbers"),
        ([0.1] * 3, {"expected": ["a", "b"]}, "it does not read b"),
        ([0.1] * 3, {"reads": ["a", "c"]}, "it reads c, which the definition does not name"),
    ],
)
def test_what_is_no_prediction_fails_with_a_sentence(given_, options, says):
    guard, found = usable(given_, **options)
    assert (guard.state, found) == ("failed", None)
    assert re.search(says, guard.sentence)


def test_a_model_that_breaks_while_it_predicts_fails_and_a_fault_of_the_data_is_told():
    def broken():
        raise ValueError("could not convert string to float: 'x'")

    def lacking():
        raise BadInputError("the frame lacks a feature")

    guard, found = guards.signature("binary", ["a"], ["a"], broken, 3)
    assert (guard.state, found) == ("failed", None)
    assert guard.sentence == "it cannot predict (ValueError: could not convert string to float: 'x')"
    with pytest.raises(BadInputError, match="lacks a feature"):
        guards.signature("binary", ["a"], ["a"], lacking, 3)


def test_a_challenger_that_cannot_serve_is_refused_for_that():
    guard, _ = usable([np.nan] * 3)
    answers = [guard if passed.name == "signature" else passed for passed in PASSED]
    said = ask(nothing(alpha=0.01, margin=0.02, mode="superiority"), answers)
    assert said.outcome == "refuse"
    assert said.reason == (
        "challenger 3 cannot serve, so it was not compared: 3 of 3 predictions are no usable numbers (NaN, infinite or "
        "huge): refused"
    )


def test_what_is_close_is_said_and_asks_only_where_the_definition_says_so():
    close = GateSection(approval="borderline")
    nearly = next(c for c in (comparison(g / 1000) for g in range(1, 60)) if 0.01 < c.p_value < 0.1 and c.delta > 0)
    said = ask(nearly, gate=close)
    assert said.outcome == "ask"
    assert re.search(
        r"it is close: chance alone would do as much with p = 0\.0\d+, which is no proof at 1 %", said.reason
    )
    assert ask(nearly).outcome == "refuse"
    assert ask(comparison(0.0), gate=close).outcome == "refuse"
    assert ask(comparison(-0.1), gate=close).outcome == "refuse"
    narrow = [replace(guard, close=guard.name == "latency", sentence="49 ms") for guard in PASSED]
    said = ask(comparison(0.3), narrow, close)
    assert (said.outcome, "the guard on latency passed narrowly (49 ms)" in said.reason) == ("ask", True)
    assert ask(comparison(0.3), narrow).outcome == "promote"
    broken = [replace(guard, state="failed") if guard.name == "size" else guard for guard in narrow]
    assert ask(nearly, broken, close).outcome == "refuse"


def test_what_the_definition_loosens_is_said_with_the_promotion():
    assert ask(comparison(0.3), gate=GateSection(slices=("origin",), alpha=0.001)).reason.endswith("guards: promoted")
    loose = GateSection(alpha=0.2, max_latency_ms=80, fairness={"by": ["sex"], "max_difference": 0.3})
    said = ask(comparison(0.3), gate=loose)
    assert said.reason.endswith(
        "passes all guards; gate loosened by model.yaml: alpha 0.2 (default 0.01), max_latency_ms 80 (default 50), "
        "fairness.max_difference 0.3 (default 0.1): promoted"
    )
    assert "loosened" in ask(comparison(0.3), gate=loose.model_copy(update={"approval": "always"})).reason


def most(field):
    return next(m.le for m in field.metadata if hasattr(m, "le"))


FIELDS = {**GateSection.model_fields, **FairnessSection.model_fields}


def test_every_allowance_has_an_upper_bound_and_is_listed_when_used():
    """A setting of which more allows more can neither be set beyond reason nor pass unseen."""
    not_allowances = {"holdout", "threshold", "approval_timeout", "min_positives"}
    numbers = {name for name, field in FIELDS.items() if any(hasattr(m, "le") for m in field.metadata)}
    unbounded = {n for n, f in FIELDS.items() if f.annotation in (int, float) and n not in numbers | {"threshold"}}
    assert unbounded == set()
    assert numbers - not_allowances == set(ALLOWANCES)
    values = {name: most(FIELDS[name]) for name in ALLOWANCES}
    gate = GateSection(
        **{k: v for k, v in values.items() if k in GateSection.model_fields},
        fairness={"by": ["x"]} | {k: v for k, v in values.items() if k in FairnessSection.model_fields},
    )
    assert {text.split()[0].removeprefix("fairness.") for text in gate.loosened} == set(ALLOWANCES)


@pytest.fixture(scope="module")
def loosest():
    return GateSection(**{name: most(FIELDS[name]) for name in ALLOWANCES if name in GateSection.model_fields})


@pytest.mark.parametrize("mode", ["superiority", "non_inferiority"])
@pytest.mark.parametrize("looks", [0, 1, 5])
def test_the_loosest_gate_that_can_be_written_refuses_a_worse_challenger(loosest, mode, looks):
    promoted = 0
    for seed in range(40):
        found = compare(*losses(-0.15, seed), DAYS, alpha=level(loosest.alpha, looks), margin=loosest.margin, mode=mode)
        promoted += ask(found, gate=loosest).outcome != "refuse"
    assert promoted == 0
    assert slices(0.6, loosest).state == "failed"


@given(st.floats(1e-6, 0.2), st.integers(0, 60))
def test_a_champion_spends_no_more_than_it_has(alpha, looks):
    spent = [level(alpha, n) for n in range(looks + 1)]
    assert sum(spent) <= 2 * alpha + len(spent) * LEAST
    assert all(0 < after <= before for before, after in pairwise(spent))
    assert max(spent) == alpha


def test_the_first_challenger_has_the_best_chance():
    assert [level(0.01, n) for n in range(4)] == [0.01, 0.005, 0.0025, 0.00125]


def test_no_challenger_is_asked_for_a_proof_without_end():
    assert level(0.01, 10_000) == LEAST
