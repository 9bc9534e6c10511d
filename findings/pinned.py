"""Run a script again inside a temporary environment that holds just the packages named, and nothing of Evergreen."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path


def run(script: str, *packages: str) -> None:
    """Install `packages` (each pinned) in a temporary folder and run `script` there with `--inside`; exit as it does."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        python = str(Path(folder) / "bin" / "python")
        subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *packages], check=True)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        done = subprocess.run([python, "-W", "ignore", script, "--inside"], cwd=folder, env=environment, check=False)
    sys.exit(done.returncode)


def compare(seen: object, noted: object) -> None:
    """Print what was seen, and fail if it is not what was noted."""
    print("seen: ", seen)
    if seen != noted:
        print("noted:", noted)
        sys.exit("The behaviour has changed.")
