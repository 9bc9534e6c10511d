"""Take a backup while the loop runs."""

from __future__ import annotations

import logging
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from evergreen.core.ledger import Ledger
from evergreen.core.ledger.queries.collected import REMOVAL
from evergreen.core.ledger.session import share
from evergreen.errors import BadInputError, UnavailableError
from evergreen.operations.backup import consistent_cut as cuts
from evergreen.operations.backup import git_bundle
from evergreen.operations.backup.archive import Archive
from evergreen.operations.backup.databases import Database
from evergreen.operations.backup.locations import MLFLOW_DATABASE, Places
from evergreen.operations.backup.manifest import Entry, Manifest
from evergreen.operations.backup.object_copy import Folder, Found

log = logging.getLogger("evergreen.backup")

Progress = Callable[[str, int, int], None]
"""Called with what is being done, files done and files in all."""
THREADS = 8
"""An object store answers one request after some milliseconds, and many at once."""
BRING = {
    "EVERGREEN_FEATURES_GIT_URL": "token of the Git server, where the URL holds one",
    "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY": "keys of the object store, where parts lie on S3",
    "EVERGREEN_PSEUDONYM_KEY": "without the same key, personal columns get other tokens than before",
    "MLFLOW_CRYPTO_KEK_PASSPHRASE": "only where MLflow's AI gateway keeps keys, which are in its database encrypted",
    "AIRFLOW__CORE__FERNET_KEY": "only where Airflow's own database is restored too, from its own dump",
}
"""Generated again if they are absent: passwords of the databases, of MLflow, of Airflow's pages and of the mails."""


@dataclass(frozen=True)
class Taken:
    """A backup that was taken."""

    manifest: str
    files: int
    bytes: int
    copied_files: int
    """Not there already from an earlier backup"""
    copied_bytes: int
    held_seconds: float
    """How long writers to the ledger waited"""


def back_up(places: Places, url: str, progress: Progress | None = None) -> Taken:
    """Back up everything to `url`. Interrupted, it leaves files that the next one finds; no manifest names them yet.

    Args:
        places: what to back up.
        url: folder or fsspec URL; empty, new, or with earlier backups.
        progress: called as files are copied.

    Raises:
        BadInputError: `url` holds something else, or lies within what is backed up.
        UnavailableError: something does not answer, or was deleted while it was copied.
    """
    _apart(places, url)
    archive = Archive(url, writing=True)
    databases = (
        Database(places.settings.ledger_url, "the ledger"),
        Database(places.mlflow_database, "MLflow's database", MLFLOW_DATABASE),
    )
    revisions = {database.what: database.revision() for database in databases}
    if None in revisions.values():
        empty = ", ".join(what for what, revision in revisions.items() if revision is None)
        raise BadInputError(f"{empty} has no schema: there is nothing to back up. Has the stack run here?")
    copier = _Copier(archive, progress or (lambda *_: None))
    with tempfile.TemporaryDirectory(prefix="evergreen-backup-") as name:
        folder = Path(name)
        with _nothing_is_removed(places):
            cut = cuts.take(places, *databases, folder)
            if cut.git_commit is not None:
                git_bundle.bundle(places.settings, cut.git_commit, folder / "features.bundle")
            entries = [*copier.files(folder, cut), *copier.objects(places, cut)]
    manifest = Manifest(
        taken_at=cut.taken_at,
        versions={
            "evergreen": version("evergreen"),
            "code": places.settings.code_version,
            "mlflow": version("mlflow"),
            "dvc": version("dvc"),
            "postgresql": databases[0].server_version(),
        },
        ledger_revision=str(revisions["the ledger"]),
        mlflow_revision=str(revisions["MLflow's database"]),
        store_url=places.settings.store_url.rstrip("/"),
        landing_url=places.settings.landing_url.rstrip("/"),
        git_commit=cut.git_commit,
        bring=BRING,
        entries=tuple(entries),
    )
    written = archive.write(manifest)
    return Taken(
        written, len(entries), manifest.bytes, copier.copied_files, copier.copied_bytes, round(cut.held_seconds, 2)
    )


@contextmanager
def _nothing_is_removed(places: Places) -> Iterator[None]:
    """Have retention wait: what the dumped ledger names must still be there when it is copied."""
    with Ledger.from_settings(places.settings).transaction() as session:
        share(session, REMOVAL)
        yield


def _apart(places: Places, url: str) -> None:
    """A backup within the store would back up itself."""
    here = Folder(url).path("")
    for part, theirs in places.folders.items():
        there = Folder(theirs).path("")
        if here.startswith(there) or there.startswith(here):
            raise BadInputError(f"{url} and the {part} at {theirs} lie within each other: name another place")


class _Copier:
    """Brings files into an archive, and counts."""

    def __init__(self, archive: Archive, progress: Progress) -> None:
        self._archive = archive
        self._progress = progress
        self._known = _known(archive)
        self.copied_files = self.copied_bytes = 0
        self._counting = threading.Lock()

    def files(self, folder: Path, cut: cuts.Cut) -> Iterator[Entry]:
        """The dumps and the bundle."""
        here = Folder(str(folder))
        parts = {"ledger.dump": "ledger", "mlflow.dump": "mlflow-database", "features.bundle": "git"}
        for name, found in sorted(here.find().items()):
            yield self._entry(parts[name], here, found).model_copy(update={"name": "", "seen": ""})

    def objects(self, places: Places, cut: cuts.Cut) -> Iterator[Entry]:
        """All objects. DVC's and MLflow's are listed now, after the rows and commits that name them were taken."""
        for part, url in places.folders.items():
            source = Folder(url)
            found = cut.store if part == "store" else source.find()
            with ThreadPoolExecutor(THREADS) as pool:
                copies = [pool.submit(self._entry, part, source, item) for item in found.values()]
                try:
                    for done, copy in enumerate(as_completed(copies), 1):
                        yield copy.result()
                        self._progress(part, done, len(copies))
                except BaseException:
                    pool.shutdown(cancel_futures=True)
                    raise

    def _entry(self, part: str, source: Folder, found: Found) -> Entry:
        known = self._known.get((part, found.name, found.seen))
        if known is not None and self._archive.holds(known.sha256, known.size):
            return known
        try:
            with source.fetch(found.name, self._archive.folder) as fetched:
                if self._archive.add(fetched):
                    with self._counting:
                        self.copied_files += 1
                        self.copied_bytes += fetched.size
                return Entry(part=part, name=found.name, size=fetched.size, sha256=fetched.sha256, seen=found.seen)
        except FileNotFoundError:
            raise UnavailableError(
                f"{source.path(found.name)} was deleted while the backup ran (by retention?), which is therefore not "
                "whole. Run it again: what was copied is kept"
            ) from None


def _known(archive: Archive) -> dict[tuple[str, str, str], Entry]:
    """Files of the newest backup, by how their source looked then."""
    if not archive.manifests:
        return {}
    try:
        _, manifest = archive.read()
    except BadInputError as error:
        log.warning("%s. Everything is read anew", error)
        return {}
    return {(e.part, e.name, e.seen): e for e in manifest.entries if e.seen}
