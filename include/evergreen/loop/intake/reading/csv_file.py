"""Read a CSV file that nobody vouches for: UTF-8, comma separated, with a header line (RFC 4180).

An empty field is a missing value. In columns that are not text, `NA`, `NaN`, `null` and their like are missing too.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.csv as pc

from evergreen.core.definition.model import ColumnType
from evergreen.core.text import plain
from evergreen.loop.intake.failures import Failure, UnfitFileError, unfit
from evergreen.loop.intake.limits import Limits
from evergreen.loop.intake.reading.column_names import check_names
from evergreen.loop.intake.reading.file_types import contents

_BOM = b"\xef\xbb\xbf"
_HEADER_BYTES = 1 << 20


def read(data: bytes, columns: Mapping[str, ColumnType], limits: Limits) -> pa.Table:
    """The definition's columns of the CSV file `data`, all as text; missing values are null.

    Raises:
        UnfitFileError: not UTF-8 text, lines of different lengths, beyond a limit, or not these columns.
    """
    names = header(data)
    check_names(names, columns, limits)
    odd_lines: list[pc.InvalidRow] = []
    table = _parse(data, columns, limits, odd_lines)
    if odd_lines:
        raise UnfitFileError(_uneven(odd_lines, table.num_rows + len(odd_lines)))
    if table.num_rows > limits.rows:
        raise UnfitFileError(
            unfit("size", f"the file has {table.num_rows:,} rows; a partition may have {limits.rows:,}")
        )
    return table


def _check_text(data: bytes) -> None:
    found = contents(data)
    if found not in ("plain text", "of no known kind"):
        sentence = f"this is not a CSV file, though its name says so: it is {found}; land CSV in UTF-8"
        raise UnfitFileError(unfit("readable", sentence, observed=found, expected="CSV"))
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        sentence = f"the text is not UTF-8: byte 0x{data[error.start]:02x} in line {line:,}; land it encoded as UTF-8"
        raise UnfitFileError(unfit("encoding", sentence, observed=f"line {line}", expected="UTF-8")) from None
    at = data.find(b"\0")
    if at >= 0:
        line = data.count(b"\n", 0, at) + 1
        raise UnfitFileError(unfit("encoding", f"line {line:,} holds a NUL character: the file is damaged or not text"))


def header(data: bytes) -> list[str]:
    """The names in the header line of the CSV file `data`.

    Raises:
        UnfitFileError: not UTF-8 text, or not separated by commas.
    """
    _check_text(data)
    head = data.removeprefix(_BOM)[:_HEADER_BYTES].decode("utf-8", "ignore")
    try:
        names = next(csv.reader(io.StringIO(head)), [])
    except csv.Error as error:
        raise UnfitFileError(unfit("readable", f"the header line cannot be read: {plain(error)}")) from None
    if len(names) == 1 and any(mark in names[0] for mark in ";\t|"):
        mark = next(m for m in ";\t|" if m in names[0])
        sentence = f"the header line is separated by {mark!r}, not by commas; land it comma separated"
        raise UnfitFileError(unfit("readable", sentence, observed=plain(names[0]), expected="commas"))
    return names


def _parse(data: bytes, columns: Mapping[str, ColumnType], limits: Limits, odd_lines: list[pc.InvalidRow]) -> pa.Table:
    def skip(row: pc.InvalidRow) -> str:
        odd_lines.append(row)
        return "skip"

    try:
        return pc.read_csv(
            pa.BufferReader(data),
            read_options=pc.ReadOptions(use_threads=False, block_size=limits.csv_line_bytes),
            parse_options=pc.ParseOptions(newlines_in_values=True, invalid_row_handler=skip),
            convert_options=pc.ConvertOptions(
                include_columns=list(columns),
                column_types=dict.fromkeys(columns, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
    except (pa.ArrowException, ValueError, OverflowError) as error:
        detail = plain(str(error).partition("\n")[0], 120)
        sentence = f"the CSV file cannot be read ({detail}); look for an open quote or a line of over 16 MB"
        raise UnfitFileError(unfit("readable", sentence, observed=detail)) from None


def _uneven(odd_lines: list[pc.InvalidRow], total: int) -> Failure:
    first = odd_lines[0]
    where = f"the first is line {first.number:,}, with" if first.number else "the first has"
    sentence = (
        f"{len(odd_lines):,} of {total:,} lines do not have the header's {first.expected_columns} fields: "
        f"{where} {first.actual_columns} ('{plain(first.text, 40)}'); look for a cut-off end or an open quote"
    )
    return unfit("even_lines", sentence, observed=str(first.actual_columns), expected=str(first.expected_columns))
