"""Rows of PostgreSQL land as they are: every type by a round trip, one snapshot, all or nothing, no secret anywhere."""

import datetime as dt
import json
import logging
import threading

import pytest
from pydantic import SecretStr
from sqlalchemy import select

from evergreen.core.ledger import Ledger
from evergreen.core.ledger.tables import PartitionVersion
from evergreen.errors import BadInputError, SettingsError, UnavailableError
from evergreen.loop.intake.database.extract import extract
from evergreen.loop.intake.landing_zone import find_drop

pytestmark = pytest.mark.integration
KEY = "2024-01-01"
AT = "TIMESTAMPTZ '2024-01-01 06:00:00+00'"
ORDERS = "SELECT * FROM orders WHERE ordered_at >= :start AND ordered_at < :end ORDER BY order_id"
INSTANT = dt.datetime(2024, 1, 1, 6, tzinfo=dt.UTC)
HELD = [
    # (SQL, type of the definition, value that lands)
    ("'12345678901234567890.123456789012345678'::numeric", "string", "12345678901234567890.123456789012345678"),
    ("'0.1000'::numeric(10,4)", "string", "0.1000"),
    ("'0.1'::numeric", "float", 0.1),
    ("'9007199254740993'::numeric", "integer", 2**53 + 1),
    ("'9223372036854775807'::bigint", "integer", 2**63 - 1),
    ("'9223372036854775807'::bigint", "string", "9223372036854775807"),
    ("'-9223372036854775808'::bigint", "integer", -(2**63)),
    ("'7'::smallint", "float", 7.0),
    ("'1.1'::float4", "float", 1.10000002384185791015625),
    ("'0.1'::float8 + '0.2'::float8", "float", 0.1 + 0.2),
    ("'5e-324'::float8", "float", 5e-324),
    ("true", "boolean", True),
    ("true", "string", "t"),
    ("1", "boolean", True),
    ("TIMESTAMPTZ '2024-07-01 12:00:00.123456+05:30'", "timestamp", dt.datetime(2024, 7, 1, 6, 30, 0, 123456, dt.UTC)),
    ("TIMESTAMP '2024-07-01 12:00:00'", "timestamp", dt.datetime(2024, 7, 1, 12, tzinfo=dt.UTC)),
    ("DATE '2024-02-29'", "timestamp", dt.datetime(2024, 2, 29, tzinfo=dt.UTC)),
    ("TIMESTAMPTZ '2024-07-01 12:00:00+02'", "string", "2024-07-01 10:00:00+00"),
    ("'infinity'::timestamptz", "string", "infinity"),
    ("'x'::text", "string", "x"),
    ("''::text", "string", ""),
    ("'NA'::text", "string", "NA"),
    ("E'two\\nlines, \"quoted\"'::text", "string", 'two\nlines, "quoted"'),
    ("NULL::text", "string", None),
    ("NULL::bigint", "integer", None),
    ("NULL::timestamptz", "timestamp", None),
    ("'ok'::mood", "string", "ok"),
    ("'\\xdeadbeef'::bytea", "string", "\\xdeadbeef"),
    ("'{\"a\": 12345678901234567890}'::json", "string", '{"a": 12345678901234567890}'),
    ("'{\"b\":1.10}'::jsonb", "string", '{"b": 1.10}'),
    ("'8d3c2f00-1f2e-4a3b-9c4d-5e6f70819203'::uuid", "string", "8d3c2f00-1f2e-4a3b-9c4d-5e6f70819203"),
    ("ARRAY[1,NULL,3]", "string", "{1,NULL,3}"),
    ("INTERVAL '1 month 2 days 03:04:05.5'", "string", "1 mon 2 days 03:04:05.5"),
    ("TIME '03:04:05'", "string", "03:04:05"),
    ("B'0101'", "string", "0101"),
    ("'10.0.0.1/8'::inet", "string", "10.0.0.1/8"),
    ("int4range(1, 5)", "string", "[1,5)"),
    ("'a'::char(3)", "string", "a  "),
    ("POINT(1, 2)", "string", "(1,2)"),
    ("count(*) OVER ()", "integer", 1),
    ("sum(9007199254740993::bigint) OVER ()", "integer", 2**53 + 1),
]
REFUSED = [
    ("'12345678901234567890'::numeric", "integer", "do not fit 64 bits"),
    ("'1.5'::numeric", "integer", "are not a whole number"),
    ("'9007199254740993'::numeric", "float", "more digits than a float has"),
    ("'9007199254740993'::bigint", "float", "do not fit the type float"),
    ("'9007199254740992'::float8", "integer", "2\\*\\*53"),
    ("'infinity'::float8", "float", "are infinite"),
    ("'infinity'::numeric", "float", "are infinite"),
    ("'infinity'::timestamptz", "timestamp", "holds 'infinity'"),
    ("'-infinity'::date", "timestamp", "holds '-infinity'"),
    ("TIMESTAMPTZ '0044-03-15 00:00:00+00 BC'", "timestamp", "BC"),
    ("INTERVAL '1 day'", "float", "interval in the database"),
    ("'12.50'::money", "float", "money in the database"),
    ("'ok'::mood", "integer", "mood in the database"),
    ("'\\xdead'::bytea", "float", "bytea in the database"),
    ("ARRAY[1]", "integer", "integer\\[\\] in the database"),
    ("TIME '03:04:05'", "timestamp", "time without time zone in the database"),
    ("2", "boolean", "are not true or false"),
]


@pytest.fixture
def one(postgres):
    """A value of a type: `one(sql)` is a source whose column `x` it is. The role's settings are against it."""
    postgres.run("DROP TYPE IF EXISTS mood CASCADE; CREATE TYPE mood AS ENUM ('ok')")
    postgres.run(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET timezone = ''Asia/Kolkata''', current_database()); "
        "EXECUTE format('ALTER DATABASE %I SET datestyle = ''German''', current_database()); "
        "EXECUTE format('ALTER DATABASE %I SET bytea_output = ''escape''', current_database()); "
        "EXECUTE format('ALTER DATABASE %I SET extra_float_digits = -5', current_database()); END $$"
    )

    def of(sql):
        where = f"{AT} >= :start AND {AT} < :end"
        postgres.query = f"SELECT 'a' AS order_id, {AT} AS ordered_at, 1.0::float8 AS price, {sql} AS x WHERE {where}"
        return postgres

    return of


def test_every_type_lands_with_its_value(one):
    for sql, kind, expected in HELD:
        found = one(sql).value(kind)
        assert (found, type(found)) == (expected, type(expected)), f"{sql} as {kind}"


def test_what_a_type_cannot_hold_is_refused_by_name(one):
    for sql, kind, said in REFUSED:
        with pytest.raises(BadInputError, match=f"column x .*{said}"):
            one(sql).value(kind)
    assert find_drop(one("1").settings.landing_url, "orders", "inputs", KEY) is None, "nothing has landed"


WITHIN = "ordered_at >= :start AND ordered_at < :end"


def orders(postgres, rows=1000):
    postgres.run("DROP TABLE IF EXISTS orders")
    postgres.run(
        f"CREATE TABLE orders AS SELECT n::text AS order_id, {AT} + n * interval '1 ms' AS ordered_at, "
        f"n::float8 AS price, repeat('x', 200) AS note FROM generate_series(1, {rows}) n"
    )
    return postgres.define(ORDERS, price="float", note="string")


def test_rows_of_the_period_are_accepted_and_the_query_is_on_record(postgres):
    orders(postgres).run(f"INSERT INTO orders VALUES ('before', {AT} - interval '1 day', 1, ''), "
                         f"('after', TIMESTAMPTZ '2024-01-02 00:00:00+00', 1, '')")  # fmt: skip
    found = postgres.ingest()
    assert (found.outcome, found.rows) == ("accepted", 1000), found.reason
    with Ledger.from_settings(postgres.settings).transaction() as session:
        version = session.scalars(select(PartitionVersion)).one()
    assert version.source["query"].strip() == ORDERS
    assert (version.source["start"], version.source["rows"]) == ("2024-01-01T00:00:00+00:00", 1000)
    assert len(version.source["query_sha256"]) == 64
    assert postgres.ingest().new is False, "the same rows are the same version"
    postgres.run("UPDATE orders SET price = 7 WHERE order_id = '9'")
    assert postgres.ingest().version == 2


def test_an_empty_answer_lands_and_is_quarantined(postgres):
    orders(postgres)
    postgres.extract("2024-01-05")
    found = postgres.ingest("2024-01-05")
    assert found.outcome == "quarantined"


def test_columns_that_the_query_lacks_are_named(postgres):
    orders(postgres).define(ORDERS.replace("*", "order_id, ordered_at"), price="float")
    with pytest.raises(BadInputError, match="gives no column price; it gives order_id, ordered_at"):
        postgres.extract()


@pytest.mark.parametrize("note", ["(n || ' of alice')::int::text", "'alice' || chr(7)"])
def test_no_personal_value_is_in_an_error(postgres, note):
    rows = f"(SELECT *, order_id AS n FROM orders WHERE {WITHIN}) q"
    query = f"SELECT order_id, ordered_at, price, {note} AS note FROM {rows}"
    orders(postgres).define(query, price="float", note="string")
    feed = postgres.definition.feed
    postgres.definition = postgres.definition.model_copy(
        update={"feed": feed.model_copy(update={"personal": ["note"]})}
    )
    with pytest.raises(BadInputError) as raised:
        postgres.extract()
    assert "alice" not in str(raised.value)
    assert "not shown" in str(raised.value)


def test_a_query_that_would_write_is_refused(postgres):
    orders(postgres)
    gone = "DELETE FROM orders WHERE ordered_at >= :start AND ordered_at < :end RETURNING *"
    postgres.define(f"WITH gone AS ({gone}) SELECT * FROM gone", price="float")
    with pytest.raises(BadInputError, match="PostgreSQL refuses the query"):
        postgres.extract()
    postgres.define(ORDERS, price="float")
    assert postgres.extract().rows == 1000


def within_a_minute(call):
    """What `call` raises; fails if it has not ended by then, and does not wait for it."""
    raised = []

    def caught():
        try:
            call()
        except Exception as error:
            raised.append(error)

    thread = threading.Thread(target=caught, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive(), "it waits for ever"
    return raised[0]


def test_a_row_that_is_too_large_is_refused_and_the_rest_is_not_waited_for(postgres):
    orders(postgres, 200_000).run("UPDATE orders SET note = repeat('y', 9 << 20) WHERE order_id = '1'")
    threads = threading.active_count()
    error = within_a_minute(postgres.extract)
    assert isinstance(error, BadInputError)
    assert "a row that is too large: as text, a row may have 4,194,304 bytes" in str(error)
    assert find_drop(postgres.settings.landing_url, "orders", "inputs", KEY) is None
    assert threading.active_count() == threads, "no reader is left behind"


def test_rows_that_cannot_be_parsed_are_told_and_the_rest_is_not_waited_for(postgres, monkeypatch):
    from evergreen.loop.intake.database import postgres as driver

    orders(postgres, 200_000)
    # As if a later server wrote one field less than the columns that were asked for.
    real = driver._Stream.__init__
    one_less = lambda self, connection, text: real(self, connection, text.replace('"price", ', ""))  # noqa: E731
    monkeypatch.setattr(driver._Stream, "__init__", one_less)
    error = within_a_minute(postgres.extract)
    assert isinstance(error, UnavailableError)
    assert "what PostgreSQL sent cannot be read (CSV parse error" in str(error)


def test_columns_that_are_not_asked_for_are_not_sent(postgres):
    orders(postgres).run("UPDATE orders SET note = repeat('y', 9 << 20) WHERE order_id = '1'")
    assert postgres.define(ORDERS, price="float").extract().rows == 1000


def test_rows_that_come_while_it_reads_are_not_half_there(postgres, monkeypatch):
    from evergreen.loop.intake.database import values

    orders(postgres, 40_000)
    real, changed = values._column, []

    def meanwhile(*given):
        if not changed:
            changed.append(True)
            postgres.run("UPDATE orders SET price = -1")
        return real(*given)

    monkeypatch.setattr(values, "_column", meanwhile)
    assert postgres.extract().rows == 40_000
    assert changed
    assert postgres.landed()["price"].min() == 1


def test_a_connection_that_is_cut_leaves_what_was_there(postgres, monkeypatch):
    from evergreen.loop.intake.database import values

    orders(postgres, 200_000)
    postgres.extract()
    before = postgres.landed()
    postgres.run("UPDATE orders SET price = -1")
    real, cut, threads = values._column, [], threading.active_count()

    def cutting(*given):
        if not cut:
            cut.append(True)
            others = "query LIKE 'COPY%' AND pid <> pg_backend_pid()"
            postgres.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")
        return real(*given)

    monkeypatch.setattr(values, "_column", cutting)
    with pytest.raises(UnavailableError):
        postgres.extract()
    assert postgres.landed().equals(before)
    monkeypatch.undo()
    assert postgres.extract().rows == 200_000
    assert threading.active_count() == threads, "no reader is left behind"


def test_a_killed_task_leaves_nothing_half(postgres, tmp_path):
    import os
    import signal
    import subprocess
    import sys
    import time

    orders(postgres, 400_000)
    code = (
        "import os; from evergreen.core.definition.load import read_definition; "
        "from evergreen.loop.intake.database.extract import extract; "
        "from evergreen.core.definition.database_address import from_environment; from pathlib import Path; "
        f"extract(read_definition(Path({str(postgres.folder)!r}) / 'model.yaml'), 'inputs', {KEY!r}, "
        f"landing_url={postgres.settings.landing_url!r}, address_of=from_environment)"
    )
    env = os.environ | {"EVERGREEN_DATABASE_WAREHOUSE": postgres.url}
    child = subprocess.Popen([sys.executable, "-c", code], env=env)
    folder = tmp_path / "place" / "landing" / "orders" / KEY
    while child.poll() is None and not list(folder.glob(".inputs.parquet.*")):
        time.sleep(0.01)
    time.sleep(0.1)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert child.returncode == -signal.SIGKILL, "it was at work"
    assert find_drop(postgres.settings.landing_url, "orders", "inputs", KEY) is None
    assert postgres.extract().rows == 400_000


def test_no_secret_is_in_an_error_or_a_log(postgres, caplog):
    caplog.set_level(logging.DEBUG)
    orders(postgres)
    secret = "s3cr3t-of-the-shop"
    for url in (
        f"postgresql://me:{secret}@127.0.0.1:1/shop",
        f"postgresql://nobody:{secret}@{postgres.url.partition('@')[2]}",
        f"oracle://me:{secret}@host/shop",
        f"{secret}",
        f"postgresql://me:{secret}@host:port/shop",
    ):
        with pytest.raises((UnavailableError, SettingsError)) as raised:
            extract(postgres.definition, "inputs", KEY, landing_url=postgres.settings.landing_url,
                    address_of={"warehouse": SecretStr(url)}.get)  # fmt: skip
        assert secret not in str(raised.value)
        assert secret not in caplog.text
    with pytest.raises(SettingsError, match="EVERGREEN_DATABASE_WAREHOUSE"):
        extract(
            postgres.definition, "inputs", KEY, landing_url=postgres.settings.landing_url, address_of=lambda _: None
        )


def test_the_command_lands_partitions(postgres, monkeypatch, tmp_path):
    from typer.testing import CliRunner

    from evergreen.cli import app

    orders(postgres)
    monkeypatch.setenv("EVERGREEN_MODELS_DIR", str(postgres.folder.parent))
    monkeypatch.setenv("EVERGREEN_DATABASE_WAREHOUSE", postgres.url)
    arguments = ["feed", "extract", "shop", "--from", KEY, "--to", str(tmp_path / "there"), "--json"]
    found = CliRunner().invoke(app, arguments)
    assert found.exit_code == 0, found.output
    assert [item["rows"] for item in json.loads(found.output)["landed"]] == [1000]
    assert find_drop((tmp_path / "there").as_uri(), "orders", "inputs", KEY) is not None
