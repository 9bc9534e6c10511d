"""Read a CSV file that nobody vouches for: with a header line, quoted as RFC 4180 says.

UTF-8 and commas, unless the definition declares another form (`feed.csv`). An empty field is a missing value. In
columns that are not text, `NA`, `NaN`, `null` and their like are missing too.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.csv as pc

from evergreen.core.definition.model import ColumnType
from evergreen.core.definition.sections import CsvSection
from evergreen.core.text import plain
from evergreen.loop.intake.failures import Failure, UnfitFileError, unfit
from evergreen.loop.intake.limits import Limits
from evergreen.loop.intake.reading.column_names import find_columns
from evergreen.loop.intake.reading.file_types import REWRITTEN, contents, declare
from evergreen.loop.intake.reading.packing import is_packed, unpack

_BOM = b"\xef\xbb\xbf"
_HEADER_BYTES = 1 << 20
_UTF_8 = ("utf-8", "utf_8", "utf8")
DEFAULT = CsvSection()


def read(
    data: bytes, columns: Mapping[str, ColumnType], limits: Limits, form: CsvSection = DEFAULT, suffix: str = "csv"
) -> pa.Table:
    """The definition's columns of the CSV file `data`, all as text; missing values are null.

    Args:
        data: the file as it landed.
        columns: of the definition.
        limits: that the file must keep.
        form: how the producer writes text files.
        suffix: csv, tsv, either packed (csv.gz), or tokens.csv, which Evergreen wrote itself.

    Raises:
        UnfitFileError: not text of this form, lines of different lengths, beyond a limit, or not these columns.
    """
    text, form = text_of(data, form, suffix)
    names = header(text, form)
    try:
        places = find_columns(names, columns, limits)
    except UnfitFileError:
        check_kind(text)
        raise
    return read_places(text, names, places, limits, form)


def text_of(data: bytes, form: CsvSection, suffix: str) -> tuple[bytes, CsvSection]:
    """The file's text in UTF-8, unpacked and without a byte order mark, and the form that it has; raises as `read`."""
    if suffix == REWRITTEN:
        form = form.model_copy(update={"delimiter": ",", "encoding": "utf-8"})
    elif suffix.startswith("tsv"):
        form = form.model_copy(update={"delimiter": "\t"})
    if is_packed(suffix):
        data = unpack(data, form.max_unpacked, suffix)
    if form.encoding.lower() not in _UTF_8:
        data = _decoded(data, form.encoding)
    _check_text(data)
    return data.removeprefix(_BOM), form


def _decoded(data: bytes, encoding: str) -> bytes:
    try:
        return data.decode(encoding).encode("utf-8")
    except UnicodeError as error:
        detail = plain(error, 120)
        sentence = f"the text is not in the encoding {encoding} that feed.csv.encoding declares ({detail})"
        raise UnfitFileError(unfit("encoding", sentence, observed=detail, expected=encoding)) from None


def _check_text(data: bytes) -> None:
    found = contents(data)
    if found == "text in UTF-16":
        sentence = "the text is in UTF-16; land it in UTF-8, or declare feed.csv.encoding: utf-16"
        raise UnfitFileError(unfit("encoding", sentence, observed="UTF-16", expected="UTF-8"))
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        check_kind(data)
        line = data.count(b"\n", 0, error.start) + 1
        sentence = (
            f"the text is not UTF-8: byte 0x{data[error.start]:02x} in line {line:,}; land it encoded as UTF-8, or "
            "declare its encoding (feed.csv.encoding in model.yaml, --encoding of `evergreen new`), such as cp1252"
        )
        raise UnfitFileError(unfit("encoding", sentence, observed=f"line {line}", expected="UTF-8")) from None
    at = data.find(b"\0")
    if at >= 0:
        check_kind(data)
        line = data.count(b"\n", 0, at) + 1
        raise UnfitFileError(unfit("encoding", f"line {line:,} holds a NUL character: the file is damaged or not text"))


def check_kind(data: bytes) -> None:
    """Raise UnfitFileError if the bytes look like a file of another kind. A header may begin with { or ORC as well."""
    found = contents(data)
    if found not in ("plain text", "of no known kind"):
        sentence = f"this is not a CSV file, though its name says so: it is {found}; land CSV in UTF-8"
        raise UnfitFileError(unfit("readable", sentence, observed=found, expected="CSV"))


def header(text: bytes, form: CsvSection = DEFAULT) -> list[str]:
    """The names in the header line of `text`, as `text_of` returns it.

    Raises:
        UnfitFileError: it cannot be read, or is separated by another sign.
    """
    head = text[:_HEADER_BYTES].decode("utf-8", "ignore")
    try:
        names = next(csv.reader(io.StringIO(head), delimiter=form.delimiter), [])
    except csv.Error as error:
        raise UnfitFileError(unfit("readable", f"the header line cannot be read: {plain(error)}")) from None
    mark = next((m for m in ",;\t|" if m != form.delimiter and m in "".join(names)), None)
    if len(names) == 1 and mark:
        told = {"\t": "name it .tsv", ",": "name it .csv"}.get(mark) or declare(mark)
        usual = "commas" if form.delimiter == "," else repr(form.delimiter)
        sentence = f"the header line is separated by {mark!r}, not by {usual}; {told}, or land it separated by {usual}"
        raise UnfitFileError(unfit("readable", sentence, observed=plain(names[0]), expected=usual))
    return names


def read_places(
    text: bytes, names: list[str], places: Mapping[str, int], limits: Limits, form: CsvSection = DEFAULT
) -> pa.Table:
    """Columns of `text`, by the name they get and their position in its header `names`; raises as `read`."""
    odd_lines: list[pc.InvalidRow] = []
    table = _parse(text, len(names), list(places.values()), limits, odd_lines, form)
    if odd_lines:
        raise UnfitFileError(_uneven(odd_lines, table.num_rows + len(odd_lines), form.delimiter))
    if table.num_rows > limits.rows:
        raise UnfitFileError(
            unfit("size", f"the file has {table.num_rows:,} rows; a partition may have {limits.rows:,}")
        )
    return table.rename_columns(list(places))


def _parse(
    text: bytes, width: int, places: list[int], limits: Limits, odd_lines: list[pc.InvalidRow], form: CsvSection
) -> pa.Table:
    def skip(row: pc.InvalidRow) -> str:
        odd_lines.append(row)
        return "skip"

    # By position: names may repeat, be empty, or mean something to the reader.
    chosen = [str(place) for place in places]
    try:
        return pc.read_csv(
            pa.BufferReader(text),
            read_options=pc.ReadOptions(
                use_threads=False,
                block_size=limits.csv_line_bytes,
                column_names=[str(place) for place in range(width)],
                skip_rows_after_names=1,
            ),
            parse_options=pc.ParseOptions(delimiter=form.delimiter, newlines_in_values=True, invalid_row_handler=skip),
            convert_options=pc.ConvertOptions(
                include_columns=chosen,
                column_types=dict.fromkeys(chosen, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
    except (pa.ArrowException, ValueError, OverflowError) as error:
        detail = plain(str(error).partition("\n")[0], 120)
        sentence = f"the CSV file cannot be read ({detail}); look for an open quote or a line of over 16 MB"
        raise UnfitFileError(unfit("readable", sentence, observed=detail)) from None


def _uneven(odd_lines: list[pc.InvalidRow], total: int, delimiter: str) -> Failure:
    first = odd_lines[0]
    widths = {line.actual_columns - line.expected_columns for line in odd_lines}
    ended = all((line.text or "").rstrip("\r\n").endswith(delimiter) for line in odd_lines)
    if len(odd_lines) == total and widths == {1}:
        sentence = (
            f"each of the {total:,} lines ends with a delimiter, and the header does not: write the lines without it"
            if ended
            else f"each of the {total:,} lines has one field more than the header has names, as R writes row names: "
            "write the file without them (row.names=FALSE), or give their column a name"
        )
        return unfit("even_lines", sentence, observed=str(first.actual_columns), expected=str(first.expected_columns))
    where = f"the first is line {first.number:,}, with" if first.number else "the first has"
    sentence = (
        f"{len(odd_lines):,} of {total:,} lines do not have the header's {first.expected_columns} fields: "
        f"{where} {first.actual_columns} ('{plain(first.text, 40)}'); look for a cut-off end or an open quote"
    )
    return unfit("even_lines", sentence, observed=str(first.actual_columns), expected=str(first.expected_columns))
