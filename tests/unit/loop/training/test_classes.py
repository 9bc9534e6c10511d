"""Names and numbers of classes: which are learned, in which order, and what becomes of those that are not."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.core.definition.tasks import MOST_CLASSES
from evergreen.errors import BadInputError, NotReadyError
from evergreen.loop.training import classes
from evergreen.loop.training.estimators.trusted import trusted_types
from evergreen.loop.training.learn import learn
from evergreen.loop.training.losses import UNSEEN, row_losses
from evergreen.loop.training.model_files import Predictor, freeze, thaw
from evergreen.loop.training.model_matrix import target_values
from helpers.synthetic_examples import definition, examples

NAMES = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=6, unique=True)


def texts(**counts):
    return np.array([name for name, count in counts.items() for _ in range(count)], dtype=object)


def test_classes_with_enough_rows_are_learned_in_the_order_of_texts():
    rule, target = definition("multiclass"), texts(b=30, a=10, c=9)
    assert classes.learned(rule, target) == ("a", "b")


def test_whole_numbers_stand_in_the_order_of_numbers():
    target = np.array(["10", "9", "-1"] * 10, dtype=object)
    assert classes.learned(definition("multiclass"), target) == ("-1", "9", "10")


def test_declared_classes_keep_their_order_and_no_other_is_learned():
    rule = definition("multiclass", classes=("c", "b", "a", "z"))
    assert classes.learned(rule, texts(a=20, b=20, c=20, d=500)) == ("c", "b", "a")


def test_more_classes_than_anybody_can_read_are_refused_with_what_to_do():
    target = np.repeat([f"v{n}" for n in range(MOST_CLASSES + 1)], 10).astype(object)
    with pytest.raises(BadInputError, match="101 classes with 10 rows or more, and 100 can be learned at most: name"):
        classes.learned(definition("multiclass"), target)


def test_targets_are_the_names_of_classes_whatever_type_they_were_held_in():
    rule = definition("multiclass")
    for column in (pd.Series([1, 2], dtype="Int64"), pd.Series([1.0, 2.0]), pd.Series(["1", "2"])):
        assert target_values(rule, column).tolist() == ["1", "2"]


@given(NAMES, NAMES, st.integers(0, 2**32 - 1))
def test_columns_of_a_prediction_can_be_read_again_and_a_row_loses_the_same_beside_other_classes(own, more, seed):
    random = np.random.default_rng(seed)
    predicted = random.dirichlet(np.ones(len(own)), 8)
    frame = pd.DataFrame(classes.as_columns(predicted, own))
    found, names = classes.read("multiclass", frame)
    assert names == tuple(own)
    assert np.array_equal(found, predicted)
    assert frame["prediction"].tolist() == [own[n] for n in predicted.argmax(axis=1)]
    assert classes.columns_in(frame.columns) == list(frame.columns)
    both = classes.union(own, more)
    target = np.array([both[n] for n in random.integers(0, len(both), 8)], dtype=object)
    for loss in ("brier", "log_loss"):
        alone = row_losses(loss, classes.codes(target, own), predicted)
        beside = row_losses(loss, classes.codes(target, both), classes.align(predicted, own, both))
        assert alone == pytest.approx(beside)


def test_a_number_is_no_class():
    assert classes.as_columns(np.array([0.5]), ()) == {"prediction": np.array([0.5])}
    assert classes.read("binary", pd.DataFrame({"prediction": [0.5]}))[1] == ()
    assert classes.numbered(np.array([1.0]), ()) == 1.0


def test_predictions_of_another_task_are_said_to_be_that():
    with pytest.raises(BadInputError, match=r"predictions are numbers: they were made before the .* became multiclass"):
        classes.read("multiclass", pd.DataFrame({"prediction": [0.5]}))
    several = pd.DataFrame(classes.as_columns(np.array([[0.5, 0.5]]), ("a", "b")))
    with pytest.raises(BadInputError, match=r"predictions are classes: they were made before the .* became binary"):
        classes.read("binary", several)


def test_a_rare_class_is_not_learned_and_costs_what_an_unseen_one_costs():
    rows = examples("multiclass")
    rows.target[[3, 700, 1500]] = "lost"
    learned = learn(definition("multiclass", candidates=("linear",)), rows)
    assert learned.classes == ("keep", "send back", "swap")
    assert (learned.validation_target == UNSEEN).sum() == 1
    assert learned.classes_of_model == learned.classes


def test_a_class_that_came_with_the_newest_rows_is_learned_by_the_model_that_serves():
    rows = examples("multiclass")
    rows.target[1300:1400] = "lost"
    learned = learn(definition("multiclass", candidates=("boosted",)), rows)
    assert "lost" not in learned.classes, "the part to fit on does not have it"
    assert learned.classes_of_model == ("keep", "lost", "send back", "swap")


def test_one_class_alone_cannot_be_learned():
    rows = examples("multiclass")
    rows.target[:] = "keep"
    with pytest.raises(NotReadyError, match="keep of the rows to fit on has 10 rows or more; a classifier needs two"):
        learn(definition("multiclass", candidates=("linear",)), rows)


@pytest.mark.parametrize("name", ['ä/ß "quoted" {x}', "__id__", "file", "a\nb"])
def test_names_of_classes_are_saved_with_the_model_whatever_they_are(name):
    rows = examples("multiclass")
    rows.target[rows.target == "swap"] = name
    rule = definition("multiclass", candidates=("linear",), trials=1)
    model = learn(rule, rows).model
    back = Predictor(thaw(freeze(model), trusted_types(rule), what="it"), 1)
    assert set(back.classes) == {"keep", "send back", name}
    assert back.predict(rows.features.head(0)).shape == (0, 3)
