"""`bench`: measure, and write bench/results/<name>.json."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from evergreen.cli.shared import console
from evergreen.errors import BadInputError
from evergreen.stack.config.home import PROJECT

FOLDER = PROJECT / "bench"
KINDS = ("performance", "decisions", "resilience")
"""Folders of benchmarks, in the order in which all of them are run."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("bench")(bench)


def benchmarks(folder: Path = FOLDER) -> dict[str, str]:
    """The module of each benchmark, by its name."""
    files = (path for kind in KINDS for path in sorted((folder / kind).glob("[!_]*.py")))
    return {path.stem: f"bench.{path.parent.name}.{path.stem}" for path in files}


def bench(
    name: Annotated[str | None, typer.Argument(help="Which benchmark; all of them if left out.")] = None,
) -> None:
    """Run benchmarks; each writes bench/results/NAME.json with its machine, versions and sizes, and prints its bars."""
    known = benchmarks()
    if name is not None and name not in known:
        raise BadInputError(f"no benchmark {name!r}; there are: {', '.join(sorted(known)) or 'none'}")
    for chosen in [name] if name else known:
        console().print(f"[bold]{chosen}[/]")
        done = subprocess.run([sys.executable, "-m", known[chosen]], cwd=PROJECT, check=False)
        if done.returncode:
            raise typer.Exit(1)
