"""Requests do not see each other, whatever `features.py` does with what it gets."""

import numpy as np
import pandas as pd
import pytest

from evergreen.core.definition.load import read_definition
from evergreen.loop.online.context import Context
from evergreen.loop.online.predict import BrokenModelError, predict
from helpers import orders_model


@pytest.fixture
def definition(tmp_path):
    orders_model.write_model(tmp_path / "orders")
    return read_definition(tmp_path / "orders" / "model.yaml")


class Constant:
    """Predicts the same for each row."""

    version = 1

    def __init__(self, value):
        self.value = value

    def predict(self, frame):
        return np.full(len(frame), self.value)


def rows(count):
    return orders_model.week(0, "2024-01-01")[0].head(count)


def spoiling(inputs, history):
    history.loc[:, "price"] = -1.0
    inputs.loc[:, "price"] = -1.0
    return inputs.drop(columns="day")


@pytest.mark.parametrize("others", [None, rows(20)], ids=["request", "partition"])
def test_a_build_that_writes_into_what_it_gets_spoils_nothing(definition, others):
    context = Context(rows(5), others)
    before = [None if frame is None else frame.copy() for frame in context[:2]]
    for _ in range(2):
        assert predict(definition, Constant(0.5), rows(3), context, spoiling).tolist() == [0.5] * 3
    for frame, kept in zip(context[:2], before, strict=True):
        if kept is not None:
            pd.testing.assert_frame_equal(frame, kept)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_prediction_that_is_no_number_is_none(definition, value):
    with pytest.raises(BrokenModelError, match="version 1 of orders predicts no finite number for 3 of 3 rows"):
        predict(definition, Constant(value), rows(3), Context(rows(0), None), lambda i, h: i.drop(columns="day"))
