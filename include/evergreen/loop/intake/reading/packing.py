"""Unpack a file that nobody vouches for: never to more bytes than it may have."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any

import pyarrow as pa

from evergreen.core.text import plain
from evergreen.loop.intake.failures import UnfitFileError, unfit
from evergreen.loop.intake.reading.file_types import contents


@dataclass(frozen=True)
class _Packing:
    """One way of packing: what such a file is called, its first bytes, and how what is in it is read."""

    called: str
    mark: bytes
    open: Callable[[bytes], Any]


def _only_member(data: bytes) -> IO[bytes]:
    """The one file of a zip archive, which neither the folders in it nor what macOS adds make two."""
    archive = zipfile.ZipFile(io.BytesIO(data))
    found = [one for one in archive.infolist() if not one.is_dir() and not one.filename.startswith("__MACOSX/")]
    if len(found) != 1:
        named = ", ".join(plain(one.filename, 40) for one in found[:5]) or "none"
        sentence = (
            f"the zip archive holds {len(found):,} files ({named}), and one table is one file: unpack it, or pack one"
        )
        raise UnfitFileError(unfit("readable", sentence, observed=f"{len(found)} files", expected="one file"))
    if found[0].flag_bits & 1:
        raise UnfitFileError(unfit("readable", "the zip archive asks for a password: pack it without one"))
    return archive.open(found[0])


def _of_xz(data: bytes) -> lzma.LZMAFile:
    return lzma.LZMAFile(io.BytesIO(data))


_PACKINGS = {
    "gz": _Packing("gzip", b"\x1f\x8b", lambda data: gzip.GzipFile(fileobj=io.BytesIO(data))),
    "bz2": _Packing("bzip2", b"BZh", lambda data: bz2.BZ2File(io.BytesIO(data))),
    "xz": _Packing("xz", b"\xfd7zXZ", _of_xz),
    "zst": _Packing("zstd", b"\x28\xb5\x2f\xfd", lambda data: pa.CompressedInputStream(pa.BufferReader(data), "zstd")),
    "zip": _Packing("zip", b"PK\x03\x04", _only_member),
}
_DAMAGED = (EOFError, OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError, pa.ArrowException)


def suffix_within(data: bytes) -> str | None:
    """The suffix (csv.zip, tsv.zip) of a zip archive whose name does not say what is in it; None if it is no table."""
    try:
        with _only_member(data) as member:
            ending = member.name.lower().rpartition(".")[2]
    except (UnfitFileError, *_DAMAGED):
        return None
    return f"{ending}.zip" if ending in ("csv", "tsv") else None


def is_packed(suffix: str) -> bool:
    """Whether files of this suffix, such as `csv.gz`, are packed."""
    return suffix.rpartition(".")[2] in _PACKINGS


def unpack(data: bytes, most: int, suffix: str = "csv.gz") -> bytes:
    """What the packed file `data` holds.

    Args:
        data: the file as it landed.
        most: bytes that it may unpack to.
        suffix: of its name, as `file_types.suffix_of` gives it: its last part says how it is packed.

    Raises:
        UnfitFileError: it is not packed so, it is damaged, it holds more than `most` bytes, or (zip) not one file.
    """
    ending = suffix.rpartition(".")[2]
    packing = _PACKINGS[ending]
    if not data.startswith(packing.mark):
        found = contents(data)
        sentence = (
            f"this is not a {packing.called} file, though its name says so: it is {found}; name it without .{ending}, "
            "or pack it"
        )
        raise UnfitFileError(unfit("readable", sentence, observed=found, expected=packing.called))
    try:
        with packing.open(data) as file:
            found_bytes: bytes = file.read(most + 1)
    except _DAMAGED as error:
        detail = plain(error or type(error).__name__, 120)
        sentence = f"the {packing.called} file is damaged or cut off ({detail}); land it again"
        expected = f"a whole {packing.called} file"
        raise UnfitFileError(unfit("readable", sentence, observed=detail, expected=expected)) from None
    if len(found_bytes) > most:
        sentence = (
            f"unpacked, the file has more than {most:,} bytes (packed: {len(data):,}), and no more of it was read; "
            "land shorter periods, or raise feed.csv.max_unpacked in model.yaml"
        )
        raise UnfitFileError(unfit("size", sentence, observed=f"over {most}", expected=f"at most {most}"))
    return found_bytes
