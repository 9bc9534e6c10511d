"""Read and write objects below one fsspec URL."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import re
import uuid
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from evergreen.core.names import ObjectName, Uri
from evergreen.errors import UnavailableError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

    from evergreen.settings import Settings

_SCRATCH = re.compile(r"(^|/)\.[^/]+\.[0-9a-f]{32}$")


@dataclass(frozen=True)
class Unfinished:
    """A file that a writer has begun and not renamed: it is at work, or was killed."""

    name: ObjectName
    bytes: int
    modified: dt.datetime
    """UTC"""


class Store:
    """Objects below a URL such as `file:///srv/store` or `s3://bucket/prefix`.

    An object appears whole or not at all: local files are written beside their name and renamed, S3 publishes an
    object when its upload completes. An object that exists is never changed.
    """

    def __init__(self, url: str) -> None:
        from evergreen.core.store.filesystem import url_to_fs

        self.url = url.rstrip("/")
        fs, root = url_to_fs(self.url)
        self.fs: AbstractFileSystem = fs
        self._root: str = str(root).rstrip("/")

    @classmethod
    def from_settings(cls, settings: Settings) -> Store:
        """The store that `settings` names."""
        return cls(settings.store_url)

    def path(self, name: str) -> str:
        """The path of an object, or of a folder, on the file system `self.fs`."""
        return f"{self._root}/{name}"

    def uri(self, name: ObjectName) -> Uri:
        """The object's full URI: what the ledger records."""
        return Uri(f"{self.url}/{name}")

    def name(self, uri: Uri) -> ObjectName:
        """The object's name below this store: the reverse of `uri`.

        Raises:
            ValueError: the URI is not below this store.
        """
        if not uri.startswith(self.url + "/"):
            raise ValueError(f"{uri} is not below the store {self.url}; was EVERGREEN_STORE_URL changed?")
        return ObjectName(uri[len(self.url) + 1 :])

    def exists(self, name: ObjectName) -> bool:
        """Whether the object is there, whole."""
        return bool(self.fs.exists(self.path(name)))

    def open(self, name: ObjectName) -> BinaryIO:
        """The object, to be read. Raises FileNotFoundError."""
        return cast("BinaryIO", self.fs.open(self.path(name), "rb"))

    def read(self, name: ObjectName) -> bytes:
        """The object's bytes. Raises FileNotFoundError."""
        with self.open(name) as file:
            return file.read()

    def write(self, name: ObjectName, data: bytes) -> Uri:
        """Publish `data` as `name` and return its URI; an object that already exists is left as it is."""
        if self.exists(name):
            return self.uri(name)
        _publish(self.fs, self.path(name), data)
        return self.uri(name)

    def write_chunks(self, name: ObjectName, chunks: Iterable[bytes]) -> Uri:
        """Publish what `chunks` gives as `name`, and hold one chunk at a time; as `write` otherwise.

        What `chunks` raises is raised, and nothing appears.
        """
        if not self.exists(name):
            publish_chunks(self.uri(name), chunks)
        return self.uri(name)

    def sizes(self, folder: str) -> dict[ObjectName, int]:
        """Bytes of each object below `folder`, by name: one listing (on S3, one request for a thousand objects)."""
        self.fs.invalidate_cache()  # what another process has written or removed since
        found = self.fs.find(self.path(folder), detail=True)
        return {ObjectName(str(path)[len(self._root) + 1 :]): int(about["size"]) for path, about in found.items()}

    def unfinished(self, folder: str) -> list[Unfinished]:
        """What is being written below `folder`, or never was to its end; nothing if objects appear whole (S3)."""
        if not _is_local(self.fs):
            return []
        found = []
        for path, about in self.fs.find(self.path(folder), detail=True).items():
            if _SCRATCH.search(str(path)):
                modified = dt.datetime.fromtimestamp(about["mtime"], dt.UTC)
                found.append(Unfinished(ObjectName(str(path)[len(self._root) + 1 :]), int(about["size"]), modified))
        return found

    def delete(self, names: Collection[ObjectName]) -> None:
        """Remove objects; one that is not there is removed already.

        Raises:
            UnavailableError: there is no store at all, so that nothing can be said of its objects.
        """
        if not self.fs.exists(self._root):
            raise UnavailableError(
                f"there is nothing at {self.url}: is its disk mounted, and EVERGREEN_STORE_URL right?"
            )
        there = [path for path in map(self.path, names) if self.fs.exists(path)]
        if there:
            self.fs.rm(there)


def publish(uri: str, data: bytes) -> None:
    """Write `data` to `uri` so that it appears whole, in place of what was there.

    Local files are written beside their name and renamed; an object store publishes an object when it is complete.
    """
    from evergreen.core.store.filesystem import url_to_fs

    fs, path = url_to_fs(uri)
    _publish(fs, path, data)


def publish_chunks(uri: str, chunks: Iterable[bytes]) -> None:
    """Write what `chunks` gives to `uri`, as `publish` does; if it raises, what was there stays."""
    with published(uri) as file:
        for data in chunks:
            file.write(data)


@contextmanager
def published(uri: str) -> Iterator[BinaryIO]:
    """A file to write that appears as `uri` when the block ends, in place of what was there; if it raises, nothing."""
    from fsspec.spec import AbstractBufferedFile

    from evergreen.core.store.filesystem import url_to_fs

    fs, path = url_to_fs(uri)
    if _is_local(fs):
        with _renamed(Path(path)) as file:
            yield file
        return
    file = fs.open(path, "wb")
    try:
        yield cast("BinaryIO", file)
    except BaseException:
        file.discard()  # closing it would publish what has been written so far
        if isinstance(file, AbstractBufferedFile):
            file.closed = True
        raise
    file.close()


def _publish(fs: AbstractFileSystem, path: str, data: bytes) -> None:
    if not _is_local(fs):
        fs.pipe_file(path, data)
        return
    with _renamed(Path(path)) as file:
        file.write(data)


@contextmanager
def _renamed(target: Path) -> Iterator[BinaryIO]:
    """A local file that is written beside `target` and renamed at the end of the block."""
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        with scratch.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(target)
    finally:
        scratch.unlink(missing_ok=True)


def _is_local(fs: AbstractFileSystem) -> bool:
    return "file" in (fs.protocol if isinstance(fs.protocol, tuple) else (fs.protocol,))


def sha256(data: bytes) -> str:
    """SHA-256 of `data`, hex."""
    return hashlib.sha256(data).hexdigest()
