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


def test_it_feeds_the_next_version_from_all_partitions_and_the_champion_not_at_all(shop, caplog):
    caplog.set_level("INFO")
    shop.live(6)
    add_a_feature(shop)
    shop.live(7)

    for week, kind in ((6, "retrain"), (7, "no_action")):  # the code has changed, which is told once
        found = check(shop, week)
        assert (found.kind, found.drifted_columns) == (kind, []), found.reason
    assert "not compared" not in caplog.text

    second = shop.train(as_of=7, cause="operator")
    assert second == shop.version + 1
    reference = read_reference(shop.definition, second, shop.settings)
    assert reference["hour"].notna().all()
    assert (pd.to_datetime(reference["ordered_at"]).dt.hour == reference["hour"]).all()

    caplog.clear()
    assert shop.live(8).version == second
    found = check(shop, 8)
    assert (found.kind, found.drifted_columns) == ("no_action", []), found.reason
    assert "not compared" not in caplog.text


def test_partitions_from_before_are_built_with_it_for_a_training(shop):
    add_a_feature(shop)
    second = shop.train(as_of=5, cause="operator")
    assert read_reference(shop.definition, second, shop.settings)["hour"].notna().all()
    assert shop.live(6).version == second
    assert check(shop, 6).kind == "no_action"
