"""What the monitor says of several classes: drift of their shares, classes that came or went, losses, estimates."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from evergreen.loop.monitoring.class_changes import class_changes
from evergreen.loop.monitoring.drift import detect
from evergreen.loop.monitoring.loss.estimated import estimate_loss
from evergreen.loop.monitoring.loss.realised import labelled_rows, losses_by_cluster
from evergreen.loop.training.classes import as_columns
from evergreen.loop.training.losses import UNSEEN, row_losses
from helpers.synthetic_examples import definition

RULE, NAMES = definition("multiclass"), ("keep", "send back", "swap")


def frame(rng, days, per_day, shift=0.0):
    """Calibrated predictions of three classes, with their labels, and the columns of a reference."""
    day = np.arange(days).repeat(per_day)
    signal = rng.normal(0, 1, (len(day), 3)) + np.array([0.5, 0.0, -0.5 + shift])
    mood = rng.normal(0, 0.15, (days, 3))[day]
    target = (signal + mood + rng.gumbel(size=signal.shape)).argmax(axis=1)
    about = {
        "id": [str(n) for n in range(len(day))],
        "price": rng.normal(size=len(day)),
        "age": rng.normal(size=len(day)),
        "country": rng.choice(["SE", "FI"], len(day)),
        "target": np.array(NAMES, dtype=object)[target],
        "cluster": day.astype(str),
        "part": "holdout",
    }
    return pd.DataFrame(about | as_columns(softmax(signal, axis=1), NAMES))


def test_shares_of_predicted_classes_that_move_are_drift_and_equal_ones_are_not():
    rng = np.random.default_rng(0)
    reference = frame(rng, 14, 150)
    quiet = detect.check(reference, frame(rng, 7, 150), RULE)
    assert not quiet.prediction.drifted
    moved = detect.check(reference, frame(rng, 7, 150, shift=1.0), RULE)
    assert moved.prediction.drifted
    assert (moved.prediction.kind, moved.prediction.method) == ("categorical", "category shares")
    assert "swap" in moved.prediction.change
    label = detect.check_target(reference, frame(rng, 7, 150, shift=1.0), RULE)
    assert label.drifted
    assert "share of 'swap' rose" in label.change


def test_predicted_shares_seldom_drift_by_chance():
    rng = np.random.default_rng(1)
    alarms = sum(detect.check(frame(rng, 14, 60), frame(rng, 7, 60), RULE).prediction.drifted for _ in range(40))
    assert alarms <= 2


@pytest.mark.parametrize("loss", ["brier", "log_loss"])
def test_the_estimate_covers_what_is_lost_while_only_the_mix_of_rows_moves(loss):
    rule = RULE.model_copy(update={"gate": RULE.gate.model_copy(update={"loss": loss})})
    rng, covered = np.random.default_rng(2), 0
    for _ in range(20):
        current = frame(rng, 7, 120, shift=0.8)
        found = estimate_loss(rule, frame(rng, 14, 120), current)
        clusters = losses_by_cluster(rule, current)
        realised = np.average([c.loss for c in clusters], weights=[c.rows for c in clusters])
        covered += found.low <= realised <= found.high
        assert found.method == "CBPE"
    assert covered >= 17


def test_an_estimate_survives_a_class_that_the_holdout_never_has():
    rows = frame(np.random.default_rng(3), 6, 80)
    held = rows[rows["target"] != "swap"]
    assert np.isfinite(estimate_loss(RULE, held, rows).loss)


def test_labels_of_unknown_classes_cost_what_a_class_without_probability_costs():
    rows = frame(np.random.default_rng(4), 1, 50)
    rows.loc[0, "target"] = "lost"
    (day,) = losses_by_cluster(RULE, rows)
    values = rows[[f"probability_{name}" for name in NAMES]].to_numpy()
    target = np.array([float(NAMES.index(t)) if t in NAMES else UNSEEN for t in rows["target"]])
    assert day.loss == pytest.approx(row_losses("brier", target, values).mean())


def test_labels_are_joined_as_text():
    predictions = pd.DataFrame(
        {"id": ["a", "b"], "at": pd.Timestamp("2024-01-01", tz="UTC")} | as_columns(np.full((2, 2), 0.5), ("1", "2"))
    )
    labels = pd.DataFrame({"id": ["a", "b"], "y": pd.array([2, None], dtype="Int64")})
    assert labelled_rows(RULE, predictions, labels)["target"].tolist() == ["2"]


def test_classes_that_came_and_went_are_said():
    reference = frame(np.random.default_rng(5), 4, 100)
    labels = reference.head(200).assign(target="keep")
    labels.loc[:29, "target"] = "lost"
    labels.loc[0, "target"] = "<b>stolen</b>"
    new, gone = class_changes(labels, reference)
    assert new.startswith("30 of 200 labels (15 %) are of classes that this version does not know: 'lost' (29) and ")
    assert "a training learns those with rows enough" in new
    assert gone.startswith("No label is of the class 'send back' (usually ")
    assert "'swap'" in gone


def test_nothing_is_said_of_classes_as_they_were_of_few_labels_and_of_other_tasks():
    reference = frame(np.random.default_rng(6), 4, 100)
    assert class_changes(reference, reference) == ()
    assert class_changes(reference.head(2), reference) == ()
    assert class_changes(None, reference) == ()
    assert class_changes(reference, reference[["target", "prediction"]]) == ()
