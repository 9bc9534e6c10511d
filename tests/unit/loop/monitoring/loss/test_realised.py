"""Realised loss: of rows that have a label, by cluster, and adding up."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.loop.monitoring.loss.realised import labelled_rows, losses_by_cluster
from helpers.drift_frames import FLIGHTS


def test_rows_without_a_label_are_left_out():
    times = pd.date_range("2013-04-01", periods=4, freq="h", tz="UTC")
    predictions = pd.DataFrame({"flight_id": list("abcd"), "scheduled_departure": times, "prediction": 0.5})
    labels = pd.DataFrame({"flight_id": list("bdz"), "late": [True, None, False]})
    rows = labelled_rows(FLIGHTS, predictions, labels)
    assert rows["flight_id"].tolist() == ["b"]
    assert rows["target"].tolist() == [1.0]
    assert rows["scheduled_departure"].tolist() == [times[1]]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.floats(0, 1)), min_size=1, max_size=40))
def test_clusters_add_up_to_the_loss_of_all_rows(data):
    frame = pd.DataFrame(data, columns=["cluster", "target", "prediction"]).astype({"target": float})
    clusters = losses_by_cluster(FLIGHTS, frame)
    weights = [c.rows for c in clusters]
    assert sum(weights) == len(frame)
    assert [c.name for c in clusters] == sorted(set(frame["cluster"]))
    brier = ((frame["target"] - frame["prediction"]) ** 2).mean()
    assert np.average([c.loss for c in clusters], weights=weights) == pytest.approx(brier)
    expected = (frame["prediction"] * (1 - frame["prediction"])).mean()
    assert np.average([c.expected for c in clusters], weights=weights) == pytest.approx(expected)
