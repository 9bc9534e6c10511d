"""A clock that is set: every process of the embedded stack but PostgreSQL sees another time for a while.

That is how a host looks whose clock was wrong and is corrected, or that slept: its processes' time leaps, forward or
back, while the database, on another host, goes on. libfaketime (Debian: faketime) is preloaded into all of them; what
they measure by the monotonic clock is not touched, as on a real host.
"""

from __future__ import annotations

from pathlib import Path

LIBRARIES = (
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
)
MOST = 2 * 3600.0
"""Seconds by which the clock is set, forward or back, at most: a time zone that was wrong"""


def library() -> str | None:
    """Where this machine has libfaketime, or None."""
    return next((path for path in LIBRARIES if Path(path).exists()), None)


class Clock:
    """The time that the processes see which are started with `environment`."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self.set(0)

    def environment(self) -> dict[str, str]:
        """What makes a process see this clock."""
        return {
            "LD_PRELOAD": str(library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def set(self, seconds: float) -> None:
        """So many seconds ahead of the truth, or behind it; seen within a second."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds:+.0f}\n")
        # Renamed: a process that reads half a file would be told nonsense.
        new.replace(self._file)
