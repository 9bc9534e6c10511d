"""Predictions reach their sinks once, whatever dies, restated partitions and rollbacks too; the audit sees a fault."""

import io
import uuid

import pandas as pd
import pytest
from pydantic import SecretStr
from sqlalchemy import select

from evergreen.core.definition.sinks import SinkSection
from evergreen.core.ledger.tables import Collection, Prediction, SinkDelivery
from evergreen.core.store import Store
from evergreen.errors import BadInputError, NotReadyError, SettingsError, UnavailableError
from evergreen.loop.scoring import deliver as delivering
from evergreen.loop.scoring import sink_table
from evergreen.loop.scoring.deliver import deliver
from evergreen.loop.scoring.score import read_predictions
from evergreen.operations.audit import ledger_rows, sinks
from helpers.kept import connected, database

pytestmark = pytest.mark.integration


class Users:
    """The users' database, and a shop whose predictions they get."""

    def __init__(self, shop, url):
        self.shop, self.url = shop, url
        self.table = SinkSection(type="table", connection="crm", table="predictions")
        self.sinks = {"crm": self.table, "files": SinkSection(type="current")}

    def address(self, name):
        return SecretStr(self.url) if name == "crm" else None

    @property
    def definition(self):
        return self.shop.definition.model_copy(update={"sinks": self.sinks})

    def deliver(self, number):
        return deliver(
            self.definition, self.shop.key(number), settings=self.shop.settings, address_of=self.address, run_url="u"
        )

    def run(self, statement):
        with connected(self.url) as connection:
            cursor = connection.cursor()
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else None

    def rows(self, number):
        found = self.run(
            "SELECT entity, prediction, model_version, predicted_at FROM predictions WHERE partition_key = "
            f"'{self.shop.key(number)}' ORDER BY entity"
        )
        return pd.DataFrame(found, columns=["entity", "prediction", "model_version", "predicted_at"])

    def prediction(self, number):
        with self.shop.ledger.transaction() as session:
            query = select(Prediction).where(Prediction.key == self.shop.key(number)).order_by(Prediction.id)
            return session.scalars(query).all()[-1]

    def file(self, name):
        store = Store.from_settings(self.shop.settings)
        return pd.read_parquet(io.BytesIO(store.read(f"current/orders/files/{name}.parquet")))

    def expected(self, number):
        found = read_predictions(self.prediction(number), self.shop.settings)
        return found.sort_values(found.columns[0], ignore_index=True)

    def check(self, number):
        """Table and file have exactly the newest predictions."""
        wanted, newest = self.expected(number), self.prediction(number)
        file = self.file(self.shop.key(number)).sort_values("entity", ignore_index=True)
        for had in (self.rows(number), file):
            assert had["entity"].astype(str).tolist() == wanted.iloc[:, 0].astype(str).tolist()
            assert had["prediction"].tolist() == wanted["prediction"].tolist()
            assert set(had["model_version"]) == {newest.version}
        assert set(file["predicted_at"]) == {pd.Timestamp(newest.created_at)}

    def deliveries(self):
        with self.shop.ledger.transaction() as session:
            return [
                (row.sink, row.key, row.version)
                for row in session.scalars(select(SinkDelivery).order_by(SinkDelivery.id))
            ]

    def audit(self):
        rows = ledger_rows.read(self.shop.settings.ledger_url.get_secret_value(), "orders")
        return [
            f"{one.about}: {one.what}"
            for one in sinks.check(self.definition, rows, self.shop.settings.store_url, self.address)
        ]


@pytest.fixture
def users(shop, postgres_url):
    name = f"users_{uuid.uuid4().hex[:8]}"
    with connected(postgres_url) as connection:
        connection.cursor().execute(f'CREATE DATABASE "{name}"')
    return Users(shop, database(postgres_url, name))


@pytest.fixture
def users_of_classes(class_shop, postgres_url):
    name = f"users_{uuid.uuid4().hex[:8]}"
    with connected(postgres_url) as connection:
        connection.cursor().execute(f'CREATE DATABASE "{name}"')
    return Users(class_shop, database(postgres_url, name))


def restated(inputs, labels):
    inputs.drop(index=inputs.index[-3:], inplace=True)


def test_from_the_first_delivery_to_a_restated_partition_and_a_rollback(users, monkeypatch):
    shop = users.shop
    with pytest.raises(NotReadyError, match="no predictions"):
        users.deliver(6)
    shop.live(6)
    assert users.audit() == [
        "crm: it has never been given any predictions",
        "files: it has never been given any predictions",
    ]
    assert [one.new for one in users.deliver(6)] == [True, True]
    users.check(6)
    assert [one.new for one in users.deliver(6)] == [False, False], "what a sink has is not written again"
    assert len(users.deliveries()) == 2
    assert users.audit() == []

    before = len(users.rows(6))
    shop.live(6, restated)
    assert "not delivered" in users.audit()[0]
    users.deliver(6)
    users.check(6)
    assert len(users.rows(6)) == before - 3, "rows that the partition no longer has are gone"
    assert users.audit() == []

    from evergreen.loop.champion.rollback import roll_back

    assert shop.train(as_of=6, cause="operator") == 2
    shop.live(7)
    users.deliver(7)
    assert set(users.rows(7)["model_version"]) == {2}
    roll_back(shop.definition, to=1, why="a test asks", decided_by="a person", cause_key="t", settings=shop.settings)
    shop.live(8)
    users.deliver(8)
    users.check(8)
    assert set(users.rows(8)["model_version"]) == {1}
    shop.live(7, restated)
    users.deliver(7)
    users.check(7)
    assert set(users.rows(7)["model_version"]) == {1}, "what is predicted again is by the version that serves"
    pd.testing.assert_frame_equal(users.file("newest"), users.file(shop.key(8)))
    assert users.audit() == []

    users.run(f"UPDATE predictions SET prediction = 0.5 WHERE partition_key = '{shop.key(8)}'")
    assert "differ, such as" in users.audit()[0]
    users.url = "postgresql://nobody@127.0.0.1:1/x"
    assert all("could not be looked at" in said for said in users.audit() if said.startswith("crm"))


def test_a_process_that_dies_anywhere_delivers_once(users, monkeypatch):
    users.shop.live(6)
    users.sinks = {"crm": users.table}
    real = sink_table._merge

    def dies_before_the_end(*given):
        real(*given)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(sink_table, "_merge", dies_before_the_end)
        with pytest.raises(KeyboardInterrupt):
            users.deliver(6)
    assert users.run("SELECT to_regclass('predictions')") == [(None,)], "nothing is half there"

    def dies_before_the_ledger(*given, **more):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(delivering, "insert", dies_before_the_ledger)
        with pytest.raises(KeyboardInterrupt):
            users.deliver(6)
    assert users.deliveries() == []
    written = users.run("SELECT xmin, entity FROM predictions ORDER BY entity")
    assert [one.new for one in users.deliver(6)] == [False], "the sink has them already"
    assert users.run("SELECT xmin, entity FROM predictions ORDER BY entity") == written
    assert len(users.deliveries()) == 1

    from concurrent.futures import ThreadPoolExecutor

    users.shop.live(7)
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: users.deliver(7)[0].new, range(4)))
    assert sorted(done) == [False, False, False, True]
    assert len(users.rows(7)) == users.prediction(7).rows


def test_the_newest_file_never_goes_back_and_what_retention_removed_is_left_out(users, monkeypatch):
    from concurrent.futures import ThreadPoolExecutor
    from threading import Event

    users.sinks = {"files": users.sinks["files"]}
    shop, real = users.shop, delivering.publish
    shop.live(6)
    writes, goes_on = Event(), Event()

    def waits(uri, data):
        if uri.endswith("newest.parquet") and not writes.is_set():
            writes.set()
            assert goes_on.wait(60)
        real(uri, data)

    monkeypatch.setattr(delivering, "publish", waits)
    with ThreadPoolExecutor(2) as pool:
        older = pool.submit(users.deliver, 6)
        assert writes.wait(60)
        shop.live(7)
        newer = pool.submit(users.deliver, 7)
        with pytest.raises(TimeoutError):
            newer.result(3)
        goes_on.set()
        assert older.result(60)[0].new
        assert newer.result(60)[0].new
    pd.testing.assert_frame_equal(users.file("newest"), users.file(shop.key(7)))
    assert users.audit() == []

    store = Store.from_settings(shop.settings)
    real(store.uri("current/orders/files/newest.parquet"), store.read(f"current/orders/files/{shop.key(6)}.parquet"))
    assert [said.partition(" differ")[0] for said in users.audit()] == [
        f"files, {shop.key(7)}: newest.parquet has 0 rows of {len(users.expected(7))}, and {len(users.expected(7))}"
    ]

    assert delivering.predicted_keys(users.definition, settings=shop.settings) == {shop.key(6): True, shop.key(7): True}
    with shop.ledger.transaction() as session:
        gone = users.prediction(6)
        session.add(
            Collection(
                model="orders", kind="predictions", name=gone.uri, key=gone.key, rule="keep_predictions: 1", rows=1,
                asked_by="policy", done_at=gone.created_at,
            )
        )  # fmt: skip
    store.delete([store.name(gone.uri)])
    kept = delivering.predicted_keys(users.definition, settings=shop.settings)
    assert kept == {shop.key(6): False, shop.key(7): True}


def test_a_sink_whose_address_only_airflow_knows_is_said_once(users):
    users.shop.live(6)
    users.deliver(6)
    users.run("UPDATE predictions SET prediction = 0.5")
    assert len(users.audit()) == 1
    users.address = lambda name: None
    assert users.audit() == []
    assert sinks.not_compared(users.definition, users.address) == [
        "sink crm: rows not compared: this command knows only the variable EVERGREEN_DATABASE_CRM"
    ]
    from evergreen.cli.deliver import _check_addresses

    with pytest.raises(SettingsError, match="only the variable EVERGREEN_DATABASE_CRM, and it is not set"):
        _check_addresses(users.definition, users.address)


def test_a_table_that_was_lost_is_filled_again(users):
    users.shop.live(6)
    users.deliver(6)
    users.run("DROP TABLE predictions")
    assert [one.new for one in users.deliver(6)] == [True, False]
    users.check(6)
    users.run("DELETE FROM predictions WHERE entity = (SELECT min(entity) FROM predictions)")
    assert users.deliver(6)[0].new
    users.check(6)


def test_a_table_that_does_not_fit_is_refused_and_left_alone(users):
    users.shop.live(6)
    users.run(
        "CREATE TABLE predictions (model text, partition_key text, entity text, event_time timestamptz, "
        "prediction bigint, model_version bigint, predicted_at timestamptz, PRIMARY KEY (model, partition_key, entity))"
    )
    with pytest.raises(BadInputError, match="prediction is bigint, not double precision"):
        users.deliver(6)
    assert users.run("SELECT count(*) FROM predictions") == [(0,)]
    users.url = "postgresql://me:s3cr3t-word@127.0.0.1:1/x"
    with pytest.raises(UnavailableError) as raised:
        users.deliver(6)
    assert "s3cr3t-word" not in str(raised.value)
    users.url = "sqlite:////tmp/x.db"
    with pytest.raises(BadInputError, match="PostgreSQL database"):
        users.deliver(6)
    assert users.deliveries() == []


def test_predictions_of_another_task_are_not_delivered_as_classes(users):
    users.shop.live(6)
    users.sinks = {"crm": users.table}
    users.shop.definition = users.shop.definition.model_copy(update={"task": "multiclass"})
    with pytest.raises(BadInputError, match=r"predicted numbers for .* before the model's task became multiclass"):
        users.deliver(6)
    assert users.run("SELECT to_regclass('predictions')") == [(None,)]


def test_several_classes_arrive_with_the_probability_of_each(users_of_classes):
    users, shop = users_of_classes, users_of_classes.shop
    shop.train(as_of=5)
    shop.live(6)
    users.deliver(6)
    wanted = users.expected(6)
    shares = [name for name in wanted.columns if name.startswith("probability_")]
    assert len(shares) == 3
    had = users.run('SELECT entity, prediction, probabilities FROM predictions ORDER BY entity COLLATE "C"')
    assert [row[:2] for row in had] == list(zip(wanted.iloc[:, 0], wanted["prediction"], strict=True))
    told = [
        {name.removeprefix("probability_"): value for name, value in row.items()}
        for row in wanted[shares].to_dict("records")
    ]
    assert [row[2] for row in had] == told, "to the last digit"
    file = users.file("newest").sort_values("entity", ignore_index=True)
    pd.testing.assert_frame_equal(file[shares], wanted[shares])
    assert users.audit() == []
    users.run(
        "UPDATE predictions SET probabilities = jsonb_set(probabilities, '{kept}', '0.5') WHERE entity = "
        f"'{had[0][0]}'"
    )
    assert "and 1 differ" in users.audit()[0]
