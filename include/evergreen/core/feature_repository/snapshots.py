"""Publish files to the feature repository, and read them back by snapshot id: Git commit and DVC hash.

Both directions need only the two URLs of the settings. Data is pushed first and Git last, so a commit that can be read
never names data that is not there.
"""

from __future__ import annotations

import logging
import random
import shutil
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from evergreen.core.feature_repository.dvc_remote import SUFFIX, Pointer, read_md5, scratch
from evergreen.core.feature_repository.git import SKELETON, GitRemote, open_remote
from evergreen.core.ledger.queries.collected import explained
from evergreen.core.names import PartitionKey
from evergreen.core.store import layout
from evergreen.errors import BadInputError, UnavailableError
from evergreen.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger("evergreen.features")

FEATURES_REMOTE = "features remote"
"""Lock that a build shares from its push to its row in the ledger, and that who removes from the remote takes alone."""
ATTEMPTS = 12
MAX_PAUSE_SECONDS = 2.0


@dataclass(frozen=True)
class Published:
    """Where a file can be read for ever."""

    git_commit: str
    dvc_hash: str
    new: bool
    """False if the repository's newest commit held the same bytes already"""


def dvc_path(model: str, key: PartitionKey, folder: str = "") -> str:
    """Path of a partition's features in the feature repository; `folder` is that of the code that makes them."""
    return layout.join(*filter(None, (model, folder, f"{key}.parquet")))


def publish(settings: Settings, path: str, file: Path, message: str) -> Published:
    """Publish `file` (which is moved) as `path`, in a commit of its own.

    Raises:
        UnavailableError: one of the remotes does not answer, or others were faster `ATTEMPTS` times in a row.
    """
    with scratch(settings.features_dvc_url) as remote:
        shutil.move(file, remote.path(path))
        pointer = remote.push(path)
    with open_remote(settings.features_git_url.get_secret_value()) as git:
        for attempt in range(ATTEMPTS):
            published = _commit(git, path, pointer, message)
            if published:
                return published
            # Full jitter: those who lost the same race do not meet again.
            time.sleep(random.uniform(0, min(MAX_PAUSE_SECONDS, 0.05 * 2**attempt)))  # noqa: S311
        raise UnavailableError(
            f"other builds published to {git.url} first, {ATTEMPTS} times in a row; {path} is not published: try again"
        )


def _commit(git: GitRemote, path: str, pointer: Pointer, message: str) -> Published | None:
    """Commit the pointer on top of what is there; None if somebody else was faster."""
    tip = git.fetch_tip()
    files = {name: text.encode() for name, text in SKELETON.items()}
    if tip:
        present = git.read(tip, [".dvc/config", path + SUFFIX])
        if present[path + SUFFIX] == pointer.text:
            return Published(tip, pointer.md5, new=False)
        if present[".dvc/config"] is not None:
            files = {}
    commit = git.commit(tip, {**files, path + SUFFIX: pointer.text}, message)
    return Published(commit, pointer.md5, new=True) if git.push(commit) else None


def commit_holding(settings: Settings, expected: Mapping[str, str]) -> str | None:
    """The repository's newest commit if it holds all of `expected` (path -> DVC hash), else None.

    None means that somebody has just published another version of one of the files: ask the ledger again.
    """
    with open_remote(settings.features_git_url.get_secret_value()) as git:
        commit = git.fetch_tip()
        if commit is None:
            return None
        pointers = git.read(commit, [path + SUFFIX for path in expected])
    held = {path: pointers[path + SUFFIX] for path in expected}
    return commit if all(text and read_md5(text) == expected[path] for path, text in held.items()) else None


def read_frame(
    settings: Settings,
    git_commit: str,
    path: str,
    columns: Sequence[str] | None = None,
    *,
    dvc_hash: str | None = None,
) -> pd.DataFrame:
    """The features that `git_commit` holds as `path`; raises as `read_frames`."""
    expected = None if dvc_hash is None else {path: dvc_hash}
    return read_frames(settings, git_commit, [path], columns, expected=expected)[path]


def read_frames(
    settings: Settings,
    git_commit: str,
    paths: Collection[str],
    columns: Sequence[str] | None = None,
    *,
    expected: Mapping[str, str] | None = None,
) -> dict[str, pd.DataFrame]:
    """Features by path, as `git_commit` holds them; `columns` are read, all if None. Takes and raises as `pull`.

    Numeric features are float64, categorical ones and text str or None, event times datetime64[us, UTC].
    """
    import pyarrow.parquet as pq

    wanted = None if columns is None else list(columns)
    with pull(settings, git_commit, paths, expected=expected) as files:
        return {path: pq.read_table(file, columns=wanted).to_pandas() for path, file in files.items()}


@contextmanager
def pull(
    settings: Settings, git_commit: str, paths: Collection[str], *, expected: Mapping[str, str] | None = None
) -> Iterator[dict[str, Path]]:
    """Parquet files by path, as `git_commit` holds them, from the remotes only; they are there within the block.

    Args:
        settings: names the two remotes.
        git_commit: full hash of a commit of the feature repository.
        paths: as `dvc_path` makes them.
        expected: DVC hashes that the commit must name for paths (the second half of a snapshot id).

    Raises:
        BadInputError: there is no such commit or file, or its DVC hash is not the expected one.
        CollectedError: retention has removed one of them.
        UnavailableError: a remote does not answer, or the bytes it has are not those of the hash.
    """
    pointers = _read_pointers(settings, git_commit, paths, expected or {})
    with scratch(settings.features_dvc_url) as remote:
        with explained(settings, f"features ({', '.join(paths)})", [read_md5(text) for text in pointers.values()]):
            files = remote.pull(pointers)
        yield files


def _read_pointers(
    settings: Settings, git_commit: str, paths: Collection[str], expected: Mapping[str, str]
) -> dict[str, bytes]:
    with open_remote(settings.features_git_url.get_secret_value()) as git:
        git.fetch_commit(git_commit)
        held = git.read(git_commit, [path + SUFFIX for path in paths])
    pointers = {}
    for path in paths:
        text = held[path + SUFFIX]
        if text is None:
            raise BadInputError(f"commit {git_commit} of the feature repository holds no {path}; check the snapshot id")
        if expected.get(path, read_md5(text)) != read_md5(text):
            raise BadInputError(
                f"commit {git_commit} of the feature repository names {path} {read_md5(text)}, not {expected[path]}: "
                "the snapshot id is not of this file"
            )
        pointers[path] = text
    return pointers
