"""Several classes in the gate: equal challengers are not promoted, better ones are, each guard looks at each class."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from evergreen.core.definition.model import FairnessSection, GateSection
from evergreen.loop.champion.evaluation import guards
from evergreen.loop.champion.evaluation.fairness import fairness
from evergreen.loop.champion.evaluation.gate import decide, level
from evergreen.loop.champion.evaluation.guards import Guard
from evergreen.loop.champion.evaluation.paired_test import compare
from evergreen.loop.champion.evaluation.scores import Predicted, base_rate, score
from evergreen.loop.training.losses import row_losses
from helpers.synthetic_examples import definition, examples

GATE = GateSection()
PASSED = [Guard(name, "passed", "fine", []) for name in guards.REQUIRED]
DAYS, ROWS, CLASSES = 14, 120, ("a", "b", "c", "d")


def world(seed, noise=0.5, challenger_noise=0.5, days=DAYS):
    """True classes, the predictions of two models that err independently, and days that go well or badly for all."""
    rng = np.random.default_rng(seed)
    rows = days * ROWS
    mood = np.repeat(rng.normal(0, 0.5, (days, len(CLASSES))), ROWS, axis=0)
    signal = rng.normal(0, 1.2, (rows, len(CLASSES))) + np.array([0.8, 0.2, 0.0, -1.5])
    target = (signal + mood + rng.gumbel(size=signal.shape)).argmax(axis=1).astype(float)
    own = np.repeat(rng.normal(0, 0.2, (2, days, len(CLASSES))), ROWS, axis=1)  # what a model gets wrong on a day
    models = [
        softmax(signal + own[n] + rng.normal(0, spread, signal.shape), axis=1)
        for n, spread in enumerate((noise, challenger_noise))
    ]
    return target, *models, np.repeat([f"{day:02}" for day in range(days)], ROWS)


def promotes(seed, loss, looks=0, **noise):
    target, champion, challenger, days = world(seed, **noise)
    ours, theirs = (row_losses(loss, target, model) for model in (champion, challenger))
    found = compare(ours, theirs, days, alpha=level(GATE.alpha, looks), margin=GATE.margin)
    return decide(found, PASSED, GATE, loss=loss, challenger=2, champion=1).outcome == "promote"


def aa_rates(loss, pairs, looks=8):
    """Share of equal challengers that are promoted at the first look, and of champions that lose one of `looks`."""
    first = within = 0
    for pair in range(pairs):
        seen = [promotes(pair * looks + look, loss, look) for look in range(looks)]
        first += seen[0]
        within += any(seen)
    return first / pairs, within / pairs


@pytest.mark.parametrize("loss", ["brier", "log_loss"])
def test_an_equal_challenger_is_seldom_promoted(loss):
    """Of 300 pairs none was promoted at the first look; one (Brier) and none (log loss) were within eight looks."""
    a_look, within = aa_rates(loss, 40)
    assert a_look <= 0.05
    assert within <= 0.1


@pytest.mark.parametrize("loss", ["brier", "log_loss"])
def test_a_better_challenger_is_promoted(loss):
    assert sum(promotes(seed, loss, noise=0.8, challenger_noise=0.3) for seed in range(20)) >= 16


def test_a_class_whose_probabilities_are_wrong_fails_the_guard_on_calibration():
    target, champion, challenger, _ = world(1)
    wrong = challenger.copy()
    wrong[:, 3] += 0.1
    wrong /= wrong.sum(axis=1, keepdims=True)
    same = guards.calibration("multiclass", target, champion, challenger, GATE, CLASSES)
    assert same.state == "passed"
    assert "of 4 classes, each against the rest" in same.sentence
    found = guards.calibration("multiclass", target, champion, wrong, GATE, CLASSES)
    assert found.state == "failed"
    assert "d changes most" in found.sentence
    assert [one["class"] for one in found.detail] == list(CLASSES)


def test_a_calibrated_challenger_passes_however_many_classes_there_are():
    rng = np.random.default_rng(0)
    names, failed = [f"c{n}" for n in range(20)], 0
    for _ in range(20):
        truth = rng.dirichlet(np.ones(20), 1500)
        target = (truth.cumsum(axis=1) > rng.random((1500, 1))).argmax(axis=1).astype(float)
        shares = np.tile(np.bincount(target.astype(int), minlength=20) / 1500, (1500, 1))
        failed += guards.calibration("multiclass", target, shares, truth, GATE, names).state == "failed"
    assert failed == 0


def test_groups_are_compared_for_each_class_against_the_rest():
    target, champion, challenger, days = world(2)
    group = pd.Series(np.where(np.arange(len(target)) % 2, "x", "y"))
    biased = challenger.copy()
    rows = np.flatnonzero((group == "x").to_numpy())
    biased[rows, 1] += 0.8
    biased /= biased.sum(axis=1, keepdims=True)
    section = FairnessSection(by=("sex",))
    ask = ("equalized_odds_difference", {"sex": group}, target, champion)
    assert fairness(section, *ask, challenger, days, CLASSES).state == "passed"
    found = fairness(section, *ask, biased, days, CLASSES)
    assert found.state == "failed"
    assert "positive rate of " in found.sentence


def test_what_is_no_list_of_probabilities_cannot_serve():
    good = np.full((3, 2), 0.5)
    assert guards.unfit("multiclass", good, 3, 2) == []
    assert "do not sum to 1" in guards.unfit("multiclass", good * 0.9, 3, 2)[0]
    assert "it knows 0 classes" in guards.unfit("multiclass", np.zeros(3), 3, 0)[0]
    assert "it knows 3 classes and gave predictions of shape (3, 2)" in guards.unfit("multiclass", good, 3, 3)[0]
    assert "no usable numbers" in guards.unfit("multiclass", good * np.nan, 3, 2)[0]


def test_versions_that_know_other_classes_are_held_against_the_same_labels():
    rule, rows = definition("multiclass"), examples("multiclass", weeks=1, rows=60)
    rows.target[:3] = ["lost", "lost", "stolen"]
    ours = Predicted(np.tile([0.6, 0.4], (60, 1)), ("keep", "swap"))
    theirs = Predicted(np.tile([0.4, 0.2, 0.2, 0.2], (60, 1)), ("keep", "lost", "send back", "swap"))
    scores = score(rule, rows, ours, theirs)
    assert scores.classes == ("keep", "lost", "send back", "swap")
    assert scores.champion_losses[0] == pytest.approx(1 + 0.6**2 + 0.4**2)
    assert scores.challenger_losses[0] == pytest.approx(0.4**2 + 0.8**2 + 2 * 0.2**2)
    assert scores.challenger_losses[2] == pytest.approx(1 + 0.4**2 + 3 * 0.2**2), "neither knows it"
    usual = base_rate(rule, rows, 5)
    assert usual.classes == ("keep", "send back", "swap")
    assert usual.values.sum(axis=1) == pytest.approx(1)
