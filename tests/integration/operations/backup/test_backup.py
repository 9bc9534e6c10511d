"""A live shop is backed up while it works, and goes on in another place."""

import dataclasses
import datetime as dt
import json
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select, text

from evergreen.core.feature_repository.snapshots import read_frame
from evergreen.core.ledger import Ledger
from evergreen.core.ledger.tables import PartitionVersion, Prediction, Snapshot
from evergreen.core.ledger.views import history as life
from evergreen.core.ledger.views import monitoring as monitoring_views
from evergreen.core.store import Store
from evergreen.errors import BadInputError
from evergreen.loop.training.model_files import _cache, load
from evergreen.operations.backup.archive import Archive
from evergreen.operations.backup.create import back_up
from evergreen.operations.backup.databases import Database
from evergreen.operations.backup.object_copy import Folder
from evergreen.operations.backup.restore import check, restore

pytestmark = pytest.mark.integration
EVERGREEN = str(Path(sys.executable).parent / "evergreen")
PARTS = (
    life.tables, life.quarantines, life.snapshots, life.trainings, life.decisions, life.deployments,
    monitoring_views.losses, monitoring_views.checks, life.alerts,
)  # fmt: skip


def life_of(settings):
    """What `evergreen history` prints, without the store's address."""
    with Ledger.from_settings(settings).transaction() as session:
        told = [[dataclasses.asdict(line) for line in part(session, "orders")] for part in PARTS]
    return json.dumps(told, default=str).replace(settings.store_url, "STORE")


class Busy:
    """Somebody who works all the time: an object, then the row that names it."""

    def __init__(self, settings):
        self._ledger, self._store = Ledger.from_settings(settings), Store.from_settings(settings)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self.rows = 0

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()

    def _work(self):
        while not self._over.wait(0.01):
            uri = self._store.write(f"raw/busy/inputs/2024-01-01/{self.rows}.parquet", str(self.rows).encode())
            with self._ledger.transaction() as session:
                session.add(
                    PartitionVersion(
                        model="busy", table="inputs", key="2024-01-01", version=self.rows + 1, content_hash="x",
                        landed_uri=uri, raw_uri=uri, bytes=1, rows=1, landed_at=dt.datetime.now(dt.UTC),
                    )
                )  # fmt: skip
            self.rows += 1


def test_a_life_goes_on_where_it_was_restored(shop, places, elsewhere, tmp_path, monkeypatch):
    shop.live(6)
    archive = str(tmp_path / "backups")
    first = back_up(places, archive)
    assert first.copied_files == len(Archive(archive).sizes), "equal bytes were copied twice"

    shop.live(7)
    before = life_of(shop.settings)
    with Busy(shop.settings) as busy:
        taken = back_up(places, archive)
    assert busy.rows > 2
    assert taken.copied_files < taken.files - first.files / 2, "what was there already was copied again"
    with shop.ledger.transaction() as session:
        snapshot = session.scalar(select(Snapshot).where(Snapshot.key == shop.key(6)))
        predicted = session.scalar(select(Prediction).where(Prediction.key == shop.key(7)))
    rows = read_frame(shop.settings, snapshot.git_commit, snapshot.dvc_path, dvc_hash=snapshot.dvc_hash)
    expected = load(shop.definition, shop.version, settings=shop.settings).predict(rows)

    target, env = elsewhere
    done = subprocess.run(
        [EVERGREEN, "restore", archive, "--home", env["EVERGREEN_HOME"], "--json"],
        env={k: v for k, v in env.items() if not k.startswith(("EVERGREEN_", "MLFLOW_"))},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["manifest"] == taken.manifest

    for name, value in env.items():
        if name.startswith(("MLFLOW_", "EVERGREEN_")):
            monkeypatch.setenv(name, value)
    _cache.clear()
    there = target.settings
    assert there.ledger_url != shop.settings.ledger_url
    assert life_of(there) == before
    again = read_frame(there, snapshot.git_commit, snapshot.dvc_path, dvc_hash=snapshot.dvc_hash)
    assert again.equals(rows)
    assert np.array_equal(load(shop.definition, shop.version, settings=there).predict(again), expected)
    with Ledger.from_settings(there).transaction() as session:
        moved = session.get_one(Prediction, predicted.id)
        named = {part.raw_uri for part in session.scalars(select(PartitionVersion))}
    assert Store.from_settings(there).read(Store.from_settings(there).name(moved.uri))
    assert all(Store.from_settings(there).exists(Store.from_settings(there).name(uri)) for uri in named)
    logins = Database(target.mlflow_database, "MLflow's database")
    assert logins.rows(["users"]) == {"users": 1}, "the logins of the new place were replaced"

    # The old place burns down; the week after next comes.
    shop.settings, shop.ledger = there, Ledger.from_settings(there)
    scored = shop.live(8)
    assert (scored.version, scored.rows) == (shop.version, 700)
    assert shop.train(as_of=7, cause="age") == shop.version + 1

    with pytest.raises(BadInputError, match=r"the store at .* is not empty"):
        restore(target, archive)


def test_a_backup_holds_no_secret_and_shows_every_damage(shop, places, elsewhere, tmp_path):
    archive = tmp_path / "backups"
    taken = back_up(places, str(archive))
    text_of_manifest = (archive / "manifests" / taken.manifest).read_text()
    password = places.settings.ledger_url.get_secret_value().split(":")[2].partition("@")[0]
    assert password not in text_of_manifest
    assert check(str(archive))[0] == taken.manifest

    reference = next(e for e in check(str(archive))[1].entries if e.name.startswith("reference/"))
    kept = archive / "objects" / reference.sha256[:2] / reference.sha256
    whole = kept.read_bytes()
    kept.write_bytes(whole[:-1] + b"?")
    with pytest.raises(BadInputError, match=r"copy of store reference/orders/.* is damaged"):
        check(str(archive))
    kept.write_bytes(whole[:-1])
    with pytest.raises(BadInputError, match=r"lacks 1 of \d+ files, first store reference/"):
        restore(elsewhere[0], str(archive))
    back_up(places, str(archive))
    check(str(archive))

    manifest = archive / "manifests" / taken.manifest
    manifest.write_text(text_of_manifest.replace("orders", "others"))
    with pytest.raises(BadInputError, match="damaged: its bytes are not those of its name"):
        check(str(archive), taken.manifest)


def test_a_place_that_is_no_backup_is_left_alone(places, settings, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"cat")
    with pytest.raises(BadInputError, match=r"holds 1 files that are no backup \(cat.jpg"):
        back_up(places, str(tmp_path / "photos"))
    with pytest.raises(BadInputError, match="lie within each other"):
        back_up(places, f"{settings.store_url}/backups")
    with pytest.raises(BadInputError, match=r"no backup in .*: there is none at all"):
        check(str(tmp_path / "nothing"))


def test_newer_schemas_are_refused_and_writers_only_wait(places, ledger_url, tmp_path, elsewhere):
    archive = str(tmp_path / "backups")
    with Ledger(ledger_url).transaction() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    back_up(places, archive)
    with pytest.raises(BadInputError, match="revision 9999, which this code does not know"):
        restore(elsewhere[0], archive)
    assert Folder(str(tmp_path / "backups")).find("manifests")
