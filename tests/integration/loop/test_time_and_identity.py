"""Hours over the change of clocks, and a panel of shops and local days, through the whole loop on real servers."""

import io

import numpy as np
import pandas as pd
import pytest

from evergreen.core.definition.load import read_definition
from evergreen.core.ledger import Ledger
from evergreen.core.ledger.queries import partitions
from evergreen.core.ledger.tables import Performance, Prediction
from evergreen.core.store.objects import publish
from evergreen.loop.intake.accepted_rows import read_clean
from evergreen.loop.intake.labels.coverage import review
from evergreen.loop.intake.receive import receive
from evergreen.loop.intake.validate import validate
from evergreen.loop.monitoring.check import run as check
from evergreen.loop.online.request import keys_of, to_inputs
from helpers.orders_model import EXPECTATIONS

pytestmark = pytest.mark.integration
COMMON = """
owner: shop
task: regression
target: sold
features: {look_back: 1, numeric: [price, known], categorical: [shop]}
training: {window: 3, validation: 1, min_rows: 50, candidates: [linear], trials: 1}
monitoring: {min_new_rows: 10}
alerts: {to: [shop@example.com]}
"""
HOURS = """
name: hours
title: Sold in an hour
calendar: {period: hour, start: 2024-10-26, timezone: Europe/Berlin}
feed:
  name: hours
  entity: [shop, at]
  event_time: at
  label_delay: 1
  tables:
    inputs: {columns: {shop: string, at: timestamp, price: float}}
    labels: {columns: {shop: string, at: timestamp, sold: float}}
"""
PANEL = """
name: panel
title: Sold in a day
calendar: {period: day, start: 2024-03-05, timezone: America/New_York}
feed:
  name: panel
  entity: [shop, day]
  event_time: [day, hour]
  label_delay: 1
  tables:
    inputs: {columns: {shop: string, day: timestamp, hour: integer, price: float}}
    labels: {columns: {shop: string, day: timestamp, hour: integer, sold: float}}
"""
FEATURES = """
def build(inputs, history):
    time = "at" if "at" in inputs else "event_time"
    known = inputs["shop"].isin(history["shop"]).astype(float)
    return inputs[["row_id", time, "price", "shop"]].assign(known=known)
"""
SHOPS = [f"s|{n}" for n in range(40)]


def hours(key):
    """Rows of an hour, as a file in local time writes them: each with the offset that its clocks had."""
    local = pd.Timestamp(key, tz="UTC").tz_convert("Europe/Berlin")
    return pd.DataFrame({"shop": SHOPS, "at": local.isoformat(sep=" ")})


def panel(key):
    """Rows of a day without any zone: its date, and the hour at which a shop opened."""
    return pd.DataFrame({"shop": SHOPS, "day": key, "hour": [n % 24 for n in range(len(SHOPS))]}).query("hour != 2")


MODELS = {
    "hours": (HOURS, hours, "2024-10-26T20", ["shop", "at"]),
    "panel": (PANEL, panel, "2024-03-05", ["shop", "day"]),
}


class Feed:
    """A model whose partitions are numbered, and land as CSV."""

    def __init__(self, name, folder, settings):
        text, self.rows, self.first, self.ids = MODELS[name]
        folder.mkdir(parents=True)
        (folder / "model.yaml").write_text(text + COMMON)
        (folder / "features.py").write_text(FEATURES)
        (folder / "expectations.py").write_text(EXPECTATIONS)
        self.definition, self.settings = read_definition(folder / "model.yaml"), settings
        self.ledger = Ledger.from_settings(settings)

    def key(self, number):
        return self.definition.partitions.shift(self.first, number)

    def table(self, table, number):
        rng, rows = np.random.default_rng(number), self.rows(self.key(number))
        price = rng.normal(10, 2, len(rows)).round(2)
        if table == "inputs":
            return rows.assign(price=price)
        return rows.assign(sold=(30 - 2 * price + rng.normal(0, 0.3, len(rows))).round(3))

    def ingest(self, table, number):
        key, buffer = self.key(number), io.BytesIO()
        self.table(table, number).to_csv(buffer, index=False)
        uri = f"{self.settings.landing_url}/{self.definition.feed.name}/{key}/{table}.csv"
        publish(uri, buffer.getvalue())
        publish(uri.rpartition("/")[0] + "/_SUCCESS", b"")
        received = receive(self.definition, table, key, settings=self.settings)
        validated = validate(self.definition, received.partition_version_id, settings=self.settings)
        assert validated.outcome == "accepted", validated.reason
        review(self.definition, settings=self.settings)

    def accepted(self, table, number):
        with self.ledger.transaction() as session:
            _, verdict = partitions.current(session, self.definition.name, table, self.key(number))
            return read_clean(verdict, self.settings)

    def build(self, number):
        from evergreen.loop.features.build import build

        return build(self.definition, self.key(number), settings=self.settings)

    def train(self, as_of):
        from evergreen.loop.champion.evaluate import evaluate
        from evergreen.loop.champion.promotion import promote
        from evergreen.loop.training.assemble import assemble
        from evergreen.loop.training.fit import fit

        run = assemble(
            self.definition, cause="first", cause_key="first", reason="a test asks for it", as_of=self.key(as_of),
            settings=self.settings,
        ).training_run_id  # fmt: skip
        fit(self.definition, run, settings=self.settings)
        evaluate(self.definition, run, settings=self.settings)
        return promote(self.definition, run, settings=self.settings, decided_by="a test")


@pytest.mark.parametrize("name", MODELS)
def test_partitions_over_the_change_of_clocks_go_through_the_loop(name, settings, mlflow_uri, tmp_path):
    from evergreen.loop.scoring.score import read_predictions, score

    feed = Feed(name, tmp_path / "models" / name, settings)
    definition = feed.definition
    for number in range(7):
        feed.ingest("inputs", number)
        feed.ingest("labels", number)
        feed.build(number)
    keys = [feed.key(number) for number in range(9)]
    if name == "hours":  # both hours that are called 02:00
        assert {"2024-10-27T00", "2024-10-27T01"} <= set(keys)
    else:  # a day of 23 hours
        period = definition.partitions.period("2024-03-10")
        assert (period.end - period.start).total_seconds() == 23 * 3600
        assert "2024-03-10" in keys

    inputs, labels = feed.accepted("inputs", 5), feed.accepted("labels", 5)
    assert list(inputs["row_id"]) == list(labels["row_id"])
    assert inputs["row_id"].is_unique

    assert feed.train(as_of=6).version == 1
    for number in (7, 8):
        feed.ingest("inputs", number)
        feed.build(number)
        assert score(definition, keys[number], settings=settings).version == 1
        feed.ingest("labels", number)
        found = check(definition, keys[number], settings=settings)
        assert found.kind == "no_action", found.reason
        assert found.drifted_columns == []
    with feed.ledger.transaction() as session:
        measured = {row.key: row.rows for row in session.query(Performance).filter_by(model=name)}
        assert measured == {keys[7]: len(feed.table("labels", 7))}
        prediction = session.query(Prediction).filter_by(model=name, key=keys[7]).one()
        predicted = read_predictions(prediction, settings)
    known = feed.accepted("inputs", 7)
    assert list(predicted["row_id"]) == list(known["row_id"])
    pd.testing.assert_frame_equal(predicted[feed.ids], known[feed.ids], check_dtype=False)

    # A request says what a producer lands, and gets the same id and partition.
    asked = feed.table("inputs", 7).astype(object).to_dict("records")
    frame = to_inputs(definition, asked)
    assert list(frame["row_id"]) == list(known["row_id"])
    assert set(keys_of(definition, frame)) == {keys[7]}


def test_rows_that_share_a_name_are_reported_by_the_names_of_the_columns(settings, tmp_path):
    feed = Feed("panel", tmp_path / "models" / "panel", settings)
    rows = feed.table("inputs", 0)
    uri = f"{settings.landing_url}/panel/{feed.key(0)}/inputs.csv"
    publish(uri, pd.concat([rows, rows.head(2).assign(price=1.0)]).to_csv(index=False).encode())
    publish(uri.rpartition("/")[0] + "/_SUCCESS", b"")
    received = receive(feed.definition, "inputs", feed.key(0), settings=settings)
    verdict = validate(feed.definition, received.partition_version_id, settings=settings)
    assert verdict.outcome == "quarantined"
    assert "shop and day: 2 of 40 (5.0 %) rows repeat the identifier of an earlier row" in verdict.reason
