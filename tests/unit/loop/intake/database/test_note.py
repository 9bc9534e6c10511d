"""A note that cannot be read is not taken for one that is not there."""

import hashlib
import json

import pytest
from fsspec.implementations.local import LocalFileSystem

from evergreen.errors import UnavailableError
from evergreen.loop.intake.database.note import is_answer, note_of
from evergreen.loop.intake.landing_zone import local_drop

DIGEST = hashlib.sha256(b"rows").hexdigest()


@pytest.fixture
def drop(tmp_path):
    (tmp_path / "inputs.parquet").write_bytes(b"rows")
    return local_drop(tmp_path / "inputs.parquet")


def test_without_a_note_or_with_a_damaged_one_a_drop_is_no_answer(tmp_path, drop):
    assert (is_answer(drop), note_of(drop, DIGEST)) == (False, None)
    for damaged in (b"", b"{", b"[]"):
        (tmp_path / "inputs.source.json").write_bytes(damaged)
        assert (is_answer(drop), note_of(drop, DIGEST)) == (False, None)


@pytest.mark.parametrize("error", [TimeoutError("timed out"), PermissionError(13, "Permission denied")])
def test_a_note_that_cannot_be_read_is_an_outage(tmp_path, drop, monkeypatch, error):
    (tmp_path / "inputs.source.json").write_text(json.dumps({"query": "SELECT 1", "file_sha256": DIGEST}))
    assert (is_answer(drop), note_of(drop, DIGEST)) == (True, {"query": "SELECT 1"})

    def fails(*given, **more):
        raise error

    monkeypatch.setattr(LocalFileSystem, "cat_file", fails)
    for look in (lambda: is_answer(drop), lambda: note_of(drop, DIGEST)):
        with pytest.raises(UnavailableError, match=r"cannot read .*inputs\.source\.json"):
            look()
