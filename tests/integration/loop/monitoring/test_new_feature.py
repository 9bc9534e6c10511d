"""A definition gets one more feature while its model is in production."""

import pandas as pd
import pytest

from evergreen.core.definition.load import read_definition
from evergreen.loop.monitoring.check import run
from evergreen.loop.monitoring.load_rows import read_reference

pytestmark = pytest.mark.integration
OLD, NEW = "numeric: [price, age]", "numeric: [price, age, hour]"
BUILD = """
def build(inputs, history):
    return inputs.drop(columns="day").assign(hour=inputs["ordered_at"].dt.hour)
"""


def add_a_feature(shop):
    folder = shop.definition.folder
    path = folder / "model.yaml"
    path.write_text(path.read_text().replace(OLD, NEW))
    (folder / "features.py").write_text(BUILD)
    shop.definition = read_definition(path)
    assert "hour" in shop.definition.features.columns


def check(shop, number):
    return run(shop.definition, shop.key(number), settings=shop.settings)


def test_it_is_learned_where_it_is_known_and_is_no_drift(shop, caplog):
    caplog.set_level("INFO")
    shop.live(6)
    add_a_feature(shop)
    shop.live(7)

    for week in (6, 7):  # one built before, one after; the champion was made before
        found = check(shop, week)
        assert (found.kind, found.drifted_columns) == ("no_action", []), found.reason
    assert caplog.text.count("not compared: hour") == 2

    second = shop.train(as_of=7, cause="operator")
    assert second == shop.version + 1
    assert f"hour: null in 4 partitions, {shop.key(2)} to {shop.key(5)}, which were built before" in caplog.text
    reference = read_reference(shop.definition, second, shop.settings)
    known = pd.to_datetime(reference["ordered_at"]) >= pd.Timestamp(shop.key(7), tz="UTC")
    assert reference["hour"].notna().equals(known)

    caplog.clear()
    assert shop.live(8).version == second
    found = check(shop, 8)
    assert (found.kind, found.drifted_columns) == ("no_action", []), found.reason
    assert "not compared" not in caplog.text


def test_a_feature_that_no_partition_has_is_left_out_of_the_reference(shop):
    add_a_feature(shop)
    second = shop.train(as_of=5, cause="operator")
    reference = read_reference(shop.definition, second, shop.settings)
    assert "hour" not in reference
    assert shop.live(6).version == second
    assert check(shop, 6).kind == "no_action"
