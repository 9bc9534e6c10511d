"""The verdict on a version of a reference table: from its bytes to rows or to reasons. Nothing is recorded here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.feed import TableSection
from evergreen.core.definition.made import MadeSection
from evergreen.core.definition.references import ReferenceSection
from evergreen.loop.intake.drop_content import content_of
from evergreen.loop.intake.failures import Failure, UnfitFileError, breach, critical, reason, unfit
from evergreen.loop.intake.landed_folder import LAKES
from evergreen.loop.intake.landing_zone import Drop
from evergreen.loop.intake.limits import LIMITS, Limits
from evergreen.loop.intake.reading.convert import to_frame
from evergreen.loop.intake.reading.file_types import is_text
from evergreen.loop.intake.reading.parts import Content, size_of
from evergreen.loop.intake.validation.isolated import judge_apart
from evergreen.loop.intake.validation.judge import CLOCK_FIELDS, too_large
from evergreen.loop.intake.validation.judgement import Judgement
from evergreen.loop.intake.validation.landed_parts import read_content
from evergreen.loop.intake.validation.structure import READING_VERSION
from evergreen.loop.intake.validation.suite import run_suite, suite_hash

if TYPE_CHECKING:
    import pandas as pd

RULES = 1
"""Version of the rules of this file"""


def rules_hash(definition: ModelDefinition, name: str, expectations: Sequence[Any]) -> str:
    """SHA-256, hex, over everything but the bytes that a verdict depends on."""
    section = definition.feed.references[name]
    parts = [
        RULES,
        READING_VERSION,
        section.model_dump(mode="json"),
        definition.feed.csv.model_dump(mode="json", exclude_defaults=True),
        definition.calendar.model_dump(mode="json", exclude_defaults=True, include=CLOCK_FIELDS),
        suite_hash(expectations),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def judge_reference_drop(
    drop: Drop, definition: ModelDefinition, name: str, expectations: Sequence[Any], limits: Limits = LIMITS
) -> Judgement:
    """The verdict that a drop would get, read where it lies; raises as `judge_reference` and `content_of`."""
    if drop.size > limits.file_bytes and drop.suffix not in LAKES:
        return refused(too_large(drop.size, limits))
    try:
        data, suffix = content_of(drop)
    except UnfitFileError as error:
        return refused(*error.failures)
    return judge_reference(data, suffix, definition, name, expectations, limits)


def judge_reference(
    data: Content,
    suffix: str,
    definition: ModelDefinition,
    name: str,
    expectations: Sequence[Any],
    limits: Limits = LIMITS,
) -> Judgement:
    """Read what landed as a version of the reference `name`, and judge it.

    Raises:
        DefinitionError: the expectations contradict the definition. Whatever is wrong with the file is in the result.
        UnavailableError: the process that reads the file was ended from outside.
    """
    section = definition.feed.references[name]
    try:
        if size_of(data) > limits.file_bytes:
            raise UnfitFileError(too_large(size_of(data), limits))
        landed = read_content(data, suffix, _stand_in(definition, section), "inputs", limits, lambda _: False)
    except UnfitFileError as error:
        return refused(*error.failures)

    def look(one_by_one: bool) -> Judgement:
        try:
            frame = to_frame(
                landed, section.columns, limits, from_text=is_text(suffix), form=definition.feed.csv,
                clock=definition.calendar.clock,
            )  # fmt: skip
        except UnfitFileError as error:
            return refused(*error.failures)
        return _decide(frame, section, f"{definition.name}.references.{name}", expectations, one_by_one)

    return judge_apart(look, section.columns, landed.num_rows, limits, "of this reference")


def refused(*failures: Failure) -> Judgement:
    """The judgement of what cannot be read."""
    return Judgement(False, reason(failures), failures, None, None)


def _decide(
    frame: pd.DataFrame, section: ReferenceSection, name: str, expectations: Sequence[Any], one_by_one: bool
) -> Judgement:
    found = check_rows(frame, section)
    suite = run_suite(frame, expectations, name, one_by_one=one_by_one) if expectations and len(frame) else None
    failures = (*found, *(suite.found if suite else ()))
    worst = critical(failures)
    told = f"{len(frame):,} rows" + (f"; warned: {reason(failures)}" if failures else "")
    return Judgement(not worst, reason(worst) if worst else told, failures, frame, suite)


def check_rows(frame: pd.DataFrame, section: ReferenceSection) -> list[Failure]:
    """What is wrong with the keys of a version's rows. Pure."""
    import numpy as np

    if frame.empty:
        return [unfit("rows", "the reference has no rows", observed="0 rows", expected="at least one row")]
    names = [*section.key, *((section.valid_from,) if section.valid_from else ())]
    missing = [(name, np.flatnonzero(frame[name].isna().to_numpy())) for name in names]
    failures = [
        breach("not_null", name, "have no value; the key of every row needs one", rows=rows, total=len(frame),
               expected="no missing values")
        for name, rows in missing if len(rows)
    ]  # fmt: skip
    twice = np.flatnonzero(frame.duplicated(names, keep=False).to_numpy())
    if len(twice) and not failures:
        said = " and ".join(names)
        sample = frame[names].iloc[twice[:5]].astype(str).agg(", ".join, axis=1)
        sentence = f"have the same {said} as another row" if len(names) > 1 else "have a value that another row has"
        failures.append(
            breach("unique", names[0], sentence, rows=twice, total=len(frame),
                   expected=f"{said} unique", sample=list(sample))
        )  # fmt: skip
    return failures


def _stand_in(definition: ModelDefinition, section: ReferenceSection) -> ModelDefinition:
    """A definition whose inputs have the columns of the reference, for readers that know of partitions' tables only."""
    table = TableSection.model_construct(columns=dict(section.columns), aliases={}, since={}, max_bad_rows=0.0)
    feed = definition.feed.model_copy(
        update={
            "tables": {"inputs": table, "labels": table},
            "entity": section.key[0],
            "event_time": section.key[0],
            "made": MadeSection(),
            "personal": (),
        }
    )
    return definition.model_copy(update={"feed": feed})
