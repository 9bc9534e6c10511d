"""The feature repository's DVC remote, through DVC's own Python API and a scratch DVC repository.

The remote's URL is given here and never committed: another host may reach the same remote under another URL. The
scratch repository has its own cache, so nothing that DVC keeps on this host is read or left behind.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from evergreen.core.store.filesystem import no_answer
from evergreen.core.store.scratch import scratch_folder
from evergreen.errors import UnavailableError

SUFFIX = ".dvc"
_CHUNK = 1 << 20
_LOGGERS = ("dvc", "dvc_data", "dvc_objects")


@dataclass(frozen=True)
class Pointer:
    """What Git keeps of a data file."""

    text: bytes
    """Content of its `.dvc` file"""
    md5: str
    """Hash by which DVC stores it"""


@contextmanager
def scratch(url: str) -> Iterator[DvcRemote]:
    """The DVC remote at `url`, with a scratch repository that ends with the block."""
    with scratch_folder("dvc") as folder:
        yield DvcRemote(url, folder)


class DvcRemote:
    """One DVC remote and its scratch repository; made by `scratch`."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder
        (folder / ".dvc").mkdir()

    def path(self, dvc_path: str) -> Path:
        """Where the data file `dvc_path` lies in the scratch repository; its folder is there."""
        path = self.folder / dvc_path
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def push(self, dvc_path: str) -> Pointer:
        """Add the data file at `self.path(dvc_path)` and push it to the remote.

        Raises:
            UnavailableError: the remote did not take it.
        """
        target = self.path(dvc_path)
        pointer = target.with_name(target.name + SUFFIX)
        with self._repo(f"did not take {dvc_path}") as repo:
            repo.add(str(target))
            repo.push(targets=[str(pointer)])
        text = pointer.read_bytes()
        return Pointer(text, read_md5(text))

    def pull(self, pointers: Mapping[str, bytes]) -> dict[str, Path]:
        """Bring data files from the remote; `pointers` holds the content of each one's `.dvc` file.

        Raises:
            UnavailableError: the remote does not answer, lacks a file, or has other bytes than the pointer says.
        """
        from dvc.fs.dvc import DVCFileSystem

        for dvc_path, text in pointers.items():
            self.path(dvc_path + SUFFIX).write_bytes(text)
        found: dict[str, Path] = {}
        with self._repo("did not give the features") as repo:
            files = DVCFileSystem(repo=repo)
            for dvc_path in pointers:
                found[dvc_path] = self.path(f"pulled/{dvc_path}")
                files.get_file(dvc_path, str(found[dvc_path]))
        for dvc_path, text in pointers.items():
            if _md5(found[dvc_path]) != read_md5(text):
                raise UnavailableError(
                    f"the DVC remote {self.url} has other bytes for {dvc_path} than MD5 {read_md5(text)} says; "
                    "its copy is damaged: delete it there and clear the features task of this partition"
                )
        return found

    def sizes(self, hashes: Collection[str]) -> dict[str, int]:
        """Bytes of those of these objects that the remote has, by hash; raises as `remove`."""
        with self._objects() as objects:
            there = list(objects.list_oids_exists(list(hashes)))
            sizes = objects.fs.sizes([objects.oid_to_path(md5) for md5 in there])
            return {md5: int(size or 0) for md5, size in zip(there, sizes, strict=True)}

    def remove(self, hashes: Collection[str]) -> None:
        """Remove objects from the remote, as `dvc gc --cloud` does; one that is not there is removed already.

        Raises:
            UnavailableError: the remote does not answer, or may not be written to.
        """
        with self._objects() as objects:
            paths = [objects.oid_to_path(md5) for md5 in objects.list_oids_exists(list(hashes))]
            if paths:
                objects.fs.remove(paths)

    @contextmanager
    def _objects(self) -> Iterator[Any]:
        """The remote's objects, by their MD5."""
        with self._repo("did not answer about its objects") as repo:
            objects = repo.cloud.get_remote_odb(name="store", hash_name="md5")
            if not objects.fs.exists(objects.path):
                raise UnavailableError(
                    f"the DVC remote {self.url} holds no features at all: is its disk mounted, and is "
                    "EVERGREEN_FEATURES_DVC_URL what it was?"
                )
            yield objects

    @contextmanager
    def _repo(self, action: str) -> Iterator[Any]:
        from dvc.exceptions import DvcException
        from dvc.repo import Repo

        site = str(self.folder / ".dvc" / "site")
        config = {
            "core": {"no_scm": True, "analytics": False, "check_update": False, "remote": "store"},
            "remote": {"store": {"url": self.url}},
            "cache": {"dir": str(self.folder / ".dvc" / "cache"), "type": "hardlink,copy"},
        }
        config["core"]["site_cache_dir"] = site  # type: ignore[index]
        with _quiet() as said:
            try:
                repo = Repo(str(self.folder), config=config)
                try:
                    yield repo
                finally:
                    repo.close()
            except (DvcException, *no_answer(self.url)) as error:
                raise UnavailableError(
                    f"the DVC remote {self.url} {action}: {said.last or error!r}; check that "
                    "EVERGREEN_FEATURES_DVC_URL can be reached and written to from this host, and has space"
                ) from error


class _LastError(logging.Handler):
    """Keeps the last error that a library logged: DVC raises 'failed to upload' and only logs why."""

    last = ""

    def emit(self, record: logging.LogRecord) -> None:
        cause = record.exc_info[1] if record.exc_info else None
        self.last = repr(cause) if cause else record.getMessage()


@contextmanager
def _quiet() -> Iterator[_LastError]:
    """Keep DVC's loggers silent within the block, and remember the last error."""
    handler = _LastError(level=logging.ERROR)
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [(logger.level, logger.propagate, logger.handlers) for logger in loggers]
    for logger in loggers:
        logger.propagate, logger.handlers = False, [handler]
        logger.setLevel(logging.ERROR)
    try:
        yield handler
    finally:
        for logger, (level, propagate, handlers) in zip(loggers, before, strict=True):
            logger.propagate, logger.handlers = propagate, handlers
            logger.setLevel(level)


def read_md5(text: bytes) -> str:
    """The MD5 in a `.dvc` file of one data file."""
    return str(yaml.safe_load(text)["outs"][0]["md5"])


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
