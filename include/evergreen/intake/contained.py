"""Read a landed file in a child process, so that whatever its bytes do to the reader ends there.

The readers are large programs in C++, fed with bytes that nobody vouches for: one bad length can end the process, fill
the memory or never come to an end. The child is a fork, which has the libraries already: that costs some hundredths of
a second, a new interpreter a quarter. It gets limits on processor time and memory, none of the parent's files and
sockets, and hands its table back through memory.
"""

from __future__ import annotations

import faulthandler
import json
import mmap
import os
import resource
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, NoReturn

import pyarrow as pa

from evergreen.definition.model import ColumnType
from evergreen.errors import UnavailableError
from evergreen.intake import delimited, parquet
from evergreen.intake.failures import Failure, UnfitFileError, plain, unfit
from evergreen.intake.limits import Limits

_TABLE, _UNFIT, _MEMORY, _FAULT = 0, 10, 11, 12
"""How the child ends, and so what it leaves: a table, failures, or the words of an exception."""
_DETAIL = 160


def read_table(data: bytes, suffix: str, columns: Mapping[str, ColumnType], limits: Limits) -> pa.Table:
    """The definition's columns of the landed file `data` (`suffix` parquet or csv), with the types they have in it.

    Raises:
        UnfitFileError: it holds no such table, or it is too much for its reader.
        UnavailableError: as `contained` does.
    """
    if not data:
        raise UnfitFileError(unfit("readable", "the file is empty (0 bytes)", observed="0 bytes", expected="a table"))
    reader = delimited if suffix == "csv" else parquet
    return contained(lambda: reader.read(data, columns, limits), limits)


def contained(work: Callable[[], pa.Table], limits: Limits) -> pa.Table:
    """What `work` returns in a child process with `limits.read_seconds` of processor time and `limits.read_memory`.

    Raises:
        UnfitFileError: as `work` raises it; or it crashed, raised another exception or ran into a limit, in words.
        UnavailableError: the child was ended from outside, or waited and did not work: no fault of the file.
    """
    with _memory_file() as answer:
        pid = _fork()
        if pid == 0:
            _work_and_exit(work, answer, limits)
        code = _wait(pid, limits)
        if code == _TABLE:
            return _table(answer)
        if code == _UNFIT:
            raise UnfitFileError(*_failures(answer))
        raise UnfitFileError(_end_in_words(code, answer, limits))


def _memory_file() -> IO[bytes]:
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("evergreen-read"), "w+b")
    return tempfile.TemporaryFile()


def _fork() -> int:
    with warnings.catch_warnings():
        # Python warns of other threads' locks. The child takes none that it does not make itself; where one were held
        # all the same it would wait, and `_wait` tells waiting from working.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return os.fork()
        except OSError as error:
            raise UnavailableError(
                f"no process could be started to read the file in ({error.strerror}); nothing was recorded"
            ) from error


def _work_and_exit(work: Callable[[], pa.Table], answer: IO[bytes], limits: Limits) -> NoReturn:
    """The child's life. Nothing of the parent may run in it afterwards: no handler, no finalizer, no traceback."""
    code = _FAULT
    try:
        _confine(answer.fileno(), limits)
        try:
            _write_table(work(), answer)
            code = _TABLE
        except UnfitFileError as error:
            answer.write(json.dumps([failure.to_json() for failure in error.failures]).encode())
            code = _UNFIT
        except MemoryError:
            code = _MEMORY
        except BaseException as error:
            answer.write(plain(repr(error), _DETAIL).encode())
        answer.flush()
    finally:
        os._exit(code)


def _confine(kept: int, limits: Limits) -> None:
    faulthandler.disable()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    os.closerange(3, kept)
    os.closerange(kept + 1, min(max(os.sysconf("SC_OPEN_MAX"), 1024), 1 << 20))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (limits.read_seconds, limits.read_seconds + 5))
    with suppress(OSError, ValueError):  # only Linux says how much it has and holds it to more
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + limits.read_memory
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: not to outlive a parent that was killed
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    # The default pool reserves address space ahead, which the limit would count.
    pa.set_memory_pool(pa.system_memory_pool())


def _write_table(table: pa.Table, answer: IO[bytes]) -> None:
    with pa.ipc.new_stream(answer, table.schema) as stream:
        stream.write_table(table)


def _wait(pid: int, limits: Limits) -> int:
    """The child's exit code; minus the number of the signal that ended it."""
    deadline, pause = time.monotonic() + limits.read_wait, 0.001
    try:
        while time.monotonic() < deadline:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                pid = 0
                return os.waitstatus_to_exitcode(status)
            time.sleep(pause)
            pause = min(2 * pause, 0.05)
        raise UnavailableError(
            f"the process that reads the file took {limits.read_wait:,} seconds and hardly worked: "
            "the machine is overloaded, or it hangs; nothing was recorded, the next try reads the file anew"
        )
    finally:
        if pid:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _table(answer: IO[bytes]) -> pa.Table:
    """The child's table; its memory is the file's, which lives as long as the table does."""
    content = mmap.mmap(answer.fileno(), 0, prot=mmap.PROT_READ)
    table = pa.ipc.open_stream(pa.py_buffer(content)).read_all()
    table.validate()
    return table


def _text(answer: IO[bytes]) -> str:
    answer.seek(0)
    return answer.read().decode()


def _failures(answer: IO[bytes]) -> list[Failure]:
    said = json.loads(_text(answer))
    return [Failure(**{**parts, "sample": tuple(parts["sample"]), "rows": tuple(parts["rows"])}) for parts in said]


def _end_in_words(code: int, answer: IO[bytes], limits: Limits) -> Failure:
    if code == -signal.SIGXCPU:
        sentence = f"reading the file took more than {limits.read_seconds:,} seconds of processor time"
        return unfit("size", sentence, expected=f"at most {limits.read_seconds} s")
    if code == _MEMORY:
        sentence = f"reading the file took more than {limits.read_memory:,} bytes of memory, though it is smaller"
        return unfit("size", sentence, expected=f"at most {limits.read_memory} bytes")
    if code in (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT):
        raise UnavailableError(
            f"the process that reads the file was ended from outside ({signal.Signals(-code).name}; has the machine "
            "run out of memory?); nothing was recorded, the next try reads the file anew"
        )
    detail = signal.Signals(-code).name if code < 0 else _text(answer) or f"exit code {code}"
    sentence = f"the file is damaged in a way that its reader cannot bear ({detail}); write it anew and land it again"
    return unfit("readable", sentence, observed=detail, expected="a readable file")
