"""What a driver gives: the columns of a query's answer, and its rows, some at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from evergreen.core.definition.calendar import Period
from evergreen.core.definition.model import ColumnType
from evergreen.core.text import plain
from evergreen.errors import BadInputError

BATCH = 65_536
"""Rows that are held at once"""


@dataclass(frozen=True)
class Rows:
    """The answer to a query, from one snapshot of the database."""

    types: Mapping[str, str]
    """Column -> its type, as the database calls it"""
    batches: Iterator[pa.RecordBatch]
    """The columns that were asked for, in types that lose nothing: text if Arrow has none"""
    counted: Callable[[], int | None]
    """After the last batch: how many rows the database says it has sent; None if it does not say"""


class Driver(Protocol):
    """Reads one kind of database."""

    def __call__(
        self,
        url: object,
        query: str,
        period: Period,
        columns: Mapping[str, ColumnType],
        personal: Collection[str] = (),
    ) -> AbstractContextManager[Rows]:
        """Run `query` with the bounds of `period`, and give the `columns` that the definition has.

        If the feed has `personal` columns, no error quotes the database, which could quote a value of them.

        Raises:
            BadInputError: the database refuses the query, or its answer lacks a column.
            UnavailableError: it does not answer.
        """


def refusal(database: str, words: object, personal: Collection[str], code: object = None) -> BadInputError:
    """The error for a query that `database` refuses; its own words could quote a value of a personal column."""
    if not personal:
        return BadInputError(f"{database} refuses the query: {plain(words, 300)}")
    coded = f" (code {plain(code, 20)})" if code else ""
    return BadInputError(
        f"{database} refuses the query{coded}. Its message is not shown: it may quote values of the feed's personal "
        "columns. Run the query in the database to see it"
    )


def check_columns(names: list[str], columns: Mapping[str, ColumnType]) -> None:
    """Raise BadInputError if the answer lacks one of `columns`, or has one twice."""
    missing = [name for name in columns if name not in names]
    if missing:
        raise BadInputError(
            f"the query gives no column {', '.join(map(plain, missing))}; it gives "
            f"{', '.join(map(plain, names[:20]))}. Name it in the query (AS ...), or take it out of feed.tables"
        )
    twice = sorted({name for name in columns if names.count(name) > 1})
    if twice:
        raise BadInputError(f"the query gives more than one column {', '.join(map(plain, twice))}; rename one (AS ...)")


def as_texts(values: list[object]) -> pa.Array:
    """Values of Python as Arrow holds them: of one type as they are, of several as text, bytes as hex digits."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int} or kinds <= {float} or kinds <= {str}:
        return pa.array(values, pa.null() if not kinds else {int: pa.int64(), float: pa.float64(), str: pa.string()}[
            kinds.pop()
        ])  # fmt: skip
    return pa.array([None if value is None else _text(value) for value in values], pa.string())


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    return repr(value) if isinstance(value, float) else str(value)
