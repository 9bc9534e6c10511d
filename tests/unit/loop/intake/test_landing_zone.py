"""A table has landed only when its file and a `_SUCCESS` that is not older are there."""

import os
import subprocess
import sys
import uuid
from pathlib import Path

import fsspec
import pytest

from evergreen.errors import BadInputError
from evergreen.loop.intake.landing_zone import explain_wait, find_drop

KEY = "2024-01-01"


@pytest.fixture
def folder(tmp_path) -> Path:
    place = tmp_path / "orders" / KEY
    place.mkdir(parents=True)
    return place


def put(path: Path, when: int, data: bytes = b"x") -> None:
    path.write_bytes(data)
    os.utime(path, (when, when))


def look(tmp_path: Path, table: str = "inputs"):
    return find_drop(tmp_path.as_uri(), "orders", table, KEY), explain_wait(tmp_path.as_uri(), "orders", table, KEY)


def test_nothing_has_landed(tmp_path):
    drop, words = look(tmp_path)
    assert drop is None
    assert "nothing has landed for 2024-01-01 yet" in words


def test_the_file_is_missing(tmp_path, folder):
    put(folder / "_SUCCESS", 100)
    drop, words = look(tmp_path)
    assert drop is None
    assert "neither inputs.parquet nor inputs.csv" in words


def test_success_is_missing(tmp_path, folder):
    put(folder / "inputs.parquet", 100)
    drop, words = look(tmp_path)
    assert drop is None
    assert "_SUCCESS is missing" in words


def test_success_is_older_than_the_file(tmp_path, folder):
    put(folder / "inputs.parquet", 200)
    put(folder / "_SUCCESS", 100)
    drop, words = look(tmp_path)
    assert drop is None
    assert "_SUCCESS is older than inputs.parquet" in words


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_it_has_landed(tmp_path, folder, suffix):
    put(folder / f"inputs.{suffix}", 100, b"12345")
    put(folder / "_SUCCESS", 100, b"")
    drop, words = look(tmp_path)
    assert drop is not None
    assert (drop.size, drop.suffix, drop.modified.timestamp()) == (5, suffix, 100)
    assert drop.uri == f"{tmp_path.as_uri()}/orders/{KEY}/inputs.{suffix}"
    assert "has landed" in words


def test_labels_that_are_being_written_do_not_hide_the_inputs(tmp_path, folder):
    put(folder / "inputs.parquet", 100)
    put(folder / "_SUCCESS", 100)
    put(folder / "labels.parquet", 200)
    assert look(tmp_path)[0] is not None
    assert look(tmp_path, "labels")[0] is None
    put(folder / "_SUCCESS", 200)
    assert look(tmp_path, "labels")[0] is not None


def test_of_two_files_the_newer_counts(tmp_path, folder):
    put(folder / "inputs.parquet", 100)
    put(folder / "inputs.csv", 150)
    put(folder / "_SUCCESS", 200)
    assert look(tmp_path)[0].suffix == "csv"


def test_a_link_or_a_folder_is_no_drop(tmp_path, folder):
    put(tmp_path / "secret", 100)
    (folder / "inputs.parquet").symlink_to(tmp_path / "secret")
    (folder / "labels.parquet").mkdir()
    put(folder / "_SUCCESS", 200)
    for table in ("inputs", "labels"):
        drop, words = look(tmp_path, table)
        assert drop is None
        assert "land it as one ordinary file" in words


@pytest.mark.parametrize("key", ["../..", "..", "", "a/b", "2024-01-01\n", "\0"])
def test_a_key_cannot_leave_the_landing_zone(tmp_path, key):
    with pytest.raises(BadInputError):
        find_drop(tmp_path.as_uri(), "orders", "inputs", key)


def test_any_fsspec_url_will_do():
    url = f"memory://{uuid.uuid4().hex}"
    fs = fsspec.filesystem("memory")
    place = f"{url.removeprefix('memory:/')}/orders/{KEY}"
    fs.pipe_file(f"{place}/inputs.parquet", b"123")
    assert "_SUCCESS is missing" in explain_wait(url, "orders", "inputs", KEY)
    fs.pipe_file(f"{place}/_SUCCESS", b"")
    drop = find_drop(url, "orders", "inputs", KEY)
    assert drop is not None
    assert drop.size == 3


def test_the_triggerer_need_not_import_pandas():
    heavy = "pandas pyarrow numpy great_expectations"
    code = f"import sys, evergreen.loop.intake.landing_zone; sys.exit(any(m in sys.modules for m in {heavy.split()}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_folder_that_is_a_link_is_not_followed(tmp_path, folder):
    put(folder / "inputs.parquet", 1000)
    put(folder / "_SUCCESS", 1001)
    elsewhere = folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(elsewhere)
    drop, words = look(tmp_path)
    assert drop is None
    assert "is a link, which is not followed" in words
