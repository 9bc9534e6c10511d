"""Do the columns still depend on each other as they did? Seen where no column has moved, and not imagined elsewhere."""

import numpy as np
from frames import CATEGORICAL, NUMERIC, SMALL, batch
from scipy.stats import binomtest

from evergreen.monitoring import drift
from evergreen.monitoring.dependence import JOINT


def dependent(rng, rows):
    """Hot days are late days, and carriers keep to their origins."""
    frame = batch(rng, rows)
    frame["delay_rate"] = (frame["temperature"] - 60) / 15 + rng.normal(0, 1, rows)
    home = np.where(frame["carrier"].isin(list("ACEG")), "EWR", "JFK")
    frame["origin"] = np.where(rng.random(rows) < 0.8, home, frame["origin"].fillna("EWR"))
    return frame


def test_columns_shuffled_each_by_itself_are_found_though_none_has_moved():
    rng = np.random.default_rng(1)
    for _ in range(5):
        current = dependent(rng, 1000)
        for name in (*NUMERIC, *CATEGORICAL):
            current[name] = rng.permutation(current[name].to_numpy())
        found = drift.check(dependent(rng, 5000), current, SMALL)
        assert found.drifted_columns == (JOINT,)
        assert found.joint is not None
        assert "delay_rate" in found.joint.sentence
        assert found.severity in ("minor", "major")


def test_a_dependence_that_holds_is_no_drift():
    rng = np.random.default_rng(2)
    alarms = 0
    for _ in range(30):
        found = drift.check(dependent(rng, 2000), dependent(rng, 500), SMALL)
        alarms += found.joint is not None and found.joint.drifted
    assert binomtest(alarms, 30, 0.05, alternative="greater").pvalue > 0.001


def test_a_shift_of_a_column_is_not_called_a_change_of_dependence():
    rng = np.random.default_rng(3)
    current = dependent(rng, 1000)
    current["temperature"] += 30
    found = drift.check(dependent(rng, 5000), current, SMALL)
    assert found.drifted_columns == ("temperature",)
