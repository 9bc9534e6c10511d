"""The audit on a real life: it finds nothing wrong with it, and every harm that is done to it by hand."""

import datetime as dt
import json
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import create_engine, text
from typer.testing import CliRunner

from evergreen.cli import app
from evergreen.core.ledger.tables import Alert, PartitionVersion, Prediction, Snapshot, Verdict
from evergreen.loop.alerts.send import SmtpSettings, send_pending
from evergreen.loop.intake.receive import receive
from evergreen.loop.intake.validate import validate
from evergreen.loop.monitoring.check import run
from evergreen.loop.online.answer import Online
from evergreen.loop.scoring.score import score
from evergreen.operations.audit.audit import audit

pytestmark = pytest.mark.integration
SERVED, BROKEN = 6, 7
EXPECTATIONS = "".join(f"def {name}():\n    return []\n" for name in ("inputs", "labels", "features"))


class Life:
    """Six weeks of history, a champion, a week that it serves, a week that is quarantined, and the mails about it."""

    def __init__(self, shop, mail_catcher):
        self.shop, self.settings, self.mail_folder = shop, shop.settings, mail_catcher._folder
        (shop.definition.folder / "expectations.py").write_text(EXPECTATIONS)
        inputs, labels = shop.week(SERVED)
        self.bring_in("inputs", SERVED, inputs)
        self.bring_in("labels", SERVED, labels)
        self.bring_in("inputs", BROKEN, shop.week(BROKEN)[0].drop(columns="age"))
        shop.build(SERVED)
        score(shop.definition, shop.key(SERVED), settings=self.settings)
        asked = json.dumps({"rows": inputs.head(2).to_dict("records")}, default=str).encode()
        Online(self.settings).answer(shop.definition, asked)
        run(shop.definition, shop.key(SERVED), settings=self.settings)
        at = {name.removeprefix("EVERGREEN_SMTP_").lower(): value for name, value in mail_catcher.env.items()}
        smtp = SmtpSettings(
            host=at["host"], port=at["port"], user=at["user"], password=at["password"], starttls=False,
            sender="evergreen@localhost",
        )  # fmt: skip
        send_pending(settings=self.settings, smtp=smtp)

    def bring_in(self, table, number, frame):
        """Land a table and have intake receive and judge it."""
        key = self.shop.key(number)
        folder = Path(self.settings.landing_url.removeprefix("file://")) / "orders" / key
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), folder / f"{table}.parquet")
        (folder / "_SUCCESS").touch()
        received = receive(self.shop.definition, table, key, settings=self.settings)
        return validate(self.shop.definition, received.partition_version_id, settings=self.settings)

    def audit(self, **options):
        now = dt.datetime.now(dt.UTC)
        return audit(
            self.shop.definition, settings=self.settings, now=now, **{"mail_folder": self.mail_folder, **options}
        )

    def row(self, table, *where):
        with self.shop.ledger.transaction() as session:
            return session.query(table).filter(*where).order_by(table.id.desc()).first()

    def execute(self, *statements):
        engine = create_engine(self.settings.ledger_url.get_secret_value())
        with engine.begin() as connection:
            for statement in statements:
                connection.execute(text(statement))
        engine.dispose()

    def path(self, uri):
        return Path(uri.removeprefix("file://"))

    def stored(self, snapshot):
        """The file of a snapshot in the DVC remote."""
        md5 = snapshot.dvc_hash
        return Path(self.settings.features_dvc_url) / "files" / "md5" / md5[:2] / md5[2:]


@pytest.fixture
def life(shop, mail_catcher):
    return Life(shop, mail_catcher)


@contextmanager
def deleted(path):
    data = path.read_bytes()
    path.unlink()
    yield
    path.write_bytes(data)


@contextmanager
def flipped(path):
    """One byte in the middle is another one."""
    data, mode = path.read_bytes(), path.stat().st_mode
    middle = len(data) // 2
    path.chmod(0o600)
    path.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
    yield
    path.write_bytes(data)
    path.chmod(mode)


@contextmanager
def landed_with_other_bytes(path):
    with flipped(path):
        (path.parent / "_SUCCESS").touch()
        yield
    (path.parent / "_SUCCESS").touch()


@contextmanager
def written(path, data=b""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    yield
    path.unlink()


@contextmanager
def changed(life, harm, mended):
    """A statement by which somebody harms the ledger, and those that undo it."""
    life.execute(harm)
    yield
    life.execute(*mended)


@contextmanager
def alias_moved(life):
    from evergreen.loop.training.tracking import client

    registry = client(life.settings)
    registry.delete_registered_model_alias("orders", "champion")
    yield
    registry.set_registered_model_alias("orders", "champion", str(life.shop.version))


@contextmanager
def registered_twice(life):
    from evergreen.loop.training.tracking import client

    registry = client(life.settings)
    first = registry.get_model_version("orders", str(life.shop.version))
    twin = registry.create_model_version(
        "orders",
        source=first.source,
        run_id=first.run_id,
        tags=dict(first.tags),
        model_id=first.source.rpartition("/")[2],
    )
    yield
    registry.delete_model_version("orders", twin.version)


def harms(life):
    """What is done to the life, and the area and words in which it has to be told."""
    inputs = life.row(
        PartitionVersion, PartitionVersion.key == life.shop.key(SERVED), PartitionVersion.table == "inputs"
    )
    verdict = life.row(Verdict, Verdict.partition_version_id == inputs.id)
    snapshot, prediction = life.row(Snapshot), life.row(Prediction)
    (mail,) = [path for path in life.mail_folder.glob("*.eml") if b"quarantined" in path.read_bytes()[:2000]]
    with life.shop.ledger.transaction() as session:
        alert = session.query(Alert).filter_by(kind="quarantine").one()
    store = life.path(life.settings.store_url)
    landed = life.path(inputs.landed_uri)
    sql = lambda harm, *mended: changed(life, harm, mended)  # noqa: E731
    return [
        (deleted(life.path(inputs.raw_uri)), "partitions", "the copy of the landed bytes"),
        (flipped(life.path(inputs.raw_uri)), "partitions", "does not have the SHA-256"),
        (deleted(life.path(verdict.clean_uri)), "partitions", "are not there"),
        (landed_with_other_bytes(landed), "partitions", "holds other bytes than version 1"),
        (
            sql(
                f"CREATE TABLE kept AS SELECT * FROM verdict WHERE id = {verdict.id}; "
                f"UPDATE snapshot SET inputs_verdict_id = NULL WHERE inputs_verdict_id = {verdict.id}; "
                f"DELETE FROM verdict WHERE id = {verdict.id}",
                "INSERT INTO verdict SELECT * FROM kept; DROP TABLE kept",
                f"UPDATE snapshot SET inputs_verdict_id = {verdict.id} WHERE id = {snapshot.id}",
            ),
            "partitions",
            "has no verdict",
        ),
        (deleted(life.stored(snapshot)), "features", "the DVC remote has no"),
        (flipped(life.stored(snapshot)), "features", "other bytes than the MD5"),
        (
            sql(
                f"UPDATE snapshot SET git_commit = '{'0' * 40}' WHERE id = {snapshot.id}",
                f"UPDATE snapshot SET git_commit = '{snapshot.git_commit}' WHERE id = {snapshot.id}",
            ),
            "features",
            "is not on the branch main",
        ),
        (deleted(life.path(prediction.uri)), "predictions", "is not there"),
        (flipped(life.path(prediction.uri)), "predictions", "does not have the SHA-256"),
        (
            written(life.path(prediction.uri).with_name("snapshot=999-version=1.parquet")),
            "predictions",
            "no row of the ledger names",
        ),
        (
            sql(
                f"UPDATE prediction SET rows = 1 WHERE id = {prediction.id}",
                f"UPDATE prediction SET rows = {prediction.rows} WHERE id = {prediction.id}",
            ),
            "predictions",
            "the ledger says 1 rows of 700",
        ),
        (
            sql("UPDATE online_request SET version = 7", f"UPDATE online_request SET version = {life.shop.version}"),
            "predictions",
            "version 7 answered it and was not champion then",
        ),
        (
            sql(
                "UPDATE online_request SET asked_at = asked_at - interval '1 year'",
                "UPDATE online_request SET asked_at = asked_at + interval '1 year'",
            ),
            "predictions",
            "was not champion then",
        ),
        (
            sql("UPDATE online_request SET rows = 3", "UPDATE online_request SET rows = 2"),
            "predictions",
            "it had 3 rows, and 2 predictions are on record",
        ),
        (alias_moved(life), "champion", "the registry's alias names no version"),
        (registered_twice(life), "champion", "of which no training run of the ledger knows"),
        (
            sql(
                "INSERT INTO decision (model, kind, dedup_key, reason, evidence, version, decided_by) "
                "VALUES ('orders', 'rollback', 'by-hand', 'because', '{}', 1, 'nobody')",
                "DELETE FROM decision WHERE dedup_key = 'by-hand'",
            ),
            "champion",
            "(rollback) has 0 deployments",
        ),
        (
            sql("UPDATE training_run SET state = 'trained'", "UPDATE training_run SET state = 'promoted'"),
            "champion",
            "has stopped at 'trained'",
        ),
        (
            sql(
                f"UPDATE alert SET sent_at = NULL WHERE id = '{alert.id}'",
                f"UPDATE alert SET sent_at = now() WHERE id = '{alert.id}'",
            ),
            "mails",
            "it is owed and was not sent",
        ),
        (
            sql(
                f"UPDATE alert SET dedup_key = 'lost' WHERE id = '{alert.id}'",
                f"UPDATE alert SET dedup_key = '{alert.dedup_key}' WHERE id = '{alert.id}'",
            ),
            "mails",
            "it was quarantined, and no mail says so",
        ),
        (deleted(mail), "mails", "it was sent, and did not arrive"),
        (
            written(mail.with_name("other.eml"), mail.read_bytes().replace(str(alert.id).encode(), b"0" * 36)),
            "mails",
            "the ledger owes no such mail",
        ),
        (
            written(store / "predictions" / "orders" / f".half.parquet.{'a' * 32}"),
            "leftovers",
            "killed before it had finished",
        ),
    ]


def test_nothing_is_wrong_with_a_life_and_every_harm_to_it_is_told(life):
    clean = life.audit()
    assert [one.as_dict() for one in clean.disagreements] == []
    assert clean.compared["predictions"] == clean.compared["checks"] == 1
    assert clean.compared["requests for predictions"] == 1
    assert clean.compared["mails that arrived"] == clean.compared["mails"] == 2

    for harm, area, words in harms(life):
        with harm:
            told = life.audit().disagreements
        assert any(one.area == area and words in one.what for one in told), (words, told)
        assert all(one.fix.endswith((".", "`")) for one in told)
    assert life.audit().disagreements == ()
    what_was_collected_is_not_missed(life)
    mails_are_counted(life)
    runs_that_left_tasks_behind_or_failed_silently_are_told(life)
    what_landed_just_now_is_work_in_progress(life)


def what_was_collected_is_not_missed(life):
    snapshot, prediction = life.row(Snapshot), life.row(Prediction)
    gone = {prediction.uri: life.path(prediction.uri), snapshot.dvc_hash: life.stored(snapshot)}
    for name, path in gone.items():
        mark = "INSERT INTO collection (model, kind, name, key, rule, rows, asked_by, done_at) VALUES "
        mark += f"('orders', 'predictions', '{name}', '{prediction.key}', 'keep_predictions: 1', 1, 'policy', now())"
        with deleted(path), changed(life, mark, ["DELETE FROM collection"]):
            assert life.audit().disagreements == ()


def mails_are_counted(life):
    (mail,) = [path for path in life.mail_folder.glob("*.eml") if b"quarantined" in path.read_bytes()[:2000]]
    with written(mail.with_name("second.eml"), mail.read_bytes()):
        found = life.audit()
        assert (found.disagreements, found.compared["mails that arrived twice"]) == ((), 1)
        with written(mail.with_name("third.eml"), mail.read_bytes()):
            assert "it arrived 3 times" in life.audit().disagreements[0].what


def what_landed_just_now_is_work_in_progress(life):
    inputs, _ = life.shop.week(8)
    folder = life.path(life.settings.landing_url) / "orders" / life.shop.key(8)
    folder.mkdir()
    pq.write_table(pa.Table.from_pandas(inputs, preserve_index=False), folder / "inputs.parquet")
    assert life.audit().disagreements == (), "without its marker it has not landed"
    (folder / "_SUCCESS").touch()
    (told,) = life.audit().disagreements
    assert "the ledger has never received it" in told.what
    later = life.audit(settled=dt.timedelta(minutes=15))
    assert (later.disagreements, later.in_progress[0].what) == ((), told.what)


def runs_that_left_tasks_behind_or_failed_silently_are_told(life):
    from evergreen.operations.audit.audit import Runs

    ended = {"dag_id": "orders.score", "dag_run_id": "one", "state": "success", "end_date": None, "conf": {}}
    task = {"dag_id": "orders.score", "dag_run_id": "one", "task_id": "score", "map_index": -1}
    for state, words in (("running", "it is running, and its run has ended"), ("failed", "no mail says so")):
        (told,) = life.audit(airflow=Runs([ended], [{**task, "state": state}])).disagreements
        assert words in told.what
    assert life.audit(airflow=Runs([ended], [{**task, "state": "success"}])).disagreements == ()
    assert life.audit(airflow=Runs([{**ended, "state": "running"}], [{**task, "state": "running"}])).disagreements == ()


def test_the_command_says_it_for_people_and_programs(life, monkeypatch, tmp_path):
    models = life.shop.definition.folder.parent
    monkeypatch.setenv("EVERGREEN_MODELS_DIR", str(models))
    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path / "no-stack"))
    answer = CliRunner().invoke(app, ["verify", "orders"])
    assert answer.exit_code == 0, answer.output
    assert "All agrees." in answer.output
    prediction = life.row(Prediction)
    with deleted(life.path(prediction.uri)):
        answer = CliRunner().invoke(app, ["verify", "orders", "--json", "--settled", "0"])
    assert answer.exit_code == 3
    said = json.loads(answer.stdout)
    assert (said["agrees"], said["disagreements"][0]["area"]) == (False, "predictions")
    assert prediction.uri in said["disagreements"][0]["what"]
