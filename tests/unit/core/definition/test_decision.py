"""Which decisions a definition may have, and what is said of others."""

import pytest
import yaml
from pydantic import ValidationError

from evergreen.core.definition.model import ModelDefinition
from helpers.class_orders import DEFINITION as SEVERAL
from helpers.orders_model import DEFINITION

COSTS = {"false_positive": 5, "false_negative": 200}
THREE = ["kept", "swapped", "returned"]
MATRIX = {t: {c: 1 for c in THREE if c != t} for t in THREE}


def made(text=DEFINITION, **changes):
    raw = yaml.safe_load(text)
    gate = raw.get("gate", {}) | changes.pop("gate", {})
    return ModelDefinition.model_validate(raw | {"gate": gate} | changes)


def test_a_definition_of_before_reads_as_it_did():
    plain = made()
    assert "decision" not in plain.model_dump()
    assert "min_positives" not in plain.model_dump()["gate"]
    assert (plain.costs, plain.unit, plain.min_positives, plain.loss_label) == (None, "", 0, "brier")


def test_costs_that_are_left_out_are_nothing_and_benefits_are_below_it():
    definition = made(decision={"unit": "EUR", "costs": {**COSTS, "true_positive": -20}}, gate={"loss": "cost"})
    assert definition.costs.table == ((0, 5), (200, -20))
    assert definition.costs.avoidable == ((0, 5), (220, 0), (220, 5))
    assert (definition.unit, definition.loss_label) == ("EUR", "avoidable cost (EUR a row)")
    assert definition.min_positives == 20
    assert made(gate={"min_positives": 70}).min_positives == 70


def test_a_matrix_has_every_class_of_a_multiclass_task():
    definition = made(SEVERAL, classes=THREE, decision={"unit": "h", "costs": MATRIX}, gate={"loss": "cost"})
    assert definition.costs.table == ((0, 1, 1), (1, 0, 1), (1, 1, 0))


@pytest.mark.parametrize(
    ("text", "changes", "said"),
    [
        (DEFINITION, {"decision": {}}, "decision needs a threshold, or costs"),
        (DEFINITION, {"decision": {"costs": COSTS}}, "costs need a unit: name what they are in, as in `unit: EUR`"),
        (DEFINITION, {"decision": {"threshold": 0.5, "unit": "EUR"}}, "there are none: remove it, or give costs"),
        (DEFINITION, {"decision": {"threshold": 1.5}}, "less than or equal to 1"),
        (DEFINITION, {"decision": {"unit": "EUR", "costs": {"false_alarm": 5}}}, "not: 'false_alarm'"),
        (DEFINITION, {"decision": {"unit": "EUR", "costs": {"false_negative": 5}}}, "a false_positive costs 0 and"),
        (DEFINITION, {"decision": {"unit": "EUR", "costs": {"false_positive": 5}}}, "a false_negative costs 0 and"),
        (DEFINITION, {"decision": {"unit": "EUR", "costs": COSTS | {"true_positive": float("inf")}}}, "finite numbers"),
        (DEFINITION, {"gate": {"loss": "cost"}}, "gate.loss 'cost' needs decision.costs"),
        (DEFINITION, {"gate": {"loss": "cost"}, "decision": {"threshold": 0.5}}, "needs decision.costs"),
        (
            DEFINITION,
            {"decision": {"threshold": 0.5}, "features": {"numeric": ["choice"]}},
            "give that of the feed ano",
        ),
        (SEVERAL, {"classes": THREE, "decision": {"threshold": 0.5}}, "threshold is for two classes; of several"),
        (SEVERAL, {"decision": {"unit": "EUR", "costs": MATRIX}}, "decision.costs need `classes`"),
        (SEVERAL, {"classes": THREE, "decision": {"unit": "EUR", "costs": COSTS}}, "if 'kept' is the truth"),
        (
            SEVERAL,
            {"classes": THREE, "decision": {"unit": "EUR", "costs": MATRIX | {"kept": {"swapped": 1}}}},
            "of 'kept' lacks the choice of 'returned'",
        ),
        (
            SEVERAL,
            {"classes": THREE, "decision": {"unit": "EUR", "costs": MATRIX | {"lost": {"kept": 1}}}},
            "names 'lost', which is not among classes",
        ),
        (
            SEVERAL,
            {"classes": THREE, "decision": {"unit": "EUR", "costs": MATRIX | {"kept": {"swapped": -1, "returned": 1}}}},
            "choosing 'swapped' costs less than choosing 'kept'",
        ),
        (DEFINITION, {"gate": {"min_positives": 5}}, "greater than or equal to 20"),
        (SEVERAL, {"gate": {"min_positives": 50}}, "gate.min_positives is of task 'binary'"),
    ],
)
def test_what_cannot_be_is_said_with_what_to_do(text, changes, said):
    with pytest.raises(ValidationError, match=said):
        made(text, **changes)


def test_a_value_is_no_class_and_the_refusal_says_what_else_to_do():
    raw = yaml.safe_load(DEFINITION)
    raw["feed"]["tables"]["labels"]["columns"]["returned"] = "float"
    with pytest.raises(ValidationError, match="task 'regression' predicts a value: remove it"):
        ModelDefinition.model_validate(raw | {"task": "regression", "decision": {"threshold": 0.5}})
