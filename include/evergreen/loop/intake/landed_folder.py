"""A table that lands as a folder: the part files of Spark or of a warehouse's unload, a Delta or an Iceberg table.

What is in a folder is told from names alone, so that the triggerer can ask every few seconds. Pure.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from evergreen.core.text import plain
from evergreen.loop.intake.reading.file_types import suffix_of, why_not

DELTA, ICEBERG = "delta", "iceberg"
LAKES = (DELTA, ICEBERG)
"""Suffixes of drops that are tables of a lake: their own library says which of their files count"""
_ICEBERG_METADATA = re.compile(r"metadata/[^/]+\.metadata\.json$")
SUCCESS = "_SUCCESS"


class Entry(Protocol):
    """One name of a listing."""

    @property
    def size(self) -> int: ...  # noqa: D102
    @property
    def modified(self) -> dt.datetime: ...  # noqa: D102
    @property
    def is_file(self) -> bool: ...  # noqa: D102


@dataclass(frozen=True)
class Part:
    """One file of a table that lies in several: its name in the folder, its bytes, and when it was written (UTC)."""

    name: str
    size: int
    modified: dt.datetime


@dataclass(frozen=True)
class Content:
    """What a folder holds."""

    suffix: str
    """That of all part files, or one of `LAKES`"""
    parts: tuple[Part, ...]
    """In the order of their names; none if it is a table of a lake"""
    size: int
    """Bytes of the parts; of a lake's table, of its log"""
    modified: dt.datetime
    """When what makes the table was last written: its parts, or its log"""
    marked: dt.datetime | None
    """When the `_SUCCESS` in the folder itself was written; None if there is none"""


def names_in(table: str, entries: Mapping[str, Entry]) -> dict[str, Entry]:
    """The files below the folder `table` of a listing, by their path in it."""
    beginning = f"{table}/"
    return {n.removeprefix(beginning): e for n, e in entries.items() if n.startswith(beginning) and n != beginning}


def is_hidden(path: str) -> bool:
    """Whether a writer keeps it for itself: names that begin with '_' or '.' (Hadoop), and checksums."""
    return any(part.startswith(("_", ".")) for part in path.split("/")) or path.endswith(".crc")


def lake_of(names: Mapping[str, object]) -> str | None:
    """Which kind of table of a lake these names are, or None."""
    if any(name.startswith("_delta_log/") for name in names):
        return DELTA
    return ICEBERG if any(_ICEBERG_METADATA.match(name) for name in names) else None


def content(names: Mapping[str, Entry]) -> Content | str:
    """What the files `names` of a folder are; or, in words, why they are no table."""
    lake = lake_of(names)
    if lake:
        return _lake(lake, names)
    seen = {name: entry for name, entry in names.items() if not is_hidden(name)}
    if not seen:
        return "no part file is in it yet"
    odd = _odd(seen)
    if odd:
        return odd
    parts = tuple(Part(name, entry.size, entry.modified) for name, entry in sorted(seen.items()))
    mark, newest = names.get(SUCCESS), max(part.modified for part in parts)
    suffix = suffix_of(parts[0].name) or ""
    return Content(suffix, parts, sum(p.size for p in parts), newest, mark.modified if mark else None)


def _lake(kind: str, names: Mapping[str, Entry]) -> Content:
    # Which data files count, only its library could tell, and it is not asked here: the log stands for the table.
    place = "_delta_log/" if kind == DELTA else "metadata/"
    log = [e for name, e in names.items() if name.startswith(place) and name.count("/") == 1]
    return Content(kind, (), sum(e.size for e in log), max(e.modified for e in log), None)


def _odd(seen: Mapping[str, Entry]) -> str | None:
    """Why these are no part files of one table."""
    folders = sorted({name.partition("/")[0] for name in seen if "/" in name})
    if folders:
        return (
            f"it holds the folder {plain(folders[0])}: columns in the names of folders are not read; write the part "
            "files side by side, with all columns in them"
        )
    links = sorted(name for name, entry in seen.items() if not entry.is_file)
    if links:
        return f"{plain(links[0])} in it is a folder or a link; land ordinary files"
    unread = sorted(name for name in seen if suffix_of(name) is None)
    if unread:
        return f"{plain(unread[0])} in it is not read: {why_not(unread[0], b'')}"
    kinds = sorted({suffix_of(name) or "" for name in seen})
    return f"it holds files of the kinds {', '.join(kinds)}; land one kind" if len(kinds) > 1 else None
