"""What the columns of a Parquet file mean, and their values in one of the types that `convert` knows.

A column is judged by its meaning, not by how a writer stores it: text may be plain, large, viewed, a dictionary or an
ENUM in bytes; a UUID may be 16 bytes with the mark of a UUID or that of Arrow's extension. Types:
https://github.com/apache/parquet-format/blob/master/LogicalTypes.md and
https://arrow.apache.org/docs/format/CanonicalExtensions.html
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from evergreen.core.text import plain

_SAID = b"evergreen.type"
"""Key in the metadata of a field that cannot be used: what it holds, in the producer's words"""
_EXTENSION = b"ARROW:extension:name"
_TEXT_MARKS = ("STRING", "ENUM", "JSON")
_UUID_BYTES = 16
_WORDS: dict[str, Callable[[pa.DataType], bool]] = {
    "nested values": pa.types.is_nested,
    "lengths of time": pa.types.is_duration,
    "intervals": pa.types.is_interval,
    "times of day": pa.types.is_time,
    "bytes": lambda t: (
        pa.types.is_binary(t) or pa.types.is_large_binary(t) or pa.types.is_binary_view(t)
        or pa.types.is_fixed_size_binary(t)
    ),
}  # fmt: skip


def in_words(field: pa.Field) -> str:
    """What a column holds: "int64 values", "time64[us] values (times of day)"."""
    said = (field.metadata or {}).get(_SAID)
    if said:
        return plain(said.decode(), 80)
    kind = plain(field.type, 40)
    what = next((words for words, is_such in _WORDS.items() if is_such(field.type)), None)
    return f"{kind} values ({what})" if what else f"{kind} values"


def is_unusable(field: pa.Field) -> bool:
    """Whether the values do not mean what their type says, as of a length of time that is stored as an integer."""
    return _SAID in (field.metadata or {})


def why_unusable(field: pa.Field) -> str | None:
    """Why no type of a definition can hold the values of `field`, a column as it was found, or None if one can."""
    words = in_words(field)
    if is_unusable(field):
        return f"{words}; {_advice(field.type, words)}"
    known = next((w for w, is_such in _WORDS.items() if is_such(field.type)), None)
    if known is None or _is_text(field) or _is_uuid(field):
        return None
    return f"{words}; {_advice(field.type, words)}"


def _advice(kind: pa.DataType, words: str) -> str:
    if pa.types.is_duration(kind) or "length" in words or "interval" in words.lower():
        return "have the producer write a number of seconds"
    if pa.types.is_time(kind):
        return "have the producer write the hour as a number, or text"
    if pa.types.is_nested(kind):
        return "have the producer write a column for each part"
    if "Int" in words:
        return "have the producer write a 64-bit integer, or text"
    return "have the producer write text (CAST(... AS VARCHAR)) or numbers"


def describe(field: pa.Field, column: pq.ColumnSchema | None, said: str | None) -> pa.Field:
    """`field` with marks of what the Parquet column `column` means beyond its Arrow type.

    Args:
        field: as Arrow reads it.
        column: its only leaf; None if it is nested.
        said: what the producer's Arrow schema says it is, if Arrow cannot say it.
    """
    marks = {}
    if column is not None:
        marks[b"logical"] = column.logical_type.type.encode()
        if column.converted_type == "INTERVAL":
            said = "intervals (INTERVAL)"
    extension = getattr(field.type, "extension_name", None) or (field.metadata or {}).get(_EXTENSION, b"").decode()
    if extension:
        marks[b"extension"] = extension.encode()
    if said:
        marks[_SAID] = said.encode()
    kind = field.type.storage_type if isinstance(field.type, pa.BaseExtensionType) else field.type
    return pa.field(field.name, kind, metadata=marks)


def _is_text(field: pa.Field) -> bool:
    marks = field.metadata or {}
    return marks.get(b"logical", b"").decode() in _TEXT_MARKS or marks.get(b"extension") == b"arrow.json"


def _is_uuid(field: pa.Field) -> bool:
    marks, kind = field.metadata or {}, field.type
    if not (pa.types.is_fixed_size_binary(kind) and kind.byte_width == _UUID_BYTES):
        return False
    return marks.get(b"logical") == b"UUID" or marks.get(b"extension") == b"arrow.uuid"


def to_known(field: pa.Field, values: pa.Array) -> tuple[pa.Field, pa.Array]:
    """A column, described by `describe`, in a type that `convert` knows if there is one.

    Types that it has always known stay as they are, and their fields carry no marks.
    """
    if isinstance(values, pa.ExtensionArray):
        values = values.storage
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    kind = values.type
    if is_unusable(field):
        return pa.field(field.name, kind, metadata={_SAID: (field.metadata or {})[_SAID]}), values
    if _is_uuid(field):
        values = _uuids(values)
    elif (field.metadata or {}).get(b"extension") == b"arrow.bool8":
        values = values.cast(pa.bool_())
    elif pa.types.is_string_view(kind) or (_is_text(field) and not _is_plain_text(kind)):
        # What is no UTF-8 is found, and said, when text is checked.
        values = values.cast(pa.large_binary()).cast(pa.large_string(), safe=False)
    elif kind == pa.float16():
        values = values.cast(pa.float32())
    elif pa.types.is_decimal(kind) and kind.bit_width < 128:
        values = values.cast(pa.decimal128(kind.precision, kind.scale))
    return pa.field(field.name, values.type), values


def _is_plain_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _uuids(values: pa.Array) -> pa.Array:
    """The usual text of UUIDs: small hex digits in groups of 8, 4, 4, 4 and 12."""
    filled = pc.fill_null(values, pa.scalar(bytes(_UUID_BYTES), values.type))
    raw = filled.cast(pa.large_binary())
    data = b"".join(raw.to_pylist())
    digits = np.frombuffer(binascii.hexlify(data), np.uint8).reshape(len(values), 2 * _UUID_BYTES)
    text = np.insert(digits, [8, 12, 16, 20], ord("-"), axis=1)
    width = text.shape[1]
    found = pa.Array.from_buffers(pa.binary(width), len(values), [None, pa.py_buffer(text.tobytes())])
    return pc.if_else(values.is_valid(), found.cast(pa.binary()).cast(pa.string()), pa.scalar(None, pa.string()))


def merge(fields: Mapping[str, pa.Field], batch: pa.RecordBatch) -> pa.RecordBatch:
    """`batch`, whose columns have the names of the file, with the columns `fields`, by the names that they get."""
    known = [to_known(field.with_name(name), batch.column(field.name)) for name, field in fields.items()]
    return pa.RecordBatch.from_arrays([values for _, values in known], schema=pa.schema([field for field, _ in known]))
