"""The producer adds a column: features, slices, training and a backfill of an old partition go on."""

import pandas as pd
import pytest

from evergreen.core.definition.load import read_definition
from evergreen.core.ledger.tables import TrainingRun
from evergreen.loop.intake.receive import receive
from evergreen.loop.intake.validate import validate
from evergreen.loop.training.dataset import read_examples

pytestmark = pytest.mark.integration


def write(shop, *changes):
    path = shop.definition.folder / "model.yaml"
    text = path.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    shop.definition = read_definition(path)


def land(shop, table, number, frame):
    folder = shop.landing / "orders" / shop.key(number)
    folder.mkdir(parents=True, exist_ok=True)
    frame.to_parquet(folder / f"{table}.parquet", index=False)
    (folder / "_SUCCESS").write_bytes(b"")
    received = receive(shop.definition, table, shop.key(number), settings=shop.settings)
    return validate(shop.definition, received.partition_version_id, settings=shop.settings)


@pytest.fixture
def landing(young_shop, settings, tmp_path):
    """Ten weeks with labels and features that look back on two others."""
    shop = young_shop
    shop.landing = tmp_path / "landing"
    shop.landing.mkdir(exist_ok=True)
    shop.settings = settings.model_copy(update={"landing_url": shop.landing.as_uri()})
    return shop


def test_a_new_column_is_null_where_it_was_not_yet_and_nothing_stops(landing):
    shop = landing
    write(shop, ("look_back: 0", "look_back: 2"), ("age: float}}", "age: float, channel: string}}"))
    inputs, labels = shop.week(10)
    assert land(shop, "inputs", 10, inputs.assign(channel="web")).outcome == "accepted"
    assert land(shop, "labels", 10, labels).outcome == "accepted"
    assert shop.build(10).rows == len(inputs)

    # A backfill of an old partition, which cannot have the column; and a new one, which must.
    old, _ = shop.week(3)
    assert land(shop, "inputs", 3, old.assign(price=old["price"] + 1)).outcome == "accepted"
    assert shop.build(3).version > 1
    late, _ = shop.week(11)
    refused = land(shop, "inputs", 11, late)
    assert refused.outcome == "quarantined"
    assert "missing: channel" in refused.reason

    # A slice by it: older rows have no value there.
    write(shop, ("gate: {cluster: day}", "gate: {cluster: day, slices: [channel], holdout: 1}"))
    from evergreen.loop.training.assemble import assemble

    run = assemble(shop.definition, cause="first", cause_key="first", reason="a test", settings=shop.settings)
    with shop.ledger.transaction() as session:
        row = session.get_one(TrainingRun, run.training_run_id)
    for keys, known in ((run.train_keys, False), (run.holdout_keys, True)):
        examples = read_examples(shop.definition, row, list(keys), settings=shop.settings)
        assert examples.extra["channel"].notna().eq(known).all()


def test_a_renamed_column_is_found_in_partitions_from_before(landing):
    shop = landing
    write(shop, ("price: float", "cost: {type: float, aliases: [price]}"), ("numeric: [price", "numeric: [cost"))
    inputs, _ = shop.week(10)
    assert land(shop, "inputs", 10, inputs.rename(columns={"price": "cost"})).outcome == "accepted"
    assert land(shop, "inputs", 2, shop.week(2)[0]).outcome == "accepted"
    shop.build(10)
    from evergreen.loop.training.assemble import assemble

    run = assemble(shop.definition, cause="first", cause_key="first", reason="a test", settings=shop.settings)
    with shop.ledger.transaction() as session:
        row = session.get_one(TrainingRun, run.training_run_id)
    examples = read_examples(shop.definition, row, list(run.train_keys), settings=shop.settings)
    landed = pd.concat([shop.week(n)[0] for n in range(10) if shop.key(n) in run.train_keys])
    assert sorted(examples.features["cost"]) == pytest.approx(sorted(landed["price"]))
