"""The fairness guard: what fairlearn says, what chance does, and what is told."""

import numpy as np
import pandas as pd
import pytest
from fairlearn import metrics as fairlearn

from evergreen.core.definition.model import FairnessSection
from evergreen.loop.champion.evaluation.fairness import _terms, fairness
from evergreen.loop.champion.evaluation.guards import MISSING

DAYS, ROWS = 14, 400
CLUSTER = np.repeat([f"2024-01-{d + 1:02}" for d in range(DAYS)], ROWS).astype(object)
SEXES = FairnessSection(by=("sex",))


def people(seed=0, share=0.5):
    """Sex of each row, and whether it is true: half of the rows, of each sex alike."""
    rng = np.random.default_rng(seed)
    sex = np.where(rng.random(len(CLUSTER)) < share, "F", "M")
    return pd.Series(sex), (rng.random(len(CLUSTER)) < 0.5).astype(float)


def model(sex, target, gap, seed=1, day_effect=0.0):
    """Probabilities that find 80 % of the true rows of M, and `gap` fewer of those of F; 20 % false alarms."""
    rng = np.random.default_rng(seed)
    shift = np.repeat(rng.normal(0, day_effect, DAYS), ROWS) * np.where(sex == "F", 1, 0)
    found = np.where(target == 1, 0.8 - gap * (sex == "F"), 0.2) + shift
    return np.where(rng.random(len(target)) < found, 0.7, 0.3)


def judge(sex, target, champion, challenger, section=SEXES, metric="equalized_odds_difference"):
    return fairness(section, metric, {"sex": sex}, target, champion, challenger, CLUSTER)


def test_a_gap_between_groups_fails_and_is_told_in_words():
    sex, target = people()
    said = judge(sex, target, model(sex, target, 0.0), model(sex, target, 0.25))
    assert said.state == "failed"
    assert said.sentence.startswith("the true positive rate is 8")
    assert "% for sex = M (1," in said.sentence
    assert "% for sex = F (1," in said.sentence
    assert said.sentence.endswith("10.0 % allowed")
    (pair, other) = said.detail
    assert (pair["rate"], pair["groups"], pair["state"]) == ("true positive rate", ["M", "F"], "failed")
    assert pair["difference"] == pytest.approx(0.25, abs=0.04)
    assert 0.1 < pair["at_least"] < pair["difference"]
    assert (other["rate"], other["state"]) == ("false positive rate", "within")


@pytest.mark.parametrize(
    ("metric", "gap"),
    [
        ("equalized_odds_difference", 0.25),
        ("equal_opportunity_difference", 0.15),
        ("demographic_parity_difference", 0.3),
    ],
)
def test_the_difference_is_the_one_that_fairlearn_gives(metric, gap):
    sex, target = people()
    challenger = model(sex, target, gap)
    said = judge(sex, target, model(sex, target, 0.0), challenger, metric=metric)
    expected = getattr(fairlearn, metric)(target, challenger >= 0.5, sensitive_features=sex)
    assert max(pair["difference"] for pair in said.detail) == pytest.approx(expected)


@pytest.mark.slow
def test_equal_groups_and_a_gap_as_the_champion_has_it_pass():
    sex, target = people()
    equal, gap = model(sex, target, 0.0), model(sex, target, 0.25)
    passed = judge(sex, target, equal, model(sex, target, 0.0, seed=2))
    assert (passed.state, passed.close) == ("passed", False)
    assert passed.sentence.startswith("of 2 pairs of groups the farthest apart: the ")
    same = judge(sex, target, gap, gap)
    assert same.state == "passed"
    assert same.sentence.endswith("10.0 % allowed, and the champion's are no closer")
    assert judge(sex, target, gap, equal).state == "passed"
    turned = judge(sex, target, model(np.where(sex == "F", "M", "F"), target, 0.25), gap)
    assert turned.state == "passed"  # as far apart, the other way round
    constant = np.full(len(target), 0.5)
    assert judge(sex, target, constant, gap).state == "failed"  # the base rate treats all alike


@pytest.mark.slow
def test_a_bad_day_of_one_group_is_no_proof():
    """The gap of two weeks can be chance, even beyond what is allowed; rows taken one by one would not show that."""
    beyond, failed, rows_alone = 0, 0, 0
    each = np.arange(len(CLUSTER)).astype(object)
    for seed in range(30):
        sex, target = people(seed, share=0.1)
        champion, challenger = np.full(len(target), 0.5), model(sex, target, 0.0, seed=seed, day_effect=0.3)
        said = judge(sex, target, champion, challenger)
        beyond += max(pair["difference"] for pair in said.detail) > 0.1
        failed += said.state == "failed"
        alone = fairness(SEXES, "equalized_odds_difference", {"sex": sex}, target, champion, challenger, each)
        rows_alone += alone.state == "failed"
    assert beyond >= 6
    assert failed <= 1
    assert rows_alone >= 3


@pytest.mark.slow
def test_many_groups_share_one_level():
    rng = np.random.default_rng(0)
    _, target = people()
    failed = 0
    for seed in range(12):
        region = pd.Series(rng.choice([f"region {n}" for n in range(12)], len(target)))
        predictions = [model(region, target, 0.0, seed=n) for n in (2 * seed, 2 * seed + 1)]
        section = FairnessSection(by=("region",), max_difference=0.0, min_rows=30)
        said = fairness(section, "equalized_odds_difference", {"region": region}, target, *predictions, CLUSTER)
        failed += said.state == "failed"
        assert len(said.detail) == 20
        assert "of 132 pairs" in said.sentence or failed
    assert failed <= 2  # 5 % promised; three would come about once in 50 tries


def test_small_groups_are_not_judged_and_nulls_are_a_group():
    sex, target = people()
    equal = model(sex, target, 0.0)
    few = FairnessSection(by=("sex",), min_rows=1000)
    rare = pd.Series(np.where(np.arange(len(target)) < 900, "F", "M"))
    said = judge(rare, target, equal, model(rare, target, 0.6), few)
    assert (said.state, said.sentence) == (
        "not_applicable",
        "no two groups of sex have 1000 rows or more, on 5 days or more",
    )
    unknown = sex.where(sex == "M", None)
    assert MISSING in judge(unknown, target, equal, model(sex, target, 0.3)).sentence
    age = pd.Series(np.random.default_rng(0).uniform(18, 80, len(target)))
    assert len(judge(age, target, equal, equal, metric="demographic_parity_difference").detail) == 6
    none = target[:0]
    assert fairness(SEXES, "equalized_odds_difference", {"sex": sex[:0]}, none, none, none, CLUSTER[:0]).state == (
        "not_applicable"
    )
    assert judge(sex, target, equal, equal, None).sentence == "the definition names no groups"


def test_a_group_of_few_days_is_not_judged():
    sex, target = people()
    champion, challenger = np.full(len(target), 0.5), model(sex, target, 0.6)
    rows = np.arange(len(target)) < 4 * ROWS
    section = FairnessSection(by=("sex",), min_rows=30)
    said = fairness(
        section, "equalized_odds_difference", {"sex": sex[rows]}, target[rows], champion[rows], challenger[rows],
        CLUSTER[rows],
    )  # fmt: skip
    assert said.sentence == "no two groups of sex have 30 rows or more, on 5 days or more"
    assert judge(pd.Series(CLUSTER), target, champion, challenger).state == "not_applicable"  # each group is a day


def test_the_interval_is_the_jackknife_of_the_difference():
    """Groups that lie on different days: leaving out a day changes one of them only."""
    rng = np.random.default_rng(3)
    sex = pd.Series(np.where(rng.random(len(CLUSTER)) < np.repeat(np.linspace(0.05, 0.95, DAYS), ROWS), "F", "M"))
    values = np.repeat(rng.normal(0.5, 0.1, DAYS), ROWS) + rng.normal(0, 0.1, len(CLUSTER))
    codes, first = pd.factorize(CLUSTER)[0], (sex == "F").to_numpy()
    terms = _terms(values, first, codes)
    assert terms.mean() == pytest.approx(values[first].mean() - values[~first].mean())
    shares = np.bincount(codes) / len(codes)
    ours = np.bincount(codes, weights=terms - terms.mean()) / len(codes) / (1 - shares)
    left_out = [
        terms.mean() - (values[first & (codes != day)].mean() - values[~first & (codes != day)].mean())
        for day in range(DAYS)
    ]
    assert np.square(ours).sum() == pytest.approx(np.square(left_out).sum(), rel=0.05)


def test_a_regression_is_judged_by_its_errors():
    rng = np.random.default_rng(0)
    sex, _ = people()
    target = rng.normal(100, 10, len(sex))
    champion = target + rng.normal(0, 2, len(sex))
    worse_for_some = target + rng.normal(0, 1, len(sex)) * np.where(sex == "F", 3.0, 1.5)
    said = judge(sex, target, champion, worse_for_some, metric="mean_absolute_error_difference")
    assert said.state == "failed"
    assert "the mean absolute error in parts of the champion's is 1.49 for sex = F" in said.sentence
    assert judge(sex, target, champion, champion[::-1], metric="mean_absolute_error_difference").state == "passed"
    assert judge(sex, target, target, target, metric="mean_absolute_error_difference").state == "passed"


def test_a_gap_that_chance_hardly_explains_passes_closely():
    sex, target = people()
    champion = model(sex, target, 0.0)
    states = {
        (said.state, said.close)
        for gap in np.arange(0.1, 0.21, 0.02)
        for said in [judge(sex, target, champion, model(sex, target, gap))]
    }
    assert states == {("passed", False), ("passed", True), ("failed", False)}
