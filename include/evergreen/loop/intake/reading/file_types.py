"""What kind of file some bytes are."""

from __future__ import annotations


def contents(data: bytes) -> str:
    """What a file seems to be, from its first bytes; for the reason why it is not what it should be."""
    for mark, what in _MARKS.items():
        if data.startswith(mark):
            return what
    head = data[:64].lstrip().lower()
    if head.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "a web page or XML"
    if head.startswith((b"{", b"[")):
        return "JSON"
    printable = sum(32 <= byte < 127 or byte in b"\r\n\t" for byte in head)
    return "plain text" if head and printable == len(head) else "of no known kind"


_MARKS = {
    b"PAR1": "a Parquet file",
    b"PARE": "an encrypted Parquet file",
    b"\x1f\x8b": "a gzip archive",
    b"PK\x03\x04": "a zip archive or a spreadsheet",
    b"\x28\xb5\x2f\xfd": "a zstd archive",
    b"\xff\xfe": "text in UTF-16",
    b"\xfe\xff": "text in UTF-16",
    b"ORC": "an ORC file",
    b"Obj\x01": "an Avro file",
    b"ARROW1": "an Arrow file",
}
