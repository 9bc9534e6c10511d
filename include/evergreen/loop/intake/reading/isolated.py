"""Read a landed file in a child process, so that whatever its bytes do to the reader ends there.

The readers are large programs in C++, fed with bytes that nobody vouches for: one bad length can end the process, fill
the memory or never come to an end.
"""

from __future__ import annotations

import json
import mmap
import signal
from collections.abc import Callable, Mapping
from functools import partial
from typing import IO

import pyarrow as pa

from evergreen.core import sandbox
from evergreen.core.definition.model import ColumnType
from evergreen.core.definition.sections import CsvSection
from evergreen.loop.intake.failures import Failure, UnfitFileError, unfit
from evergreen.loop.intake.limits import Limits
from evergreen.loop.intake.reading import csv_file, parquet_file
from evergreen.loop.intake.reading.file_types import is_text


def read_table(
    data: bytes, suffix: str, columns: Mapping[str, ColumnType], limits: Limits, form: CsvSection = csv_file.DEFAULT
) -> pa.Table:
    """The definition's columns of the landed file `data`, with the types they have in it; of a text file, all text.

    Args:
        data: the file as it landed.
        suffix: as `file_types.suffix_of` gives it.
        columns: of the definition.
        limits: that the file must keep.
        form: how the producer writes text files.

    Raises:
        UnfitFileError: it holds no such table, or it is too much for its reader.
        UnavailableError: as `contained` does.
    """
    if not data:
        raise UnfitFileError(unfit("readable", "the file is empty (0 bytes)", observed="0 bytes", expected="a table"))
    if is_text(suffix):
        return contained(partial(csv_file.read, data, columns, limits, form, suffix), limits)
    return contained(partial(parquet_file.read, data, columns, limits), limits)


def contained(work: Callable[[], pa.Table], limits: Limits) -> pa.Table:
    """What `work` returns in a child process with `limits.read_seconds` of processor time and `limits.read_memory`.

    Raises:
        UnfitFileError: as `work` raises it; or it crashed, raised another exception or ran into a limit, in words.
        UnavailableError: the child was ended from outside, or waited and did not work: no fault of the file.
    """
    bounds = sandbox.Bounds(limits.read_seconds, limits.read_memory, limits.read_wait, "reads the file")
    with sandbox.memory_file() as answer:
        code = sandbox.run(partial(_answer, work), answer, bounds)
        if code == sandbox.DONE:
            return _table(answer)
        if code == sandbox.REFUSED:
            raise UnfitFileError(*(Failure.from_json(parts) for parts in json.loads(sandbox.said(answer))))
        raise UnfitFileError(_end_in_words(code, answer, limits))


def _answer(work: Callable[[], pa.Table], answer: IO[bytes]) -> int:
    try:
        write_table(work(), answer)
    except UnfitFileError as error:
        answer.write(json.dumps([failure.to_json() for failure in error.failures]).encode())
        return sandbox.REFUSED
    return sandbox.DONE


def write_table(table: pa.Table, answer: IO[bytes]) -> None:
    """Write a table to where the parent finds it."""
    with pa.ipc.new_stream(answer, table.schema) as stream:
        stream.write_table(table)


def _table(answer: IO[bytes]) -> pa.Table:
    """The child's table; its memory is the file's, which lives as long as the table does."""
    content = mmap.mmap(answer.fileno(), 0, prot=mmap.PROT_READ)
    table = pa.ipc.open_stream(pa.py_buffer(content)).read_all()
    table.validate()
    return table


def _end_in_words(code: int, answer: IO[bytes], limits: Limits) -> Failure:
    if code == -signal.SIGXCPU:
        sentence = f"reading the file took more than {limits.read_seconds:,} seconds of processor time"
        return unfit("size", sentence, expected=f"at most {limits.read_seconds} s")
    if code == sandbox.MEMORY:
        sentence = f"reading the file took more than {limits.read_memory:,} bytes of memory, though it is smaller"
        return unfit("size", sentence, expected=f"at most {limits.read_memory} bytes")
    detail = sandbox.fault(code, answer)
    sentence = f"the file is damaged in a way that its reader cannot bear ({detail}); write it again and land it"
    return unfit("readable", sentence, observed=detail, expected="a readable file")
