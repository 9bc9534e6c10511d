"""Databases that a query is put to, and a model whose rows come from them."""

import uuid

import pytest
from pydantic import SecretStr

from evergreen.core.definition.load import read_definition
from evergreen.loop.intake.database.extract import extract
from evergreen.loop.intake.receive import receive
from evergreen.loop.intake.validate import validate
from helpers.kept import connected, database

KEY = "2024-01-01"
MARIADB = {"host": "127.0.0.1", "port": 3306, "user": "root", "password": ""}


class Source:
    """A model `shop` whose inputs are the rows of a query, with these columns beside entity and time."""

    def __init__(self, folder, settings, url):
        self.folder, self.settings, self.url = folder / "models" / "shop", settings, url
        self.folder.mkdir(parents=True)
        (self.folder / "expectations.py").write_text("def inputs():\n    return []\n\n\ndef labels():\n    return []\n")

    def define(self, query, **columns):
        types = {"order_id": "string", "ordered_at": "timestamp"} | columns
        said = ", ".join(f"{name}: {kind}" for name, kind in types.items())
        (self.folder / "model.yaml").write_text(f"""
name: shop
title: Will an order be returned?
owner: web-shop
task: binary
target: returned
calendar: {{period: day, start: 2024-01-01}}
feed:
  name: orders
  entity: order_id
  event_time: ordered_at
  source:
    inputs:
      connection: warehouse
      query: |
        {query}
  tables:
    inputs: {{columns: {{{said}}}}}
    labels: {{columns: {{order_id: string, ordered_at: timestamp, returned: boolean}}}}
features: {{numeric: [price]}}
alerts: {{to: [shop@example.com]}}
""")
        self.definition = read_definition(self.folder / "model.yaml")
        return self

    def extract(self, key=KEY):
        address = {"warehouse": SecretStr(self.url)}
        return extract(self.definition, "inputs", key, landing_url=self.settings.landing_url, address_of=address.get)

    def ingest(self, key=KEY):
        self.extract(key)
        received = receive(self.definition, "inputs", key, settings=self.settings)
        return validate(self.definition, received.partition_version_id, settings=self.settings)

    def landed(self, key=KEY):
        import pandas as pd

        return pd.read_parquet(f"{self.settings.landing_url}/orders/{key}/inputs.parquet")

    def value(self, type_name):
        """The one value of the column `x`, if it is of this type in the definition."""
        import pyarrow.parquet as pq

        self.define(self.query, x=type_name)
        self.extract()
        uri = f"{self.settings.landing_url}/orders/{KEY}/inputs.parquet"
        return pq.read_table(uri.removeprefix("file://")).column("x").to_pylist()[0]


@pytest.fixture(scope="session")
def _warehouse(postgres_url):
    name = f"warehouse_{uuid.uuid4().hex[:8]}"
    with connected(postgres_url) as connection:
        connection.cursor().execute(f'CREATE DATABASE "{name}"')
    return database(postgres_url, name)


@pytest.fixture
def postgres(_warehouse, tmp_path, settings):
    """A model over an own database of the test's PostgreSQL, and `run` to write there."""
    source = Source(tmp_path, settings, _warehouse)

    def run(statement):
        with connected(_warehouse) as connection:
            connection.cursor().execute(statement)

    source.run = run
    return source


@pytest.fixture
def mariadb(tmp_path, settings):
    """The same over a MariaDB on this machine, if there is one."""
    pymysql = pytest.importorskip("pymysql")
    try:
        connection = pymysql.connect(**MARIADB, autocommit=True)
    except pymysql.Error as error:
        pytest.skip(f"no MariaDB on 127.0.0.1:3306 that root may use without a password ({error})")
    name = f"warehouse_{uuid.uuid4().hex[:8]}"
    with connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
        cursor.execute(f"USE {name}")
        source = Source(tmp_path, settings, f"mysql://root@127.0.0.1:3306/{name}")
        source.run = cursor.execute
        yield source
        cursor.execute(f"DROP DATABASE {name}")


@pytest.fixture
def sqlite(tmp_path, settings):
    """The same over a SQLite file."""
    import sqlite3

    connection = sqlite3.connect(tmp_path / "shop.db", isolation_level=None)
    source = Source(tmp_path, settings, f"sqlite:///{tmp_path}/shop.db")
    source.run = connection.execute
    yield source
    connection.close()


@pytest.fixture
def duck(tmp_path, settings):
    """The same over a DuckDB file."""
    duckdb = pytest.importorskip("duckdb")
    source = Source(tmp_path, settings, f"duckdb:///{tmp_path}/shop.duckdb")

    def run(statement):
        with duckdb.connect(str(tmp_path / "shop.duckdb")) as connection:
            connection.execute(statement)

    source.run = run
    return source
