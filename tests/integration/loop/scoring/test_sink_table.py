"""The table of a sink: made once by many, under any name, with entities of every type that the audit finds again."""

import datetime as dt
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from threading import Barrier

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import SecretStr
from sqlalchemy.engine import make_url

from evergreen.core.definition.model import ModelDefinition
from evergreen.core.definition.sinks import SinkSection
from evergreen.core.ledger.tables import Prediction
from evergreen.errors import SettingsError
from evergreen.loop.scoring import sink_table
from evergreen.operations.audit import sinks
from evergreen.operations.audit.ledger_rows import Rows
from helpers.kept import connected, database

pytestmark = pytest.mark.integration
AT = dt.datetime(2024, 7, 1, 12, 0, 0, 500, tzinfo=dt.UTC)
ENTITIES = {
    "string": ["a", "b"], "integer": [-1, 2**53 + 1], "float": [0.1, 1e22], "boolean": [True, False],
    "timestamp": [AT, AT + dt.timedelta(hours=7)],
}  # fmt: skip


@pytest.fixture
def url(postgres_url):
    name = f"sink_{uuid.uuid4().hex[:8]}"
    with connected(postgres_url) as connection:
        connection.cursor().execute(f'CREATE DATABASE "{name}"')
        # What a user sees is local: a comparison must not depend on it.
        connection.cursor().execute(f"ALTER DATABASE \"{name}\" SET timezone = 'Asia/Kolkata'")
    return database(postgres_url, name).replace("+psycopg2", "")


def prediction(key, uri="file:///nowhere", number=1):
    return Prediction(
        id=number, model="orders", key=key, snapshot_id=1, version=3, uri=uri, content_hash="hash", rows=2, mean=0.5,
        created_at=AT,
    )  # fmt: skip


def rows(key, kind="string"):
    entity = pa.array(ENTITIES[kind], pa.timestamp("us", "UTC") if kind == "timestamp" else None)
    at = pa.array([AT, AT], pa.timestamp("us", "UTC"))
    return pa.table(
        {
            "entity": entity, "event_time": at, "prediction": [0.25, 0.75], "partition_key": [key, key],
            "model_version": pa.array([3, 3]), "predicted_at": at,
        }
    )  # fmt: skip


def write(url, table, key, kind="string"):
    types = sink_table.columns(kind)
    return sink_table.write(make_url(url), table, prediction(key), types, lambda: rows(key, kind))


def test_many_first_deliveries_at_once_make_the_table_and_none_fails(url, monkeypatch):
    real, together = sink_table._is_there, Barrier(8)
    first = set()

    def all_see_no_table(cursor, table):
        found = real(cursor, table)
        if (cursor, table) not in first and table == "predictions":
            first.add((cursor, table))
            together.wait(30)
        return found

    monkeypatch.setattr(sink_table, "_is_there", all_see_no_table)
    keys = [f"2024-01-{day:02d}" for day in range(1, 9)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda key: write(url, "predictions", key), keys)) == [True] * 8
    with connected(url) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT count(*), count(DISTINCT partition_key) FROM predictions")
        assert cursor.fetchone() == (16, 8)


def test_a_table_may_have_a_reserved_name(url):
    with connected(url) as connection:
        connection.cursor().execute('CREATE SCHEMA "user"')
    for table in ("order", "user.select"):
        assert write(url, table, "2024-01-01")
        assert not write(url, table, "2024-01-01")
    with connected(url) as connection:
        cursor = connection.cursor()
        cursor.execute('SELECT count(*) FROM "order" JOIN "user"."select" USING (model, partition_key, entity)')
        assert cursor.fetchone() == (2,)


@pytest.mark.parametrize("kind", list(ENTITIES))
def test_the_audit_finds_entities_of_every_type_again(url, kind, tmp_path):
    key, uri = "2024-01-01", f"file://{tmp_path}/p.parquet"
    write(url, "order", key, kind)
    pq.write_table(rows(key, kind), tmp_path / "p.parquet")
    model = definition(kind)
    given = {"sink": "crm", "key": key, "prediction_id": 1, "delivered_at": AT}
    made = {"key": key, "id": 1, "created_at": AT, "version": 3, "uri": uri}
    ledger = Rows(**{one.name: [] for one in fields(Rows)} | {"predictions": [made], "sink_deliverys": [given]})

    def audit():
        return [one.what for one in sinks.check(model, ledger, f"file://{tmp_path}", lambda _: SecretStr(url))]

    assert audit() == []
    with connected(url) as connection:
        connection.cursor().execute('UPDATE "order" SET prediction = 0.5 WHERE prediction = 0.25')
    assert "it has 2 rows of 2, and 1 differ" in audit()[0]


def definition(kind):
    columns = {"id": kind, "at": "timestamp", "price": "float"}
    return ModelDefinition.model_validate(
        {
            "name": "orders", "title": "Orders", "owner": "shop", "task": "regression", "target": "sold",
            "calendar": {"start": "2024-01-01"}, "features": {"numeric": ["price"]},
            "alerts": {"to": ["shop@example.com"]},
            "feed": {
                "name": "orders", "entity": "id", "event_time": "at",
                "tables": {"inputs": {"columns": columns}, "labels": {"columns": {**columns, "sold": "float"}}},
            },
        }
    ).model_copy(update={"sinks": {"crm": SinkSection(type="table", connection="crm", table="order")}})  # fmt: skip


def test_an_address_with_an_unknown_option_is_no_outage():
    url = make_url("postgresql://ada:geheim@127.0.0.1:1/x?cursor=dict")
    prediction = Prediction(model="m", key="2024-01-01", id=1, content_hash="h", rows=0, version=1)
    with pytest.raises(SettingsError, match="invalid connection option") as caught:
        sink_table.write(url, "predictions", prediction, sink_table.columns("string"), lambda: None)
    assert "geheim" not in str(caught.value)
