"""Where backups lie: one folder or bucket prefix, files under the hash of their bytes, one manifest for each backup.

A file that an earlier backup brought is there already under its hash, so a second backup copies only what is new, and
each backup can be restored for itself. Manifests come last: one that can be read names only files that are there.
"""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Collection
from pathlib import Path

from evergreen.errors import BadInputError
from evergreen.operations.backup.manifest import Entry, Manifest, name_of, parse
from evergreen.operations.backup.object_copy import Fetched, Folder, scratch

log = logging.getLogger("evergreen.backup")

OBJECTS, MANIFESTS = "objects", "manifests"


class Archive:
    """The backups below one URL.

    Raises:
        BadInputError: it holds something else (only if `writing`).
    """

    def __init__(self, url: str, *, writing: bool = False) -> None:
        self.folder = Folder(url)
        self._lock, self._coming = threading.Lock(), set[str]()
        self.sizes = {name.rpartition("/")[2]: found.size for name, found in self.folder.find(OBJECTS).items()}
        self.manifests = sorted(name.rpartition("/")[2] for name in self.folder.find(MANIFESTS))
        if writing and not self.sizes and not self.manifests and (others := self.folder.find()):
            raise BadInputError(
                f"{url} holds {len(others)} files that are no backup ({min(others)}, ...): name a new or empty "
                "folder, or one with earlier backups. Nothing was written"
            )

    def holds(self, sha256: str, size: int) -> bool:
        """Whether the file is here, as far as its size says."""
        return self.sizes.get(sha256) == size

    def add(self, fetched: Fetched) -> bool:
        """Keep a file under its hash; False if it is here already, or another thread is bringing it."""
        with self._lock:
            if self.holds(fetched.sha256, fetched.size) or fetched.sha256 in self._coming:
                return False
            self._coming.add(fetched.sha256)
        self.folder.publish(fetched.path, _object(fetched.sha256))
        self.sizes[fetched.sha256] = fetched.size
        return True

    def write(self, manifest: Manifest) -> str:
        """Publish a manifest; its name."""
        data = manifest.model_dump_json(indent=1).encode()
        name = name_of(manifest.taken_at, data)
        with scratch(self.folder) as path:
            path.write_bytes(data)
            self.folder.publish(path, f"{MANIFESTS}/{name}")
        self.manifests = sorted({*self.manifests, name})
        return name

    def read(self, at: str | None = None) -> tuple[str, Manifest]:
        """The newest backup's name and manifest, or of the one whose name begins with `at`.

        Raises:
            BadInputError: there is none, or its manifest is damaged.
        """
        chosen = [name for name in self.manifests if at is None or name.startswith(at)]
        if not chosen:
            there = ", ".join(name.partition("-")[0] for name in self.manifests) or "none at all"
            raise BadInputError(f"no backup {at or ''} in {self.folder.url}: there is {there}".replace("  ", " "))
        return chosen[-1], parse(chosen[-1], self.folder.read(f"{MANIFESTS}/{chosen[-1]}"))

    def missing(self, entries: Collection[Entry]) -> list[Entry]:
        """Files of a manifest that are not here, or not whole."""
        return [entry for entry in entries if not self.holds(entry.sha256, entry.size)]

    def bring(self, entry: Entry, target: Folder, name: str) -> None:
        """Copy a file to `name` in `target`, where it appears whole.

        Raises:
            BadInputError: its bytes are not those of the manifest.
        """
        with self.folder.fetch(_object(entry.sha256), target) as fetched:
            self._check(entry, fetched)
            target.publish(fetched.path, name)

    def save(self, entry: Entry, path: Path) -> None:
        """Copy a file (a dump, a bundle) to a path on this disk; raises as `bring`."""
        with self.folder.fetch(_object(entry.sha256)) as fetched:
            self._check(entry, fetched)
            shutil.copyfile(fetched.path, path)

    def verify(self, entry: Entry) -> None:
        """Read a file through; raises as `bring`."""
        with self.folder.fetch(_object(entry.sha256)) as fetched:
            self._check(entry, fetched)

    def _check(self, entry: Entry, fetched: Fetched) -> None:
        if fetched.sha256 != entry.sha256:
            raise BadInputError(
                f"the backup's copy of {entry.part} {entry.name} is damaged: {self.folder.path(_object(entry.sha256))} "
                "has other bytes than its name says. Restore from another copy of the backup; nothing names what was "
                "restored so far"
            )


def _object(sha256: str) -> str:
    return f"{OBJECTS}/{sha256[:2]}/{sha256}"
