"""The Arrow schema that a writer put into a Parquet file, if Arrow itself refuses to read it.

One column of a type that Arrow does not have yet (the 128-bit integers of polars) makes it refuse the whole schema. The
file is then read without it, by Parquet's own types, in which a length of time is an integer. So the few bytes that say
which column is what are looked at here: a FlatBuffers table (https://flatbuffers.dev/internals/) whose fields are
numbered in https://github.com/apache/arrow/blob/main/format/Schema.fbs and Message.fbs.
"""

from __future__ import annotations

import base64
import binascii
import struct

KEY = b"ARROW:schema"
_HEADER, _FIELDS, _NAME, _TYPE_ID, _TYPE = 2, 1, 0, 2, 3
"""Numbers of the fields of Message, Schema and Field"""
_INT, _DURATION, _INTERVAL = 2, 18, 11
"""Numbers of types in the union Type"""
_MOST_FIELDS = 10_000


def unreadable_columns(encoded: bytes) -> dict[str, str]:
    """Name -> what it holds, of columns that Parquet's own types do not say; none if the bytes make no sense."""
    try:
        data = base64.b64decode(encoded, validate=True)
        return _Table(data, 8 + _uint(data, 8)).columns()
    except (binascii.Error, struct.error, IndexError, ValueError):
        return {}


def _uint(data: bytes, at: int) -> int:
    return int(struct.unpack_from("<I", data, at)[0])


class _Table:
    """A table of a FlatBuffer that begins at the byte `at`."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at
        self.slots = at - int(struct.unpack_from("<i", data, at)[0])

    def columns(self) -> dict[str, str]:
        """Of a Message whose header is a Schema: names and words of the columns in question."""
        fields = self.table(_HEADER).place(_FIELDS)
        start = fields + _uint(self.data, fields)
        found = {}
        for number in range(min(_uint(self.data, start), _MOST_FIELDS)):
            at = start + 4 + 4 * number
            field = _Table(self.data, at + _uint(self.data, at))
            words = field.words()
            if words:
                found[field.text(_NAME)] = words
        return found

    def words(self) -> str:
        """Of a Field: what its values are, if Parquet's own types do not say it."""
        kind = self.data[self.place(_TYPE_ID)]
        if kind == _DURATION:
            return "lengths of time (Duration)"
        if kind == _INTERVAL:
            return "intervals (Interval)"
        if kind != _INT:
            return ""
        bits, signed = self.table(_TYPE).int_type()
        return f"{bits}-bit integers ({'Int' if signed else 'UInt'}{bits})" if bits > 64 else ""

    def int_type(self) -> tuple[int, bool]:
        """Of an Int: its bits, and whether it has a sign."""
        signed = self.offset(1)
        return _uint(self.data, self.place(0)), bool(signed and self.data[self.at + signed])

    def offset(self, field: int) -> int:
        """Bytes from the table's beginning to the field; 0 if it has its default."""
        size = struct.unpack_from("<H", self.data, self.slots)[0]
        slot = 4 + 2 * field
        return int(struct.unpack_from("<H", self.data, self.slots + slot)[0]) if slot < size else 0

    def place(self, field: int) -> int:
        """Where the field is; raises ValueError if it is not there."""
        offset = self.offset(field)
        if not offset:
            raise ValueError(f"field {field} is missing")
        return self.at + offset

    def table(self, field: int) -> _Table:
        """The table that the field refers to."""
        place = self.place(field)
        return _Table(self.data, place + _uint(self.data, place))

    def text(self, field: int) -> str:
        """The text that the field refers to."""
        place = self.place(field)
        start = place + _uint(self.data, place)
        return self.data[start + 4 : start + 4 + _uint(self.data, start)].decode("utf-8", "replace")
