"""Objects below a URL, and how one is copied from one place to another: streamed, hashed, published whole."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fsspec import AbstractFileSystem

from evergreen.core.store.filesystem import url_to_fs
from evergreen.errors import UnavailableError

_CHUNK = 4 << 20
_SCRATCH = re.compile(r"\..*[.-][0-9a-f]{32}|.*\.tmp")
"""How the store, DVC and this module call what they have not finished writing."""


@dataclass(frozen=True)
class Found:
    """An object as its file system lists it."""

    name: str
    """Below the folder's URL"""
    size: int
    seen: str
    """Changes when the object does"""


@dataclass(frozen=True)
class Fetched:
    """A whole copy of an object on this disk."""

    path: Path
    size: int
    sha256: str


class Folder:
    """Everything below one fsspec URL."""

    def __init__(self, url: str) -> None:
        fs, root = url_to_fs(url)
        self.url = url
        self.fs: AbstractFileSystem = fs
        self._root = str(root).rstrip("/")
        protocols = fs.protocol if isinstance(fs.protocol, tuple) else (fs.protocol,)
        self.local = "file" in protocols

    def path(self, name: str) -> str:
        """An object's path on `self.fs`."""
        return f"{self._root}/{name}"

    def find(self, below: str = "") -> dict[str, Found]:
        """Every object below `below`, by name; what is still being written is left out.

        Raises:
            UnavailableError: the file system does not answer.
        """
        top = self.path(below).rstrip("/")
        with self._answering("list"):
            self.fs.invalidate_cache()
            listed = self.fs.find(top, detail=True) if self.fs.exists(top) else {}
        names = {path[len(self._root) + 1 :]: about for path, about in listed.items()}
        return {
            name: Found(name, int(about["size"]), f"{about['size']}:{_mark(about)}")
            for name, about in names.items()
            if name and not _is_scratch(name)
        }

    def read(self, name: str) -> bytes:
        """A small object's bytes. Raises FileNotFoundError."""
        return bytes(self.fs.cat_file(self.path(name)))

    @contextmanager
    def fetch(self, name: str, beside: Folder | None = None) -> Iterator[Fetched]:
        """A copy on this disk within the block: below `beside` if that is local, so that it can be renamed there.

        Raises:
            FileNotFoundError: there is no such object.
            OSError: no space is left.
        """
        with scratch(beside) as path:
            digest, size = hashlib.sha256(), 0
            with self.fs.open(self.path(name), "rb") as source, path.open("wb") as target:
                while chunk := source.read(_CHUNK):
                    digest.update(chunk)
                    size += target.write(chunk)
                target.flush()
                os.fsync(target.fileno())
            yield Fetched(path, size, digest.hexdigest())

    def publish(self, fetched: Path, name: str) -> None:
        """Make a file on this disk appear whole as `name`. A local folder takes the file itself."""
        if not self.local:
            with self._answering("write to"):
                self.fs.put_file(str(fetched), self.path(name))
            return
        target = Path(self.path(name))
        target.parent.mkdir(parents=True, exist_ok=True)
        fetched.replace(target)

    @contextmanager
    def _answering(self, action: str) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (PermissionError, ConnectionError, BotoCoreError, ClientError) as error:
            raise UnavailableError(f"could not {action} {self.url}: {error}; check its address and rights") from error


@contextmanager
def scratch(beside: Folder | None = None) -> Iterator[Path]:
    """Path of a file that is gone after the block, unless it was renamed away."""
    if beside is not None and beside.local:
        folder = Path(beside.path(""))
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f".evergreen-{uuid.uuid4().hex}"
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)
        return
    with tempfile.TemporaryDirectory(prefix="evergreen-backup-") as name:
        yield Path(name) / "object"


def _mark(about: dict[str, Any]) -> str:
    """An object store's ETag, or the time of writing."""
    return str(about.get("ETag") or about.get("mtime") or about.get("LastModified") or "")


def _is_scratch(name: str) -> bool:
    return _SCRATCH.fullmatch(name.rpartition("/")[2]) is not None
