"""Each built-in kind learns, is saved, and predicts a row alone as it does among others."""

import importlib
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from evergreen.core.definition.training import BUILT_IN
from evergreen.errors import RefusedError
from evergreen.loop.training.classes import codes
from evergreen.loop.training.estimators import built_in, kinds
from evergreen.loop.training.estimators.check import check_candidate
from evergreen.loop.training.estimators.trusted import trusted_types
from evergreen.loop.training.learn import fit_pipeline, learn
from evergreen.loop.training.losses import best_constant, constant_prediction, mean_loss
from evergreen.loop.training.mlflow_report import describe
from evergreen.loop.training.model_files import Predictor, freeze, thaw
from evergreen.loop.training.publish import requirements
from evergreen.loop.training.search import Trial
from helpers.synthetic_examples import definition, examples

NEW = ("forest", "lightgbm", "xgboost", "catboost")
TASKS = [("binary", "brier", 0.9), ("regression", "squared_error", 0.4), ("regression", "absolute_error", 0.6)]


def fitted(kind, task="binary", loss=None, rows=None, seed=20130107):
    rule = definition(task, loss, candidates=(kind,), seed=seed)
    trial = Trial(kind, 0, built_in.START[kind], 0.0, [])
    return rule, fit_pipeline(rule, trial, examples(task) if rows is None else rows)


@pytest.mark.parametrize("kind", NEW)
@pytest.mark.parametrize(("task", "loss", "least"), TASKS)
def test_a_kind_learns_each_task_and_comes_back_from_its_file_bit_for_bit(kind, task, loss, least):
    rule, model = fitted(kind, task, loss)
    again = fitted(kind, task, loss)[1]
    data = freeze(model)
    assert data == freeze(again), "the same rows give the same file"
    back = Predictor(thaw(data, trusted_types(rule), what="it"), 1)
    new = examples(task, weeks=2, seed=7)
    found = back.predict(new.features)
    assert found.dtype == np.float64
    assert found.tobytes() == Predictor(model, 1).predict(new.features).tobytes()
    base = mean_loss(rule.loss, new.target, np.full(len(new), best_constant(rule.loss, new.target)))
    assert mean_loss(rule.loss, new.target, found) / base < least
    alone = [back.predict(new.features.iloc[[n]])[0] for n in range(25)]
    assert np.array(alone).tobytes() == found[:25].tobytes()


@pytest.mark.parametrize("kind", NEW)
def test_a_category_that_training_has_not_seen_is_like_a_missing_one_for_every_kind(kind):
    _, model = fitted(kind)
    frame = pd.DataFrame({"country": ["nowhere", None, "SE"], "age": [1.0, np.inf, None], "price": [20, None, 3]})
    found = Predictor(model, 1).predict(frame)
    assert ((found >= 0) & (found <= 1)).all()
    as_null = Predictor(model, 1).predict(frame.assign(country=[None, None, "SE"]))
    assert found.tobytes() == as_null.tobytes()
    as_categories = frame.assign(country=frame["country"].astype("category"), price=frame["price"].astype("Int64"))
    assert Predictor(model, 1).predict(as_categories).tobytes() == found.tobytes()


@pytest.mark.parametrize("kind", NEW)
def test_an_empty_column_and_the_largest_seed_are_learned_with(kind):
    rows = examples()
    rows.features["age"], rows.features["country"] = np.nan, np.nan
    rule, model = fitted(kind, rows=rows, seed=2**32 - 1)
    assert np.isfinite(Predictor(model, 1).predict(examples(seed=3).features)).all()
    check_candidate(rule, kind, rows, rows)


@pytest.mark.parametrize("kind", NEW)
def test_a_kind_goes_through_tuning_and_its_picture(kind):
    rule, rows = definition(candidates=(kind,)), examples()
    learned = learn(rule, rows)
    assert learned.trials[0].params == built_in.START[kind]
    picture = describe(rule, learned)
    assert picture.importances["price"] > abs(picture.importances["age"])
    assert "learning.validation_loss" not in picture.curves, "rounds are drawn for scikit-learn's boosting only"
    named = built_in.DISTRIBUTIONS.get(kind)
    assert (named in requirements(learned.model)) == (named is not None)


@pytest.mark.parametrize("kind", sorted(built_in.MODULES))
def test_a_kind_that_is_not_installed_names_its_extra(kind, monkeypatch):
    real, data = importlib.import_module, freeze(fitted(kind)[1])

    def without(name, package=None):
        if name.partition(".")[0] == kind:
            raise ModuleNotFoundError(f"No module named {kind!r}", name=kind)
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(RefusedError, match=rf"candidate {kind}: .*pip install 'evergreen\[{kind}\]'"):
        learn(definition(candidates=("linear", kind)), examples())
    with pytest.raises(RefusedError, match=rf"orders version 3 was not loaded: .*pip install 'evergreen\[{kind}\]'"):
        thaw(data, trusted_types(definition()), what="orders version 3")


def test_every_kind_has_a_start_in_its_space_and_a_list_of_types():
    from evergreen.loop.training.estimators.trusted import BUILT_IN_TYPES, runs_code

    assert set(BUILT_IN) == set(built_in.SPACES) == set(built_in.START) == set(BUILT_IN_TYPES)
    for kind in BUILT_IN:
        space, start = kinds.space_of(definition(), kind)
        assert list(space) == list(start)
        assert all(space[name].holds(value) for name, value in start.items())
        assert not any(map(runs_code, BUILT_IN_TYPES[kind]))


@pytest.mark.parametrize("kind", BUILT_IN)
def test_a_kind_learns_several_classes_and_comes_back_from_its_file_bit_for_bit(kind):
    rule, model = fitted(kind, "multiclass")
    data = freeze(model)
    assert data == freeze(fitted(kind, "multiclass")[1]), "the same rows give the same file"
    back = Predictor(thaw(data, trusted_types(rule), what="it"), 1)
    assert back.classes == ("keep", "send back", "swap")
    new = examples("multiclass", weeks=2, seed=7)
    found = back.predict(new.features)
    assert found.shape == (len(new), 3)
    assert found.sum(axis=1) == pytest.approx(1, abs=1e-6)
    assert found.tobytes() == Predictor(model, 1).predict(new.features).tobytes()
    target = codes(new.target, back.classes)
    shares = constant_prediction("brier", target, len(new), 3)
    assert mean_loss("brier", target, found) / mean_loss("brier", target, shares) < 0.9
    check_candidate(rule, kind, examples("multiclass"), new)


@pytest.mark.parametrize("kind", BUILT_IN)
def test_several_classes_of_which_two_are_left_are_learned_as_two(kind):
    rows = examples("multiclass")
    rows.target[rows.target == "swap"] = "keep"
    _, model = fitted(kind, "multiclass", rows=rows)
    assert Predictor(model, 1).predict(rows.features.head(5)).shape == (5, 2)


@pytest.mark.parametrize("kind", BUILT_IN)
def test_a_kind_learns_counts(kind):
    def counts(seed):
        rows = examples("regression", seed=seed)
        mean = np.exp(0.4 * rows.target)
        return replace(rows, target=np.random.default_rng(seed).poisson(mean).astype(np.float64))

    rule, model = fitted(kind, "regression", "poisson", counts(0))
    back = Predictor(thaw(freeze(model), trusted_types(rule), what="it"), 1)
    new = counts(7)
    found = back.predict(new.features)
    assert found.tobytes() == Predictor(model, 1).predict(new.features).tobytes()
    assert (found > 0).all(), "an expected count"
    constant = np.full(len(new), best_constant("poisson", new.target))
    assert mean_loss("poisson", new.target, found) / mean_loss("poisson", new.target, constant) < 0.9
    check_candidate(rule, kind, counts(1), new)
