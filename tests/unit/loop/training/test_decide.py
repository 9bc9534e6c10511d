"""Which class is chosen, by which threshold, and what the choices cost."""

import json

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from evergreen.core.definition.model import ModelDefinition
from evergreen.loop.training import decide, outcomes
from evergreen.loop.training.classes import as_columns, columns_in
from helpers.class_orders import DEFINITION as SEVERAL
from helpers.orders_model import DEFINITION

EUR = {"unit": "EUR", "costs": {"true_positive": -50, "false_positive": 5, "false_negative": 150}}
MATRIX = {
    "kept": {"swapped": 2, "returned": 4},
    "swapped": {"kept": 3, "returned": 1},
    "returned": {"kept": 20, "swapped": 10, "returned": -1},
}


def binary(decision=EUR, **gate):
    raw = yaml.safe_load(DEFINITION)
    return ModelDefinition.model_validate(raw | {"decision": decision, "gate": raw["gate"] | gate})


def several(costs=MATRIX, **gate):
    raw = yaml.safe_load(SEVERAL) | {"classes": ["kept", "swapped", "returned"]}
    raw["gate"] = raw.get("gate", {}) | gate
    return ModelDefinition.model_validate(raw | {"decision": {"unit": "EUR", "costs": costs}})


def test_the_bayes_threshold_is_elkans():
    rule = decide.usual(binary())
    assert rule.how == "bayes"
    assert rule.threshold == pytest.approx(5 / (5 + 200))
    assert decide.usual(binary({"threshold": 0.3})).threshold == 0.3
    assert decide.usual(ModelDefinition.model_validate(yaml.safe_load(DEFINITION))) is None


@given(st.floats(0, 1), st.floats(-100, 100), st.floats(-100, 100), st.floats(0.1, 100), st.floats(0.1, 100))
def test_no_other_choice_costs_less_in_expectation(p, hit, right, more, worse):
    costs = {
        "true_positive": hit,
        "true_negative": right,
        "false_positive": right + more,
        "false_negative": hit + worse,
    }
    definition = binary({"unit": "EUR", "costs": costs})
    chosen = decide.usual(definition).choose(np.array([p]))[0]
    expected = {True: p * hit + (1 - p) * (right + more), False: p * (hit + worse) + (1 - p) * right}
    assert expected[bool(chosen)] <= expected[not chosen] + 1e-9 * (abs(more) + abs(worse))


@given(st.lists(st.floats(0.01, 1), min_size=3, max_size=3))
def test_of_several_classes_the_one_of_least_expected_cost_is_chosen(weights):
    definition, p = several(), np.array([weights]) / sum(weights)
    names = ("returned", "kept", "swapped")  # as a version may know them
    (chosen,) = decide.usual(definition).choose(p, names)
    table = {truth: {truth: 0, **row} for truth, row in MATRIX.items()}
    expected = {c: sum(p[0][n] * table[truth][c] for n, truth in enumerate(names)) for c in table}
    assert expected[chosen] == pytest.approx(min(expected.values()))
    assert decide.expected_losses(several(loss="cost"), p, names, np.array([chosen], dtype=object))[0] >= 0


def test_a_class_that_a_version_does_not_know_may_be_chosen_and_unknown_truths_are_the_dearest_mistake():
    definition = several(loss="cost")
    two = decide.usual(definition).choose(np.array([[0.5, 0.5]]), ("kept", "returned"))
    assert two.tolist() == ["returned"]
    truth, choice = np.array(["lost", "kept"], dtype=object), np.array(["swapped", "swapped"], dtype=object)
    assert decide.avoidable_costs(definition.costs, truth, choice).tolist() == [11, 2]
    assert decide.money(definition.costs, truth, choice).tolist() == [10, 2]


def scores(seed, rows, shift=0.0):
    rng = np.random.default_rng(seed)
    odds = -4 + 1.5 * rng.normal(size=rows)
    target = (rng.random(rows) < 1 / (1 + np.exp(-odds))).astype(float)
    return target, 1 / (1 + np.exp(-(odds + shift)))


def test_a_threshold_is_tuned_towards_what_miscalibrated_scores_need():
    target, calibrated = scores(1, 20_000)
    _, inflated = scores(1, 20_000, shift=3.0)
    definition = binary()
    plain, moved = (decide.tuned(definition, target, p) for p in (calibrated, inflated))
    assert plain.how == "tuned"
    assert plain.threshold == pytest.approx(plain.bayes, rel=0.4)
    assert np.log(moved.threshold / (1 - moved.threshold)) == pytest.approx(
        np.log(plain.threshold / (1 - plain.threshold)) + 3, abs=0.25
    )
    assert moved.positives == target.sum()


def test_few_positives_hardly_move_the_threshold_and_none_leave_bayes():
    target, p = scores(2, 60)
    definition = binary()
    rule = decide.tuned(definition, target, p)
    assert 0.2 < rule.threshold / rule.bayes < 5
    assert decide.tuned(definition, np.zeros(60), p).threshold == rule.bayes
    assert decide.tuned(binary({"threshold": 0.3}), target, p).threshold == 0.3


def test_a_rule_survives_json_and_one_of_another_task_is_not_used():
    for rule in (decide.tuned(binary(), *scores(3, 500)), decide.usual(several())):
        assert decide.rule_from(json.loads(json.dumps(rule.as_json()))) == rule
    assert decide.rule_for(binary(), decide.usual(several())).how == "bayes"
    own = decide.Rule("tuned", 0.4, 0.3, 10)
    assert decide.rule_for(binary(), own) == own
    assert decide.rule_for(ModelDefinition.model_validate(yaml.safe_load(DEFINITION)), own) is None


def test_the_choice_stands_beside_the_prediction_and_without_one_nothing_does():
    p = np.array([0.01, 0.9])
    choice = decide.usual(binary()).choose(p)
    frame = pd.DataFrame(as_columns(p, (), choice))
    assert list(frame) == ["prediction", "choice"]
    assert frame["choice"].tolist() == [False, True]
    assert columns_in(["order_id", "prediction", "choice"], decided=True) == ["prediction", "choice"]
    assert columns_in(["order_id", "prediction", "choice"]) == ["prediction"]
    assert decide.chosen_in(binary(), frame).tolist() == [False, True]
    assert decide.chosen_in(binary(), frame.drop(columns="choice")).tolist() == [False, True]


def test_losses_by_cost_are_what_a_better_choice_would_have_saved():
    definition = binary(loss="cost")
    target, choice = np.array([1.0, 1.0, 0.0, 0.0]), np.array([True, False, True, False])
    p = np.array([0.5, 0.5, 0.5, 0.5])
    assert decide.losses_of(definition, target, p, (), choice).tolist() == [0, 200, 5, 0]
    assert decide.expected_losses(definition, p, (), choice).tolist() == [2.5, 100, 2.5, 100]
    assert (definition.loss, definition.training_loss, definition.unit) == ("cost", "brier", "EUR")


def test_outcomes_count_and_what_divides_by_nothing_is_undefined():
    definition = binary()
    found = outcomes.outcomes(
        definition, np.array([1.0, 1.0, 0.0, 0.0]), np.array([True, False, True, False]), np.array([0.9, 0.1, 0.5, 0.2])
    )
    assert (found["precision"], found["recall"], found["f1"]) == (0.5, 0.5, 0.5)
    assert (found["money"], found["avoidable"], found["unit"]) == (-50 + 150 + 5, 205, "EUR")
    assert "they cost 105.00 EUR" in outcomes.sentence(found)
    nothing = outcomes.outcomes(definition, np.zeros(3), np.zeros(3, dtype=bool), np.zeros(3))
    assert nothing["precision"] is nothing["recall"] is nothing["f1"] is nothing["average_precision"] is None
    assert "precision undefined" in outcomes.sentence(nothing)
    assert "decision.precision" not in outcomes.flat(nothing)
    json.dumps(nothing, allow_nan=False)
    empty = outcomes.outcomes(definition, np.empty(0), np.empty(0, dtype=bool), np.empty(0))
    json.dumps(empty, allow_nan=False)


def test_outcomes_of_several_classes_have_a_confusion_matrix_and_rates_of_each():
    truth = np.array(["kept", "kept", "returned", "lost"], dtype=object)
    choice = np.array(["kept", "swapped", "returned", "returned"], dtype=object)
    found = outcomes.outcomes(several(), truth, choice)
    assert found["accuracy"] == 0.5
    assert found["confusion"] == [[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 1, 0]]
    assert found["by_class"]["returned"] == {"precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3)}
    assert found["by_class"]["swapped"]["recall"] is None
    assert outcomes.flat(found)["decision.class.kept.recall"] == 0.5
    json.dumps(found, allow_nan=False)


@given(st.integers(0, 2**31), st.integers(0, 40))
def test_counts_add_up_and_the_right_choices_would_have_saved_what_is_avoidable(seed, rows):
    rng = np.random.default_rng(seed)
    target, choice = (rng.random(rows) < 0.1).astype(float), rng.random(rows) < 0.3
    found = outcomes.outcomes(binary(), target, choice)
    right = outcomes.outcomes(binary(), target, target > 0.5)
    four = ("true_positive", "false_positive", "true_negative", "false_negative")
    assert sum(found[name] for name in four) == rows == found["rows"]
    assert found["money"] - right["money"] == pytest.approx(found["avoidable"])
    assert right["avoidable"] == 0
