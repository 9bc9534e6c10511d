"""Scratch folders: gone with their block, and with the next one if their process was killed."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from evergreen.core.store.scratch import YOUNG_SECONDS, scratch_folder

HOLDER = """
import time
from evergreen.core.store.scratch import scratch_folder
with scratch_folder("test") as folder:
    (folder / "data").write_bytes(b"x")
    print(folder, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def disk(tmp_path, monkeypatch):
    """A temporary folder of our own, for this process and those it starts."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def hold():
    """A process that uses a scratch folder which looks old, and that folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, text=True)
    work = Path(process.stdout.readline().strip())
    past = time.time() - YOUNG_SECONDS - 1
    os.utime(work.parent, (past, past))
    return process, work


def test_a_folder_ends_with_its_block(disk):
    with scratch_folder("test") as folder:
        (folder / "data").write_bytes(b"x")
    assert list(disk.iterdir()) == []


def test_what_a_killed_process_left_goes_and_what_is_used_stays(disk):
    killed, left = hold()
    living, used = hold()
    killed.kill()
    killed.wait()
    try:
        with scratch_folder("test") as folder:
            assert not left.exists()
            assert (used / "data").read_bytes() == b"x"
            assert {path.name for path in disk.iterdir()} == {used.parent.name, folder.parent.name}
    finally:
        living.kill()
        living.wait()


def test_a_folder_of_a_moment_ago_is_left_alone(disk):
    process, left = hold()
    os.utime(left.parent)
    process.kill()
    process.wait()
    with scratch_folder("test"):
        assert left.exists()
