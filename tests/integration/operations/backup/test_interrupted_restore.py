"""A restore that did not come to its end: nothing is named that is not there, and it goes on."""

import datetime as dt
import uuid
from contextlib import contextmanager

import psycopg2
import pytest
from pydantic import SecretStr
from sqlalchemy import select

from evergreen.core.feature_repository.snapshots import publish, read_frame
from evergreen.core.ledger import Ledger
from evergreen.core.ledger.outbox import AlertBody, Links, owe_to
from evergreen.core.ledger.tables import Alert, Collection, PartitionVersion
from evergreen.core.store import Store
from evergreen.errors import BadInputError, UnavailableError
from evergreen.operations.backup import databases
from evergreen.operations.backup.create import back_up
from evergreen.operations.backup.databases import Database
from evergreen.operations.backup.locations import Places
from evergreen.operations.backup.object_copy import Folder
from evergreen.operations.backup.restore import restore
from evergreen.stack.embedded.features_remote import create_features_remote

pytestmark = pytest.mark.integration


@pytest.fixture
def busy(places, tmp_path):
    """A little of everything: an object and its row, a mail that links to it, features."""
    import pandas as pd

    settings = places.settings
    uri = Store.from_settings(settings).write("raw/m/inputs/2024-01-01/a.parquet", b"raw")
    with Ledger.from_settings(settings).transaction() as session:
        session.add(
            PartitionVersion(
                model="m", table="inputs", key="2024-01-01", version=1, content_hash="x", bytes=3, rows=1, raw_uri=uri,
                landed_uri=f"{settings.landing_url}/m/inputs.parquet", landed_at=dt.datetime.now(dt.UTC),
            )
        )  # fmt: skip
        session.add(Collection(model="m", kind="raw", name=uri, key="k", rule="r", rows=1, asked_by="policy"))
        body = AlertBody(headline="h", summary=f"kept as {uri}", links=Links(report=uri))
        owe_to(
            session, "m", ["a@example.com"], kind="quarantine", key=None, dedup_key="d", subject="s", body=body
        )  # fmt: skip
    pd.DataFrame({"a": [1.0]}).to_parquet(tmp_path / "f.parquet", index=False)
    return publish(settings, "m/2024-01-01.parquet", tmp_path / "f.parquet", "Add features")


@pytest.fixture
def target(places, postgres_url, tmp_path):
    """An empty place, whose databases have not even a schema."""
    base, names = postgres_url.rsplit("/", 1)[0], [f"{kind}_{uuid.uuid4().hex[:8]}" for kind in ("ledger", "mlflow")]
    connection = psycopg2.connect(postgres_url.replace("+psycopg2", ""))
    connection.autocommit = True
    for name in names:
        connection.cursor().execute(f'CREATE DATABASE "{name}"')
    bare = tmp_path / "there" / "features.git"
    create_features_remote(bare)
    settings = places.settings.model_copy(
        update={
            "ledger_url": SecretStr(f"{base}/{names[0]}"),
            "store_url": (tmp_path / "there" / "store").as_uri(),
            "landing_url": (tmp_path / "there" / "landing").as_uri(),
            "features_git_url": SecretStr(str(bare)),
            "features_dvc_url": str(tmp_path / "there" / "dvc"),
        }
    )
    yield Places(settings, SecretStr(f"{base}/{names[1]}"), str(tmp_path / "there" / "mlflow"))
    for name in names:
        connection.cursor().execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    connection.close()


@contextmanager
def somebody_reads(url, table):
    """A session that holds a table, so that it cannot be replaced."""
    connection = psycopg2.connect(url.get_secret_value().replace("+psycopg2", ""))
    connection.cursor().execute(f"LOCK TABLE {table} IN ACCESS SHARE MODE")
    try:
        yield
    finally:
        connection.close()


def test_it_goes_on_where_it_stopped(places, busy, target, tmp_path, monkeypatch):
    from evergreen.core.ledger.migrate import upgrade

    archive = str(tmp_path / "backups")
    back_up(places, archive)
    upgrade(target.settings.ledger_url.get_secret_value())
    monkeypatch.setattr(databases, "LOCK_SECONDS", 1)
    with (
        somebody_reads(target.settings.ledger_url, "partition_version"),
        pytest.raises(UnavailableError, match="lock timeout"),
    ):
        restore(target, archive)
    with Ledger.from_settings(target.settings).transaction() as session:
        assert session.scalar(select(PartitionVersion)) is None
    assert Folder(target.settings.store_url).find(), "the objects come before the ledger"

    done = restore(target, archive)
    assert done.moved_rows >= 3
    there = target.settings
    with Ledger.from_settings(there).transaction() as session:
        gone = session.scalars(select(Collection.name)).one()
        row, mail = session.scalars(select(PartitionVersion)).one(), session.scalars(select(Alert)).one()
    assert Store.from_settings(there).read(Store.from_settings(there).name(row.raw_uri)) == b"raw"
    assert row.landed_uri == f"{there.landing_url}/m/inputs.parquet"
    assert gone == row.raw_uri
    assert mail.body["links"]["report"] == row.raw_uri
    assert mail.body["summary"] == f"kept as {row.raw_uri}"
    features = read_frame(there, busy.git_commit, "m/2024-01-01.parquet", dvc_hash=busy.dvc_hash)
    assert features["a"].tolist() == [1.0]
    for database in (Database(there.ledger_url, "the ledger"), Database(target.mlflow_database, "MLflow's database")):
        assert not database.restoring()
    with pytest.raises(BadInputError, match=r"the ledger at .* is not empty: rows: 1 in alert"):
        restore(target, archive)


def test_a_repository_with_other_commits_is_not_overwritten(places, busy, target, tmp_path):
    import pandas as pd

    archive = str(tmp_path / "backups")
    back_up(places, archive)
    pd.DataFrame({"b": [2.0]}).to_parquet(tmp_path / "g.parquet", index=False)
    publish(
        target.settings.model_copy(update={"features_dvc_url": str(tmp_path / "x")}),
        "n/1.parquet",
        tmp_path / "g.parquet",
        "Other",
    )
    with pytest.raises(BadInputError, match="is not empty: it holds commit"):
        restore(target, archive)
    assert Folder(target.settings.store_url).find() == {}
