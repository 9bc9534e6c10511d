"""Labelled rows against the others: chance is not called a difference, and a one-sided draw is."""

import numpy as np
import pytest

from evergreen.loop.monitoring.label_bias import compare
from helpers.drift_frames import SMALL, batch

pytestmark = pytest.mark.xdist_group("evidently")  # one worker imports Evidently, not each
ALPHA = SMALL.monitoring.share_alpha / 2
"""Of a model's first test"""


def partition(seed, rows=1500):
    """Rows of a week, with predictions that follow the temperature and answers that follow the predictions."""
    rng = np.random.default_rng(seed)
    frame = batch(rng, rows)
    frame["prediction"] = 1 / (1 + np.exp(-(frame["temperature"] - 65) / 12))
    days = np.sort(rng.integers(0, 7, rows))
    frame["scheduled_departure"] = np.datetime64("2024-01-01") + days.astype("timedelta64[D]")
    return rng, frame, rng.random(rows) < frame["prediction"]


def split(frame, known):
    return frame[known], frame[~np.asarray(known)]


def test_half_of_one_class_and_a_tenth_of_the_other_are_one_sided_in_what_is_predicted():
    rng, frame, answer = partition(0)
    draw = rng.random(len(frame))
    found = compare(SMALL, *split(frame, np.where(answer, draw < 0.5, draw < 0.1)), alpha=ALPHA)
    assert found.one_sided
    assert found.columns[0]["name"] == "prediction"
    assert "differ from those that have none in prediction (rose: " in found.sentence
    assert "temperature" in {column["name"] for column in found.columns}


def test_labels_of_one_carrier_alone_are_one_sided_in_the_inputs():
    _, frame, _ = partition(1)
    found = compare(SMALL, *split(frame, frame["carrier"] == "A"), alpha=ALPHA)
    assert [column["name"] for column in found.columns] == ["carrier"]


def test_labels_of_small_values_alone_are_one_sided():
    rng, frame, _ = partition(2)
    value = 100 * frame["prediction"] + rng.normal(0, 20, len(frame))
    assert compare(SMALL, *split(frame, value < 50), alpha=ALPHA).one_sided


def test_labels_drawn_at_random_are_not_called_one_sided():
    found = []
    for seed in range(40):
        rng, frame, _ = partition(seed)
        found.append(compare(SMALL, *split(frame, rng.random(len(frame)) < 0.6), alpha=ALPHA).one_sided)
    assert sum(found) <= 4, "2.5 % are promised: more than 4 of 40 come with a chance of 0.3 %"
