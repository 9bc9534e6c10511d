"""Restore a backup into an empty place.

Everything is checked before anything is written, and the ledger comes last: what was restored halfway is named by
nothing, and restoring again goes on from there.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from evergreen.core.ledger.migrate import known, upgrade
from evergreen.core.ledger.tables import Base
from evergreen.errors import BadInputError
from evergreen.operations.backup import git_bundle, rewrite_uris
from evergreen.operations.backup.archive import Archive
from evergreen.operations.backup.create import THREADS, Progress
from evergreen.operations.backup.databases import Database
from evergreen.operations.backup.locations import MLFLOW_DATABASE, Places
from evergreen.operations.backup.manifest import Entry, Manifest
from evergreen.operations.backup.object_copy import Folder

log = logging.getLogger("evergreen.backup")

DUMPS = {"ledger": "ledger.dump", "mlflow-database": "mlflow.dump", "git": "features.bundle"}
_OF_MLFLOW = ("experiments", "runs", "registered_models", "model_versions", "logged_models")
_OF_A_NEW_MLFLOW = {"experiments": 1}
"""Rows that its server makes at its first start."""


@dataclass(frozen=True)
class Restored:
    """What was restored."""

    manifest: str
    taken_at: str
    files: int
    bytes: int
    ledger_revision: str
    """Of the backup; the ledger has been migrated to that of this code"""
    moved_rows: int
    """Rows whose URIs now name the new store"""
    bring: dict[str, str]


def check(url: str, at: str | None = None, progress: Progress | None = None) -> tuple[str, Manifest]:
    """Read a backup through; its name and manifest. Nothing is written.

    Raises:
        BadInputError: there is none, or it is not whole.
    """
    archive = Archive(url)
    name, manifest = archive.read(at)
    _whole(archive, manifest)
    _each(manifest.entries, archive.verify, "check", progress)
    return name, manifest


def restore(places: Places, url: str, at: str | None = None, progress: Progress | None = None) -> Restored:
    """Restore the newest backup at `url`, or the one whose name begins with `at`.

    Args:
        places: where to: an empty store, DVC remote and feature repository; MLflow and a ledger without a row.
        url: where the backup is.
        at: beginning of a manifest's name, such as 20260401.
        progress: called as files are copied.

    Raises:
        BadInputError: the backup is not whole or of newer code, or the place is not empty; the message says which.
            Nothing was written then.
        UnavailableError: something does not answer; run it again.
    """
    archive = Archive(url)
    name, manifest = archive.read(at)
    _whole(archive, manifest)
    ledger = Database(places.settings.ledger_url, "the ledger")
    mlflow = Database(places.mlflow_database, "MLflow's database", MLFLOW_DATABASE)
    _fits(manifest, ledger, mlflow)
    folders = {part: Folder(place) for part, place in places.folders.items()}
    _empty(manifest, ledger, mlflow, folders)
    with tempfile.TemporaryDirectory(prefix="evergreen-restore-") as scratch:
        dumps = {part: Path(scratch) / file for part, file in DUMPS.items() if manifest.only(part)}
        for part, path in dumps.items():
            archive.save(manifest.only(part)[0], path)
        if manifest.git_commit is not None:
            git_bundle.check_target(places.settings, dumps["git"], manifest.git_commit)
        for part, folder in folders.items():
            _copy(archive, manifest, part, folder, progress)
        if manifest.git_commit is not None:
            git_bundle.push(places.settings, dumps["git"], manifest.git_commit)
        mlflow.restore(dumps["mlflow-database"])
        ledger.restore(dumps["ledger"], replacing=Base.metadata.tables)
    moved = _settle(manifest, places, ledger)
    with mlflow.connect() as connection:
        mlflow.settled(connection)
    return Restored(
        name, manifest.taken_at.isoformat(), len(manifest.entries), manifest.bytes, manifest.ledger_revision, moved,
        manifest.bring,
    )  # fmt: skip


def _whole(archive: Archive, manifest: Manifest) -> None:
    if missing := archive.missing(manifest.entries):
        first = missing[0]
        raise BadInputError(
            f"the backup in {archive.folder.url} is not whole: it lacks {len(missing)} of {len(manifest.entries)} "
            f"files, first {first.part} {first.name} ({first.sha256[:12]}). Nothing was written; use another copy "
            "of it, or an earlier backup (--at)"
        )


def _fits(manifest: Manifest, ledger: Database, mlflow: Database) -> None:
    if not known(manifest.ledger_revision):
        raise BadInputError(
            f"the backup's ledger has schema revision {manifest.ledger_revision}, which this code does not know: it "
            f"was written by newer code ({manifest.versions.get('code', 'unknown')}). Install that, then restore"
        )
    there = mlflow.revision()
    if there not in (None, manifest.mlflow_revision):
        raise BadInputError(
            f"the backup is of MLflow {manifest.versions.get('mlflow')} (schema {manifest.mlflow_revision}), {mlflow} "
            f"has schema {there}. Restore with the MLflow that wrote it, then run `mlflow db upgrade`"
        )


def _empty(manifest: Manifest, ledger: Database, mlflow: Database, folders: dict[str, Folder]) -> None:
    """See that nothing is there that a restore would replace or mix with; what it brought itself may stay."""
    for part, folder in folders.items():
        brought = {entry.name: entry.size for entry in manifest.only(part)}
        foreign = [found.name for found in folder.find().values() if brought.get(found.name) != found.size]
        if foreign:
            raise BadInputError(
                f"the {part} at {folder.url} is not empty: it holds {len(foreign)} files that are not of this backup "
                f"({min(foreign)}). Restore into an empty place; nothing was written"
            )
    for database, tables in ((ledger, tuple(Base.metadata.tables)), (mlflow, _OF_MLFLOW)):
        rows = {k: n for k, n in database.rows(tables).items() if n > _OF_A_NEW_MLFLOW.get(k, 0)}
        if rows and not database.restoring():
            held = ", ".join(f"{number} in {table}" for table, number in rows.items())
            raise BadInputError(
                f"{database} is not empty: rows: {held}. Restore into a new database; nothing was written"
            )


def _copy(archive: Archive, manifest: Manifest, part: str, folder: Folder, progress: Progress | None) -> None:
    there = folder.find()
    absent = [entry for entry in manifest.only(part) if entry.name not in there]
    _each(absent, lambda entry: archive.bring(entry, folder, entry.name), part, progress)


def _each(entries: Sequence[Entry], action: Callable[[Entry], None], what: str, progress: Progress | None) -> None:
    with ThreadPoolExecutor(THREADS) as pool:
        jobs = [pool.submit(action, entry) for entry in entries]
        try:
            for done, job in enumerate(as_completed(jobs), 1):
                job.result()
                if progress is not None:
                    progress(what, done, len(jobs))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _settle(manifest: Manifest, places: Places, ledger: Database) -> int:
    """Bring the ledger to this code's schema and to the new addresses, and see that it names nothing that is absent."""
    upgrade(places.settings.ledger_url.get_secret_value())
    store_url = places.settings.store_url.rstrip("/")
    with ledger.connect() as connection:
        moved = rewrite_uris.move(connection, manifest.store_url, store_url)
        moved += rewrite_uris.move(connection, manifest.landing_url, places.settings.landing_url.rstrip("/"))
        ledger.settled(connection)
        lost = sorted(set(rewrite_uris.named(connection, store_url)) - {e.name for e in manifest.only("store")})
    if lost:
        log.warning("the ledger names %d objects that were gone before the backup: %s, ...", len(lost), lost[0])
    return moved
