"""Answers on request by versions of another task."""

import numpy as np
import pandas as pd
import pytest

from evergreen.loop.monitoring.online_agreement import Asked, compare
from helpers.synthetic_examples import definition

RULE = definition("multiclass")
OLD = [Asked("1", 0.7, 1), Asked("2", 0.2, 1)]


def test_answers_of_a_binary_version_are_left_out_of_the_loss_of_classes():
    labels = pd.DataFrame({"id": ["1", "2", "3"], "y": ["keep", "swap", "keep"]})
    found = compare(RULE, OLD, None, None, labels)
    assert (found["rows"], found["versions"], found["labelled"], found["loss"]) == (2, [1], 0, None)
    new = Asked("3", 0.8, 2, [("keep", 0.8), ("swap", 0.2)])
    found = compare(RULE, [*OLD, new], None, None, labels)
    assert (found["rows"], found["labelled"]) == (3, 1)
    assert found["loss"] == pytest.approx(np.square([0.2, 0.2]).sum())
