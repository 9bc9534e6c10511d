"""Which probability of a registered model is that of which class: the model says so, and it is never guessed."""

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.linear_model import LogisticRegression

from evergreen.core.definition.model import ModelDefinition
from evergreen.errors import RefusedError
from evergreen.loop.champion.adoption.registered import as_version
from evergreen.loop.training.classes import names_of
from evergreen.loop.training.model_files import Predictor, freeze, thaw
from helpers import class_orders, orders_model

ADDRESS = "models:/returns/1"
ROWS = pd.DataFrame({"price": np.arange(60.0) % 7, "age": np.arange(60.0) % 11, "country": ["de", "fr"] * 30})
READ = ["price", "age"]


def definition(text, **said):
    return ModelDefinition.model_validate(yaml.safe_load(text) | said)


def fitted(*classes):
    return LogisticRegression().fit(ROWS[READ], np.resize(np.array(classes), len(ROWS)))


@pytest.mark.parametrize("classes", [("swapped", "kept", "returned"), (10, 9, 100)])
def test_several_classes_have_the_names_and_the_order_that_the_model_says(classes):
    model = fitted(*classes)
    adopted = as_version(definition(class_orders.DEFINITION), ADDRESS, model, ROWS)
    assert names_of(adopted) == tuple(str(name) for name in model.classes_)
    loaded = Predictor(thaw(freeze(adopted), (), what="it"), 1)
    assert loaded.classes == names_of(adopted)
    assert np.array_equal(loaded.predict(ROWS), model.predict_proba(ROWS[READ]))


def test_numbers_in_the_place_of_declared_classes_are_refused():
    declared = definition(class_orders.DEFINITION, classes=["kept", "returned", "swapped"])
    with pytest.raises(RefusedError, match=r"classes_ are 0, 1 and 2, .* class of kept, returned and swapped:"):
        as_version(declared, ADDRESS, fitted(0, 1, 2), ROWS)


def test_a_model_that_does_not_name_its_classes_is_refused():
    model = fitted("kept", "returned", "swapped")
    del model.classes_
    with pytest.raises(RefusedError, match="it has no classes_"):
        as_version(definition(class_orders.DEFINITION), ADDRESS, model, ROWS)


@pytest.mark.parametrize("classes", [(0, 1), (0.0, 1.0), (False, True)])
def test_two_classes_are_no_and_yes(classes):
    adopted = as_version(definition(orders_model.DEFINITION), ADDRESS, fitted(*classes), ROWS)
    assert names_of(adopted) == ()


@pytest.mark.parametrize("classes", [("no", "yes"), (1, 2), (-1, 1), (0, 1, 2)])
def test_two_classes_of_other_names_are_refused(classes):
    with pytest.raises(RefusedError, match="which probability is that of returned = 1: register it"):
        as_version(definition(orders_model.DEFINITION), ADDRESS, fitted(*classes), ROWS)
