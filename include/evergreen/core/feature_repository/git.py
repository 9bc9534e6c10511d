"""The feature repository's Git remote, through a scratch repository that holds no more than one commit's files.

Commits are made with Git's plumbing: no work tree, no merge, no configuration of the user's. A process that loses a
race for the branch fetches its new tip and commits on top of that. Credentials in a URL reach Git through its
environment, never a command line.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from evergreen.core.store.scratch import scratch_folder
from evergreen.errors import BadInputError, UnavailableError

BRANCH = "refs/heads/main"
TIMEOUT_SECONDS = 300
SKELETON = {
    ".dvc/config": "[core]\n    analytics = false\n    autostage = false\n    check_update = false\n",
    ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n",
    ".dvcignore": "",
    ".gitignore": "*.parquet\n",
    "README.md": "Snapshots of features, one folder for each model. Written by Evergreen only.\n\n"
    "To look at one: `dvc remote add --local --default store <DVC remote's URL>`, then `dvc pull <file>`.\n",
}
"""What a person needs to clone the repository and use DVC in it. The DVC remote's URL is not in it: it is given at use,
and another host may reach it under another one."""
_COMMIT = re.compile(r"^[0-9a-f]{40}([0-9a-f]{24})?$")
_ASK = "!f() { echo username=$EVERGREEN_GIT_USERNAME; echo password=$EVERGREEN_GIT_PASSWORD; }; f"
"""Credential helper: a line of shell that Git runs; it reads the environment that only this process's user can read."""
# One pack instead of a file and a folder for each object: less to write, less to delete.
_PACKED = ("-c", "fetch.unpackLimit=1", "-c", "fastimport.unpackLimit=1")
# Where Git looks for a repository must not depend on who started this process (a Git hook, for instance).
_FOREIGN = {
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR", "GIT_NAMESPACE",
}  # fmt: skip


class GitFailedError(UnavailableError):
    """A Git command failed; `said` is all that it wrote, of which the message quotes the errors."""

    def __init__(self, action: str, url: str, errors: str, output: str = "") -> None:
        self.said = f"{errors}\n{output}"
        lines = [line.strip() for line in errors.splitlines() if line.strip()]
        super().__init__(
            f"git {action} failed at the feature repository {url}: {' '.join(lines[-3:]) or 'no message'}; "
            "check that EVERGREEN_FEATURES_GIT_URL can be reached and written to from this host"
        )


@contextmanager
def open_remote(url: str) -> Iterator[GitRemote]:
    """The Git remote at `url` (any URL that Git understands), with a scratch repository that ends with the block."""
    with scratch_folder("git") as folder:
        remote = GitRemote(url, folder)
        remote.run("init", "--quiet", "--bare", "--template=", str(folder))
        yield remote


class GitRemote:
    """One remote and its scratch repository; made by `open_remote`."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, secrets = _split(url)
        self._folder = folder
        env = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
        self._env = {**env, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", **secrets}
        self._options = [*_PACKED]
        if secrets:
            self._options += ["-c", "credential.helper=", "-c", f"credential.helper={_ASK}"]

    def run(self, *arguments: str, stdin: bytes = b"") -> bytes:
        """Standard output of a Git command in the scratch repository.

        Raises:
            GitFailedError: it failed, or did not end in time.
        """
        command = ["git", *self._options, *arguments]
        try:
            done = subprocess.run(
                command, cwd=self._folder, env=self._env, input=stdin, capture_output=True, timeout=TIMEOUT_SECONDS
            )
        except subprocess.TimeoutExpired:
            raise GitFailedError(arguments[0], self.url, f"no end after {TIMEOUT_SECONDS} seconds") from None
        if done.returncode:
            said = (done.stderr.decode(errors="replace"), done.stdout.decode(errors="replace"))
            raise GitFailedError(arguments[0], self.url, *said)
        return done.stdout

    def fetch_tip(self) -> str | None:
        """Fetch the newest commit and return its hash; None if the repository is empty."""
        try:
            self.run("fetch", "--quiet", "--no-tags", "--depth=1", "--", self.url, BRANCH)
        except GitFailedError as error:
            if "couldn't find remote ref" in error.said:
                return None
            raise
        return (self._folder / "FETCH_HEAD").read_text().split()[0]

    def fetch_commit(self, commit: str) -> None:
        """Fetch the files of `commit`.

        Raises:
            BadInputError: it is not the hash of a commit of this repository.
            GitFailedError: the remote does not answer.
        """
        if not _COMMIT.match(commit):
            raise BadInputError(f"{commit[:80]!r} is not a Git commit; a snapshot id starts with one, in full")
        try:
            self.run("fetch", "--quiet", "--no-tags", "--depth=1", "--", self.url, commit)
        except GitFailedError:
            # A server may refuse to hand out a commit by its hash; the whole branch holds it too.
            self.run("fetch", "--quiet", "--no-tags", "--", self.url, BRANCH)
            try:
                self.run("cat-file", "-e", f"{commit}^{{commit}}")
            except GitFailedError:
                raise BadInputError(
                    f"the feature repository {self.url} has no commit {commit} on its branch main; "
                    "was EVERGREEN_FEATURES_GIT_URL changed, or the repository's history rewritten?"
                ) from None

    def read(self, commit: str, paths: Collection[str]) -> dict[str, bytes | None]:
        """The content of each of `paths` at a fetched `commit`; None if there is no such file."""
        asked = "".join(f"{commit}:{path}\n" for path in paths).encode()
        answer = self.run("cat-file", "--batch", stdin=asked)
        found: dict[str, bytes | None] = {}
        for path in paths:
            head, _, answer = answer.partition(b"\n")
            if head.endswith(b" missing"):
                found[path] = None
            else:
                size = int(head.rsplit(b" ", 1)[1])
                found[path], answer = answer[:size], answer[size + 1 :]
        return found

    def commit(self, parent: str | None, files: Mapping[str, bytes], message: str) -> str:
        """Make a commit that adds or replaces `files` on top of `parent`; its hash. Nothing is pushed."""
        text = message.encode()
        stream = [b"commit refs/evergreen/next\nmark :1\n"]
        stream.append(b"committer Evergreen <evergreen@localhost> %d +0000\n" % int(time.time()))
        stream.append(b"data %d\n%s\n" % (len(text), text))
        stream.append(f"from {parent}\n".encode() if parent else b"")
        stream += [b"M 100644 inline %s\ndata %d\n%s\n" % (p.encode(), len(c), c) for p, c in sorted(files.items())]
        stream.append(b"get-mark :1\ndone\n")
        made = self.run("fast-import", "--quiet", "--force", "--done", stdin=b"".join(stream))
        return made.decode().strip()

    def push(self, commit: str) -> bool:
        """Make `commit` the newest one of the remote; False if somebody else was faster."""
        try:
            self.run("push", "--porcelain", "--", self.url, f"{commit}:{BRANCH}")
        except GitFailedError as error:
            lost = "[rejected]" in error.said or "cannot lock ref" in error.said
            if lost or "failed to update ref" in error.said or "reference already exists" in error.said:
                return False
            raise
        return True


def _split(url: str) -> tuple[str, dict[str, str]]:
    """The URL without its credentials, and the environment that hands them to Git."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.username:
        return url, {}
    host = parts.netloc.rpartition("@")[2]
    secrets = {
        "EVERGREEN_GIT_USERNAME": unquote(parts.username),
        "EVERGREEN_GIT_PASSWORD": unquote(parts.password or ""),
    }
    return parts._replace(netloc=host).geturl(), secrets
