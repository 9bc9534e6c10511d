"""A small model of another trade than the shipped one, and a ledger that says which of its partitions were accepted."""

import datetime as dt
import logging
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evergreen.core.definition.load import read_definition
from evergreen.core.ledger import Ledger
from evergreen.core.ledger.tables import PartitionVersion, Verdict
from evergreen.core.store import Store
from evergreen.core.store.objects import sha256

DEFINITION = """
name: shop
title: Will an order be returned?
owner: shop
task: binary
target: returned
calendar: {period: day, start: 2024-01-01}
feed:
  name: shop
  entity: order_id
  event_time: ordered_at
  label_delay: 0
  grace: PT1H
  tables:
    inputs: {columns: {order_id: string, ordered_at: timestamp, country: string, price: float}}
    labels: {columns: {order_id: string, ordered_at: timestamp, returned: boolean}}
features: {look_back: 2, numeric: [price, return_rate], categorical: [country]}
alerts: {to: [shop@example.com]}
"""
FEATURES = """
def build(inputs, history):
    rate = history.groupby("country")["returned"].mean()
    return inputs.assign(return_rate=inputs["country"].map(rate).astype("float64"))
"""
EXPECTATIONS = """
import great_expectations.expectations as gxe

def features():
    return [
        gxe.ExpectColumnValuesToBeBetween(column="price", min_value=0, max_value=1000),
        gxe.ExpectColumnValuesToBeBetween(column="price", max_value=500, severity="warning"),
    ]
"""
ROWS = 6


class Feed:
    """The partitions of the small model, as intake leaves them: accepted rows in the store, versions in the ledger."""

    def __init__(self, folder: Path, settings):
        folder.mkdir(parents=True)
        self.folder, self.settings = folder, settings
        for name, text in (("model.yaml", DEFINITION), ("features.py", FEATURES), ("expectations.py", EXPECTATIONS)):
            (folder / name).write_text(text)
        self.definition = read_definition(folder / "model.yaml")
        self.ledger = Ledger.from_settings(settings)

    def rows(self, key: str, table: str, shift: float = 0.0) -> pd.DataFrame:
        start = dt.datetime.fromisoformat(key).replace(tzinfo=dt.UTC)
        times = pd.date_range(start, periods=ROWS, freq="h").astype("datetime64[us, UTC]")
        frame = pd.DataFrame({"order_id": [f"{key}-{n}" for n in range(ROWS)], "ordered_at": times})
        if table == "labels":
            return frame.assign(returned=[(n + shift) % 4 == 0 for n in range(ROWS)])
        return frame.assign(country=["SE", "FI"] * 3, price=[float(n) + shift for n in range(ROWS)])

    def accept(self, key: str, table: str = "inputs", shift: float = 0.0) -> int:
        """The next version of a partition, accepted; its id."""
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pandas(self.rows(key, table, shift), preserve_index=False), sink)
        data = sink.getvalue().to_pybytes()
        uri = Store.from_settings(self.settings).write(f"clean/shop/{table}/{key}/{sha256(data)[:16]}.parquet", data)
        with self.ledger.transaction() as session:
            earlier = session.query(PartitionVersion).filter_by(model="shop", table=table, key=key).count()
            version = PartitionVersion(
                model="shop", table=table, key=key, version=earlier + 1, content_hash=sha256(data), landed_uri=uri,
                raw_uri=uri, bytes=len(data), rows=ROWS, landed_at=dt.datetime.now(dt.UTC),
            )  # fmt: skip
            session.add(version)
            session.flush()
            session.add(self._verdict(version.id, "accepted", uri))
        return version.id

    def quarantine(self, version_id: int) -> None:
        """Another suite thinks otherwise of a version that was accepted."""
        with self.ledger.transaction() as session:
            session.add(self._verdict(version_id, "quarantined", None))

    def _verdict(self, version_id: int, outcome: str, uri: str | None) -> Verdict:
        return Verdict(
            partition_version_id=version_id, suite_hash=outcome, outcome=outcome, reason="", failures=[],
            clean_uri=uri, rows_accepted=ROWS if uri else 0, rows_rejected=0,
        )  # fmt: skip

    def days(self, *keys: str) -> None:
        """Inputs and labels of some days."""
        for key in keys:
            self.accept(key)
            self.accept(key, "labels")


@pytest.fixture
def feed(settings, tmp_path):
    return Feed(tmp_path / "shop-model" / "shop", settings)


@pytest.fixture(autouse=True)
def reported(caplog):
    """What the task log shows."""
    caplog.set_level(logging.INFO)
    return caplog
