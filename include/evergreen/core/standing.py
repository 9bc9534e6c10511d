"""Children that stand by: one process does the work of `sandbox.run` for many tables, one after the other.

A fork of a process that holds Great Expectations costs as much as judging a small table. Each piece of work keeps its
own limits, and whatever ends the process ends with it: the next piece gets a new one. Not for tasks: those judge one
table.
"""

from __future__ import annotations

import io
import mmap
import os
import pickle
import select
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO, Any, NoReturn

from evergreen.core import sandbox
from evergreen.core.sandbox import Answer, Board, Bounds, Work

_MOST_BYTES = 64 << 20
"""Of a piece of work, and of an answer. What is larger costs more than a fork and would stay in memory twice."""
_MOST_PIECES = 250
"""After which a process is replaced, whatever the libraries have kept in it by then"""


@contextmanager
def by(*shared: object) -> Iterator[None]:
    """Within this block, `sandbox.run` has children that stand by, for work that can be pickled.

    Args:
        shared: objects that the work refers to and that it does not carry: the children have them from their begin, as
            they are now, even if they cannot be pickled.
    """
    children = _Children(shared)
    sandbox.standing.append(children.run)
    try:
        yield
    finally:
        sandbox.standing.pop()
        children.end()


class _Children:
    """One that may open files, and one that may not."""

    def __init__(self, shared: Sequence[object]) -> None:
        self._shared = shared
        self._places = {id(thing): place for place, thing in enumerate(shared)}
        self._of: dict[bool, _Child] = {}

    def run(self, work: Work, answer: Answer, bounds: Bounds, board: Board | None) -> int | None:
        """As `sandbox.run`; None if this work is not for a child that stands by."""
        try:
            piece = _pickled((work, bounds), self._places)
        except (pickle.PicklingError, AttributeError, TypeError):  # such as a function in a function
            return None
        if len(piece) > _MOST_BYTES:
            return None
        child = self._of.pop(bounds.opens_files, None) or _Child(self._shared, bounds)
        try:
            code = child.do(piece, answer, bounds, board)
        except BaseException:
            child.kill()
            raise
        if child.pid and child.pieces < _MOST_PIECES:
            self._of[bounds.opens_files] = child
        else:
            child.end()
        return code

    def end(self) -> None:
        for child in self._of.values():
            child.end()
        self._of.clear()


class _Child:
    def __init__(self, shared: Sequence[object], bounds: Bounds) -> None:
        self.pieces = 0
        self._board, self._answer = Board(), sandbox.memory_file()
        asked, self._ask = os.pipe()
        self._told, tell = os.pipe()
        self.pid = sandbox.fork(bounds)
        if self.pid == 0:
            _serve(asked, tell, self._answer, self._board, shared, bounds)
        os.close(asked)
        os.close(tell)

    def do(self, piece: bytes, answer: Answer, bounds: Bounds, board: Board | None) -> int:
        """How it ended, as of `sandbox.run`; afterwards the process may have none any more (`pid` is 0)."""
        self.pieces += 1
        with suppress(BrokenPipeError):  # it ended: as what, is asked below
            _send(self._ask, piece)
        code = self._outcome(bounds)
        if board is not None:
            board.write(self._board.read())
        self._hand_over(answer)
        return code

    def _outcome(self, bounds: Bounds) -> int:
        told = select.poll()
        told.register(self._told, select.POLLIN)
        deadline = time.monotonic() + bounds.wait
        while not told.poll(max(0.0, 1_000 * (deadline - time.monotonic()))):
            if time.monotonic() >= deadline:
                raise sandbox.stuck(bounds)
        if said := os.read(self._told, 1):
            return said[0]
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        return os.waitstatus_to_exitcode(status)

    def _hand_over(self, answer: Answer) -> None:
        size = os.fstat(self._answer.fileno()).st_size
        if size > _MOST_BYTES:
            # The whole file goes to the caller, without a copy, and the process that holds it as well ends.
            os.dup2(self._answer.fileno(), answer.fileno(), inheritable=False)
            self.pieces = _MOST_PIECES
        elif size:
            with mmap.mmap(self._answer.fileno(), size, prot=mmap.PROT_READ) as content:
                answer.write(content)
            answer.flush()

    def end(self) -> None:
        """Let it end, and wait for that."""
        self._close()
        if self.pid:
            os.waitpid(self.pid, 0)
            self.pid = 0

    def kill(self) -> None:
        """End it, whatever it does."""
        if self.pid:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        self.end()

    def _close(self) -> None:
        os.close(self._ask)
        os.close(self._told)
        self._answer.close()


def _serve(asked: int, tell: int, answer: Answer, board: Board, shared: Sequence[object], bounds: Bounds) -> NoReturn:
    """The child's life: as `sandbox.run`'s, with one piece of work after the other."""
    code = sandbox.FAULT
    try:
        sandbox.standing.clear()
        sandbox.shut((asked, tell, answer.fileno()), bounds)
        with os.fdopen(asked, "rb") as inbox:
            while piece := _receive(inbox):
                answer.seek(0)
                answer.truncate()
                work, own = _unpickled(piece, shared)
                del piece
                board.write("")
                sandbox.limit(own, standing=True)
                code = sandbox.work_on(work, answer, board)
                del work
                if code not in (sandbox.DONE, sandbox.REFUSED):
                    break
                os.write(tell, bytes([code]))
    finally:
        os._exit(code)


def _send(pipe: int, piece: bytes) -> None:
    left = memoryview(len(piece).to_bytes(8, "little") + piece)
    while left:
        left = left[os.write(pipe, left) :]


def _receive(inbox: IO[bytes]) -> bytes:
    """The next piece of work; nothing if the parent has no more."""
    return inbox.read(int.from_bytes(inbox.read(8), "little"))


def _pickled(thing: object, places: dict[int, int]) -> bytes:
    class Pickler(pickle.Pickler):
        def persistent_id(self, part: Any) -> int | None:
            return places.get(id(part))

    buffer = io.BytesIO()
    Pickler(buffer, protocol=pickle.HIGHEST_PROTOCOL).dump(thing)
    return buffer.getvalue()


def _unpickled(piece: bytes, shared: Sequence[object]) -> Any:
    class Unpickler(pickle.Unpickler):
        def persistent_load(self, place: Any) -> object:
            return shared[place]

    return Unpickler(io.BytesIO(piece)).load()
