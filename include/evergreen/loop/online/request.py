"""Read the rows of a request: JSON in, a table of the feed's inputs with the definition's types out.

The rules are those of landed tables (`evergreen.loop.intake.reading.convert`), and so are the words about what breaks
them; what a suite of Great Expectations would say of a whole partition is asked when the partition lands.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.model import ColumnType
from evergreen.core.names import PartitionKey
from evergreen.core.text import plain
from evergreen.errors import BadInputError, PartitionKeyError
from evergreen.loop.intake import pseudonyms
from evergreen.loop.intake.failures import SAMPLE, Failure, UnfitFileError, breach, unfit
from evergreen.loop.intake.limits import LIMITS
from evergreen.loop.intake.reading.convert import to_frame
from evergreen.loop.intake.reading.made_columns import with_made

BODY_BYTES = 4 << 20
ROWS = 1_000
"""Rows of one request; for more there are the batch predictions"""
PARTITIONS = 8
"""Partitions that the rows of one request may lie in: the features of each look back on others"""
SHAPE = '{"rows": [{"column": value, ...}, ...]}'
Row = Mapping[str, Any]
_MOST = float("inf")

_JSON_TYPES: dict[ColumnType, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int, float),  # 12.0, which some writers of JSON make of 12
    "float": (int, float),
    "boolean": (bool,),
    "timestamp": (str,),
}
_IN_WORDS: dict[type, str] = {str: "text", bool: "true or false", int: "a number"}
_AS_TEXT: dict[ColumnType, Callable[[Any], str]] = {
    "string": str,
    "integer": str,
    # The shortest text that is this very number again.
    "float": repr,
    "boolean": lambda value: "true" if value else "false",
    "timestamp": str,
}


def read_rows(body: bytes) -> list[dict[str, Any]]:
    """The rows of a request's body.

    Raises:
        BadInputError: it is no JSON, has another shape than `SHAPE`, or too many rows.
    """
    try:
        document = json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise BadInputError(f"the body is not JSON ({plain(error, 120)}); send {SHAPE}") from None
    rows = document.get("rows") if isinstance(document, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise BadInputError(f"the body is not of the shape {SHAPE}")
    unknown = sorted(plain(name) for name in document if name != "rows")
    if unknown:
        raise BadInputError(f"the body has fields beside `rows`, which nothing reads: {', '.join(unknown[:SAMPLE])}")
    if not 0 < len(rows) <= ROWS:
        raise BadInputError(
            f"the request has {len(rows):,} rows; send 1 to {ROWS:,}, and score larger sets by landing them"
        )
    return rows


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no JSON number; send null where a value is unknown")


def to_inputs(
    definition: ModelDefinition,
    rows: Sequence[Row],
    key: bytes | None = None,
    known: Callable[[], Collection[str]] | None = None,
) -> pd.DataFrame:
    """The rows as a table of inputs, in their order, with dtypes as those of an accepted partition.

    Args:
        definition: the model.
        rows: each with all columns of the inputs; others are not read.
        key: of the tokens that replace the values of personal columns; needed if there are some.
        known: columns that the serving version's code knows, asked for only if rows lack some; a column that came to
            the definition later may be left out until a version that knows it serves. All by default.

    Raises:
        UnfitFileError: with a failure for each column that does not fit.
    """
    columns, aliases = definition.feed.landed_columns("inputs"), definition.feed.tables["inputs"].aliases
    rows = [_renamed(row, aliases) for row in rows] if aliases else rows
    lacking = _lacking(rows, columns)
    if lacking and known is not None:
        asked = set(known())
        lacking = [failure for failure in lacking if failure.column in asked]
    failures = [*lacking, *_of_other_types(rows, columns), *_inexact(rows, columns)]
    if failures:
        raise UnfitFileError(*failures)
    table = pa.table({name: _texts(name, rows, kind) for name, kind in columns.items()})
    if key is not None:
        table = pseudonyms.in_table(table, definition, "inputs", key)
    frame = to_frame(
        table, columns, LIMITS, from_text=True, clock=definition.calendar.clock,
        dates=definition.feed.date_columns,
    )  # fmt: skip
    failures = [
        breach(
            "not_null", name, "have no value; every row needs its own",
            rows=missing, total=len(frame), expected="no missing values",
        )
        for name in named_columns(definition)
        if len(missing := np.flatnonzero(frame[name].isna().to_numpy()))
    ]  # fmt: skip
    if failures:
        raise UnfitFileError(*failures)
    return with_made(frame, definition, "inputs")


def named_columns(definition: ModelDefinition) -> tuple[str, ...]:
    """The fields of a row that say which it is, and when: none may be null."""
    return (*definition.feed.id_columns, *definition.feed.time_columns)


def _renamed(row: Row, aliases: Mapping[str, Sequence[str]]) -> Row:
    """The row with its columns under the names that they have now."""
    found = dict(row)
    for name, earlier in aliases.items():
        known = next((alias for alias in earlier if alias in row), None)
        if name not in row and known is not None:
            found[name] = row[known]
    return found


def _lacking(rows: Sequence[Row], columns: Mapping[str, ColumnType]) -> list[Failure]:
    """A field that is missing is a mistake of the caller; a value that is unknown is said to be: null."""
    return [
        breach(
            "column_missing", name, "have no such field; send null where the value is unknown",
            rows=np.asarray(without), total=len(rows), expected="the field, or null",
        )
        for name in columns
        if (without := [place for place, row in enumerate(rows) if name not in row])
    ]  # fmt: skip


def _of_other_types(rows: Sequence[Row], columns: Mapping[str, ColumnType]) -> list[Failure]:
    found = []
    for name, kind in columns.items():
        wanted = _JSON_TYPES[kind]
        wrong = [place for place, row in enumerate(rows) if not _fits(row.get(name), wanted)]
        if wrong:
            needed = _IN_WORDS[wanted[0]]
            sentence = f"hold something else than {needed} (the definition says {kind})"
            sample = [json.dumps(rows[place][name], default=str) for place in wrong[:SAMPLE]]
            found.append(
                breach(
                    "column_type", name, sentence, rows=np.asarray(wrong), total=len(rows), expected=needed,
                    sample=sample,
                )
            )  # fmt: skip
    return found


def _inexact(rows: Sequence[Row], columns: Mapping[str, ColumnType]) -> list[Failure]:
    """Whole numbers that a caller wrote as 1.2e18: from 2**53 on a float is not the number that was meant."""
    found = []
    for name in (name for name, kind in columns.items() if kind == "integer"):
        wrong = [n for n, row in enumerate(rows) if isinstance(v := row.get(name), float) and 2.0**53 <= abs(v) < _MOST]
        if wrong:
            sentence = "are floats of 2**53 or more, which no longer say which whole number was meant"
            found.append(
                breach(
                    "column_type", name, sentence, rows=np.asarray(wrong), total=len(rows), expected="whole numbers",
                    sample=[rows[place][name] for place in wrong[:SAMPLE]], hint="send all digits, without a point",
                )
            )  # fmt: skip
    return found


def _fits(value: Any, wanted: tuple[type, ...]) -> bool:
    # To Python, true is a whole number too.
    return value is None or (isinstance(value, wanted) and (not isinstance(value, bool) or bool in wanted))


def _texts(name: str, rows: Sequence[Row], kind: ColumnType) -> pa.Array:
    text = _AS_TEXT[kind]
    try:
        values = (row.get(name) for row in rows)
        return pa.array([None if value is None else text(value) for value in values], pa.string())
    except UnicodeEncodeError:
        sentence = f"{plain(name)}: holds half of a surrogate pair, which is no text"
        raise UnfitFileError(unfit("encoding", sentence, expected="Unicode text", column=name)) from None


def keys_of(definition: ModelDefinition, frame: pd.DataFrame) -> list[PartitionKey]:
    """Key of the partition that each row of `frame` lies in, by its event time.

    Raises:
        UnfitFileError: some lie outside the model's calendar, or an entity comes twice within a partition.
        BadInputError: they lie in more than `PARTITIONS`.
    """
    times = frame[definition.feed.event_time]
    known = {instant: _key(definition, instant.to_pydatetime()) for instant in times.unique()}
    keys = [known[instant] for instant in times]
    failures = [*_outside(definition, keys), *_repeated(definition, frame, keys)]
    if failures:
        raise UnfitFileError(*failures)
    if len(set(keys)) > PARTITIONS:
        raise BadInputError(
            f"the rows lie in {len(set(keys))} partitions; send those of at most {PARTITIONS} in one request"
        )
    return [key for key in keys if key is not None]


def _key(definition: ModelDefinition, instant: dt.datetime) -> PartitionKey | None:
    try:
        key = definition.partitions.key_of(instant)
        return key if definition.partitions.contains(key) else None
    except PartitionKeyError:
        return None


def _outside(definition: ModelDefinition, keys: Sequence[PartitionKey | None]) -> list[Failure]:
    rows = np.asarray([place for place, key in enumerate(keys) if key is None], dtype=np.intp)
    if not len(rows):
        return []
    calendar = definition.calendar
    span = f"{calendar.start} to {calendar.end or 'no end'}"
    sentence = f"lie outside the calendar of {definition.name} ({span})"
    name = definition.feed.event_time
    return [breach("within_calendar", name, sentence, rows=rows, total=len(keys), expected=span)]


def _repeated(definition: ModelDefinition, frame: pd.DataFrame, keys: Sequence[PartitionKey | None]) -> list[Failure]:
    entity = definition.feed.entity
    again = pd.DataFrame({"entity": frame[entity], "key": keys}).duplicated(keep="first").to_numpy()
    rows = np.flatnonzero(again)
    if not len(rows):
        return []
    sentence = "repeat the identifier of an earlier row of the same partition"
    name = " and ".join(definition.feed.id_columns)
    return [breach("entity_unique", name, sentence, rows=rows, total=len(frame), expected="unique values")]
