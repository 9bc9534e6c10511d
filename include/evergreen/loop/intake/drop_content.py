"""What a drop holds, read where it lies: for commands that judge drops, and for the copy that intake keeps."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from evergreen.core.names import Uri
from evergreen.core.store.filesystem import url_to_fs
from evergreen.errors import UnavailableError
from evergreen.loop.intake import lake
from evergreen.loop.intake.landed_folder import LAKES, Part
from evergreen.loop.intake.landing_zone import Drop
from evergreen.loop.intake.reading.parts import Content, Parts

CHUNK = 8 << 20
"""Bytes that are held at once of a file that is copied"""


def content_of(drop: Drop) -> tuple[Content, str]:
    """What the drop holds, and the suffix under which it is read. Part files are read when it is their turn.

    A file beyond `LIMITS.file_bytes` is the caller's to refuse before; a lake's table becomes a Parquet file.

    Raises:
        UnfitFileError: it is a lake's table that cannot be read.
        UnavailableError: it cannot be read, or has another size than when it was looked at.
    """
    if drop.suffix in LAKES:
        return lake.read(lake.local_path(drop.uri), drop.suffix)[1] or b"", "parquet"
    if not drop.parts:
        return read_file(drop.uri, drop.size), drop.suffix

    def read(number: int) -> bytes:
        part = drop.parts[number]
        data = read_file(part_uri(drop, part), part.size)
        if len(data) != part.size:
            raise UnavailableError(f"{part_uri(drop, part)} changed while it was read; read it again")
        return data

    return Parts(tuple(part.name for part in drop.parts), drop.size, drop.suffix, read), drop.suffix


def part_uri(drop: Drop, part: Part) -> Uri:
    """Where one of the drop's files is."""
    return Uri(f"{drop.uri}/{part.name}")


def read_file(uri: Uri, size: int) -> bytes:
    """The bytes of a file: no more than were there when it was looked at, and one that shows that it grew."""
    if not size:
        return b""  # an object store has no range to give of nothing
    fs, path = url_to_fs(uri)
    try:
        return bytes(fs.cat_file(path, start=0, end=size + 1))
    except OSError as error:
        raise UnavailableError(f"cannot read {uri}: {error.strerror or error}; nothing was recorded") from error


def chunks_of(uri: Uri) -> Iterator[bytes]:
    """The bytes of a file, some at a time; raises UnavailableError."""
    fs, path = url_to_fs(uri)
    try:
        with fs.open(path, "rb", cache_type="none") as file:
            while data := file.read(CHUNK):
                yield data
    except OSError as error:
        raise UnavailableError(f"cannot read {uri}: {error.strerror or error}; nothing was recorded") from error


def describe_parts(drop: Drop) -> list[dict[str, Any]]:
    """Name, bytes and SHA-256 of each part file, read a little at a time.

    Raises:
        UnavailableError: one cannot be read, or changed meanwhile.
    """
    found = []
    for part in drop.parts:
        digest, size = hashlib.sha256(), 0
        for data in chunks_of(part_uri(drop, part)):
            digest.update(data)
            size += len(data)
        if size != part.size:
            raise UnavailableError(f"{part_uri(drop, part)} changed while it was read; nothing was recorded")
        found.append({"name": part.name, "bytes": size, "sha256": digest.hexdigest()})
    return found
