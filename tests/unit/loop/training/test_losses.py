"""Row losses, of one number and of several classes: hand-computed values, and what holds for all of them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mean_poisson_deviance

from evergreen.errors import BadInputError, NotReadyError
from evergreen.loop.training.learn import learn
from evergreen.loop.training.losses import (
    CLIP,
    UNSEEN,
    constant_prediction,
    expected_loss,
    mean_loss,
    row_losses,
)
from evergreen.loop.training.model_matrix import target_values
from helpers.synthetic_examples import definition, examples

SURE = np.array([[0.7, 0.2, 0.1], [0.0, 0.0, 1.0]])


def test_expected_loss_is_what_calibrated_predictions_lose():
    p = np.array([0.0, 0.2, 0.5, 1.0])
    assert expected_loss("brier", p) == pytest.approx([0, 0.16, 0.25, 0])
    assert expected_loss("log_loss", p)[2] == pytest.approx(np.log(2))
    assert not expected_loss("squared_error", p).any()


def test_the_losses_of_several_classes_are_those_of_brier_and_of_the_likelihood():
    target = np.array([0.0, 1.0])
    assert row_losses("brier", target, SURE) == pytest.approx([0.3**2 + 0.2**2 + 0.1**2, 2.0])
    assert row_losses("log_loss", target, SURE) == pytest.approx([-np.log(0.7), -np.log(CLIP)])


def test_a_class_that_the_model_does_not_know_had_no_probability():
    target = np.array([UNSEEN, UNSEEN])
    assert row_losses("brier", target, SURE) == pytest.approx([1 + 0.49 + 0.04 + 0.01, 2.0])
    assert row_losses("log_loss", target, SURE) == pytest.approx([-np.log(CLIP)] * 2)


def test_targets_that_do_not_pair_with_probabilities_are_an_error():
    with pytest.raises(ValueError, match=r"\(3,\) targets do not pair with \(2, 3\)"):
        row_losses("brier", np.zeros(3), SURE)


@st.composite
def predictions(draw):
    rows, classes = draw(st.integers(1, 20)), draw(st.integers(2, 6))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return random.dirichlet(np.ones(classes), rows), random.integers(-1, classes, rows).astype(float)


@given(predictions())
def test_what_a_prediction_expects_to_lose_is_the_mean_over_its_classes(made):
    predicted, target = made
    for loss in ("brier", "log_loss"):
        each = [row_losses(loss, np.full(len(target), float(k)), predicted) for k in range(predicted.shape[1])]
        assert expected_loss(loss, predicted) == pytest.approx((predicted.T * each).sum(axis=0))
        lost = row_losses(loss, target, predicted)
        assert np.isfinite(lost).all()
        assert (lost >= 0).all()


@given(predictions())
def test_no_constant_loses_less_than_the_shares_of_the_classes(made):
    other, target = made
    classes = other.shape[1]
    known = target[target != UNSEEN]
    if not len(known):
        return
    shares = constant_prediction("brier", target, len(known), classes)
    assert shares[0].sum() == pytest.approx(1)
    for loss in ("brier", "log_loss"):
        rival = np.tile(other[0], (len(known), 1))
        assert mean_loss(loss, known, shares) <= mean_loss(loss, known, rival) + 1e-9


def test_two_classes_as_several_lose_twice_the_brier_score_of_a_binary_task():
    p, target = np.array([0.2, 0.9]), np.array([1.0, 1.0])
    both = np.column_stack([1 - p, p])
    assert row_losses("brier", target, both) == pytest.approx(2 * row_losses("brier", target, p))
    assert row_losses("log_loss", target, both) == pytest.approx(row_losses("log_loss", target, p))


def test_the_deviance_of_counts_is_that_of_scikit_learn_and_never_infinite():
    target, predicted = np.array([0.0, 1.0, 7.0, 2.0]), np.array([0.5, 1.0, 3.0, 2.5])
    assert row_losses("poisson", target, predicted).mean() == pytest.approx(mean_poisson_deviance(target, predicted))
    assert np.isfinite(row_losses("poisson", target, np.array([0.0, -1.0, 0.0, 1e150]))).all()


@given(st.lists(st.tuples(st.integers(0, 50), st.floats(1e-3, 100)), min_size=1, max_size=30))
def test_no_expected_count_loses_less_than_the_count_itself_and_no_constant_less_than_the_mean(made):
    target, predicted = (np.array(part, dtype=float) for part in zip(*made, strict=True))
    assert (row_losses("poisson", target, predicted) >= 0).all()
    assert row_losses("poisson", target, target) == pytest.approx(0, abs=1e-6)
    best = constant_prediction("poisson", target, len(target))
    assert mean_loss("poisson", target, best) <= mean_loss("poisson", target, np.full(len(target), predicted[0])) + 1e-9


def test_counts_below_zero_or_all_zero_are_said():
    rule, rows = definition("regression", "poisson", candidates=("linear",)), examples("regression")
    with pytest.raises(BadInputError, match=r"holds -2; gate.loss poisson is that of counts"):
        target_values(rule, pd.Series([1.0, -2.0]))
    with pytest.raises(NotReadyError, match="has y = 0; nothing can be learned of counts that are all 0"):
        learn(rule, replace(rows, target=np.zeros(len(rows))))
