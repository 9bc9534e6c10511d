"""Public files of others, by the three commands that a person types: `new`, `feed land`, `test`.

Each file of `bench/lib/public_files.py` is taken out of its package as it is, and nothing in it is changed. It has
become a model if all three commands end well; if one of them does not, its last word is kept.

    python -m bench.decisions.strangers [FILES]       writes bench/results/strangers.json and docs/public-files.md
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench.lib import packaged, public_files_page
from bench.lib.public_files import FILES, FIRST, PublicFile
from bench.lib.report import number_asked, write

AT_ONCE = 2
LONGEST = 1_200
"""Seconds that one command may take"""


def main() -> None:
    """Try the files, and write what became of them."""
    number = int(number_asked("files of the list, from its beginning", len(FILES), __doc__))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(_told, FILES[:number]))
    if number < len(FILES):
        return
    models = [one["outcome"] == "model" for one in found]
    as_meant = sum(m or bool(file.why_refused) for m, file in zip(models, FILES, strict=True))
    begun, most = sum(models[:FIRST]), len(FILES)
    write(
        "strangers",
        bars={
            f"files of the first {FIRST} that become a model": {
                "value": begun, "unit": f"of {FIRST}", "bar": ">= 17", "reached": begun >= 17,
            },
            "files of the whole list that become a model": {
                "value": sum(models), "unit": f"of {most}", "bar": ">= 85 %", "reached": sum(models) >= 0.85 * most,
            },
            "files that become a model, or are rightly refused": {
                "value": as_meant, "unit": f"of {most}", "bar": ">= 95 %", "reached": as_meant >= 0.95 * most,
            },
        },
        measured={"files": found},
    )  # fmt: skip
    public_files_page.main()


def _told(file: PublicFile) -> dict[str, Any]:
    found = tried(file)
    print(f"{file.package} {file.member}: {found['outcome']} {found['said'][:200]}", flush=True)
    return found


def tried(file: PublicFile) -> dict[str, Any]:
    """What became of one file."""
    with tempfile.TemporaryDirectory(prefix="strangers-") as scratch:
        folder = Path(scratch)
        data = packaged.copy(file.package, file.member, folder)
        commands = _commands(file, data)
        said, rows, step = "", None, ""
        for step, command in commands.items():
            done = _run(command, folder)
            if step == "feed land" and done.returncode == 0:
                rows = _rows(done.stdout)
            if done.returncode:
                said = _sentence(done, folder)
                break
    return {
        "package": file.package, "version": packaged.version(file.package), "file": file.member,
        "licence": packaged.licence(file.package), "rows": rows, "target": file.target,
        "typed": " ".join(_options(file)), "outcome": f"refused by {step}" if said else "model", "said": said,
        "why_refused": file.why_refused if said else "",
    }  # fmt: skip


def _options(file: PublicFile) -> list[str]:
    later = [part for column in file.later for part in ("--later", column)]
    form = ["--time-format", file.time_format] if file.time_format else []
    return ["--target", file.target, "--time", file.time, *later, *form]


def _commands(file: PublicFile, data: Path) -> dict[str, list[str]]:
    landing = data.parent / "landing"
    return {
        "new": ["new", "stranger", "--data", str(data), *_options(file)],
        "feed land": ["feed", "land", "stranger", "--data", str(data), "--to", str(landing), "--json"],
        "test": ["test", "stranger", "--landing", str(landing)],
    }


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    home = folder / "home"
    own = {
        "EVERGREEN_MODELS_DIR": str(folder / "models"),
        "EVERGREEN_HOME": str(home),
        "COLUMNS": "200",
        "OMP_NUM_THREADS": "1",
    }
    evergreen = Path(sys.executable).parent / "evergreen"
    return subprocess.run(
        [str(evergreen), *command], env={**os.environ, **own}, cwd=folder, capture_output=True, text=True, check=False,
        timeout=LONGEST, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def _rows(answer: str) -> int:
    return sum(table["rows"] for table in json.loads(answer)["landed"] if table["table"] == "inputs")


def _sentence(done: subprocess.CompletedProcess[str], folder: Path) -> str:
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    lines = failed or [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    text = " / ".join(failed) or " ".join(line.strip() for line in lines[-3:])
    return text.replace(f"{folder}/", "") or f"exit code {done.returncode}"


if __name__ == "__main__":
    main()
