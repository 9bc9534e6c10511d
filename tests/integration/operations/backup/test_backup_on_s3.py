"""An archive on a real S3 server: copies, repeats, damage."""

import pytest
import s3fs

from evergreen.core.store import Store
from evergreen.core.store.objects import publish
from evergreen.core.store.s3 import S3
from evergreen.errors import BadInputError
from evergreen.operations.backup.archive import Archive
from evergreen.operations.backup.manifest import Entry
from evergreen.operations.backup.object_copy import Folder
from evergreen.stack.config.home import Home
from evergreen.stack.control import Stack

pytestmark = pytest.mark.integration
LARGE = bytes(range(256)) * 50_000
"""12.8 MB: more than one part of an upload, more than one chunk of a copy."""


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    """URL of an empty bucket."""
    stack = Stack(Home(tmp_path / "s3"), shape="cluster", only=("s3", "buckets"))
    try:
        stack.start(tied=True)
        for name, value in stack.environment().items():
            monkeypatch.setenv(name, value)
        S3.clear_instance_cache()
        url = "s3://backups"
        s3fs.S3FileSystem().mkdir("backups")
        yield url
    finally:
        stack.stop()
        S3.clear_instance_cache()


def test_objects_go_to_s3_and_come_back_the_same(bucket, tmp_path):
    store = Store(f"{bucket}/store")
    objects = {"raw/m/inputs/k/a.parquet": b"small", "reference/m/version=1.parquet": LARGE}
    for name, data in objects.items():
        store.write(name, data)
    source, url = Folder(f"{bucket}/store"), f"{bucket}/archive"
    archive = Archive(url, writing=True)
    entries = []
    for name, found in source.find().items():
        assert found.size == len(objects[name])
        with source.fetch(name, archive.folder) as fetched:
            assert archive.add(fetched)
            assert not archive.add(fetched), "what is there was copied again"
            entries.append(Entry(part="store", name=name, size=fetched.size, sha256=fetched.sha256, seen=found.seen))
    assert {entry.name for entry in entries} == objects.keys()

    found = Archive(url)
    assert found.missing(entries) == []
    for target in (Folder(f"{bucket}/restored"), Folder(str(tmp_path / "restored"))):
        for entry in entries:
            found.bring(entry, target, entry.name)
        assert {name: target.read(name) for name in target.find()} == objects

    entry = entries[0]
    publish(f"{url}/objects/{entry.sha256[:2]}/{entry.sha256}", b"x" * entry.size)
    with pytest.raises(BadInputError, match="is damaged"):
        found.bring(entry, Folder(f"{bucket}/elsewhere"), entry.name)
    assert Folder(f"{bucket}/elsewhere").find() == {}
