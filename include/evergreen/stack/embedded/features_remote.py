"""The feature repository's bare Git remote."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from evergreen.core.feature_repository.git import SKELETON

BRANCH = "main"
IDENTITY = "[user]\n\tname = Evergreen\n\temail = evergreen@localhost\n[init]\n\tdefaultBranch = main\n" \
    "[gc]\n\tauto = 0\n[advice]\n\tdetachedHead = false\n[safe]\n\tdirectory = *\n"  # fmt: skip
"""Git configuration of everything that runs in a stack: no one's personal one decides what a commit looks like."""


def create_features_remote(bare: Path) -> None:
    """Make a bare repository with one commit that holds DVC's configuration, unless there is one.

    The initial commit is the same everywhere (fixed author and date), so two hosts that both create it agree.
    """
    if (bare / "refs" / "heads" / BRANCH).exists() or (bare / "packed-refs").exists():
        return
    env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")} | {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_AUTHOR_DATE": "2013-01-01T00:00:00Z",
        "GIT_COMMITTER_DATE": "2013-01-01T00:00:00Z",
    }

    def git(*arguments: str, cwd: Path) -> None:
        identity = ("-c", "user.name=Evergreen", "-c", "user.email=evergreen@localhost", "-c", "safe.directory=*")
        subprocess.run(["git", *identity, *arguments], cwd=cwd, env=env, check=True, capture_output=True)

    bare.mkdir(parents=True, exist_ok=True)
    git("init", "--bare", "--quiet", f"--initial-branch={BRANCH}", cwd=bare)
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        git("init", "--quiet", f"--initial-branch={BRANCH}", cwd=work)
        for name, text in SKELETON.items():
            (work / name).parent.mkdir(exist_ok=True)
            (work / name).write_text(text)
        git("add", "--all", cwd=work)
        git("commit", "--quiet", "--message", "Begin the feature repository", cwd=work)
        git("push", "--quiet", str(bare), BRANCH, cwd=work)
