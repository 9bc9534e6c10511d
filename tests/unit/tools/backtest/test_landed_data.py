"""A backtest learns from what the loop would learn from."""

import numpy as np
import pandas as pd

from evergreen.core.definition import load_definition
from evergreen.tools.backtest.landed_data import incomplete

FLIGHTS = load_definition("nyc_flights")


def landed(rows, known=None):
    late = np.array([True] * rows, dtype=object)
    late[known if known is not None else rows :] = None
    return pd.DataFrame({"flight_id": [str(n) for n in range(rows)], "late": late})


def test_partitions_whose_labels_are_incomplete_are_held_back():
    inputs = {key: landed(100)[["flight_id"]] for key in "abcde"}
    labels = {"a": landed(100), "b": landed(30), "c": landed(97), "d": landed(100, known=20)}
    found = incomplete(FLIGHTS, inputs, labels)
    assert list(found) == ["b", "d"], "labels without a value are none"
    assert found["b"] == "30 of 100 (30 %) inputs have a label, at least 95 % are needed"
