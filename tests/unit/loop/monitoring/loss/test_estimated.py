"""The estimate is right if only the mix of rows changes, and wrong, as it says, if the concept does."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from evergreen.loop.monitoring.loss.estimated import estimate_loss
from helpers.drift_frames import FLIGHTS, SMALL

VALUES = SMALL.model_copy(
    update={
        "task": "regression",
        "features": SMALL.features.model_copy(update={"numeric": ("x",), "categorical": ()}),
        "gate": SMALL.gate.model_copy(update={"loss": "squared_error"}),
    }
)


def flips(rng, days, per_day, shift=0.0, concept=0.0, overconfidence=1.0):
    """Predictions and outcomes; the odds of a day differ by 0.3 from those of another."""
    day = np.arange(days).repeat(per_day)
    x = rng.normal(shift, 1, len(day))
    truth = expit(x - 1 + rng.normal(0, 0.3, days)[day] + concept)
    return pd.DataFrame(
        {
            "prediction": expit(overconfidence * (x - 1)),
            "target": (rng.random(len(day)) < truth).astype(float),
            "cluster": day.astype(str),
        }
    )


def values(rng, days, per_day, concept=0.0):
    day = np.arange(days).repeat(per_day)
    x = rng.normal(0, 1, len(day))
    noise = rng.normal(0, 1, len(day)) * np.exp(x / 2)
    return pd.DataFrame({"x": x, "prediction": 2 * x, "target": 2 * x + noise + concept, "cluster": day.astype(str)})


def realised(rows):
    return float(((rows["target"] - rows["prediction"]) ** 2).mean())


def share_covered(shift, concept, overconfidence=1.0):
    rng, covered = np.random.default_rng(1), []
    for _ in range(25):
        holdout = flips(rng, 14, 100, overconfidence=overconfidence)
        current = flips(rng, 7, 150, shift, concept, overconfidence)
        found = estimate_loss(FLIGHTS, holdout, current)
        covered.append(found.low <= realised(current) <= found.high)
    return np.mean(covered)


@pytest.mark.parametrize(("shift", "overconfidence"), [(0.0, 1.0), (1.0, 1.0), (0.5, 2.0)])
def test_it_covers_the_realised_loss_while_only_the_inputs_move(shift, overconfidence):
    assert share_covered(shift, 0.0, overconfidence) >= 0.85


def test_it_cannot_see_a_changed_concept():
    assert share_covered(0.0, 1.5) == 0


def test_it_sees_a_harder_mix_of_rows_and_calls_itself_an_estimate():
    rng = np.random.default_rng(2)
    holdout = flips(rng, 14, 100)
    found = estimate_loss(FLIGHTS, holdout, flips(rng, 7, 150, shift=1.0).drop(columns=["target", "cluster"]))
    assert found.method == "CBPE"
    assert found.loss > found.holdout == pytest.approx(realised(holdout))
    assert found.sentence.startswith("Estimated, before any label: a Brier score of 0.2")
    assert "not a changed concept" in found.sentence


def test_values_are_estimated_from_their_features():
    rng = np.random.default_rng(3)
    holdout, current = values(rng, 20, 100), values(rng, 7, 150)
    noisy = current[current["x"] > 0.5]
    found, harder = (estimate_loss(VALUES, holdout, rows) for rows in (current, noisy))
    assert found.method == "DLE"
    assert found.low <= realised(current) <= found.high
    assert harder.loss > found.loss
    assert harder.low <= realised(noisy) <= harder.high
    changed = values(rng, 7, 150, concept=2.0)
    assert estimate_loss(VALUES, holdout, changed).high < realised(changed)


def test_a_feature_that_was_empty_in_the_holdout_or_a_part_of_it_is_estimated_around():
    rng = np.random.default_rng(3)
    both = VALUES.features.model_copy(update={"numeric": ("x", "looked_back")})
    model = VALUES.model_copy(update={"features": both})
    holdout, current = values(rng, 20, 100), values(rng, 7, 150).assign(looked_back=1.0)
    known = estimate_loss(VALUES, holdout, current)
    assert estimate_loss(model, holdout.assign(looked_back=np.nan), current).loss == pytest.approx(known.loss)
    partly = holdout.assign(looked_back=np.where(holdout["cluster"] == "0", 1.0, np.nan))
    assert estimate_loss(model, partly, current).loss == pytest.approx(known.loss, rel=0.25)


@pytest.mark.parametrize(
    "cut", [lambda f: f.head(150), lambda f: f.assign(cluster="1"), lambda f: f.assign(target=0.0)]
)
def test_a_holdout_that_says_too_little_gives_no_estimate(cut):
    rng = np.random.default_rng(4)
    assert estimate_loss(FLIGHTS, cut(flips(rng, 14, 100)), flips(rng, 7, 100)) is None
