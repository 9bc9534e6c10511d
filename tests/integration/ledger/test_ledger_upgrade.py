"""A ledger with rows in it, from each earlier schema to this code's, while the code of before still writes."""

import datetime as dt
import itertools
import uuid

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy.dialects.postgresql import JSONB

from evergreen.ledger import Ledger
from evergreen.ledger.migrate import _config, at_head, known, upgrade
from evergreen.ledger.tables import Base

pytestmark = pytest.mark.integration
SCRIPTS = ScriptDirectory.from_config(_config(""))
EARLIER = sorted({script.revision for script in SCRIPTS.walk_revisions()} - set(SCRIPTS.get_heads()))
NUMBERS = itertools.count(1)


@pytest.fixture
def empty_ledger(ledger_url):
    """URL of the database before its first migration."""
    command.downgrade(_config(ledger_url), "base")
    return ledger_url


def reflected(engine):
    """The tables that the code of that revision knew."""
    tables = sa.MetaData()
    tables.reflect(engine)
    return [table for table in tables.sorted_tables if table.name != "alembic_version"]


def value_for(column):
    number = next(NUMBERS)
    by_type = {
        sa.BigInteger: number, sa.Text: f"text {number}", sa.Boolean: True, sa.Double: number / 7,
        sa.Uuid: uuid.uuid4(),
        sa.DateTime: dt.datetime(2024, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=number), JSONB: {"number": number},
    }  # fmt: skip
    return next(value for kind, value in by_type.items() if isinstance(column.type, kind))


def write(engine, tables, rows=3):
    """Some rows in every table, with a value in every column; none that a row needs is left out."""
    with engine.begin() as connection:
        for _, table in itertools.product(range(rows), tables):
            values = {
                column.name: value_for(column)
                for column in table.columns
                if not column.foreign_keys and not (column.primary_key and isinstance(column.type, sa.BigInteger))
            }
            for column in table.columns:
                for key in column.foreign_keys:  # the newest row of that table: each has one of its own
                    values[column.name] = connection.scalar(sa.select(sa.func.max(key.column)))
            connection.execute(table.insert().values(values))


def read(engine, tables):
    with engine.connect() as connection:
        return {table.name: [*connection.execute(sa.select(table).order_by(*table.primary_key))] for table in tables}


@pytest.mark.parametrize("revision", EARLIER)
def test_rows_of_an_earlier_schema_stay_and_its_code_can_go_on_writing(empty_ledger, revision):
    command.upgrade(_config(empty_ledger), revision)
    engine = Ledger(empty_ledger).engine
    tables = reflected(engine)
    write(engine, tables)
    before = read(engine, tables)
    assert all(before.values())

    upgrade(empty_ledger)
    assert at_head(empty_ledger)
    assert read(engine, tables) == before
    # A rolling upgrade migrates first: workers that still run the earlier code write as it knew the tables.
    write(engine, tables)
    with engine.connect() as connection:
        for table in Base.metadata.sorted_tables:
            connection.execute(sa.select(table)).all()  # this code reads what either wrote


def test_a_revision_of_newer_code_is_not_known():
    assert known(SCRIPTS.get_heads()[0])
    assert not known("9999")
