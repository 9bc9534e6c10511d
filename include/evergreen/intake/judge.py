"""The verdict on a landed file: from its bytes to accepted rows or to reasons.

No I/O, so that `evergreen check` and the DAGs give the same answer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from evergreen.definition import ModelDefinition
from evergreen.definition.model import TableName
from evergreen.intake import delimited, parquet
from evergreen.intake.convert import to_frame
from evergreen.intake.failures import Failure, UnfitFileError, critical, reason, unfit
from evergreen.intake.limits import LIMITS, Limits
from evergreen.intake.structure import RULES_VERSION, check_structure
from evergreen.intake.suite import SuiteResult, run_suite, suite_hash


@dataclass(frozen=True)
class Judgement:
    """What is said of one file."""

    accepted: bool
    reason: str
    """A sentence a person understands"""
    failures: tuple[Failure, ...]
    """Critical ones first; warnings alone leave a file accepted"""
    frame: pd.DataFrame | None
    """The rows with the definition's columns and dtypes; None where the file could not be read as such"""
    suite: SuiteResult | None
    """None where the expectations could not be asked"""

    @property
    def rows(self) -> int | None:
        """Rows in the file; None where it could not be read."""
        return None if self.frame is None else len(self.frame)


def judge(
    data: bytes,
    suffix: str,
    definition: ModelDefinition,
    table: TableName,
    key: str,
    expectations: Sequence[Any],
    limits: Limits = LIMITS,
) -> Judgement:
    """Read the file `data` (`suffix` parquet or csv) as `table` of the partition `key` and judge it.

    Raises:
        DefinitionError: the expectations contradict the definition. Whatever is wrong with the file is in the result.
    """
    try:
        frame = read_table(data, suffix, definition, table, limits)
    except UnfitFileError as error:
        return Judgement(False, reason(error.failures), error.failures, None, None)
    structural = check_structure(frame, definition, table, definition.partitions.period(key))
    if frame.empty:
        return Judgement(False, reason(structural), tuple(structural), frame, None)
    suite = run_suite(frame, expectations, f"{definition.name}.{table}")
    failures = (*structural, *suite.found)
    worst = critical(failures)
    return Judgement(not worst, reason(worst) or _acceptance(frame, suite), failures, frame, suite)


def read_table(
    data: bytes, suffix: str, definition: ModelDefinition, table: TableName, limits: Limits = LIMITS
) -> pd.DataFrame:
    """The file as a frame with the definition's columns and dtypes (see `convert.to_frame`); raises UnfitFileError."""
    if not data:
        raise UnfitFileError(unfit("readable", "the file is empty (0 bytes)", observed="0 bytes", expected="a table"))
    if len(data) > limits.file_bytes:
        raise UnfitFileError(too_large(len(data), limits))
    columns = definition.feed.tables[table].columns
    reader = delimited if suffix == "csv" else parquet
    return to_frame(reader.read(data, columns, limits), columns, limits, from_text=suffix == "csv")


def too_large(size: int, limits: Limits = LIMITS) -> Failure:
    """The failure of a file that is not even opened."""
    sentence = f"the file has {size:,} bytes; a partition's file may have {limits.file_bytes:,}. Land shorter periods"
    return unfit("size", sentence, observed=f"{size}", expected=f"at most {limits.file_bytes}")


def verdict_hash(definition: ModelDefinition, table: TableName, expectations: Sequence[Any]) -> str:
    """SHA-256 over everything but the bytes that a verdict depends on: rules, columns and expectations."""
    feed = definition.feed
    parts = [
        RULES_VERSION,
        feed.tables[table].columns,
        [feed.entity, feed.event_time, definition.calendar.period],
        definition.target if table == "labels" else None,
        suite_hash(expectations),
    ]
    # The columns keep their order: it is the order of the clean file.
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _acceptance(frame: pd.DataFrame, suite: SuiteResult) -> str:
    warnings = [failure.sentence for failure in suite.found]
    told = f"; {len(warnings)} warned: {reason(suite.found)}" if warnings else ""
    return f"{len(frame):,} rows; {suite.checked - len(warnings)} of {suite.checked} expectations hold{told}"
