"""Finding and ending processes: never one that is not ours, and all that are."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

MARKER = "EVERGREEN_STACK_ID"
"""Every process of a stack inherits this variable, so that one which left its parents is still found."""
SERVICE_MARKER = "EVERGREEN_SERVICE"

_SAME_START = 2.0
"""Seconds by which two readings of one process's start may differ, if only the clock says when it started."""
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_STARTED = 19
"""Position of the start time behind the name in /proc/PID/stat (proc(5): field 22), in clock ticks since the boot"""


@dataclass(frozen=True)
class ProcessRef:
    """A process that cannot be mistaken for a later one with the same id."""

    pid: int
    created: float
    """When it started, by the clock"""
    identity: str | None = None
    """The boot, and the start in ticks since then. If the clock is set while a stack runs, a later reading of `created`
    differs; this does not. None if the system does not say, and in files of earlier releases."""

    @classmethod
    def of(cls, pid: int) -> ProcessRef:
        """Reference to a living process.

        Raises:
            psutil.NoSuchProcess: it is gone already.
        """
        return cls(pid, psutil.Process(pid).create_time(), _identity(pid))

    def process(self) -> psutil.Process | None:
        """The process if it still runs, else None (also for a zombie)."""
        try:
            process = psutil.Process(self.pid)
            return process if self._is(process) and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None

    def _is(self, process: psutil.Process) -> bool:
        now = _identity(self.pid) if self.identity else None
        if now is not None:
            return now == self.identity
        return abs(process.create_time() - self.created) < _SAME_START

    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process() is not None


def _identity(pid: int) -> str | None:
    """Names the process for as long as the machine runs, whatever its clock says; None where it cannot be read."""
    try:
        started = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[_STARTED]
        return f"{_BOOT.read_text().strip()}:{started}"
    except (OSError, IndexError):
        return None


def tree(process: psutil.Process) -> list[psutil.Process]:
    """A process and all that descend from it."""
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def marked(stack_id: str, service: str | None = None) -> list[psutil.Process]:
    """Living processes that inherited a stack's marker (and a service's), whatever their parent is now."""
    found = []
    for process in psutil.process_iter():
        try:
            env = process.environ()
            if env.get(MARKER) != stack_id or service not in (None, env.get(SERVICE_MARKER)):
                continue
            if process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def send(processes: Iterable[psutil.Process], signum: int) -> None:
    """Send a signal to each; those that ended meanwhile do not matter."""
    for process in processes:
        try:
            process.send_signal(signum)
        except psutil.NoSuchProcess:
            continue


def wait_gone(processes: Iterable[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Wait until all have ended (a zombie counts as ended); returns those that have not."""
    deadline = time.monotonic() + seconds
    left = [p for p in processes if _running(p)]
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left = [p for p in left if _running(p)]
    return left


def end(processes: Iterable[psutil.Process], grace: float) -> None:
    """Ask each to end, wait, then kill what is left."""
    every = list(processes)
    send(every, signal.SIGTERM)
    left = wait_gone(every, grace)
    send(left, signal.SIGKILL)
    wait_gone(left, 5)


def _running(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
