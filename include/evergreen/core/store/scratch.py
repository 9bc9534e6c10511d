"""Scratch folders on a worker's disk. One that a killed process left is removed by the next that needs one there."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "evergreen-scratch-"
LOCK = "owner.lock"
"""Held (flock) by the process that uses the folder: however that ends, the kernel frees it."""
YOUNG_SECONDS = 600.0
"""A folder so young may not have its lock yet."""


@contextmanager
def scratch_folder(purpose: str) -> Iterator[Path]:
    """An empty folder that ends with the block; `purpose` is in its name, for people who look at a full disk."""
    _remove_abandoned(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}{purpose}-") as name, (Path(name) / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        work = Path(name) / "work"
        work.mkdir()
        yield work


def _remove_abandoned(parent: Path) -> None:
    """Remove the folders whose owners are gone; what cannot be removed (another user's) is left alone."""
    for folder in parent.glob(f"{PREFIX}*"):
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime > YOUNG_SECONDS and _abandoned(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _abandoned(folder: Path) -> bool:
    try:
        with (folder / LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    except FileNotFoundError:
        return True
    except BlockingIOError:
        return False
