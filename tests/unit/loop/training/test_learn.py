"""Learning: it learns, the split goes by time, and the same rows give the same model bit for bit."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.errors import NotReadyError
from evergreen.loop.training import tune
from evergreen.loop.training.estimators.built_in import START
from evergreen.loop.training.learn import fit_pipeline, learn
from evergreen.loop.training.losses import best_constant, mean_loss
from evergreen.loop.training.mlflow_report import describe
from evergreen.loop.training.model_files import Predictor, content_hash, freeze, thaw
from evergreen.loop.training.search import Trial
from evergreen.loop.training.tune import FOLDS, split_keys
from helpers.synthetic_examples import definition, examples

SCRIPT = "from unit.loop.training.test_learn import learned_names; print(*learned_names())"


def learned_names():
    """The content hashes of a linear and a boosted model, learned from rows enough for threads to be worth it."""
    rules = [definition(candidates=(kind,), trials=1) for kind in ("linear", "boosted")]
    return [content_hash(freeze(learn(rule, examples(rows=1500)).model)) for rule in rules]


def loss_on_new_rows(task, loss, candidate):
    rule = definition(task, loss, candidates=(candidate,))
    learned = learn(rule, examples(task))
    new = examples(task, weeks=2, seed=7)
    predictor = Predictor(learned.model, 1)
    model = mean_loss(rule.loss, new.target, predictor.predict(new.features))
    base = mean_loss(rule.loss, new.target, np.full(len(new), best_constant(rule.loss, new.target)))
    return model / base


@pytest.mark.parametrize("candidate", ["linear", "boosted"])
@pytest.mark.parametrize(
    ("task", "loss", "least"),
    [
        ("binary", "brier", 0.85),
        ("binary", "log_loss", 0.9),
        ("regression", "squared_error", 0.25),
        ("regression", "absolute_error", 0.5),
    ],
)
def test_each_candidate_learns_each_task(task, loss, least, candidate):
    assert loss_on_new_rows(task, loss, candidate) < least


@pytest.mark.slow
def test_the_same_rows_give_the_same_bytes_on_any_number_of_threads():
    assert os.environ["OMP_NUM_THREADS"] == os.environ["OPENBLAS_NUM_THREADS"] == "1"  # of this process
    environment = {**os.environ, "OMP_NUM_THREADS": "3", "OPENBLAS_NUM_THREADS": "3"}
    environment |= {"PYTHONHASHSEED": "3", "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, check=True, text=True)
    here = learned_names()
    assert len(here) == 2
    assert done.stdout.split() == here


def test_other_rows_or_another_seed_give_another_model():
    def name(rule, rows):
        return content_hash(freeze(learn(rule, rows).model))

    first = name(definition(), examples())
    assert first == name(definition(), examples())
    assert first != name(definition(), examples(seed=1))


def test_nulls_and_unknown_categories_are_predicted_and_empty_columns_learned_around():
    rows = examples()
    rows.features["age"] = np.nan
    for candidate in ("linear", "boosted"):
        model = learn(definition(candidates=(candidate,)), rows).model
        predictor = Predictor(thaw(freeze(model), definition().training.trusted_types, what="it"), 1)
        assert sorted(predictor.columns) == ["age", "country", "price"]
        strange = pd.DataFrame(
            {
                "price": pd.array([20, None, 10**9, 3], dtype="Int64"),
                "age": [1.0, np.inf, None, -np.inf],
                "country": ["SE", "nowhere", None, "FI"],
            }
        )
        found = predictor.predict(strange)
        assert found.dtype == np.float64
        assert ((found >= 0) & (found <= 1)).all()
        assert predictor.predict(strange.iloc[:0]).shape == (0,)


@pytest.mark.parametrize("candidate", ["linear", "boosted"])
def test_a_category_that_nobody_had_yet_is_learned_around(candidate):
    rows = examples()
    rows.features["country"] = None
    rule = definition(candidates=(candidate,))
    predictor = Predictor(thaw(freeze(learn(rule, rows).model), rule.training.trusted_types, what="it"), 1)
    assert sorted(predictor.columns) == ["age", "country", "price"]
    new = rows.features.head(3).assign(country=["SE", None, "nowhere"])
    old = new.assign(country=None)
    assert predictor.predict(new) == pytest.approx(predictor.predict(old)), "it cannot tell what it has never seen"


def test_a_window_that_cannot_teach_says_so():
    with pytest.raises(NotReadyError, match="training needs 2 or more"):
        learn(definition(), examples(weeks=1))
    rows = examples()
    rows.target[:] = 1.0
    with pytest.raises(NotReadyError, match="has y = True; a classifier needs both"):
        learn(definition(), rows)


def rare(positives):
    """1,600 rows of four weeks, of which `positives` are true, in the oldest."""
    rows = examples()
    rows.target[:] = 0.0
    rows.target[10 : 10 + positives] = 1.0
    return rows


def test_rare_positives_that_a_draw_leaves_out_stop_no_tuning(monkeypatch):
    monkeypatch.setattr(tune, "TRIAL_ROWS", 50)
    rule, rows = definition(trials=2), rare(positives=3)
    older = rows.of_keys(sorted(set(rows.key))[:-1])
    assert not older.sample(50, rule.training.seed).target.any(), "the plain draw has no true row"
    drawn = tune._to_fit(rule, older)
    assert (len(drawn) <= 50, int(drawn.target.sum())) == (True, 2)
    assert drawn.event_time.is_monotonic_increasing
    pd.testing.assert_frame_equal(drawn.features, tune._to_fit(rule, older).features)
    assert len(learn(rule, rows).trials) == 4


def test_a_draw_with_both_classes_is_left_as_it_is(monkeypatch):
    """Versions that were made before are made again from the same rows."""
    monkeypatch.setattr(tune, "TRIAL_ROWS", 50)
    rule, rows = definition(), examples()
    drawn, plain = tune._to_fit(rule, rows), rows.sample(50, rule.training.seed)
    pd.testing.assert_frame_equal(drawn.features, plain.features)
    assert drawn.target.tobytes() == plain.target.tobytes()


def test_the_picture_is_taken_of_rows_that_were_not_seen():
    rule, rows = definition(candidates=("boosted",)), examples()
    learned = learn(rule, rows)
    assert set(learned.validation.key) == {rows.key[-1]}
    trial = learned.best
    alone = fit_pipeline(rule, trial, rows.of_keys(sorted(set(rows.key))[:-1]))
    expected = Predictor(alone, 1).predict(learned.validation.features)
    assert expected.tobytes() == learned.validation_prediction.tobytes()

    picture = describe(rule, learned)
    assert picture.importances["price"] > 10 * abs(picture.importances["age"])
    assert len(picture.curves["learning.validation_loss"]) == trial.params["iterations"]
    assert picture.curves["tuning.boosted.loss"] == [t.loss for t in learned.trials]
    assert picture.metrics["validation.brier"] == pytest.approx(trial.fold_losses[0])


def test_the_first_trial_is_the_known_good_one():
    learned = learn(definition(), examples())
    assert [t.params for t in learned.trials if t.number == 0] == [START["linear"], START["boosted"]]
    assert learned.best == min(learned.trials, key=lambda t: t.loss)
    assert isinstance(learned.best, Trial)


@given(st.integers(2, 30), st.integers(1, 40))
def test_splits_go_by_time(count, validation):
    keys = [f"{n:03}" for n in range(count)]
    splits = split_keys(list(reversed(keys)), validation)
    assert 1 <= len(splits) <= FOLDS
    assert splits[0][0] + splits[0][1] == keys
    for older, newer in splits:
        assert older
        assert newer
        assert max(older) < min(newer)
        assert keys[: len(older) + len(newer)] == older + newer


def test_counts_that_a_draw_leaves_all_0_stop_no_tuning(monkeypatch):
    monkeypatch.setattr(tune, "TRIAL_ROWS", 50)
    rule, rows = definition("regression", "poisson", candidates=("forest",)), rare(positives=3)
    older = rows.of_keys(sorted(set(rows.key))[:-1])
    assert not older.sample(50, rule.training.seed).target.any(), "the plain draw has no count above 0"
    drawn = tune._to_fit(rule, older)
    assert (len(drawn), int(drawn.target.sum())) == (50, 3)
    assert drawn.event_time.is_monotonic_increasing
    assert len(learn(rule, rows).trials) == 2
