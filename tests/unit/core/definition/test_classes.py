"""Which classes a multiclass definition may name, and what its target may be."""

import pytest
import yaml
from pydantic import ValidationError

from evergreen.core.definition.model import ModelDefinition
from helpers.class_orders import DEFINITION


def made(kind="string", **changes):
    raw = yaml.safe_load(DEFINITION)
    raw["feed"]["tables"]["labels"]["columns"]["outcome"] = kind
    return ModelDefinition.model_validate(raw | changes)


def test_classes_are_texts_and_whole_numbers_are_named_by_their_digits():
    assert made(classes=["kept", "swapped", "returned"]).classes == ("kept", "swapped", "returned")
    assert made("integer", classes=[2, 10, "3"]).classes == ("2", "10", "3")
    assert "classes" not in made().model_dump(), "a definition of before reads as it did"
    assert (made().loss, made().disparity) == ("brier", "equalized_odds_difference")


@pytest.mark.parametrize(
    ("kind", "changes", "said"),
    [
        ("float", {}, "is of type float; classes are of type string or integer"),
        ("boolean", {}, "is of type boolean; classes are"),
        ("string", {"classes": ["a", "b"]}, "several classes are 3 or more, two are binary"),
        ("string", {"classes": ["a", "b", "b", "c"]}, "classes names b twice"),
        ("string", {"classes": ["a", "b", True]}, "is true or false to YAML; put quotes round it"),
        ("integer", {"classes": [1, 2, "x"]}, "names x, which the integer column 'outcome' cannot hold"),
        ("string", {"classes": [f"c{n}" for n in range(101)]}, "at most 100 items"),
        ("string", {"gate": {"loss": "squared_error"}}, "'squared_error' does not fit task 'multiclass'"),
        ("boolean", {"task": "binary", "classes": ["a", "b", "c"]}, "classes are those of task 'multiclass'"),
        ("string", {"features": {"numeric": ["probability_kept"]}}, "rename probability_kept: names that begin with"),
    ],
)
def test_what_cannot_be_is_said_with_what_to_do(kind, changes, said):
    with pytest.raises(ValidationError, match=said):
        made(kind, **changes)


def test_columns_that_an_id_is_made_of_stand_beside_predictions_too():
    raw = yaml.safe_load(DEFINITION)
    feed = raw["feed"]
    for table in feed["tables"].values():
        table["columns"]["probability_code"] = "string"
    feed["entity"] = [feed["entity"], "probability_code"]
    with pytest.raises(ValidationError, match="rename probability_code: names that begin with"):
        ModelDefinition.model_validate(raw)
