"""Write a benchmark's result with what it was measured on, and print it as a table."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.lib import figures
from bench.lib.figures import PROJECT, RESULTS

LIBRARIES = ("apache-airflow", "great-expectations", "dvc", "mlflow", "evidently", "scikit-learn", "pandas", "numpy")


def number_asked(about: str, default: float, doc: str | None) -> float:
    """The number on the command line; `--help` shows `doc` and what it means.

    A number is all that these benchmarks can be asked for: what else they do stands in their files.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("number", nargs="?", type=float, default=default, help=f"{about} (default: {default:g})")
    return float(parser.parse_args().number)


def nothing_asked(doc: str | None) -> None:
    """Take no argument but `--help`, which shows `doc`; anything else is an error, and measures nothing."""
    argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()


def machine() -> dict[str, Any]:
    """Cores, memory and system of this machine."""
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(pages / 2**30, 1),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def write(name: str, *, bars: dict[str, dict[str, Any]], measured: dict[str, Any], **more: object) -> Path:
    """Write `bench/results/<name>.json` and print its bars; `more` stands beside what was measured."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=PROJECT, capture_output=True, text=True, check=False)
    result = {
        "name": name,
        "bars": bars,
        "measured": measured,
        "machine": machine(),
        "versions": {library: version(library) for library in LIBRARIES},
        "commit": commit.stdout.strip(),
        "at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        **more,
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(result, indent=2, default=str) + "\n", encoding="utf-8")
    for bar, found in bars.items():
        verdict = "reached" if found["reached"] else "NOT reached"
        print(f"{bar}: {found['value']:.3g} {found.get('unit', '')} (bar {found['bar']}): {verdict}")
    print(path.relative_to(PROJECT))
    figures.main()
    return path
