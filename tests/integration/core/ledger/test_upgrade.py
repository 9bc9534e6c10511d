"""A ledger with rows in it, from each earlier schema to this code's, while the code of before still writes."""

import datetime as dt
import itertools
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy.dialects.postgresql import JSONB

from evergreen.core.ledger import Ledger, migrate
from evergreen.core.ledger.migrate import LOCK_TIMEOUT, _config, at_head, known, upgrade
from evergreen.core.ledger.tables import Base
from evergreen.errors import UnavailableError

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
                    newest = sa.select(key.column).order_by(key.column.desc()).limit(1)  # there is no max() of UUIDs
                    values[column.name] = connection.scalar(newest)
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


def test_losses_of_before_name_the_rows_that_counted(empty_ledger):
    command.upgrade(_config(empty_ledger), "0007")
    engine = Ledger(empty_ledger).engine
    write(engine, reflected(engine))
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE verdict SET rows_rejected = 0 WHERE id = (SELECT min(id) FROM verdict)"))
    upgrade(empty_ledger)
    for table in ("performance", "shadow_loss"):
        query = f"SELECT m.labels_rows, v.suite_hash, v.rows_rejected FROM {table} m JOIN verdict v "
        with engine.connect() as connection:
            on = sa.text(query + "ON v.partition_version_id = m.labels_version_id ORDER BY m.id")
            first, *rest = connection.execute(on).all()
        assert (first.labels_rows, first.rows_rejected) == ("", 0)
        assert [row.labels_rows for row in rest] == [row.suite_hash for row in rest]
        assert len(rest) == 2
    command.downgrade(_config(empty_ledger), "0007")
    command.upgrade(_config(empty_ledger), "head")


@pytest.fixture
def adding_columns(empty_ledger, monkeypatch):
    """A ledger whose next migration changes the tables of a feed in one transaction, as a later release may."""
    upgrade(empty_ledger)
    engine = Ledger(empty_ledger).engine

    def change(config, revision):
        with engine.begin() as connection:
            connection.execute(sa.text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
            for table in ("partition_version", "verdict"):
                connection.execute(sa.text(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS written_by text"))

    monkeypatch.setattr(command, "upgrade", change)
    return engine


def test_a_task_that_works_meanwhile_is_let_finish(adding_columns):
    engine = adding_columns
    url = engine.url.render_as_string(hide_password=False)
    with ThreadPoolExecutor(1) as pool, engine.connect() as task:
        # It has read verdicts and will read versions: the other way round than the migration takes them.
        task.execute(sa.text("SELECT count(*) FROM verdict"))
        migrating = pool.submit(upgrade, url)
        time.sleep(1)
        assert not migrating.done()
        task.execute(sa.text("SELECT count(*) FROM partition_version"))
        task.commit()
        migrating.result(timeout=60)
    assert "written_by" in {column["name"] for column in sa.inspect(engine).get_columns("verdict")}


def test_a_migration_that_never_comes_to_its_turn_says_what_to_do(adding_columns, monkeypatch):
    monkeypatch.setattr(migrate, "PATIENCE", 1.0)
    url = adding_columns.url.render_as_string(hide_password=False)
    with adding_columns.connect() as task:
        task.execute(sa.text("SELECT count(*) FROM verdict"))
        with pytest.raises(UnavailableError, match="in use all the time"):
            upgrade(url)


def test_the_schema_is_migrated_with_a_limit_to_waiting(empty_ledger, caplog):
    command.upgrade(_config(empty_ledger), EARLIER[-1])
    caplog.set_level("INFO", "evergreen.ledger")
    engine = Ledger(empty_ledger).engine
    with ThreadPoolExecutor(1) as pool, engine.connect() as task:
        task.execute(sa.text("LOCK TABLE alembic_version"))
        migrating = pool.submit(upgrade, empty_ledger)
        time.sleep(3)
        task.rollback()
        migrating.result(timeout=60)
    assert "tried again" in caplog.text
    assert at_head(empty_ledger)


def test_a_revision_of_newer_code_is_not_known():
    assert known(SCRIPTS.get_heads()[0])
    assert not known("9999")
