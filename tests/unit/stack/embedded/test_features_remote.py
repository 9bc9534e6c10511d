"""The feature repository's bare remote."""

import subprocess

from evergreen.stack.embedded.features_remote import BRANCH, create_features_remote


def head(bare):
    done = subprocess.run(
        ["git", "-c", "safe.directory=*", "-C", bare, "rev-parse", BRANCH], capture_output=True, text=True, check=True
    )
    return done.stdout


def test_it_holds_dvc_configuration_and_is_left_alone_afterwards(tmp_path):
    bare = tmp_path / "deep" / "features.git"
    create_features_remote(bare)
    first = head(bare)
    create_features_remote(bare)
    assert head(bare) == first
    subprocess.run(["git", "clone", "--quiet", bare, tmp_path / "clone"], check=True)
    config = (tmp_path / "clone" / ".dvc" / "config").read_text()
    assert "analytics = false" in config
    assert "autostage = false" in config


def test_two_hosts_that_create_it_agree(tmp_path):
    create_features_remote(tmp_path / "a.git")
    create_features_remote(tmp_path / "b.git")
    assert head(tmp_path / "a.git") == head(tmp_path / "b.git")
