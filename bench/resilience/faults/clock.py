"""A clock that is set: every process of the embedded stack but PostgreSQL sees another time for a while.

That is how a host looks whose clock was wrong and is corrected, or that slept: its processes' time leaps, forward or
back, while the database, on another host, goes on. `clock.c` is compiled and preloaded into all of them; what they
measure by the monotonic clock is not touched, as on a real host.
"""

from __future__ import annotations

import mmap
import shutil
import struct
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("clock.c")
MOST = 2 * 3600.0
"""Seconds by which the clock is set, forward or back, at most: a time zone that was wrong"""


def compiler() -> str | None:
    """The C compiler of this machine, or None."""
    return shutil.which("cc") or shutil.which("gcc")


class Clock:
    """The time that the processes see which are started with `environment`."""

    def __init__(self, folder: Path) -> None:
        self._file, self._library = folder / "clock", folder / "clock.so"
        self._file.write_bytes(struct.pack("q", 0))
        options = ("-O2", "-shared", "-fPIC", "-o", str(self._library), str(SOURCE), "-ldl")
        subprocess.run([str(compiler()), *options], check=True)

    def environment(self) -> dict[str, str]:
        """What makes a process see this clock."""
        return {"LD_PRELOAD": str(self._library), "FAULTS_CLOCK": str(self._file)}

    def set(self, seconds: float) -> None:
        """So many seconds ahead of the truth, or behind it; seen at once."""
        with self._file.open("r+b") as file, mmap.mmap(file.fileno(), 8) as seen:
            seen[:] = struct.pack("q", round(seconds))
