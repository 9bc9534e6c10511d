"""Secrets: generated once, for the owner's eyes only."""

import stat

import pytest

from evergreen.errors import SettingsError
from evergreen.stack.config import credentials


def test_secrets_are_made_once_and_only_the_owner_can_read_them(tmp_path):
    path = tmp_path / "secrets.env"
    first = credentials.load_or_create(path, tmp_path / "postgres")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert credentials.load_or_create(path, tmp_path / "postgres") == first


def test_no_two_secrets_are_alike_and_none_is_short():
    values = list(credentials.generate().values())
    assert len(set(values)) == len(values)
    assert min(map(len, values)) >= 24


def test_a_mode_that_was_opened_is_closed_again(tmp_path):
    path = tmp_path / "secrets.env"
    credentials.load_or_create(path, tmp_path / "postgres")
    path.chmod(0o644)
    credentials.load_or_create(path, tmp_path / "postgres")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_lost_secrets_of_existing_databases_are_not_made_anew(tmp_path):
    databases = tmp_path / "postgres"
    databases.mkdir()
    (databases / "PG_VERSION").write_text("18")
    with pytest.raises(SettingsError, match="know its passwords"):
        credentials.load_or_create(tmp_path / "secrets.env", databases)
    assert not (tmp_path / "secrets.env").exists()


def test_an_incomplete_file_names_what_it_lacks(tmp_path):
    path = tmp_path / "secrets.env"
    path.write_text("POSTGRES_PASSWORD=x\n")
    with pytest.raises(SettingsError, match="FERNET_KEY"):
        credentials.load(path)


def test_a_private_file_replaces_an_open_one(tmp_path):
    path = tmp_path / "passwords.json"
    path.write_text("old")
    path.chmod(0o666)
    credentials.write_private(path, "new")
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]
