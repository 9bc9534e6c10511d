"""Has a table of a partition landed, whole?

A producer writes `landing/<feed>/<partition key>/<table>.parquet` (or with another of `file_types.ENDINGS`) and then an
empty `_SUCCESS` beside it.
Both tables of a feed share the folder, so a table counts as landed only while `_SUCCESS` is not older than its file.
Light on purpose: the triggerer asks every few seconds.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evergreen.core.store.filesystem import url_to_fs
from evergreen.core.store.layout import join
from evergreen.core.text import plain
from evergreen.errors import UnavailableError
from evergreen.loop.intake.reading.file_types import files_of, suffix_of, why_not

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

SUCCESS = "_SUCCESS"


@dataclass(frozen=True)
class Drop:
    """A table that has landed whole: where it is, its size in bytes and when it was last written (UTC)."""

    uri: str
    size: int
    modified: dt.datetime
    suffix: str
    """As `file_types.suffix_of` gives it: parquet, csv, csv.gz, tsv or tsv.gz"""


@dataclass(frozen=True)
class _Entry:
    """One name in a partition's folder."""

    size: int
    modified: dt.datetime
    is_file: bool


def find_drop(landing_url: str, feed: str, table: str, key: str) -> Drop | None:
    """The drop of `table` for the partition `key`, or None while it is not complete.

    Of several files of the table, the one written last counts.

    Raises:
        BadInputError: `feed` or `key` cannot be the name of a folder.
        UnavailableError: the landing zone does not answer.
    """
    folder = folder_uri(landing_url, feed, key)
    entries = _list(folder)
    return None if entries is None or _obstacle(folder, entries, table) else _newest(folder, entries, table)


def explain_wait(landing_url: str, feed: str, table: str, key: str) -> str:
    """What is missing until `table` of `key` has landed, in one sentence; raises as `find_drop`."""
    folder = folder_uri(landing_url, feed, key)
    entries = _list(folder)
    if entries is None and _is_link(folder):
        return f"{folder} is a link, which is not followed; land an ordinary folder"
    if entries is None:
        return f"nothing has landed for {key} yet: there is no folder {folder}"
    return _obstacle(folder, entries, table) or f"{table} of {key} has landed in {folder}"


@dataclass(frozen=True)
class Folder:
    """One name below a feed's folder: the tables that have landed in it whole, and when something in it was written."""

    drops: dict[str, Drop]
    """By table"""
    modified: dt.datetime


def list_feed(landing_url: str, feed: str, tables: Collection[str]) -> dict[str, Folder]:
    """What lies below the feed's folder, by name, from one listing: an object store is asked once a thousand objects.

    Names are what the producer made of them: any text. Nothing is opened, and no link is followed.

    Raises:
        BadInputError: `feed` cannot be the name of a folder.
        UnavailableError: the landing zone does not answer.
    """
    root = f"{landing_url.rstrip('/')}/{join(feed)}"
    found: dict[str, dict[str, _Entry]] = {}
    for parts, info in _walk(root):
        found.setdefault(parts[0], {})["/".join(parts[1:])] = _entry(info)
    return {name: _folder(f"{root}/{name}", entries, tables) for name, entries in found.items()}


def _walk(root: str) -> Iterator[tuple[list[str], dict[str, Any]]]:
    """Files below `root`: the parts of their names from there on, and what the file system says of them."""
    try:
        fs, path = url_to_fs(root)
        fs.invalidate_cache(path)
        # An object store lists all levels at once; a file system's deeper folders are nobody's partitions.
        flat = not _is_local(fs)
        if not flat:
            fs.ls(path, detail=False)  # raises if it may not be read, which `find` would pass over
        files = fs.find(path, detail=True, maxdepth=None if flat else 2)
    except FileNotFoundError:
        return
    except OSError as error:
        raise UnavailableError(
            f"cannot list {root}: {error.strerror or error}; check EVERGREEN_LANDING_URL and its permissions"
        ) from error
    beginning = len(str(path).rstrip("/")) + 1
    for name, info in files.items():
        parts = str(name)[beginning:].split("/")
        if parts[0]:
            yield parts, info


def _folder(uri: str, entries: dict[str, _Entry], tables: Collection[str]) -> Folder:
    whole = {t: d for t in tables if not _obstacle(uri, entries, t) and (d := _newest(uri, entries, t)) is not None}
    return Folder(whole, max(entry.modified for entry in entries.values()))


def folder_uri(landing_url: str, feed: str, key: str) -> str:
    """URI of a partition's folder; raises BadInputError if a name would leave the landing zone."""
    return f"{landing_url.rstrip('/')}/{join(feed, key)}"


def _list(folder: str) -> dict[str, _Entry] | None:
    """The folder's entries by name, read again each time; None if there is no such folder, or a link."""
    if _is_link(folder):
        return None
    try:
        fs, path = url_to_fs(folder)
        found = fs.ls(path, detail=True, refresh=True)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UnavailableError(
            f"cannot list {folder}: {error.strerror or error}; check EVERGREEN_LANDING_URL and its permissions"
        ) from error
    return {str(info["name"]).rstrip("/").rpartition("/")[2]: _entry(info) for info in found}


def _is_link(folder: str) -> bool:
    """Whether the partition's folder is a link, which could lead out of the landing zone."""
    fs, path = url_to_fs(folder)
    return _is_local(fs) and Path(path).is_symlink()


def _is_local(fs: AbstractFileSystem) -> bool:
    return "file" in (fs.protocol if isinstance(fs.protocol, tuple) else (fs.protocol,))


def _entry(info: dict[str, Any]) -> _Entry:
    # A link could point out of the landing zone, so it is no file to us.
    is_file = info["type"] == "file" and not info.get("islink", False)
    # Local files carry `mtime`, S3 objects `LastModified`, fsspec's memory file system `created`.
    stamp = info.get("mtime") or info.get("LastModified") or info.get("created") or 0
    modified = stamp if isinstance(stamp, dt.datetime) else dt.datetime.fromtimestamp(stamp, dt.UTC)
    return _Entry(int(info["size"] or 0), modified.astimezone(dt.UTC), is_file)


def _newest(folder: str, entries: dict[str, _Entry], table: str) -> Drop | None:
    files = [(name, entries[name]) for name in files_of(table, entries) if entries[name].is_file]
    if not files:
        return None
    name, entry = max(files, key=lambda pair: pair[1].modified)
    return Drop(f"{folder}/{name}", entry.size, entry.modified, suffix_of(name) or "")


def _obstacle(folder: str, entries: dict[str, _Entry], table: str) -> str | None:
    """Why `table` does not count as landed, in words, or None if it does."""
    drop = _newest(folder, entries, table)
    if drop is None:
        odd = files_of(table, entries)
        if odd:
            return f"{odd[0]} in {folder} is a folder or a link; land it as one ordinary file"
        other = next((name for name in entries if name.startswith(f"{table}.") and entries[name].is_file), None)
        if other:
            return f"{plain(other)} in {folder} is not read: {why_not(other, b'')}"
        return f"neither {table}.parquet nor {table}.csv is in {folder} yet"
    name = drop.uri.rpartition("/")[2]
    success = entries.get(SUCCESS)
    if success is None:
        return f"{name} is in {folder}, but _SUCCESS is missing: its producer writes it when the file is complete"
    if success.modified < drop.modified:
        return (
            f"_SUCCESS is older than {name} in {folder} ({success.modified:%Y-%m-%d %H:%M:%S} before "
            f"{drop.modified:%Y-%m-%d %H:%M:%S} UTC): its producer writes it again when the file is complete"
        )
    return None
