"""What is said of one landed file, and how a process hands it to another: plain JSON and Arrow, nothing that runs."""

from __future__ import annotations

import json
import mmap
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import IO

import pandas as pd
import pyarrow as pa

from evergreen.core.definition.model import ColumnType
from evergreen.core.frames import to_frame, to_table
from evergreen.loop.intake.failures import Failure
from evergreen.loop.intake.validation.suite import SuiteResult


@dataclass(frozen=True)
class Judgement:
    """What is said of one file."""

    accepted: bool
    reason: str
    """A sentence a person understands"""
    failures: tuple[Failure, ...]
    """Critical ones first; those of an accepted file are warnings, or are about its rejected rows"""
    frame: pd.DataFrame | None
    """The rows with the definition's columns and dtypes, rejected ones left out; None if it does not fit them"""
    suite: SuiteResult | None
    """None if the expectations could not be asked"""
    rejected: pa.Table | None = None
    """Rows that are kept out of an accepted file: as they landed, with `ROW` and `REASON`; None if there are none"""

    @property
    def rows(self) -> int | None:
        """Rows in the file; None if it could not be read."""
        return None if self.frame is None else len(self.frame) + self.rows_rejected

    @property
    def rows_rejected(self) -> int:
        """Rows that are kept out of an accepted file."""
        return 0 if self.rejected is None else int(self.rejected.num_rows)

    def write(self, columns: Mapping[str, ColumnType], answer: IO[bytes]) -> None:
        """Write it to an empty file: a line with lengths, then in these all but the tables as JSON, and the tables."""
        frame = None if self.frame is None else to_table(self.frame, columns)
        parts = [
            json.dumps(
                {
                    "accepted": self.accepted,
                    "reason": self.reason,
                    "failures": [_parts(failure) for failure in self.failures],
                    "suite": self.suite and {**asdict(self.suite), "found": [_parts(f) for f in self.suite.found]},
                }
            ).encode(),
            *(b"" if table is None else _stream(table) for table in (frame, self.rejected)),
        ]
        answer.write(json.dumps([len(part) for part in parts]).encode() + b"\n")
        for part in parts:
            answer.write(part)

    @classmethod
    def read(cls, answer: IO[bytes]) -> Judgement:
        """What `write` wrote; the memory of its tables is the file's."""
        content = mmap.mmap(answer.fileno(), 0, prot=mmap.PROT_READ)
        line = content.readline()
        parts, begin = [], len(line)
        for length in json.loads(line):
            parts.append(pa.py_buffer(content).slice(begin, length))
            begin += length
        told = json.loads(parts[0].to_pybytes())
        suite = told["suite"] and SuiteResult(**{**told["suite"], "found": _failures(told["suite"]["found"])})
        frame, rejected = (_table(part) if part.size else None for part in parts[1:])
        return cls(
            told["accepted"],
            told["reason"],
            _failures(told["failures"]),
            None if frame is None else to_frame(frame),
            suite,
            rejected,
        )


def _parts(failure: Failure) -> dict[str, object]:
    return failure.to_json() | {"rule": failure.rule}


def _failures(parts: list[dict[str, object]]) -> tuple[Failure, ...]:
    return tuple(map(Failure.from_json, parts))


def _stream(table: pa.Table) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue()


def _table(data: pa.Buffer) -> pa.Table:
    table = pa.ipc.open_stream(data).read_all()
    table.validate()
    return table
