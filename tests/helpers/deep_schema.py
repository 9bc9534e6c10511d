"""A Parquet schema of any depth, which no writer makes."""

from __future__ import annotations


def deep_schema(depth: int) -> bytes:
    """A Parquet file of some bytes whose one column is nested `depth` deep: enough of it ends a careless reader.

    Written by hand in Thrift's compact protocol, because pyarrow cannot write it without falling over.
    """

    def number(value: int) -> bytes:
        out = b""
        while value > 0x7F:
            out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
        return out + bytes([value])

    group = b"\x35\x02\x18\x01a\x15\x02\x00"  # repetition: optional, name: a, children: 1
    leaf = b"\x15\x02\x25\x02\x18\x01a\x00"  # type: int32, repetition: optional, name: a
    root = b"\x35\x02\x18\x01s\x15\x02\x00"
    schema = root + group * depth + leaf
    footer = b"\x15\x02\x19\xfc" + number(depth + 2) + schema + b"\x16\x00\x19\x0c\x00"
    return b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1"
