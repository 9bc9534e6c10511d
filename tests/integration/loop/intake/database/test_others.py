"""MariaDB, SQLite and DuckDB: values land as they are, or are refused by name."""

import datetime as dt

import pytest
from pydantic import SecretStr

from evergreen.errors import BadInputError, UnavailableError
from evergreen.loop.intake.landing_zone import find_drop

pytestmark = pytest.mark.integration
KEY = "2024-01-01"
NOON = dt.datetime(2024, 7, 1, 12, tzinfo=dt.UTC)
MARIADB_HELD = [
    ("CAST('12345678901234567890.1234567890' AS DECIMAL(40,10))", "string", "12345678901234567890.1234567890"),
    ("CAST(18446744073709551615 AS UNSIGNED)", "string", "18446744073709551615"),
    ("9007199254740993", "integer", 2**53 + 1),
    ("0.1e0 + 0.2e0", "float", 0.1 + 0.2),
    ("(SELECT f FROM kinds)", "float", 16777217.0 - 1),
    ("(SELECT bit3 FROM kinds)", "integer", 5),
    ("(SELECT mood FROM kinds)", "string", "ok"),
    ("(SELECT raw FROM kinds)", "string", "\\xdeadbeef"),
    ("(SELECT doc FROM kinds)", "string", '{"a": 12345678901234567890}'),
    ("TIMESTAMP '2024-07-01 12:00:00'", "timestamp", NOON),
    ("(SELECT stamped FROM kinds)", "timestamp", NOON),
    ("DATE '2024-02-29'", "timestamp", dt.datetime(2024, 2, 29, tzinfo=dt.UTC)),
    ("'grün 😀'", "string", "grün 😀"),
    ("''", "string", ""),
    ("NULL", "integer", None),
    ("TRUE", "boolean", True),
    ("TIME '25:00:00'", "string", "25:00:00"),
]
MARIADB_REFUSED = [
    ("CAST(18446744073709551615 AS UNSIGNED)", "integer", "do not fit 64 bits"),
    ("9007199254740993", "float", "more digits than a float has"),
    ("'0000-00-00 00:00:00'", "timestamp", "are not a timestamp"),
    ("(SELECT raw FROM kinds)", "float", "are not a number"),
    ("TIME '25:00:00'", "timestamp", "are not a timestamp"),
]
SQLITE_HELD = [
    ("9223372036854775807", "integer", 2**63 - 1),
    ("0.1 + 0.2", "float", 0.1 + 0.2),
    ("5e-324", "float", 5e-324),
    ("'2024-07-01 12:00:00'", "timestamp", NOON),
    ("x'deadbeef'", "string", "\\xdeadbeef"),
    ("'NA'", "string", "NA"),
    ("NULL", "float", None),
    ("1", "boolean", True),
    ("7", "string", "7"),
]
SQLITE_REFUSED = [
    ("9007199254740993", "float", "float"),
    ("'abc'", "float", "are not a number"),
    ("9e999", "float", "are infinite"),
    ("1.5", "integer", "are not whole numbers"),
    ("20240701", "timestamp", "int64"),
]
DUCKDB_HELD = [
    ("170141183460469231731687303715884105727::HUGEINT", "string", "170141183460469231731687303715884105727"),
    ("sum(9007199254740993::BIGINT) OVER ()", "integer", 2**53 + 1),
    ("18446744073709551615::UBIGINT", "string", "18446744073709551615"),
    ("1234567890123456789012345678.1234567890::DECIMAL(38,10)", "string", "1234567890123456789012345678.1234567890"),
    ("0.1::DOUBLE + 0.2::DOUBLE", "float", 0.1 + 0.2),
    ("TIMESTAMPTZ '2024-07-01 14:00:00+02'", "timestamp", NOON),
    ("TIMESTAMP_NS '2024-07-01 12:00:00'", "timestamp", NOON),
    ("DATE '2024-02-29'", "timestamp", dt.datetime(2024, 2, 29, tzinfo=dt.UTC)),
    ("'8d3c2f00-1f2e-4a3b-9c4d-5e6f70819203'::UUID", "string", "8d3c2f00-1f2e-4a3b-9c4d-5e6f70819203"),
    ("'ok'::mood", "string", "ok"),
    ("[1, NULL, 3]", "string", "[1, NULL, 3]"),
    ("true", "boolean", True),
    ("NULL", "integer", None),
]
DUCKDB_REFUSED = [
    ("18446744073709551615::UBIGINT", "integer", "do not fit 64 bits"),
    ("9007199254740993::HUGEINT", "float", "more digits than a float has"),
    ("'infinity'::TIMESTAMP", "timestamp", "outside the years"),
    ("'infinity'::DOUBLE", "float", "are infinite"),
    ("INTERVAL 1 DAY", "float", "INTERVAL in the database"),
    ("{'a': 1}", "integer", "STRUCT"),
]


def query(at, value):
    return f"SELECT 'a' AS order_id, {at} AS ordered_at, 1.5e0 AS price, {value} AS x"


def walk(source, at, condition, held, refused):
    for sql, kind, expected in held:
        source.query = f"SELECT * FROM ({query(at, sql)}) q WHERE {condition}"
        found = source.value(kind)
        assert (found, type(found)) == (expected, type(expected)), f"{sql} as {kind}"
    for sql, kind, said in refused:
        source.query = f"SELECT * FROM ({query(at, sql)}) q WHERE {condition}"
        with pytest.raises(BadInputError, match=f"column x.*{said}"):
            source.value(kind)


WITHIN = "ordered_at >= :start AND ordered_at < :end"


def test_mariadb(mariadb):
    mariadb.run(
        "CREATE TABLE kinds (f FLOAT, bit3 BIT(3), mood ENUM('ok','bad'), raw BLOB, doc JSON, stamped TIMESTAMP)"
    )
    mariadb.run("SET time_zone = '+05:30'")
    mariadb.run(
        "INSERT INTO kinds VALUES (16777216, b'101', 'ok', x'deadbeef', '{\"a\": 12345678901234567890}', "
        "'2024-07-01 17:30:00')"
    )
    walk(mariadb, "TIMESTAMP '2024-01-01 06:00:00'", WITHIN, MARIADB_HELD, MARIADB_REFUSED)


def test_mariadb_streams_many_rows_of_the_period(mariadb):
    mariadb.run("CREATE TABLE orders (order_id VARCHAR(20), ordered_at DATETIME(3), price FLOAT)")
    mariadb.run(
        "INSERT INTO orders SELECT seq, TIMESTAMP '2024-01-01 00:00:00' + INTERVAL seq SECOND, seq / 3 "
        "FROM seq_1_to_100000"
    )
    mariadb.define(f"SELECT * FROM orders WHERE {WITHIN} ORDER BY ordered_at", price="float")
    assert mariadb.ingest().rows == 86_399
    assert mariadb.ingest().new is False
    assert mariadb.landed()["price"].iloc[0] == pytest.approx(1 / 3, rel=1e-7), "a FLOAT has six digits in its text"
    mariadb.define(f"SELECT no FROM orders WHERE {WITHIN}", price="float")
    with pytest.raises(BadInputError, match="MariaDB refuses the query"):
        mariadb.extract()
    mariadb.url = "mariadb://root@127.0.0.1:1/x"
    with pytest.raises(UnavailableError, match="does not answer"):
        mariadb.extract()


def test_sqlite(sqlite):
    walk(sqlite, "'2024-01-01 06:00:00'", WITHIN, SQLITE_HELD, SQLITE_REFUSED)


def test_sqlite_sees_one_state_and_refuses_what_is_no_file(sqlite):
    sqlite.run("CREATE TABLE orders (order_id, ordered_at, price)")
    sqlite.run("INSERT INTO orders VALUES ('a', '2024-01-01 06:00:00', 1.5), ('b', '2024-01-02 00:00:00', 2)")
    sqlite.define(f"SELECT * FROM orders WHERE {WITHIN}", price="float")
    assert sqlite.ingest().rows == 1
    sqlite.define(f"DELETE FROM orders WHERE {WITHIN}", price="float")
    with pytest.raises(BadInputError, match="SQLite refuses"):
        sqlite.extract()
    sqlite.url = "sqlite:////no/such/file.db"
    with pytest.raises(UnavailableError, match="there is no SQLite file"):
        sqlite.extract()


def test_duckdb(duck):
    duck.run("CREATE TYPE mood AS ENUM ('ok')")
    walk(duck, "TIMESTAMP '2024-01-01 06:00:00'", WITHIN, DUCKDB_HELD, DUCKDB_REFUSED)


def test_duckdb_streams_many_rows_of_the_period(duck):
    duck.run(
        "CREATE TABLE orders AS SELECT n::VARCHAR AS order_id, TIMESTAMPTZ '2024-01-01 00:00:00+00' + n * INTERVAL 1 "
        "SECOND AS ordered_at, n / 3 AS price FROM range(1, 200001) t(n)"
    )
    duck.define(f"SELECT * FROM orders WHERE {WITHIN} ORDER BY ordered_at", price="float")
    assert duck.ingest().rows == 86_399
    assert duck.ingest().new is False


def shop(sqlite):
    sqlite.run("CREATE TABLE orders (order_id, ordered_at, price)")
    sqlite.run("INSERT INTO orders VALUES ('a', '2024-01-01 06:00:00', 1.5)")
    return sqlite.define(f"SELECT * FROM orders WHERE {WITHIN}", price="float")


def test_a_correction_that_was_landed_by_hand_is_left_alone(sqlite, tmp_path, caplog):
    assert shop(sqlite).ingest().version == 1
    assert sqlite.extract().rows == 1, "an answer is asked for again"
    folder = tmp_path / "place" / "landing" / "orders" / KEY
    (folder / "inputs.parquet").unlink()
    (folder / "inputs.csv").write_text("order_id,ordered_at,price\na,2024-01-01 06:00:00,7\nb,2024-01-01 07:00:00,8\n")
    (folder / "_SUCCESS").touch()
    assert sqlite.extract() is None
    assert "landed by hand" in caplog.text
    assert (sqlite.ingest().version, sqlite.ingest().rows) == (2, 2)
    (folder / "inputs.csv").unlink()
    assert sqlite.extract().rows == 1

    sqlite.landed().assign(price=9.0).to_parquet(folder / "inputs.parquet")
    assert sqlite.extract().rows == 1, "without _SUCCESS it is no drop yet"
    sqlite.landed().assign(price=9.0).to_parquet(folder / "inputs.parquet")
    (folder / "_SUCCESS").touch()
    assert sqlite.extract() is None
    assert sqlite.landed()["price"].to_list() == [9.0]


def test_an_answer_does_not_vouch_for_the_other_table(sqlite, tmp_path):
    folder = tmp_path / "place" / "landing" / "orders" / KEY
    folder.mkdir(parents=True)
    (folder / "labels.csv").write_text("order_id,ordered_at,retur")
    shop(sqlite).extract()
    landed = {t: find_drop(sqlite.settings.landing_url, "orders", t, KEY) is not None for t in ("inputs", "labels")}
    assert landed == {"inputs": True, "labels": False}
    feed = sqlite.definition.feed
    both = feed.source | {"labels": feed.source["inputs"]}
    sqlite.definition = sqlite.definition.model_copy(update={"feed": feed.model_copy(update={"source": both})})
    sqlite.extract()
    assert not (folder / "_SUCCESS").exists(), "it would speak for the labels, which no query has given yet"


def test_a_task_that_is_killed_before_its_note_is_made_good_after_the_other_tables(sqlite, tmp_path, monkeypatch):
    from evergreen.loop.intake.database import extract as extracting

    folder = tmp_path / "place" / "landing" / "orders" / KEY
    feed = shop(sqlite).definition.feed
    both = feed.source | {"labels": feed.source["inputs"].model_copy(
        update={"query": f"SELECT order_id, ordered_at, 1 AS returned FROM orders WHERE {WITHIN}"})}  # fmt: skip
    sqlite.definition = sqlite.definition.model_copy(update={"feed": feed.model_copy(update={"source": both})})

    def killed(*given):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(extracting, "publish", killed)
        with pytest.raises(KeyboardInterrupt):
            sqlite.extract()
    assert (folder / "inputs.parquet").exists(), "the file is there, and its note is not"
    address = {"warehouse": SecretStr(sqlite.url)}
    landing = sqlite.settings.landing_url
    assert extracting.extract(sqlite.definition, "labels", KEY, landing_url=landing, address_of=address.get).rows == 1
    assert find_drop(landing, "orders", "inputs", KEY) is None, "nobody has landed it by hand"
    assert sqlite.extract().rows == 1
    assert find_drop(landing, "orders", "inputs", KEY) is not None
