"""The immutable copy of a drop of several files: each file, and a list of them with their checksums.

The list is the object that the ledger names, and its SHA-256 is the version's content hash. It is written last: a copy
without it is none, and the next try finds what it has copied already.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from evergreen.core.names import ObjectName, Uri
from evergreen.core.store import Store, layout
from evergreen.core.store.objects import sha256
from evergreen.errors import UnavailableError
from evergreen.loop.intake.failures import Failure, UnfitFileError
from evergreen.loop.intake.reading.file_types import suffix_of
from evergreen.loop.intake.reading.parts import Content, Parts


def list_of(parts: Sequence[dict[str, Any]], suffix: str) -> bytes:
    """The list as it is kept: the same files are the same bytes."""
    said = {"format": suffix, "parts": sorted(parts, key=lambda part: str(part["name"]))}
    return json.dumps(said, sort_keys=True, separators=(",", ":")).encode()


def keep(store: Store, name: ObjectName, listed: bytes, chunks: Callable[[str], Iterator[bytes]]) -> Uri:
    """Copy the files of the list into the store, a little at a time, then the list as `name`; its URI.

    `chunks` gives the bytes of the landed file of a name.

    Raises:
        UnavailableError: a file has other bytes than the list says; the list is not written.
    """
    said = json.loads(listed)
    names = layout.raw_parts(name, [part["sha256"] for part in said["parts"]], said["format"])
    for part, own in zip(said["parts"], names, strict=True):
        store.write_chunks(own, _checked(chunks(part["name"]), part))
    return store.write(name, listed)


def _checked(chunks: Iterator[bytes], part: dict[str, Any]) -> Iterator[bytes]:
    """The same bytes; raises at their end if they are not those of the list."""
    digest = hashlib.sha256()
    for data in chunks:
        digest.update(data)
        yield data
    if digest.hexdigest() != part["sha256"]:
        raise UnavailableError(
            f"{part['name']} changed while it was read; nothing was recorded, the next try begins again"
        )


def content(store: Store, name: ObjectName) -> Parts:
    """What was kept under `name`, to be read part by part.

    Raises:
        FileNotFoundError: it is no longer there.
    """
    said = json.loads(store.read(name))
    names = layout.raw_parts(name, [part["sha256"] for part in said["parts"]], said["format"])

    def read(number: int) -> bytes:
        data, part = store.read(names[number]), said["parts"][number]
        if sha256(data) != part["sha256"]:
            raise UnavailableError(
                f"{store.uri(names[number])} does not have the SHA-256 that was recorded of {part['name']}: restore it "
                "from a backup of the store, or land the partition again"
            )
        return data

    sizes = sum(int(part["bytes"]) for part in said["parts"])
    return Parts(tuple(part["name"] for part in said["parts"]), sizes, said["format"], read)


def raw_content(store: Store, uri: Uri) -> tuple[Content, str]:
    """What was kept as `uri`, and the suffix under which it is read.

    Raises:
        FileNotFoundError: it is no longer there.
        UnfitFileError: what landed could not be read at all, for the reasons that were kept.
    """
    name = store.name(uri)
    if name.endswith(f".{layout.PARTS}"):
        parts = content(store, name)
        return parts, parts.suffix
    if name.endswith(f".{layout.UNREADABLE}"):
        said = json.loads(store.read(name))["unreadable"]
        raise UnfitFileError(*(Failure.from_json(failure) for failure in said))
    return store.read(name), suffix_of(name) or ""


def names_of(store: Store, name: ObjectName) -> list[ObjectName]:
    """Names of the files that the list `name` is of; none if it is not there."""
    try:
        said = json.loads(store.read(name))
    except FileNotFoundError:
        return []
    return layout.raw_parts(name, [part["sha256"] for part in said["parts"]], said["format"])
