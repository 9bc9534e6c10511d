"""The feature repository as one file: a Git bundle of its branch."""

from __future__ import annotations

from pathlib import Path

from evergreen.core.feature_repository.git import BRANCH, GitFailedError, GitRemote, open_remote
from evergreen.errors import BadInputError
from evergreen.settings import Settings


def tip(settings: Settings) -> str | None:
    """The newest commit; None if the repository is empty."""
    with open_remote(settings.features_git_url.get_secret_value()) as git:
        said = git.run("ls-remote", "--", git.url, BRANCH).split()
    return said[0].decode() if said else None


def bundle(settings: Settings, commit: str, path: Path) -> None:
    """Write the history that ends in `commit` to `path`."""
    with open_remote(settings.features_git_url.get_secret_value()) as git:
        git.run("fetch", "--quiet", "--no-tags", "--", git.url, BRANCH)
        git.run("update-ref", BRANCH, commit)
        git.run("bundle", "create", "--quiet", str(path), BRANCH)


def check_target(settings: Settings, path: Path, commit: str) -> None:
    """See that the bundle can become the remote's branch without losing a commit there.

    Raises:
        BadInputError: the remote has commits that the backup does not have.
    """
    with open_remote(settings.features_git_url.get_secret_value()) as git:
        _unbundle(git, path)
        there = git.fetch_tip()
        if there is None:
            return
        try:
            git.run("merge-base", "--is-ancestor", there, commit)
        except GitFailedError:
            raise BadInputError(
                f"the feature repository {git.url} is not empty: it holds commit {there[:12]}, which the backup does "
                "not know. Restore into a new repository (EVERGREEN_FEATURES_GIT_URL)"
            ) from None


def push(settings: Settings, path: Path, commit: str) -> None:
    """Make the bundle's history the remote's."""
    with open_remote(settings.features_git_url.get_secret_value()) as git:
        _unbundle(git, path)
        git.run("push", "--quiet", "--", git.url, f"{commit}:{BRANCH}")


def _unbundle(git: GitRemote, path: Path) -> None:
    git.run("fetch", "--quiet", "--", str(path), f"{BRANCH}:refs/evergreen/backup")
