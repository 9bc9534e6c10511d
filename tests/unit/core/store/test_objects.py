"""The store: whole or not at all, never changed, never outside its URL."""

import errno
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.core.store import Store, layout
from evergreen.errors import BadInputError


@pytest.fixture
def store(tmp_path):
    return Store(f"file://{tmp_path}/store")


def test_what_is_written_is_read(store):
    uri = store.write("raw/m/inputs/2013-01-07/x.parquet", b"bytes")
    assert store.read(store.name(uri)) == b"bytes"


def test_an_object_is_never_changed(store):
    store.write("a", b"first")
    store.write("a", b"second")
    assert store.read("a") == b"first"


def test_a_full_disk_publishes_nothing(store, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        store.write("a/b", b"half")
    assert not store.exists("a/b")
    assert store.fs.find(store.path("")) == []


def test_a_foreign_uri_is_refused(store):
    with pytest.raises(ValueError, match="EVERGREEN_STORE_URL"):
        store.name("file:///elsewhere/a")


@given(st.text(max_size=200))
def test_no_name_leaves_the_store(part):
    try:
        name = layout.report("model", "2013-01-07", part)
    except BadInputError:
        return
    assert ".." not in name
    assert name.count("/") == 3


@pytest.mark.parametrize("part", ["", ".", "..", "a/b", "../x", "a\\b", "a b", ".hidden", "a\n", "a" * 200, "é"])
def test_hostile_names_are_refused(part):
    with pytest.raises(BadInputError, match="cannot be part of an object's name"):
        layout.join("raw", part)
