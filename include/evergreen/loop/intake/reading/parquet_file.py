"""Read a Parquet file that nobody vouches for.

Checks go from cheap to expensive: magic bytes, the footer's own numbers, the schema, then the columns that the
definition names, batch by batch with a running count of what they take in memory. Other columns are not read, whatever
they hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from evergreen.core.definition.model import ColumnType
from evergreen.core.text import plain
from evergreen.loop.intake.failures import UnfitFileError, unfit
from evergreen.loop.intake.limits import Limits
from evergreen.loop.intake.reading.arrow_schema import KEY, unreadable_columns
from evergreen.loop.intake.reading.column_names import find_columns, too_long
from evergreen.loop.intake.reading.file_types import contents
from evergreen.loop.intake.reading.parquet_types import describe, merge

MAGIC = b"PAR1"
_BATCH = 65_536
_TAIL = 8


def read(data: bytes, columns: Mapping[str, ColumnType], limits: Limits) -> pa.Table:
    """The definition's columns of the Parquet file `data`, in the types that `parquet_types` gives them.

    Raises:
        UnfitFileError: it is no Parquet file, damaged, beyond a limit, or has not these columns, each of single values.
    """
    fields = columns_of(data, limits)
    return read_places(data, fields, find_columns([field.name for field in fields], columns, limits), limits)


def columns_of(data: bytes, limits: Limits) -> list[pa.Field]:
    """All columns of the file in its order, described by `parquet_types.describe`; raises as `read`."""
    _check_ends(data)
    _check_schema_size(data, limits)
    with _damage_in_words():
        metadata = _metadata(data)
        schema = pq.ParquetFile(pa.BufferReader(data), metadata=metadata, arrow_extensions_enabled=False).schema_arrow
        said = unreadable_columns((metadata.metadata or {}).get(_HIDDEN, b""))
        leaves = _leaves(schema, metadata.schema)
    return [describe(field, leaf, said.get(field.name)) for field, leaf in zip(schema, leaves, strict=True)]


def read_places(data: bytes, fields: list[pa.Field], places: Mapping[str, int], limits: Limits) -> pa.Table:
    """Columns of the file, by the name they get and their position in `fields`, which `columns_of` returned.

    Raises:
        UnfitFileError: damaged, beyond a limit, or a column holds nested values.
    """
    chosen = {name: fields[place] for name, place in places.items()}
    _check_flat(chosen)
    with _damage_in_words():
        metadata = _metadata(data)
    _check_size(metadata, limits)
    with _damage_in_words():
        # Texts stay dictionary-encoded, so that one huge value named by many rows is seen before it multiplies.
        file = pq.ParquetFile(
            pa.BufferReader(data),
            metadata=metadata,
            read_dictionary=[field.name for field in chosen.values() if _is_bytes(field.type)],
            page_checksum_verification=True,
            arrow_extensions_enabled=False,
            coerce_int96_timestamp_unit="us",
        )
        return _read_batches(file, chosen, limits)


_HIDDEN = KEY.swapcase()


def _metadata(data: bytes) -> pq.FileMetaData:
    """The footer; under another key the schema that Arrow cannot read, so that the columns it can read are read."""
    try:
        return pq.read_metadata(pa.BufferReader(data))
    except pa.ArrowNotImplementedError:
        length = int.from_bytes(data[-_TAIL:-4], "little")
        footer = data[-_TAIL - length : -_TAIL].replace(KEY, _HIDDEN)
        return pq.read_metadata(pa.BufferReader(MAGIC + footer + data[-_TAIL:]))


def _leaves(schema: pa.Schema, parquet: pq.ParquetSchema) -> list[pq.ColumnSchema | None]:
    """For each column its only leaf in the file's schema, or None if it has several or is nested."""
    found, at = [], 0
    for field in schema:
        width = _width(field.type)
        found.append(None if pa.types.is_nested(field.type) else parquet.column(at))
        at += width
    return found


def _width(kind: pa.DataType) -> int:
    """Leaves below a column of the type `kind`; without recursion, because a hostile file nests as deep as it likes."""
    leaves, waiting = 0, [kind]
    while waiting:
        part = waiting.pop()
        if isinstance(part, pa.BaseExtensionType):
            waiting.append(part.storage_type)
        elif pa.types.is_map(part):
            waiting += [part.key_type, part.item_type]
        elif pa.types.is_nested(part):
            waiting += [part.field(number).type for number in range(part.num_fields)]
        else:
            leaves += 1
    return leaves


def _check_ends(data: bytes) -> None:
    if not data.startswith(MAGIC):
        found = contents(data)
        sentence = f"this is not a Parquet file, though its name says so: it is {found}"
        raise UnfitFileError(unfit("readable", sentence, observed=found, expected="Parquet"))
    if len(data) < len(MAGIC) + _TAIL or not data.endswith(MAGIC):
        raise UnfitFileError(
            unfit(
                "readable", f"the Parquet file is cut off: its end is missing after {len(data):,} bytes; land it again"
            )
        )


def _check_schema_size(data: bytes, limits: Limits) -> None:
    """Refuse a schema with too many elements before pyarrow sees it: one nested 20,000 deep ends the process.

    The footer is a Thrift compact struct that begins with `1: i32 version, 2: list<SchemaElement> schema`
    (https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift).
    """
    length = int.from_bytes(data[-_TAIL:-4], "little")
    footer = data[-_TAIL - length : -_TAIL] if 0 < length <= len(data) - _TAIL - len(MAGIC) else b""
    elements = _schema_elements(footer[:32])
    if elements is None:
        raise UnfitFileError(unfit("readable", "the Parquet file is damaged: its footer makes no sense; land it again"))
    if elements > limits.columns + 1:
        raise UnfitFileError(
            unfit(
                "flat_table",
                f"the file has {elements - 1:,} columns or nested fields; a table may have {limits.columns:,}",
                observed=f"{elements - 1}",
                expected=f"at most {limits.columns}",
            )
        )


def _schema_elements(head: bytes) -> int | None:
    """Length of the schema list, or None if the footer does not begin as it must."""
    try:
        if head[0] != 0x15:  # field 1, i32
            return None
        _, at = _varint(head, 1)
        if head[at] != 0x19 or head[at + 1] & 0x0F != 0x0C:  # field 2, list of structs
            return None
        size = head[at + 1] >> 4
        return _varint(head, at + 2)[0] if size == 0x0F else size
    except IndexError:
        return None


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


@contextmanager
def _damage_in_words() -> Iterator[None]:
    try:
        yield
    except MemoryError as error:
        detail = plain(str(error).partition("\n")[0], 160)
        sentence = "the Parquet file asks for more memory than reading may take: it is damaged or unpacks to too much"
        raise UnfitFileError(unfit("size", sentence, observed=detail)) from None
    except (pa.ArrowException, OSError, ValueError, UnicodeDecodeError, OverflowError) as error:
        detail = plain(str(error).strip().partition("\n")[0], 160)
        sentence = "the Parquet file is damaged and cannot be read; land it again"
        raise UnfitFileError(unfit("readable", sentence, observed=detail, expected="a readable file")) from None


def _check_flat(chosen: Mapping[str, pa.Field]) -> None:
    nested = {name: field.type for name, field in chosen.items() if pa.types.is_nested(field.type)}
    if nested:
        names = ", ".join(f"{plain(name)} ({plain(kind, 40)})" for name, kind in list(nested.items())[:3])
        column = next(iter(nested)) if len(nested) == 1 else None
        sentence = f"columns hold nested values instead of single ones: {names}"
        raise UnfitFileError(unfit("flat_table", sentence, observed=names, column=column))


def _check_size(metadata: pq.FileMetaData, limits: Limits) -> None:
    if metadata.num_rows > limits.rows:
        raise UnfitFileError(
            unfit("size", f"the file has {metadata.num_rows:,} rows; a partition may have {limits.rows:,}")
        )
    # Of all columns, for those of one column pyarrow ends the process if a damaged footer contradicts itself.
    size = sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))
    if size > limits.read_bytes:
        raise _too_large(size, limits)


def _read_batches(file: pq.ParquetFile, chosen: Mapping[str, pa.Field], limits: Limits) -> pa.Table:
    batches, size, rows = [], 0, 0
    names = list(dict.fromkeys(field.name for field in chosen.values()))
    for batch in file.iter_batches(_BATCH, columns=names, use_threads=False):
        known = merge(chosen, _decoded(batch, limits))
        size, rows = size + known.nbytes, rows + known.num_rows
        if size > limits.read_bytes:
            raise _too_large(size, limits)
        if rows > limits.rows:
            raise UnfitFileError(
                unfit("size", f"the file has over {limits.rows:,} rows, which is the most there may be")
            )
        batches.append(known)
    if batches:
        return pa.Table.from_batches(batches)
    nothing = pa.RecordBatch.from_arrays(
        [pa.nulls(0, field.type) for field in chosen.values()], [field.name for field in chosen.values()]
    )
    return pa.Table.from_batches([merge(chosen, nothing)])


def _decoded(batch: pa.RecordBatch, limits: Limits) -> pa.RecordBatch:
    """`batch` without dictionary encoding."""
    arrays = [_plain(name, batch.column(place), limits) for place, name in enumerate(batch.schema.names)]
    return pa.RecordBatch.from_arrays(arrays, batch.schema.names)


def _plain(name: str, values: pa.Array, limits: Limits) -> pa.Array:
    if not pa.types.is_dictionary(values.type) or not _is_bytes(values.type.value_type):
        return values
    longest = pc.max(pc.binary_length(values.dictionary)).as_py() or 0
    if longest > limits.value_bytes:
        raise UnfitFileError(too_long(longest, limits, name))
    return values.dictionary_decode()


def _is_bytes(kind: pa.DataType) -> bool:
    """Whether values are of any length, so that a dictionary of them can stand for much more than it holds."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
        or pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)
    )  # fmt: skip


def _too_large(size: int, limits: Limits) -> UnfitFileError:
    return UnfitFileError(
        unfit("size", f"unpacked, the file takes {size:,} bytes or more; a partition may take {limits.read_bytes:,}")
    )
