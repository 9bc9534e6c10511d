"""Equal, worse, slightly better and much better challengers are told apart: models that are really fitted, a world
whose truth is known, and days that go well or badly for all rows at once."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from evergreen.core.definition.model import GateSection
from evergreen.loop.champion.evaluation import guards
from evergreen.loop.champion.evaluation.gate import decide, level
from evergreen.loop.champion.evaluation.guards import Guard
from evergreen.loop.champion.evaluation.paired_test import compare
from evergreen.loop.training.losses import row_losses

pytestmark = pytest.mark.slow
GATE = GateSection()
PASSED = [Guard(name, "passed", "fine", []) for name in guards.REQUIRED]
DAYS, ROWS, WORLDS = 14, 300, 40
COLUMNS = {
    "equal": ["price", "other noise"],
    "worse": ["noise"],
    "slightly better": ["price", "noise", "hint"],
    "much better": ["price", "noise", "age"],
}
"""What each challenger reads; the champion reads price and noise."""


def world(seed, days):
    """Rows whose outcome depends on price, much on age, a little on a hint; each day has a mood of its own."""
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame(rng.normal(size=(days * ROWS, 5)), columns=["price", "age", "hint", "noise", "other noise"])
    mood = np.repeat(rng.normal(0, 0.4, days), ROWS)
    logit = rows["price"] + 1.2 * rows["age"] + 0.25 * rows["hint"] + mood
    target = (rng.random(len(rows)) < 1 / (1 + np.exp(-logit))).astype(float)
    return rows, target, np.repeat([f"{day:02}" for day in range(days)], ROWS)


def predictions(columns, seed):
    """Fitted on two weeks of the world, asked about two later ones."""
    rows, target, _ = world(2 * seed, DAYS)
    model = LogisticRegression().fit(rows[columns], target)
    return model.predict_proba(world(2 * seed + 1, DAYS)[0][columns])[:, 1]


def judge(name, seed, looks=0, gate=GATE):
    _, target, days = world(2 * seed + 1, DAYS)
    ours, theirs = (
        row_losses("brier", target, predictions(columns, seed)) for columns in (["price", "noise"], COLUMNS[name])
    )
    found = compare(ours, theirs, days, alpha=level(gate.alpha, looks), margin=gate.margin)
    return decide(found, PASSED, gate, loss="brier", challenger=2, champion=1), found


@pytest.fixture(scope="module")
def seen():
    """Outcome and verdict of each kind of challenger, counted over the worlds, as a first challenger."""
    counts = {}
    for name in COLUMNS:
        judged = [judge(name, seed) for seed in range(WORLDS)]
        counts[name] = Counter((said.outcome, found.verdict) for said, found in judged)
    return counts


def promoted(seen, name):
    return sum(count for (outcome, _), count in seen[name].items() if outcome == "promote")


def test_a_much_better_challenger_is_promoted(seen):
    assert seen["much better"] == {("promote", "superior"): WORLDS}


def test_a_worse_challenger_is_known_to_be_worse(seen):
    assert seen["worse"] == {("refuse", "worse"): WORLDS}


def test_an_equal_challenger_is_refused_for_want_of_proof(seen):
    assert promoted(seen, "equal") <= 2  # 0.5 % promised
    assert seen["equal"]["refuse", "inconclusive"] >= WORLDS - 3


def test_a_slightly_better_challenger_is_promoted_where_that_can_be_proven(seen):
    assert promoted(seen, "equal") + 5 < promoted(seen, "slightly better") < WORLDS
    assert seen["slightly better"]["refuse", "inconclusive"] > 0
    assert seen["slightly better"]["refuse", "worse"] == 0


def test_the_reasons_tell_them_apart_too():
    says = {name: judge(name, 0)[0].reason for name in COLUMNS}
    assert "raises the Brier score of version 1" in says["worse"]
    assert says["worse"].endswith("it is worse, refused")
    assert says["much better"].endswith("passes all guards: promoted")
    assert (
        "it is no better on these rows, refused" in says["equal"]
        or "that is no proof that it is better" in (says["equal"])
    )


def test_the_same_model_under_another_number_is_equal_and_under_its_own_is_an_error():
    _, target, days = world(1, DAYS)
    same = row_losses("brier", target, predictions(["price"], 0))
    found = compare(same, same.copy(), days, alpha=0.2)
    assert (found.verdict, found.delta) == ("inconclusive", 0.0)
    assert decide(found, PASSED, GATE, loss="brier", challenger=2, champion=1).outcome == "refuse"
    with pytest.raises(ValueError, match="version 1 would be compared with itself"):
        decide(found, PASSED, GATE, loss="brier", challenger=1, champion=1)
