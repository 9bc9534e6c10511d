"""A landed table that lies in several files, and how its columns become one.

Files of one table differ in more than their rows: the order of columns, 32 or 64 bits, a column that is missing where
nothing was known. Columns are matched by name, and no file decides for another: what differs is brought to a type that
holds every value of both, or to the definition's type (Spark's `mergeSchema` and DuckDB's `union_by_name` do the
former, but let double stand for decimal and cut 64-bit integers).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from evergreen.core.text import plain
from evergreen.loop.intake.failures import Failure, UnfitFileError

OFFSETS = b"evergreen.parts"
"""Key of a table's metadata: JSON list of [part, rows]"""
LACKING = b"evergreen.lacking"
"""The same: JSON object of a column -> the parts that lack it"""
_WIDEST = 76
"""Digits that a decimal can have"""
_SHOWN = 3
_LOOKED_AT = 1000
"""Bad rows whose part files are named"""


@dataclass(frozen=True)
class Parts:
    """The files of one table, each read when it is its turn."""

    names: tuple[str, ...]
    """As they landed, in order"""
    size: int
    """Bytes of all"""
    suffix: str
    """That of each, as `file_types.suffix_of` gives it"""
    read: Callable[[int], bytes]
    """The bytes of the file at a position"""


Content = bytes | Parts
"""What landed: one file, or several"""


def size_of(content: Content) -> int:
    """Bytes of what landed."""
    return content.size if isinstance(content, Parts) else len(content)


def blamed(part: str, error: UnfitFileError) -> UnfitFileError:
    """The same failures, which say that they are about the file `part`."""
    return UnfitFileError(*(replace(f, sentence=f"{plain(part)}: {f.sentence}") for f in error.failures))


def wider(kinds: Sequence[pa.DataType]) -> pa.DataType | None:
    """A type that holds every value of all `kinds` as it is, or None if there is none. Nulls fit any type."""
    known = list(dict.fromkeys(kind for kind in kinds if not pa.types.is_null(kind)))
    if len(known) <= 1:
        return known[0] if known else pa.null()
    if all(pa.types.is_integer(kind) for kind in known):
        return pa.int64() if pa.uint64() not in known else pa.decimal128(20, 0)
    if all(pa.types.is_floating(kind) for kind in known):
        return pa.float64()
    if all(pa.types.is_string(kind) or pa.types.is_large_string(kind) for kind in known):
        return pa.large_string()
    if all(pa.types.is_timestamp(kind) for kind in known) and len({kind.tz for kind in known}) == 1:
        return pa.timestamp(max((kind.unit for kind in known), key=("s", "ms", "us", "ns").index), known[0].tz)
    if all(pa.types.is_decimal(kind) for kind in known):
        scale = max(kind.scale for kind in known)
        digits = max(kind.precision - kind.scale for kind in known) + scale
        return pa.decimal256(digits, scale) if digits <= _WIDEST else None
    return None


def one_column(columns: Sequence[pa.ChunkedArray], *, mixed_numbers: bool = False) -> pa.ChunkedArray | None:
    """The values of `columns`, one after the other, or None if no type holds them all.

    `mixed_numbers`: whole numbers and doubles become doubles, if doubles hold these whole numbers exactly.
    """
    kinds = [column.type for column in columns if not pa.types.is_null(column.type)]
    kind = wider(kinds)
    if kind is None and mixed_numbers and all(pa.types.is_integer(k) or pa.types.is_floating(k) for k in kinds):
        kind = pa.float64()
    if kind is None:
        return None
    try:
        cast = [column if column.type == kind else _cast(column, kind) for column in columns]
    except pa.ArrowException:
        return None
    return pa.chunked_array([chunk for column in cast for chunk in column.chunks], kind)


def _cast(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if pa.types.is_unsigned_integer(column.type) or pa.types.is_decimal128(kind):
        column = pc.cast(column, pa.decimal128(20, 0)) if pa.types.is_decimal(kind) else column
    return pc.cast(column, kind)


def noted(table: pa.Table, names: Sequence[str], parts: Sequence[pa.Table]) -> pa.Table:
    """`table` with a note of which of its rows came from which part, and which columns a part lacks."""
    rows = [(name, part.num_rows) for name, part in zip(names, parts, strict=True)]
    lacking = {
        column: [name for name, part in zip(names, parts, strict=True) if column not in part.column_names]
        for column in table.column_names
    }
    kept = {column: parts for column, parts in lacking.items() if parts}
    return table.replace_schema_metadata({OFFSETS: json.dumps(rows).encode(), LACKING: json.dumps(kept).encode()})


def lacking_of(table: pa.Table) -> str:
    """Which columns are null because a part lacks them, in words; empty if there are none."""
    note = (table.schema.metadata or {}).get(LACKING, b"{}")
    return "; ".join(
        f"{plain(column)} is null in {_some(parts)}, which lack{'' if len(parts) > 1 else 's'} it"
        for column, parts in json.loads(note).items()
    )


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(map(plain, names[:_SHOWN])) + more


def placed(failures: Sequence[Failure], table: pa.Table) -> dict[str, str]:
    """Sentence of each failure that is about rows of a table of several parts -> the same with where they are."""
    note = (table.schema.metadata or {}).get(OFFSETS)
    if note is None:
        return {}
    parts, found = json.loads(note), {}
    for failure in failures:
        positions = failure.rows if failure.bad is None else map(int, failure.bad[:_LOOKED_AT])
        places = dict.fromkeys(_place(row, parts) for row in positions)
        if places:
            names = list(dict.fromkeys(name for name, _ in places))
            row = next(iter(places))
            where = f"first in row {row[1]:,} of {plain(row[0])}"
            also = f"; in {_some(names)}" if len(names) > 1 else ""
            found[failure.sentence] = f"{failure.sentence} ({where}{also})"
    return found


def _place(row: int, parts: Sequence[tuple[str, int]]) -> tuple[str, int]:
    """Name of the part that a row of the whole table is in, and its number there, from 1."""
    for name, rows in parts:
        if row < rows:
            return name, row + 1
        row -= rows
    raise IndexError(row)
