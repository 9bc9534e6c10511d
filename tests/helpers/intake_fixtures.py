"""A model small enough for many partitions: its folder can be edited, its drops are landed by hand."""

import datetime as dt
import io
from pathlib import Path

import pandas as pd
import pytest

from evergreen.core.definition.load import read_definition
from evergreen.core.ledger import Ledger
from evergreen.core.store.objects import publish
from evergreen.loop.intake.receive import receive
from evergreen.loop.intake.validate import validate

DEFINITION = """
name: shop
title: Will an order be returned?
owner: web-shop
task: binary
target: returned
calendar: {period: day, start: 2024-01-01}
feed:
  name: orders
  entity: order_id
  event_time: ordered_at
  tables:
    inputs: {columns: {order_id: string, ordered_at: timestamp, country: string, items: integer, price: float}}
    labels: {columns: {order_id: string, ordered_at: timestamp, returned: boolean}}
features: {numeric: [price]}
alerts: {to: [shop@example.com]}
"""
EXPECTATIONS = """
import great_expectations.expectations as gxe

def inputs():
    return [
        gxe.ExpectColumnValuesToBeBetween(column="price", min_value=0, max_value=MAX_PRICE),
        gxe.ExpectColumnValuesToNotBeNull(column="country", mostly=0.9, severity="warning"),
    ]

def labels():
    return []
"""


class Shop:
    """The model, its landing zone and its ledger."""

    def __init__(self, folder: Path, settings):
        folder.mkdir(parents=True)
        self.folder, self.settings = folder, settings
        (folder / "model.yaml").write_text(DEFINITION)
        self.allow_prices_up_to(100)
        self.definition = read_definition(folder / "model.yaml")
        self.ledger = Ledger.from_settings(settings)

    def allow_prices_up_to(self, price: int) -> None:
        """Edit the model's expectations."""
        (self.folder / "expectations.py").write_text(EXPECTATIONS.replace("MAX_PRICE", str(price)))

    def allow_bad_rows(self, share: float) -> None:
        """Edit `max_bad_rows` of the inputs."""
        table = "    inputs: {"
        (self.folder / "model.yaml").write_text(DEFINITION.replace(table, f"{table}max_bad_rows: {share}, "))
        self.definition = read_definition(self.folder / "model.yaml")

    @staticmethod
    def orders(key: str, rows: int = 50, **columns) -> pd.DataFrame:
        """Good inputs of a day, with `columns` in place of good ones."""
        start = dt.datetime.fromisoformat(key).replace(tzinfo=dt.UTC)
        frame = pd.DataFrame({"order_id": [f"{key}-{n}" for n in range(rows)]})
        frame["ordered_at"] = pd.date_range(start, periods=rows, freq="min")
        return frame.assign(country="SE", items=1, price=9.5).assign(**columns)

    def file(self, key: str, table: str = "inputs", suffix: str = "parquet") -> str:
        """URI of a table in the landing zone."""
        return f"{self.settings.landing_url}/orders/{key}/{table}.{suffix}"

    def land(self, key: str, data: pd.DataFrame | bytes, table: str = "inputs", suffix: str = "parquet") -> None:
        """Land a table, `_SUCCESS` last."""
        if isinstance(data, pd.DataFrame):
            buffer = io.BytesIO()
            data.to_parquet(buffer, index=False)
            data = buffer.getvalue()
        uri = self.file(key, table, suffix)
        publish(uri, data)
        publish(uri.rpartition("/")[0] + "/_SUCCESS", b"")

    def ingest(self, key: str, table: str = "inputs"):
        """Receive and validate, as the DAG does."""
        received = receive(self.definition, table, key, settings=self.settings, run_url="http://airflow/run")
        return validate(
            self.definition, received.partition_version_id, settings=self.settings, run_url="http://airflow/run"
        )


@pytest.fixture
def shop(settings, tmp_path):
    """The small model."""
    return Shop(tmp_path / "models" / "shop", settings)
