"""Log files of the services: bounded, and quoted if a service fails."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

LIMIT = 10 * 2**20
"""Bytes after which a log is moved aside."""
KEPT = 3


def rotate(log: Path) -> None:
    """Move a log aside (.1 is the newest) and empty it in place: processes that write to it continue."""
    if not log.exists() or log.stat().st_size == 0:
        return
    for number in range(KEPT - 1, 0, -1):
        older = log.with_name(f"{log.name}.{number}")
        if older.exists():
            older.replace(log.with_name(f"{log.name}.{number + 1}"))
    shutil.copyfile(log, log.with_name(f"{log.name}.1"))
    os.truncate(log, 0)


def rotate_if_large(log: Path, limit: int = LIMIT) -> None:
    """Rotate a log that has outgrown its limit (bytes)."""
    if log.exists() and log.stat().st_size > limit:
        rotate(log)


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log, for an error message."""
    try:
        with log.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 64 * 1024))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return "(nothing was logged)"
    return "\n".join(text.splitlines()[-lines:]) or "(nothing was logged)"
