"""Read a Parquet file that nobody vouches for.

Checks go from cheap to dear: magic bytes, the footer's own numbers, the schema, then the columns that the definition
names, batch by batch with a running count of what they take in memory.
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
from evergreen.loop.intake.reading.column_names import check_names, too_long
from evergreen.loop.intake.reading.file_types import contents

MAGIC = b"PAR1"
_BATCH = 65_536
_TAIL = 8


def read(data: bytes, columns: Mapping[str, ColumnType], limits: Limits) -> pa.Table:
    """The definition's columns of the Parquet file `data`, with the types they have in the file.

    Raises:
        UnfitFileError: it is no Parquet file, damaged, beyond a limit, or not a flat table with these columns.
    """
    _check_ends(data)
    _check_schema_size(data, limits)
    with _damage_in_words():
        file = pq.ParquetFile(pa.BufferReader(data), arrow_extensions_enabled=False)
        schema, metadata = file.schema_arrow, file.metadata
    _check_flat(schema)
    check_names(schema.names, columns, limits)
    _check_size(metadata, limits)
    texts = [field.name for field in schema if _is_text(field.type)]
    with _damage_in_words():
        # Texts stay dictionary-encoded, so that one huge value named by many rows is seen before it multiplies.
        file = pq.ParquetFile(
            pa.BufferReader(data),
            metadata=metadata,
            read_dictionary=texts,
            page_checksum_verification=True,
            arrow_extensions_enabled=False,
        )
        return _read_batches(file, columns, limits)


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
    """Length of the schema list, or None where the footer does not begin as it must."""
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


def _check_flat(schema: pa.Schema) -> None:
    nested = [field for field in schema if pa.types.is_nested(field.type)]
    if nested:
        names = ", ".join(f"{plain(f.name)} ({plain(f.type, 40)})" for f in nested[:3])
        raise UnfitFileError(
            unfit("flat_table", f"columns hold nested values instead of single ones: {names}", observed=names)
        )


def _check_size(metadata: pq.FileMetaData, limits: Limits) -> None:
    if metadata.num_rows > limits.rows:
        raise UnfitFileError(
            unfit("size", f"the file has {metadata.num_rows:,} rows; a partition may have {limits.rows:,}")
        )
    # Of all columns, for those of one column pyarrow ends the process where a damaged footer contradicts itself.
    size = sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))
    if size > limits.read_bytes:
        raise _too_large(size, limits)


def _read_batches(file: pq.ParquetFile, columns: Mapping[str, ColumnType], limits: Limits) -> pa.Table:
    batches, size, rows = [], 0, 0
    for batch in file.iter_batches(_BATCH, columns=list(columns), use_threads=False):
        plain_batch = pa.RecordBatch.from_arrays(
            [_decoded(name, batch[name], limits) for name in batch.schema.names], batch.schema.names
        )
        size, rows = size + plain_batch.nbytes, rows + plain_batch.num_rows
        if size > limits.read_bytes:
            raise _too_large(size, limits)
        if rows > limits.rows:
            raise UnfitFileError(
                unfit("size", f"the file has over {limits.rows:,} rows, which is the most there may be")
            )
        batches.append(plain_batch)
    return pa.Table.from_batches(batches) if batches else file.schema_arrow.empty_table().select(list(columns))


def _decoded(name: str, values: pa.Array, limits: Limits) -> pa.Array:
    """`values` without dictionary encoding."""
    if not pa.types.is_dictionary(values.type) or not _is_text(values.type.value_type):
        return values
    longest = pc.max(pc.binary_length(values.dictionary)).as_py() or 0
    if longest > limits.value_bytes:
        raise UnfitFileError(too_long(longest, limits, name))
    return values.dictionary_decode()


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _too_large(size: int, limits: Limits) -> UnfitFileError:
    return UnfitFileError(
        unfit("size", f"unpacked, the file takes {size:,} bytes or more; a partition may take {limits.read_bytes:,}")
    )
