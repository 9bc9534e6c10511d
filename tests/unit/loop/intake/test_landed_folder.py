"""A table that lands as a folder counts when a `_SUCCESS`, its own or the partition's, is not older than its parts."""

import uuid

import fsspec
import pytest

from evergreen.errors import BadInputError
from evergreen.loop.intake.landing_zone import explain_wait, find_drop, list_feed, local_drop
from helpers.drops import put

KEY = "2024-01-01"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "orders" / KEY


def look(tmp_path, table="inputs"):
    url = tmp_path.as_uri()
    drop, words = find_drop(url, "orders", table, KEY), explain_wait(url, "orders", table, KEY)
    listed = list_feed(url, "orders", ("inputs", "labels")).get(KEY)
    assert (listed.drops.get(table) if listed else None) == drop, "both ways of looking see the same"
    return drop, words


def parts(folder, when=100):
    put(folder / "inputs" / "part-00001.snappy.parquet", when, b"12")
    put(folder / "inputs" / "part-00000.snappy.parquet", when - 1, b"123")
    for name in (".part-00000.snappy.parquet.crc", "_committed_12", "_started_12", "._SUCCESS.crc"):
        put(folder / "inputs" / name, when + 500)


@pytest.mark.parametrize("mark", ["_SUCCESS", "inputs/_SUCCESS"])
def test_either_mark_is_enough(tmp_path, folder, mark):
    parts(folder)
    put(folder / mark, 100, b"")
    drop, words = look(tmp_path)
    assert [part.name for part in drop.parts] == ["part-00000.snappy.parquet", "part-00001.snappy.parquet"]
    assert (drop.size, drop.suffix, drop.modified.timestamp()) == (5, "parquet", 100)
    assert drop.uri == f"{tmp_path.as_uri()}/orders/{KEY}/inputs"
    assert "has landed" in words


def test_without_a_mark_it_is_waited_for(tmp_path, folder):
    parts(folder)
    drop, words = look(tmp_path)
    assert drop is None
    assert "inputs/ is in" in words
    assert "_SUCCESS is missing: its producer writes it when the folder is complete" in words


def test_a_part_that_is_newer_than_both_marks_is_waited_for(tmp_path, folder):
    parts(folder, when=300)
    put(folder / "_SUCCESS", 100, b"")
    put(folder / "inputs" / "_SUCCESS", 200, b"")
    drop, words = look(tmp_path)
    assert drop is None
    assert "_SUCCESS is older than inputs/" in words
    assert "00:03:20 before" in words, "the newer of the two marks is named"


def test_a_folder_with_a_mark_of_its_own_is_not_whole_by_that_of_the_partition(tmp_path, folder):
    parts(folder, when=300)
    put(folder / "inputs" / "_SUCCESS", 200, b"")
    put(folder / "_SUCCESS", 400, b"")
    drop, words = look(tmp_path)
    assert drop is None, "it is written again, and the partition's mark came with the other table"
    assert "inputs/_SUCCESS is older than inputs/" in words
    put(folder / "inputs" / "_SUCCESS", 301, b"")
    assert look(tmp_path)[0].modified.timestamp() == 300


def test_of_a_file_and_a_folder_the_newer_one_counts(tmp_path, folder):
    parts(folder, when=100)
    put(folder / "inputs.parquet", 50)
    put(folder / "_SUCCESS", 400, b"")
    assert look(tmp_path)[0].parts
    put(folder / "inputs.parquet", 200)
    assert not look(tmp_path)[0].parts


def test_a_mark_in_the_folder_says_nothing_of_a_file_beside_it(tmp_path, folder):
    parts(folder, when=100)
    put(folder / "inputs" / "_SUCCESS", 400, b"")
    put(folder / "inputs.parquet", 200)
    drop, words = look(tmp_path)
    assert drop is None
    assert "inputs.parquet is in" in words


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["hour=03/part-0.parquet"], "hour=03"),
        (["part-0.parquet", "part-1.csv"], "files of the kinds csv, parquet"),
        (["part-0.parquet", "notes.xlsx"], "notes.xlsx in it is not read"),
        (["_temporary/0/part-0.parquet"], "no part file is in it yet"),
    ],
)
def test_what_is_no_table_is_explained(tmp_path, folder, names, said):
    for name in names:
        put(folder / "inputs" / name, 100)
    put(folder / "_SUCCESS", 400, b"")
    drop, words = look(tmp_path)
    assert drop is None
    assert said in words


def test_a_link_is_not_followed(tmp_path, folder):
    parts(tmp_path / "elsewhere")
    folder.mkdir(parents=True)
    (folder / "inputs").symlink_to(tmp_path / "elsewhere" / "inputs")
    put(folder / "_SUCCESS", 900, b"")
    assert look(tmp_path)[0] is None


def test_a_delta_table_asks_for_the_mark_of_the_partition(tmp_path, folder):
    put(folder / "inputs" / "_delta_log" / "00000000000000000000.json", 100, b"{}")
    put(folder / "inputs" / "part-0.parquet", 90, b"123")
    put(folder / "inputs" / "country=SE" / "part-0.parquet", 90, b"123")
    assert look(tmp_path)[0] is None
    put(folder / "_SUCCESS", 100, b"")
    drop = look(tmp_path)[0]
    assert (drop.suffix, drop.size, drop.parts) == ("delta", 2, ())
    put(folder / "inputs" / "_delta_log" / "00000000000000000001.json", 200, b"{}")
    assert look(tmp_path)[0] is None, "a version was added after the mark"


def test_in_an_object_store_it_is_the_same():
    fs, url = fsspec.filesystem("memory"), f"memory://{uuid.uuid4().hex}"
    for name in ("part-0.csv", "part-1.csv", "_SUCCESS", "_committed_3"):
        fs.pipe_file(f"{url}/orders/{KEY}/labels/{name}", b"a,b")
    drop = find_drop(url, "orders", "labels", KEY)
    assert [part.name for part in drop.parts] == ["part-0.csv", "part-1.csv"]
    assert list_feed(url, "orders", ("labels",))[KEY].drops["labels"] == drop


def test_a_folder_of_ones_own_needs_no_mark(tmp_path):
    parts(tmp_path)
    assert len(local_drop(tmp_path / "inputs").parts) == 2
    (tmp_path / "nothing").mkdir()
    with pytest.raises(BadInputError, match="no part file is in it"):
        local_drop(tmp_path / "nothing")
