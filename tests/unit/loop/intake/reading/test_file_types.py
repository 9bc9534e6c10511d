"""Files by their endings, packed and written in other ways; columns by their names."""

import bz2
import gzip
import io
import lzma
import zipfile

import pandas as pd
import pyarrow as pa
import pytest

from evergreen.core.definition.sections import CsvSection
from evergreen.loop.intake.failures import UnfitFileError
from evergreen.loop.intake.limits import LIMITS
from evergreen.loop.intake.reading import csv_file
from evergreen.loop.intake.reading.column_names import broken_rule, find_columns
from evergreen.loop.intake.reading.convert import to_frame
from evergreen.loop.intake.reading.file_types import files_of, suffix_of, why_not
from evergreen.loop.intake.reading.packing import unpack

COLUMNS = {"id": "string", "x": "float"}
PLAIN = CsvSection()


def read(data: bytes, suffix: str = "csv", form: CsvSection = PLAIN) -> list[list[object]]:
    table = csv_file.read(data, COLUMNS, LIMITS, form, suffix)
    return to_frame(table, COLUMNS, LIMITS, from_text=True, form=form).to_numpy().tolist()


def refusal(data: bytes, suffix: str = "csv", form: CsvSection = PLAIN) -> str:
    with pytest.raises(UnfitFileError) as caught:
        read(data, suffix, form)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("a.csv", "csv"), ("EXPORT.CSV", "csv"), ("a.csv.gz", "csv.gz"), ("a.CSV.GZ", "csv.gz"), ("a.tsv", "tsv"),
        ("a.tsv.gz", "tsv.gz"), ("a.pq", "parquet"), ("a.PARQUET", "parquet"), ("0a1b.tokens.csv", "tokens.csv"),
        ("a.txt", None), ("a.csv.zip", "csv.zip"), ("a.tsv.xz", "tsv.xz"), ("a.zip", None), ("a", None), ("csv", None),
    ],
)  # fmt: skip
def test_an_ending_says_how_a_file_is_read(name, suffix):
    assert suffix_of(name) == suffix


def test_files_of_a_table_are_found_by_name_and_ending():
    names = ["inputs.CSV", "inputs.pq", "inputs.txt", "inputs.csv.part", "labels.csv", "my-inputs.csv", "inputs.tsv.gz"]
    assert files_of("inputs", names) == ["inputs.pq", "inputs.CSV", "inputs.tsv.gz"]


@pytest.mark.parametrize(
    ("name", "head", "says"),
    [
        ("a.txt", b"id\tx\n1\t2\n", "separated by tabs: rename it to end in .tsv"),
        ("a.txt", b"id,x\n1,2\n", "separated by commas: rename it to end in .csv"),
        ("a.dat", b"id;x\n1;2\n", "--delimiter ';'"),
        ("a.dat", b"PAR1....", "rename it to end in .parquet"),
        ("a.xlsx", b"PK\3\4", "save the sheet as CSV"),
        ("a.zip", b"PK\3\4", "name it .csv.zip"),
        ("a.tar.gz", b"", "unpack it first"),
        ("a.zst", b"", "name it .csv.zst or .tsv.zst"),
        ("a.csv.lz4", b"", "pack it by gzip"),
        ("a.jsonl", b"{}", "lines=True"),
    ],
)
def test_other_endings_are_refused_with_the_reason_that_applies(name, head, says):
    assert says in why_not(name, head)


def test_packed_and_tab_separated_text_is_read():
    assert read(gzip.compress(b"id,x\na,1.5\n"), "csv.gz") == [["a", 1.5]]
    assert read(gzip.compress(b"id,x\na,") + gzip.compress(b"1.5\n"), "csv.gz") == [["a", 1.5]]
    assert read(b"id\tx\na,b\t1.5\n", "tsv") == [["a,b", 1.5]]
    assert read(gzip.compress(b"id\tx\na\t1.5\n"), "tsv.gz", CsvSection(delimiter=";")) == [["a", 1.5]]


def zipped(**members: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return packed.getvalue()


PACKED = {
    "csv.gz": gzip.compress,
    "csv.bz2": bz2.compress,
    "csv.xz": lzma.compress,
    "csv.zst": lambda data: pa.compress(data, codec="zstd", asbytes=True),
    "csv.zip": lambda data: zipped(**{"a.csv": data}),
}


@pytest.mark.parametrize("suffix", PACKED)
def test_each_way_of_packing_is_read_bounded_and_refused_if_it_is_damaged(suffix):
    pack = PACKED[suffix]
    assert read(pack(b"id,x\na,1.5\n"), suffix) == [["a", 1.5]]
    bomb = pack(bytes(5_000_000))
    with pytest.raises(UnfitFileError, match=r"more than 1,000,000 bytes"):
        unpack(bomb, 1_000_000, suffix)
    assert len(unpack(bomb, 5_000_000, suffix)) == 5_000_000
    many = pack(b"id,x\n" + b"".join(b"%d,%d\n" % (n, n * n) for n in range(5_000)))
    assert "damaged or cut off" in refusal(many[: len(many) // 2], suffix)
    assert "though its name says so: it is plain text; name it without" in refusal(b"id,x\na,1.5\n", suffix)


def test_a_zip_archive_holds_one_table():
    assert "holds 2 files (a.csv, b.csv)" in refusal(zipped(**{"a.csv": b"id,x\n", "b.csv": b"id,x\n"}), "csv.zip")
    told = zipped(**{"a.csv": b"id,x\na,1.5\n", "__MACOSX/._a.csv": b"..."})
    assert read(told, "csv.zip") == [["a", 1.5]]


def test_a_delimiter_at_the_end_of_each_line_is_named_as_the_fault():
    said = refusal(b"id,x\na,1.5,\nb,2.5,\n")
    assert "each of the 2 lines ends with a delimiter, and the header does not" in said


def test_row_names_of_r_are_named_as_the_fault():
    assert "as R writes row names: write the file without them" in refusal(b"id,x\n1,a,1.5\n2,b,2.5\n")


def test_unpacking_ends_at_the_limit():
    bomb = gzip.compress(bytes(50_000_000))
    with pytest.raises(UnfitFileError, match=r"has more than 1,000,000 bytes .*feed\.csv\.max_unpacked"):
        unpack(bomb, 1_000_000)
    assert len(unpack(bomb, 50_000_000)) == 50_000_000
    for broken, says in (
        (bomb[:-20], "cut off"),
        (bomb[:100] + b"xx" + bomb[102:], "damaged"),
        (b"id,x\n", "not a gzip"),
    ):
        with pytest.raises(UnfitFileError, match=says):
            unpack(broken, 100_000_000)


def test_text_of_another_form_is_read_where_declared():
    form = CsvSection(delimiter=";", decimal=",", encoding="cp1252")
    assert read("id;x\nGröße;1,5\n".encode("cp1252"), form=form) == [["Größe", 1.5]]
    assert read("id,x\nö,1.5\n".encode("utf-16"), form=CsvSection(encoding="utf-16")) == [["ö", 1.5]]
    assert "declare it: --delimiter ';'" in refusal(b"id;x\na;1\n")
    assert "feed.csv.encoding" in refusal("id,x\nö,1\n".encode("cp1252"))
    assert "not by ';'" in refusal(b"id,x\na,1\n", form=form)
    # Evergreen's own copy with tokens has commas and UTF-8, and the producer's numbers.
    assert read('"id","x"\n"é","1,5"\n'.encode(), "tokens.csv", form) == [["é", 1.5]]


@pytest.mark.parametrize(
    "wrong",
    [
        {"encoding": "klingon"}, {"encoding": "base64"}, {"delimiter": '"'}, {"delimiter": "::"},
        {"decimal": ",", "thousands": ","},
    ],
)  # fmt: skip
def test_a_form_that_could_read_nothing_is_no_definition(wrong):
    with pytest.raises(ValueError, match=r"encoding|delimiter|decimal"):
        CsvSection(**wrong)


@pytest.mark.parametrize(
    "header",
    [b"id, x", b" id ,\tx ", b'"id",x', b",id,x", b"%,id,x", b"<b>,id,x", b"{a,id,x", b"q,id,x,q"],
)
def test_names_with_blanks_are_found_and_names_of_others_do_not_matter(header):
    width = header.count(b",") + 1
    values = {2: b"a,1.5", 3: b"0,a,1.5", 4: b"0,a,1.5,0"}[width]
    assert read(header + b"\n" + values + b"\n") == [["a", 1.5]]


def test_the_exact_name_goes_before_one_with_blanks():
    assert find_columns([" x", "x", "id"], COLUMNS, LIMITS) == {"id": 2, "x": 1}
    with pytest.raises(UnfitFileError, match="more than once: x"):
        find_columns([" x", "x ", "id"], COLUMNS, LIMITS)
    with pytest.raises(UnfitFileError, match="missing: x; the file has these that are not expected: 'X'"):
        find_columns(["X", "id"], COLUMNS, LIMITS)


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("", "it has no name"), ("% Iron", "begins with '%'"), ("#Passengers", "begins with '#'"),
        ("age<30", "holds the sign '<'"),
        (" month", "blank"), ("a\nb", "control character \\u000a"), ("n" * 200, "200"),
        ("Größe (cm)", None), ("_x", None), ("2nd", None),
    ],
)  # fmt: skip
def test_a_name_that_cannot_be_used_breaks_a_rule_that_is_said(name, rule):
    found = broken_rule(name, LIMITS)
    assert found is None if rule is None else rule in (found or "")


def test_a_line_break_in_a_name_is_no_second_header():
    frame = pd.DataFrame({"two\nlines": [1], "id": ["a"], "x": [1.5]})
    assert read(frame.to_csv(index=False).encode()) == [["a", 1.5]]
