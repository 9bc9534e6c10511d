"""Has a table of a partition landed, whole?

A producer writes `landing/<feed>/<partition key>/<table>.parquet` (or with another of `file_types.ENDINGS`) and then an
empty `_SUCCESS` beside it. In place of the file there may be a folder `<table>/` of part files, which Spark marks with
a `_SUCCESS` of its own, or a Delta or Iceberg table (`landed_folder`). If a folder of part files has its own mark, it
alone counts: the partition's may be about the other table.
Both tables of a feed share the folder, so a table counts as landed only while `_SUCCESS` is not older than its files.
A table that a query gave has a mark of its own, its note (`database.note`), which says nothing about the other table.
Light on purpose: the triggerer asks every few seconds.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evergreen.core.names import Uri
from evergreen.core.store.filesystem import url_to_fs
from evergreen.core.store.layout import join
from evergreen.core.text import plain
from evergreen.core.values import TABLES
from evergreen.errors import BadInputError, UnavailableError
from evergreen.loop.intake.landed_folder import LAKES, Content, Part, content, names_in
from evergreen.loop.intake.landed_folder import SUCCESS as SUCCESS
from evergreen.loop.intake.reading.file_types import files_of, suffix_of, why_not

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_DEPTH = 4
"""Levels below a feed's folder: key, table, the log of a lake's table, its entries"""


@dataclass(frozen=True)
class Drop:
    """A table that has landed whole: where it is, its size in bytes and when it was last written (UTC)."""

    uri: Uri
    size: int
    modified: dt.datetime
    suffix: str
    """As `file_types.suffix_of` gives it: parquet, csv, tsv, packed as csv.gz; of a lake's table, delta or iceberg"""
    parts: tuple[Part, ...] = ()
    """Its files, if it is a folder of part files: `uri` is the folder's then"""


@dataclass(frozen=True)
class _Entry:
    """One name in a partition's folder."""

    size: int
    modified: dt.datetime
    is_file: bool


def note_name(table: str) -> str:
    """Name of the file beside a table that says which query it is the answer to."""
    return f"{table}.source.json"


def find_drop(landing_url: str, feed: str, table: str, key: str) -> Drop | None:
    """The drop of `table` for the partition `key`, or None while it is not complete.

    Of several files of the table, the one written last counts.

    Raises:
        BadInputError: `feed` or `key` cannot be the name of a folder.
        UnavailableError: the landing zone does not answer.
    """
    folder = folder_uri(landing_url, feed, key)
    entries = _list(folder, table)
    return None if entries is None or _obstacle(folder, entries, table) else _newest(folder, entries, table)


def explain_wait(landing_url: str, feed: str, table: str, key: str) -> str:
    """What is missing until `table` of `key` has landed, in one sentence; raises as `find_drop`."""
    folder = folder_uri(landing_url, feed, key)
    entries = _list(folder, table)
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
    return {name: _folder(Uri(f"{root}/{name}"), entries, tables) for name, entries in found.items()}


def _walk(root: str) -> Iterator[tuple[list[str], dict[str, Any]]]:
    """Files below `root`: the parts of their names from there on, and what the file system says of them."""
    try:
        fs, path = url_to_fs(root)
        fs.invalidate_cache(path)
        # An object store lists all levels at once; a file system's deeper folders are nobody's partitions.
        flat = not _is_local(fs)
        if not flat:
            fs.ls(path, detail=False)  # raises if it may not be read, which `find` would pass over
        files = fs.find(path, detail=True, maxdepth=None if flat else _DEPTH)
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


def _folder(uri: Uri, entries: dict[str, _Entry], tables: Collection[str]) -> Folder:
    whole = {t: d for t in tables if not _obstacle(uri, entries, t) and (d := _newest(uri, entries, t)) is not None}
    return Folder(whole, max(entry.modified for entry in entries.values()))


def folder_uri(landing_url: str, feed: str, key: str) -> Uri:
    """URI of a partition's folder; raises BadInputError if a name would leave the landing zone."""
    return Uri(f"{landing_url.rstrip('/')}/{join(feed, key)}")


def _list(folder: str, wanted: str) -> dict[str, _Entry] | None:
    """The folder's entries by name, read again each time; None if there is no such folder, or a link.

    What is in the folders of tables is listed too: of the feed's, and of the table `wanted`.
    """
    if _is_link(folder):
        return None
    found = _names(folder)
    if found is None:
        return None
    for table in dict.fromkeys((*TABLES, wanted)):
        if table in found and not found[table].is_file and not _is_link(f"{folder}/{table}"):
            found |= _below(f"{folder}/{table}", table)
    return found


def _below(folder: str, name: str) -> dict[str, _Entry]:
    """What is in the folder of a table, its own folders included as far as they say what it is."""
    found = {f"{name}/{own}": entry for own, entry in (_names(folder) or {}).items()}
    for own, entry in list(found.items()):
        inner = own.rpartition("/")[2]
        if not entry.is_file and inner in ("_delta_log", "metadata", "data"):
            found |= {f"{own}/{deep}": e for deep, e in (_names(f"{folder}/{inner}") or {}).items() if e.is_file}
            del found[own]
    return found


def _names(folder: str) -> dict[str, _Entry] | None:
    """The names in one folder; None if there is no such folder."""
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


def _newest(folder: Uri, entries: dict[str, _Entry], table: str) -> Drop | None:
    files = [(name, entries[name]) for name in files_of(table, entries) if entries[name].is_file]
    found = [Drop(Uri(f"{folder}/{name}"), e.size, e.modified, suffix_of(name) or "") for name, e in files]
    inside = _inside(entries, table)
    if isinstance(inside, Content):
        found.append(Drop(Uri(f"{folder}/{table}"), inside.size, inside.modified, inside.suffix, inside.parts))
    return max(found, key=lambda drop: drop.modified, default=None)


def _inside(entries: dict[str, _Entry], table: str) -> Content | str | None:
    """What the folder of the table holds, or why it is no table; None if there is no such folder."""
    names = names_in(table, entries)
    return content(names) if names or (table in entries and not entries[table].is_file) else None


def _obstacle(folder: Uri, entries: dict[str, _Entry], table: str) -> str | None:
    """Why `table` does not count as landed, in words, or None if it does."""
    drop = _newest(folder, entries, table)
    if drop is None:
        return _why_none(folder, entries, table)
    name = drop.uri.rpartition("/")[2] + ("/" if drop.uri == f"{folder}/{table}" else "")
    mark, marks = SUCCESS, [entries[SUCCESS].modified] if SUCCESS in entries else []
    noted = entries.get(note_name(table))
    if noted is not None and noted.is_file and drop.uri == f"{folder}/{table}.parquet":
        marks.append(noted.modified)
    inside = _inside(entries, table)
    if drop.parts and isinstance(inside, Content) and inside.marked:
        mark, marks = f"{table}/{SUCCESS}", [inside.marked]
    if not marks:
        return f"{name} is in {folder}, but _SUCCESS is missing: its producer writes it when the {_kind(drop)} complete"
    if max(marks) < drop.modified:
        return (
            f"{mark} is older than {name} in {folder} ({max(marks):%Y-%m-%d %H:%M:%S} before "
            f"{drop.modified:%Y-%m-%d %H:%M:%S} UTC): its producer writes it again when the {_kind(drop)} complete"
        )
    return None


def _kind(drop: Drop) -> str:
    return "folder is" if drop.parts or drop.suffix in LAKES else "file is"


def _why_none(folder: str, entries: dict[str, _Entry], table: str) -> str:
    """What is there in place of a table."""
    odd = [name for name in files_of(table, entries) if not entries[name].is_file]
    if odd:
        return f"{odd[0]} in {folder} is a folder or a link; land it as one ordinary file"
    inside = _inside(entries, table)
    if isinstance(inside, str):
        return f"{table}/ in {folder}: {inside}"
    named = [name for name in entries if name.startswith(f"{table}.") and name != note_name(table)]
    other = next((name for name in named if entries[name].is_file), None)
    if other:
        return f"{plain(other)} in {folder} is not read: {why_not(other, b'')}"
    return f"neither {table}.parquet nor {table}.csv is in {folder} yet"


def local_drop(path: Path) -> Drop:
    """A file or a folder of a person's own disk as a drop, with no `_SUCCESS` asked for.

    Raises:
        BadInputError: the folder is no table; the message says why.
        OSError: it cannot be looked at.
    """
    uri, stat = Uri(str(path)), path.stat()
    if path.is_file():
        modified = dt.datetime.fromtimestamp(stat.st_mtime, dt.UTC)
        return Drop(uri, stat.st_size, modified, suffix_of(path.name) or "")
    names = {}
    for file in path.rglob("*"):
        own = file.relative_to(path).as_posix()
        if file.is_file() and not file.is_symlink():
            about = file.stat()
            names[own] = _Entry(about.st_size, dt.datetime.fromtimestamp(about.st_mtime, dt.UTC), True)
    found = content(names)
    if isinstance(found, str):
        raise BadInputError(f"{path}: {found}")
    return Drop(uri, found.size, found.modified, found.suffix, found.parts)
