"""Run a piece of work in a child process that may end badly: with limits on its processor time and memory.

The child is a fork, which has the libraries already: that costs some hundredths of a second, a new interpreter a
quarter. It has none of the parent's files and sockets, and hands its answer back through memory.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import logging
import math
import mmap
import os
import resource
import select
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, NoReturn

import pyarrow as pa

from evergreen.core.text import plain
from evergreen.errors import UnavailableError

DONE, REFUSED, MEMORY, FAULT = 0, 10, 11, 12
"""How a child ends: `work` returned 0 or 10 itself; memory ran out; it raised, and the words are its answer."""
Answer = IO[bytes]
Work = Callable[[Answer], int]
_DETAIL, _TRACE = 160, 4_000


@dataclass(frozen=True)
class Bounds:
    """What a child may take."""

    seconds: int
    """Processor time"""
    memory: int
    """Bytes beyond what the parent has"""
    wait: int
    """Seconds by the clock. Beyond it, not the work is at fault but the machine."""
    what: str
    """What the child does, for messages: 'reads the file'"""
    opens_files: bool = False
    """Whether it may open files: where libraries that it uses import parts of themselves when they are first needed"""


class Board:
    """Memory that a child shares with its parent, on which it writes what it is doing before it does it."""

    _SIZE = 4096

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, self._SIZE)

    def write(self, text: str) -> None:
        """Replace what is written on it."""
        data = text.encode()[: self._SIZE - 1]
        self._memory.seek(0)
        self._memory.write(data + b"\0")

    def read(self) -> str:
        """What was written on it last; empty if nothing was."""
        return self._memory[:].partition(b"\0")[0].decode(errors="ignore")


_board: Board | None = None
"""Of this process, if it is a child that was given one"""
_sizes = -1
"""Of this process, if it is a child: the open file that says how much memory it has"""
standing: list[Callable[[Work, Answer, Bounds, Board | None], int | None]] = []
"""Who does work in place of a child of its own, innermost last; None says that it does not do this work"""


def memory_file() -> Answer:
    """A file that is nowhere on a disk, for a child's answer."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("evergreen-child"), "w+b")
    return tempfile.TemporaryFile()


def note(what: str, column: str | None = None) -> None:
    """Say what is about to be done, and with which column, for a parent that asks after a bad end."""
    if _board is not None:
        _board.write(json.dumps([what, column]))


def run(work: Work, answer: Answer, bounds: Bounds, board: Board | None = None) -> int:
    """Have a child do `work`, which writes to `answer` and returns `DONE` or `REFUSED`; how it ended.

    What `work` notes is on `board` afterwards.

    Returns:
        One of the codes above, or minus the number of the signal that ended it: SIGXCPU if its time was up.

    Raises:
        UnavailableError: it was ended from outside, or waited and did not work: no fault of the work.
    """
    code = standing[-1](work, answer, bounds, board) if standing else None
    if code is None:
        pid = fork(bounds)
        if pid == 0:
            _work_and_exit(work, answer, bounds, board)
        code = _wait(pid, bounds)
    if code in (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT):
        raise UnavailableError(
            f"the process that {bounds.what} was ended from outside ({signal.Signals(-code).name}; has the machine "
            "run out of memory?); nothing was recorded, the next try begins again"
        )
    return code


def said(answer: Answer) -> str:
    """What a child has written as text."""
    answer.seek(0)
    return answer.read().decode()


def fault(code: int, answer: Answer) -> str:
    """What ended a child that crashed or raised, in a few words."""
    return signal.Signals(-code).name if code < 0 else said(answer).partition("\n")[0] or f"exit code {code}"


def fork(bounds: Bounds) -> int:
    """The child's process id; 0 in the child. Raises UnavailableError."""
    with warnings.catch_warnings():
        # Python warns of other threads' locks. The child takes none that it does not make itself; if one were held
        # all the same it would wait, and `_wait` tells waiting from working.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return os.fork()
        except OSError as error:
            raise UnavailableError(
                f"no process that {bounds.what} could be started ({error.strerror}); nothing was recorded"
            ) from error


def _work_and_exit(work: Work, answer: Answer, bounds: Bounds, board: Board | None) -> NoReturn:
    """The child's life. Nothing of the parent may run in it afterwards: no handler, no finalizer, no traceback."""
    code = FAULT
    try:
        shut((answer.fileno(),), bounds)
        limit(bounds)
        code = work_on(work, answer, board)
    finally:
        os._exit(code)


def work_on(work: Work, answer: Answer, board: Board | None) -> int:
    """In a child: do `work`, and write to `answer` what it raises; how it ended."""
    global _board
    _board, code = board, FAULT
    try:
        code = work(answer)
    except MemoryError:
        code = MEMORY
    except BaseException as error:
        answer.seek(0)
        answer.truncate()
        answer.write(f"{plain(repr(error), _DETAIL)}\n{traceback.format_exc()[-_TRACE:]}".encode())
    answer.flush()
    return code


def shut(kept: Collection[int], bounds: Bounds) -> None:
    """In a child: leave nothing of the parent's within reach but the files `kept`."""
    global _sizes
    faulthandler.disable()
    logging.disable()  # what its handlers write to is closed
    gc.freeze()  # what is the parent's is not looked through, let alone finalized
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    first = 3
    for own in sorted(kept):
        os.closerange(first, own)
        first = own + 1
    os.closerange(first, min(max(os.sysconf("SC_OPEN_MAX"), 1024), 1 << 20))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: not to outlive a parent that was killed
    with suppress(OSError):  # only Linux has it
        _sizes = os.open("/proc/self/statm", os.O_RDONLY)
    if not bounds.opens_files:
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    # The default pool reserves address space ahead, which the limit would count.
    pa.set_memory_pool(pa.system_memory_pool())


def limit(bounds: Bounds, *, standing: bool = False) -> None:
    """In a child: allow so much processor time and memory from now on; if it is `standing`, until the next call."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    most_seconds = math.ceil(used.ru_utime + used.ru_stime) + bounds.seconds if standing else bounds.seconds
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1] if standing else most_seconds + 5
    resource.setrlimit(resource.RLIMIT_CPU, (most_seconds, hard))
    with suppress(OSError, ValueError):  # only Linux says how much it has and holds it to more
        pages = int(os.pread(_sizes, 100, 0).split()[0])
        most = pages * resource.getpagesize() + bounds.memory
        hard = resource.getrlimit(resource.RLIMIT_AS)[1] if standing else most
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))


@contextmanager
def _doze_until_the_end_of(pid: int) -> Iterator[Callable[[float], object]]:
    """How to wait some seconds: no longer than until the child ends, if the system can tell (Linux)."""
    if sys.platform != "linux":
        yield time.sleep
        return
    try:
        ends = os.pidfd_open(pid)
    except OSError:  # an old kernel, or no file is left
        yield time.sleep
        return
    try:
        told = select.poll()
        told.register(ends, select.POLLIN)
        yield lambda seconds: told.poll(1_000 * seconds)
    finally:
        os.close(ends)


def _wait(pid: int, bounds: Bounds) -> int:
    """The child's exit code; minus the number of the signal that ended it."""
    deadline, pause = time.monotonic() + bounds.wait, 0.001
    try:
        with _doze_until_the_end_of(pid) as doze:
            while time.monotonic() < deadline:
                done, status = os.waitpid(pid, os.WNOHANG)
                if done:
                    pid = 0
                    return os.waitstatus_to_exitcode(status)
                doze(pause)
                pause = min(2 * pause, 0.05)
        raise stuck(bounds)
    finally:
        if pid:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def stuck(bounds: Bounds) -> UnavailableError:
    """What is said of a child that took too long by the clock."""
    return UnavailableError(
        f"the process that {bounds.what} took {bounds.wait:,} seconds and hardly worked: "
        "the machine is overloaded, or it hangs; nothing was recorded, the next try begins again"
    )
