"""If a feed has landed for more than a year, a proposal compares what has seasons with last year's."""

import numpy as np
import pytest

from evergreen.core.definition import load_definition
from evergreen.tools.propose.propose import propose
from evergreen.tools.simulator.land import land
from helpers.orders_model import week, write_model

pytestmark = [pytest.mark.integration, pytest.mark.slow]
SEASON = 9
"""Weeks after which the prices change"""


@pytest.fixture(scope="module")
def definition(tmp_path_factory):
    models = tmp_path_factory.mktemp("models")
    write_model(models / "orders")
    return load_definition("orders", models)


@pytest.fixture(scope="module")
def landing(definition, tmp_path_factory):
    """Sixty-three weeks: what is sold in a season is five times as expensive as in the one after it, every year."""
    folder = tmp_path_factory.mktemp("landing")
    keys = definition.partitions.keys("2024-01-01", "2025-03-10")

    def rows(_, table, key):
        inputs, labels = week(number := keys.index(key), key)
        dear = number % 52 // SEASON % 2
        inputs["price"] *= np.where(dear, 5.0, 1.0)
        return (inputs if table == "inputs" else labels).head(120)

    land(definition, keys, landing_url=folder.as_uri(), rows=rows)
    return folder.as_uri()


def compared(text):
    return [line.strip() for line in text.splitlines() if line.strip().startswith(("Numbers(", "Categories("))]


def test_a_column_that_moves_with_the_season_is_compared_with_last_year(definition, landing):
    found = propose(definition, landing, tables=("inputs",))
    assert compared(found.text) == [
        'Numbers(columns=["age"]),',
        'Categories(columns=["country"]),',
        'Numbers(columns=["price"], reference="season"),',
    ]
    assert all(tried.accepted for tried in found.tried)
    late = [tried for tried in found.tried if tried.key >= "2025-01-27"]
    assert sum(tried.warnings for tried in late) <= 1
