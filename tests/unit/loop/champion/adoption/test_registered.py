"""A registered version of another's making, as a version of this model: whose probabilities are whose."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from evergreen.core.definition import load_definition
from evergreen.core.definition.model import ModelDefinition
from evergreen.errors import RefusedError
from evergreen.loop.champion.adoption import registered
from evergreen.loop.training.model_files import Predictor, freeze, thaw

NAMES = np.array(["kept", "swapped", "returned"], dtype=object)
WHERE = "models:/returns/1"


def defined(**fields):
    raw = load_definition("nyc_flights").model_dump()
    raw["features"].update(numeric=("distance", "hour"), categorical=())
    raw["gate"].update(slices=(), fairness=None)
    if fields.get("task") == "multiclass":
        raw["feed"]["tables"]["labels"]["columns"][raw["target"]] = "string"
    return ModelDefinition.model_validate({**raw, **fields})


SEVERAL = {"task": "multiclass"}


def world(names=NAMES):
    """Rows whose class follows from their columns, and what reads them."""
    rng = np.random.default_rng(7)
    features = pd.DataFrame(rng.normal(size=(300, 2)), columns=["distance", "hour"])
    place = np.digitize(features["distance"], [-0.5, 0.5])
    return SimpleNamespace(features=features, target=np.array(NAMES)[place]), np.asarray(names)[place]


def fitted(fitted_on):
    rows, target = world(fitted_on)
    return rows, Pipeline([("scale", StandardScaler()), ("model", LogisticRegression())]).fit(rows.features, target)


@pytest.mark.parametrize("classes", [(), tuple(NAMES)])
def test_each_probability_has_the_name_that_it_was_fitted_on(classes):
    rows, model = fitted(NAMES)
    adopted = registered.as_version(defined(**SEVERAL, classes=classes), WHERE, model, rows.features, rows.target)
    version = Predictor(thaw(freeze(adopted), (), what="it"), 1)
    assert version.classes == ("kept", "returned", "swapped"), "the order of its columns, not that of the definition"
    assert np.array_equal(version.predict(rows.features), model.predict_proba(rows.features))


def test_whole_numbers_are_spelled_as_labels_are():
    rows, model = fitted(np.array([3.0, 10.0, 7.0]))
    rows.target = np.array(["3", "10", "7"], dtype=object)
    assert Predictor(
        registered.as_version(defined(**SEVERAL), WHERE, model, rows.features, rows.target), 1
    ).classes == ("3", "7", "10")


def test_a_class_that_no_label_has_yet_is_kept():
    rows, model = fitted(NAMES)
    rows.target = np.where(rows.target == "returned", "kept", rows.target)
    assert (
        "returned"
        in Predictor(registered.as_version(defined(**SEVERAL), WHERE, model, rows.features, rows.target), 1).classes
    )


@pytest.mark.parametrize(
    ("classes", "said"),
    [((), "kept, returned and swapped"), (tuple(NAMES), "kept, swapped and returned")],
)
def test_numbers_in_place_of_names_are_refused(classes, said):
    """LabelEncoder numbers them by the alphabet, others by what comes first: a swap would predict without an error."""
    rows, model = fitted(np.array([0, 1, 2]))
    with pytest.raises(RefusedError, match=rf"{WHERE}: .*classes_ are 0, 1 and 2, .* of {said}"):
        registered.as_version(defined(**SEVERAL, classes=classes), WHERE, model, rows.features, rows.target)


def test_one_class_that_the_definition_does_not_name_is_refused():
    rows, model = fitted(np.array(["kept", "swapped", "lost"], dtype=object))
    with pytest.raises(RefusedError, match=r"classes_ are kept, lost and swapped, .* of kept, swapped and returned"):
        registered.as_version(defined(**SEVERAL, classes=tuple(NAMES)), WHERE, model, rows.features, rows.target)


def test_an_estimator_that_does_not_say_its_classes_is_refused():
    rows, _ = world()
    model = SimpleNamespace(predict_proba=lambda frame: np.full((len(frame), 3), 1 / 3))
    with pytest.raises(RefusedError, match="it has no classes_, so nothing says which probability"):
        registered.as_version(defined(**SEVERAL), WHERE, model, rows.features, rows.target)


def test_probabilities_of_several_classes_are_none_of_two():
    """The second of three columns would be taken for the probability of true."""
    rows, model = fitted(NAMES)
    with pytest.raises(RefusedError, match="so nothing says which probability is that of late = 1"):
        registered.as_version(defined(), WHERE, model, rows.features, rows.target)
