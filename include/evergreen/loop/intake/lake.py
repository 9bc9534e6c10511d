"""Read a Delta or an Iceberg table that landed, through its own library, at one version.

Which data files belong to such a table, which of their rows are deleted and what a column is called stands in its log.
A folder that is read by its files shows removed rows and old names.

The library runs in a process of its own (`lake_reader`) with limits, as every reader of landed bytes; in a new
interpreter, because its threads do not survive a fork. What it gives becomes one Parquet file, whose metadata says
which version of which table it is: that file is what is kept.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from evergreen.core.text import plain
from evergreen.core.values import LakeFormat
from evergreen.errors import UnavailableError
from evergreen.loop.intake.failures import UnfitFileError, unfit
from evergreen.loop.intake.limits import LIMITS, Limits

_MISSING = 3
"""Exit code of `lake_reader` if the library is not installed"""
_AWAY = 4
"""Its exit code if the table's place cannot be reached"""


@dataclass(frozen=True)
class LakeVersion:
    """One version of one table: the same always has the same rows."""

    format: LakeFormat
    table: str
    """The id that the table's log gives it"""
    version: str
    """Number of the Delta version, id of the Iceberg snapshot; empty if the table has none yet"""

    def as_source(self) -> dict[str, Any]:
        """As the ledger keeps it."""
        return asdict(self)


def read(
    uri: str, kind: str, known: Mapping[str, Any] | None = None, limits: Limits = LIMITS
) -> tuple[LakeVersion, bytes | None]:
    """The version that the table at `uri` has now, and all its rows as one Parquet file.

    The file's metadata (`evergreen.source`) says which version it is.

    Args:
        uri: path or URL of the table's folder.
        kind: delta or iceberg.
        known: `as_source` of a version whose rows are not asked for; for it they are None.
        limits: of the process that reads it.

    Raises:
        UnfitFileError: it cannot be read as such a table, or its file would be larger than a partition's may be.
        UnavailableError: its place does not answer, its library is not installed, or its process was ended
            from outside.
    """
    with tempfile.TemporaryDirectory(prefix="evergreen-lake-") as folder:
        rows = Path(folder) / "rows.parquet"
        asked = {"uri": uri, "kind": kind, "rows": str(rows), "known": dict(known) if known else None}
        version = LakeVersion(**_read(asked, Path(folder), limits))
        if not rows.exists():
            return version, None
        size = rows.stat().st_size
        if size > limits.file_bytes:
            sentence = f"as a file the table has {size:,} bytes; a partition may have {limits.file_bytes:,}"
            raise UnfitFileError(unfit("size", sentence, expected=f"at most {limits.file_bytes}"))
        return version, rows.read_bytes()


def _read(asked: dict[str, Any], folder: Path, limits: Limits) -> dict[str, Any]:
    """What `lake_reader` answers."""
    answer = folder / "answer.json"
    asked |= {"answer": str(answer), "seconds": limits.read_seconds, "memory": limits.read_memory}
    command = [sys.executable, "-m", "evergreen.loop.intake.lake_reader"]
    try:
        done = subprocess.run(
            command, input=json.dumps(asked).encode(), capture_output=True, timeout=limits.read_wait, check=False
        )
    except subprocess.TimeoutExpired:
        raise UnavailableError(
            f"the {asked['kind']} table was not read in {limits.read_wait:,} seconds: the machine or its place is "
            "overloaded; nothing was recorded, the next try begins again"
        ) from None
    if done.returncode in (-9, -15, -2):
        raise UnavailableError("the process that reads the table was ended from outside; nothing was recorded")
    if done.returncode == 0:
        found: dict[str, Any] = json.loads(answer.read_text())
        return found
    raise _why(done.returncode, done.stderr, asked["kind"])


def _why(code: int, stderr: bytes, kind: str) -> Exception:
    """The error for an exit code of `lake_reader` and its last line."""
    said = stderr.decode(errors="replace").strip().splitlines()
    told = plain(said[-1] if said else f"exit code {code}", 300)
    if code == _MISSING:
        return UnavailableError(
            f"a {kind} table has landed, and its library is not installed ({told}): install "
            f"evergreen[{kind}], or land Parquet files"
        )
    if code == _AWAY:
        return UnavailableError(
            f"the place of the {kind} table cannot be reached ({told}); nothing was recorded, the next try begins again"
        )
    sentence = f"the {kind} table cannot be read by its own library ({told}); write it again, or land Parquet files"
    return UnfitFileError(unfit("readable", sentence, observed=told, expected=f"a {kind} table"))


def local_path(uri: str) -> str:
    """A file URL as a path, which both libraries take whatever signs are in it; others as they are."""
    parts = urlparse(uri)
    return str(Path(unquote(parts.path))) if parts.scheme == "file" else uri
