"""What kind of file something is: by the ending of its name, and by its first bytes. Light: the triggerer asks."""

from __future__ import annotations

from collections.abc import Iterable

PACKED = ("gz", "bz2", "xz", "zst", "zip")
"""Endings of packed text files, behind .csv or .tsv"""
ENDINGS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    **{f".{ending}": ending for text in ("csv", "tsv") for ending in (text, *(f"{text}.{one}" for one in PACKED))},
}
"""Ending of a name, in small letters -> the suffix under which such a file is read"""
REWRITTEN = "tokens.csv"
"""Suffix of a text file that Evergreen wrote again: commas and UTF-8, whatever `feed.csv` says of the producer's."""
_GUIDE = "give a .parquet or .pq file, or a .csv or .tsv (also packed: .csv.gz) in UTF-8 with a header line"
_OTHERS = {
    ".xlsx": "a spreadsheet: save the sheet as CSV in UTF-8",
    ".xls": "a spreadsheet: save the sheet as CSV in UTF-8",
    ".ods": "a spreadsheet: save the sheet as CSV in UTF-8",
    ".json": "JSON: convert it with pandas.read_json(...).to_parquet(...)",
    ".jsonl": "JSON lines: convert them with pandas.read_json(..., lines=True).to_parquet(...)",
    ".ndjson": "JSON lines: convert them with pandas.read_json(..., lines=True).to_parquet(...)",
    ".feather": "an Arrow file: convert it with pandas.read_feather(...).to_parquet(...)",
    ".arrow": "an Arrow file: convert it with pandas.read_feather(...).to_parquet(...)",
    ".orc": "an ORC file: convert it with pandas.read_orc(...).to_parquet(...)",
    ".pkl": "a Python pickle, which can run any code: convert it to Parquet where it was made",
    ".tar": "an archive: unpack it first",
    ".tar.gz": "an archive: unpack it first",
    ".tgz": "an archive: unpack it first",
    ".7z": "an archive: unpack it first",
    ".lz4": "packed by lz4: unpack it, or pack it by gzip as .csv.gz",
    ".zip": "a zip archive, and its name does not say what is in it: name it .csv.zip if that is one CSV file",
    **{
        f".{one}": f"packed, and its name does not say what is in it: name it .csv.{one} or .tsv.{one}"
        for one in PACKED
        if one != "zip"
    },
}
"""Endings that are not read -> what such a file is, and what to do about it"""


def suffix_of(name: str) -> str | None:
    """The suffix under which a file of this name is read, or None if it is not. Endings may be in capitals."""
    low = name.lower()
    if low.endswith(f".{REWRITTEN}"):
        return REWRITTEN
    ending = next((e for e in sorted(ENDINGS, key=len, reverse=True) if low.endswith(e)), None)
    return ENDINGS[ending] if ending else None


def files_of(table: str, names: Iterable[str]) -> list[str]:
    """Those of `names` that are a producer's file of `table`: its name and an ending of `ENDINGS`, in their order."""
    order = list(ENDINGS)
    found = {name: name.removeprefix(table).lower() for name in names if name.startswith(table)}
    return sorted((name for name, end in found.items() if end in ENDINGS), key=lambda name: order.index(found[name]))


def is_text(suffix: str) -> bool:
    """Whether files of this suffix are text, whose values are parsed."""
    return suffix != "parquet"


def why_not(name: str, head: bytes) -> str:
    """Why a file with this name, which `suffix_of` does not know, is not read, and what to do; `head`: first bytes."""
    low = name.lower()
    for ending, what in _OTHERS.items():
        if low.endswith(ending):
            return f"it is {what}; or {_GUIDE}" if ending != ".pkl" else f"it is {what}"
    found = contents(head)
    if found == "a Parquet file":
        return "it is a Parquet file: rename it to end in .parquet"
    packing = next((one for one, what in _ARCHIVES.items() if found == what), None)
    if packing:
        return f"it is {found}: rename it to end in .csv.{packing} if there is a CSV file in it"
    if found not in ("plain text", "of no known kind"):
        return f"it is {found}; {_GUIDE}"
    return _text_named_otherwise(head)


def _text_named_otherwise(head: bytes) -> str:
    line = head.partition(b"\n")[0]
    counts = {mark: line.count(mark) for mark in (b"\t", b",", b";", b"|")}
    mark = max(counts, key=lambda m: counts[m])
    if not counts[mark]:
        # Light for the triggerer: what reads CSV is loaded only for a file that is refused.
        from evergreen.loop.intake.reading.first_lines import blanks_between

        told = blanks_between(head.decode("utf-8", "ignore"))
        if told:
            return f"its columns are separated by {told}"
        return f"its ending does not say how it is written; {_GUIDE}"
    if mark == b"\t":
        return "its header line is separated by tabs: rename it to end in .tsv"
    if mark == b",":
        return "its header line is separated by commas: rename it to end in .csv"
    return f"its header line is separated by {mark.decode()!r}: rename it to end in .csv, and {declare(mark.decode())}"


def declare(mark: str) -> str:
    """How to say that fields are separated by `mark`."""
    return f"declare it: --delimiter '{mark}' of `evergreen new`, feed.csv.delimiter '{mark}' in model.yaml"


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


_ARCHIVES = {"gz": "a gzip archive", "zst": "a zstd archive", "bz2": "a bzip2 archive", "xz": "an xz archive"}
_MARKS = {
    b"PAR1": "a Parquet file",
    b"PARE": "an encrypted Parquet file",
    b"\x1f\x8b": "a gzip archive",
    b"PK\x03\x04": "a zip archive or a spreadsheet",
    b"\x28\xb5\x2f\xfd": "a zstd archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"\xff\xfe": "text in UTF-16",
    b"\xfe\xff": "text in UTF-16",
    b"ORC": "an ORC file",
    b"Obj\x01": "an Avro file",
    b"ARROW1": "an Arrow file",
}
