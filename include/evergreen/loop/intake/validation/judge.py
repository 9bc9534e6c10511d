"""The verdict on a landed file: from its bytes to accepted rows or to reasons.

No I/O but child processes that read the bytes and judge the rows, so that `evergreen check` and the DAGs give the same
answer.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.model import TableName
from evergreen.core.names import PartitionKey
from evergreen.core.sandbox import note
from evergreen.core.text import share
from evergreen.loop.intake.comparisons import rules
from evergreen.loop.intake.comparisons.past import Past, no_past
from evergreen.loop.intake.comparisons.rules import Asked
from evergreen.loop.intake.failures import Failure, UnfitFileError, critical, reason, unfit
from evergreen.loop.intake.limits import LIMITS, Limits
from evergreen.loop.intake.reading.convert import to_frame
from evergreen.loop.intake.reading.file_types import is_text
from evergreen.loop.intake.reading.made_columns import with_made
from evergreen.loop.intake.reading.parts import Content, lacking_of, placed, size_of
from evergreen.loop.intake.validation.bad_rows import Look, Positions, sift
from evergreen.loop.intake.validation.earlier_columns import Newer, since_said, with_all
from evergreen.loop.intake.validation.isolated import judge_apart
from evergreen.loop.intake.validation.judgement import Judgement
from evergreen.loop.intake.validation.landed_parts import read_content
from evergreen.loop.intake.validation.structure import (
    READING_VERSION,
    RULES_VERSION,
    UNDECLARED,
    asks_for_classes,
    asks_for_counts,
    check_structure,
)
from evergreen.loop.intake.validation.suite import run_suite, suite_hash

CLOCK_FIELDS = {"timezone", "week_start", "repeated_hour"}
"""Of the calendar, beside the period: what says which instant a time is, and which partition has it."""
READING_MARK = "-reading-"
ROW, REASON = "evergreen_row", "evergreen_reason"
"""Columns of rejected rows beside their own: the position in the landed file, from 0, and the rules it breaks."""


def judge(
    data: Content,
    suffix: str,
    definition: ModelDefinition,
    table: TableName,
    key: PartitionKey,
    expectations: Sequence[Any],
    limits: Limits = LIMITS,
    past: Past | None = None,
    newer: Newer | None = None,
    in_full: bool = True,
) -> Judgement:
    """Read what landed (`suffix` as of `file_types.suffix_of`) as `table` of the partition `key`, and judge it.

    What `past` does not hold is not compared, and the reason says so. `newer` says which columns came to the
    definition after this partition; by default those that it says so of itself. Without `in_full`, Great Expectations'
    own result is left out.

    Raises:
        DefinitionError: the expectations contradict the definition. Whatever is wrong with the file is in the result.
        UnavailableError: the process that reads the file was ended from outside.
    """
    try:
        landed = _read(data, suffix, definition, table, limits, newer or since_said(definition, table, key))
    except UnfitFileError as error:
        return Judgement(False, reason(error.failures), error.failures, None, None)
    known = replace(past or no_past(definition, table, key), rows=landed.num_rows)
    # Without the functions around it: a child that stands by is sent it.
    decide = partial(_ask, landed, definition, table, key, expectations, known, limits, is_text(suffix), in_full)
    found = judge_apart(decide, definition.feed.tables[table].columns, landed.num_rows, limits)
    return _with_places(found, landed)


def _ask(
    landed: pa.Table,
    definition: ModelDefinition,
    table: TableName,
    key: PartitionKey,
    expectations: Sequence[Any],
    past: Past,
    limits: Limits,
    from_text: bool,
    in_full: bool,
    one_by_one: bool,
) -> Judgement:
    asked = rules.ask(expectations, past)
    return _decide(
        landed, _Question(definition, table, key, expectations, asked, limits, from_text, in_full, one_by_one)
    )


def _with_places(found: Judgement, landed: pa.Table) -> Judgement:
    """The same, and of a table in several files in which of them bad rows are."""
    sentences, told = placed(found.failures, landed), found.reason
    for before, after in sentences.items():
        told = told.replace(before, after)
    failures = tuple(replace(f, sentence=sentences.get(f.sentence, f.sentence)) for f in found.failures)
    note = lacking_of(landed) if found.accepted else ""
    return replace(found, reason=f"{told}; {note}" if note else told, failures=failures)


@dataclass(frozen=True)
class _Question:
    """All that rows are asked."""

    definition: ModelDefinition
    table: TableName
    key: PartitionKey
    expectations: Sequence[Any]
    asked: Asked
    limits: Limits
    from_text: bool
    in_full: bool
    """Whether Great Expectations' own result is wanted"""
    one_by_one: bool
    """Whether to ask one expectation after the other, so that a child says which it does not get done"""


def _decide(landed: pa.Table, question: _Question) -> Judgement:
    definition, asked = question.definition, question.asked
    # As a decimal the share is exact: 0.29 of 100 rows are 29.
    allowed = math.floor(Decimal(str(definition.feed.tables[question.table].max_bad_rows)) * landed.num_rows)
    first = _look(landed, question, allowed)
    worst = critical(first.failures)
    if not worst:
        return Judgement(True, _acceptance(first, asked), first.failures, first.frame, first.suite)
    if not allowed:
        return Judgement(False, reason(worst), first.failures, first.frame, first.suite)
    parts = sift(
        first, lambda kept: _look(_only(landed, kept), question, allowed), rows=landed.num_rows, allowed=allowed
    )
    if parts.obstacle:
        told = f"{reason(worst)}; {parts.obstacle}"
        return Judgement(False, told, first.failures, first.frame, first.suite)
    rejected = _rejected(landed, parts.reasons)
    kept_out = f"{share(len(rejected), landed.num_rows)} rows put into quarantine: {reason(parts.blamed)}"
    told, failures = f"{_acceptance(parts.look, asked)}; {kept_out}", (*parts.blamed, *parts.look.failures)
    return Judgement(True, told, failures, parts.look.frame, parts.look.suite, rejected)


def _look(landed: pa.Table, question: _Question, name_rows: int) -> Look:
    """What is found in the rows `landed`, as if they were the file."""
    definition, table, asked = question.definition, question.table, question.asked
    columns = {n: kind for n, kind in definition.feed.tables[table].columns.items() if n in landed.column_names}
    try:
        form, clock = definition.feed.csv, definition.calendar.clock
        dates = definition.feed.date_columns
        frame = to_frame(
            landed, columns, question.limits, from_text=question.from_text, form=form, clock=clock, dates=dates
        )
        frame = with_all(with_made(frame, definition, table), definition, table)
    except UnfitFileError as error:
        return Look(error.failures)
    structural = check_structure(frame, definition, table, definition.partitions.period(question.key))
    if frame.empty:
        return Look(tuple(structural), frame)
    own = [*rules.ordinary(question.expectations), *asked.expectations]
    name = f"{definition.name}.{table}"
    suite = run_suite(frame, own, name, name_rows=name_rows, one_by_one=question.one_by_one, in_full=question.in_full)
    note("the comparison with the partition's other table")
    compared = [failure for check in asked.checks for failure in check(frame)]
    found = sorted((*suite.found, *compared), key=lambda f: f.severity != "critical")
    return Look((*structural, *found), frame, suite)


def _only(landed: pa.Table, rows: Positions) -> pa.Table:
    mask = np.zeros(landed.num_rows, dtype=bool)
    mask[rows] = True
    return landed.filter(pa.array(mask))


def _rejected(landed: pa.Table, reasons: dict[int, str]) -> pa.Table:
    rows = np.fromiter(reasons, dtype=np.intp, count=len(reasons))
    found = _only(landed, rows)
    found = found.append_column(ROW, pa.array(rows, pa.int64()))
    return found.append_column(REASON, pa.array(list(reasons.values()), pa.string()))


def _read(
    data: Content, suffix: str, definition: ModelDefinition, table: TableName, limits: Limits, newer: Newer
) -> pa.Table:
    """The definition's columns as they landed; raises UnfitFileError if the file holds no such table."""
    if size_of(data) > limits.file_bytes:
        raise UnfitFileError(too_large(size_of(data), limits))
    return read_content(data, suffix, definition, table, limits, newer)


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
    parts += _declared(definition, table)
    # The columns keep their order: it is the order of the clean file.
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _declared(definition: ModelDefinition, table: TableName) -> list[Any]:
    """What is said only if it is set, so that verdicts given without it stay what they are."""
    feed, section = definition.feed, definition.feed.tables[table]
    calendar = definition.calendar.model_dump(exclude_defaults=True, include=CLOCK_FIELDS)
    made, form = (part.model_dump(exclude_defaults=True) for part in (feed.made, feed.csv))
    known: list[tuple[Any, Any]] = [
        (section.max_bad_rows, section.max_bad_rows),
        (section.aliases, {"aliases": section.aliases}),
        (section.since, {"since": {name: day.isoformat() for name, day in section.since.items()}}),
        (calendar, {"calendar": calendar}),
        (made, {"made": made}),
        (feed.personal, {"personal": sorted(feed.personal)}),
        (asks_for_classes(definition, table), {"task": definition.task}),
        (asks_for_counts(definition, table), {"loss": definition.loss}),
        (definition.classes and table == "labels", {"classes": definition.classes}),
        (form, {"csv": form}),
    ]
    return [part for is_set, part in known if is_set]


def recorded_hash(rules: str, *, accepted: bool) -> str:
    """What the ledger keeps as the suite's hash of a verdict that was given under `rules`, a `verdict_hash`.

    How bytes become rows may learn to read more and never to read the same otherwise. So what was accepted stays so,
    and what was quarantined is worth another look once `READING_VERSION` is higher.
    """
    return rules if accepted else f"{rules}{READING_MARK}{READING_VERSION}"


def _acceptance(found: Look, asked: Asked) -> str:
    warnings = [failure.sentence for failure in found.failures]
    told = f"; {len(warnings)} warned: {reason(found.failures)}" if warnings else ""
    rows, checked = len(found.frame) if found.frame is not None else 0, found.suite.checked if found.suite else 0
    checked += asked.rules + sum(failure.name == UNDECLARED for failure in found.failures)
    notes = "".join(f"; {note}" for note in asked.notes)
    return f"{rows:,} rows; {checked - len(warnings)} of {checked} expectations hold{told}{notes}"
