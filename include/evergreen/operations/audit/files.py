"""Files by their bytes and folders by their listings, in every place that fsspec reaches."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evergreen.core.definition import ModelDefinition
from evergreen.core.names import PartitionKey
from evergreen.core.store.filesystem import url_to_fs
from evergreen.errors import PartitionKeyError, UnavailableError

if TYPE_CHECKING:
    import pyarrow as pa

TABLES = ("inputs", "labels")
_PACKED = ("", ".gz", ".bz2", ".xz", ".zst", ".zip")
_ENDINGS = (".parquet", ".pq", *(f"{text}{packed}" for text in (".csv", ".tsv") for packed in _PACKED))


@dataclass(frozen=True)
class Entry:
    """A file of a listing: its path below the folder that was listed, and when it was written (UTC)."""

    path: str
    uri: str
    modified: dt.datetime
    is_link: bool = False


@dataclass(frozen=True)
class Landed:
    """A table of a partition that lies in the landing zone whole, with its `_SUCCESS`."""

    table: str
    key: PartitionKey
    uri: str
    modified: dt.datetime
    parts: tuple[str, ...] = ()
    """URIs of its files, if it is a folder of part files"""
    is_lake: bool = False
    """A Delta or Iceberg table: what it holds, only its own library can tell"""


def read(uri: str) -> bytes | None:
    """The bytes of a file; None if there is none.

    Raises:
        UnavailableError: the store does not answer.
    """
    try:
        fs, path = url_to_fs(uri)
        return bytes(fs.cat_file(path))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UnavailableError(f"cannot read {uri}: {error.strerror or error}") from error


def sha256(data: bytes) -> str:
    """SHA-256 of bytes, hex."""
    return hashlib.sha256(data).hexdigest()


def md5(data: bytes) -> str:
    """MD5 of bytes, hex: the name by which DVC stores them."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def table(data: bytes) -> pa.Table | None:
    """The Parquet file's table; None if these bytes are none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(io.BytesIO(data))
    except (pa.ArrowInvalid, OSError):
        return None


def listing(url: str) -> list[Entry]:
    """Every file below a folder, hidden ones included; none if there is no such folder.

    Raises:
        UnavailableError: the folder cannot be listed.
    """
    try:
        fs, root = url_to_fs(url.rstrip("/"))
        fs.invalidate_cache(root)
        found = fs.find(root, detail=True)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UnavailableError(f"cannot list {url}: {error.strerror or error}") from error
    beginning = len(str(root).rstrip("/")) + 1
    return [_entry(url, str(name)[beginning:], info) for name, info in sorted(found.items())]


def _entry(url: str, path: str, info: dict[str, Any]) -> Entry:
    stamp = info.get("mtime") or info.get("LastModified") or 0
    modified = stamp if isinstance(stamp, dt.datetime) else dt.datetime.fromtimestamp(stamp, dt.UTC)
    return Entry(path, f"{url.rstrip('/')}/{path}", modified, bool(info.get("islink")))


def landed(definition: ModelDefinition, landing_url: str, now: dt.datetime) -> list[Landed]:
    """What lies in the landing zone whole and is due; of several files of one table, the newest."""
    folders: dict[PartitionKey, dict[str, Entry]] = {}
    for entry in listing(f"{landing_url.rstrip('/')}/{definition.feed.name}"):
        key, _, name = entry.path.partition("/")
        if name and not entry.is_link:
            folders.setdefault(PartitionKey(key), {})[name] = entry
    found = []
    for key, names in folders.items():
        for which in TABLES:
            low = {name.removeprefix(which).lower(): entry for name, entry in names.items() if name.startswith(which)}
            written = [Landed(which, key, e.uri, e.modified) for ending in _ENDINGS if (e := low.get(ending))]
            written += _folder(which, key, names)
            newest = max(written, key=lambda one: one.modified, default=None)
            marks = [names[mark].modified for mark in _marks(newest, names)]
            if newest and marks and max(marks) >= newest.modified and _due(definition, which, key, now):
                found.append(newest)
    return found


def _folder(which: str, key: PartitionKey, names: dict[str, Entry]) -> list[Landed]:
    """The folder of a table, if there is one: its part files, or the log of a Delta or Iceberg table."""
    inside = {name.removeprefix(f"{which}/"): e for name, e in names.items() if name.startswith(f"{which}/")}
    log = [e for name, e in inside.items() if name.startswith(("_delta_log/", "metadata/")) and name.count("/") == 1]
    if log:
        return [Landed(which, key, log[0].uri.rsplit("/", 2)[0], max(e.modified for e in log), is_lake=True)]
    parts = {n: e for n, e in inside.items() if not n.startswith(("_", ".")) and not n.endswith(".crc")}
    if not parts or any("/" in name for name in parts):
        return []
    uri = next(iter(parts.values())).uri.rpartition("/")[0]
    uris = tuple(sorted(e.uri for e in parts.values()))
    return [Landed(which, key, uri, max(e.modified for e in parts.values()), uris)]


def _marks(drop: Landed | None, names: dict[str, Entry]) -> list[str]:
    """Names of the marks that say whether the drop is whole: a `_SUCCESS`, or the note of a query's answer.

    If a folder of part files has its own, it alone counts.
    """
    if drop is None:
        return []
    own = f"{drop.table}/_SUCCESS"
    if drop.parts and own in names:
        return [own]
    marks = ["_SUCCESS"]
    if drop.uri.rpartition("/")[2] == f"{drop.table}.parquet":
        marks.append(f"{drop.table}.source.json")
    return [mark for mark in marks if mark in names]


def _due(definition: ModelDefinition, which: str, key: str, now: dt.datetime) -> bool:
    calendar, delay = definition.partitions, definition.feed.label_delay if which == "labels" else 0
    try:
        return calendar.contains(key) and calendar.due(key, delay) <= now
    except PartitionKeyError:
        return False
