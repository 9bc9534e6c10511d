"""`bench`: measure, and write bench/results/<name>.json."""

from __future__ import annotations

import subprocess
import sys
from typing import Annotated

import typer

from evergreen.cli.shared import console
from evergreen.errors import BadInputError
from evergreen.stack.config.home import PROJECT

FOLDER = PROJECT / "bench"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("bench")(bench)


def bench(
    name: Annotated[str | None, typer.Argument(help="Which benchmark; all of them where left out.")] = None,
) -> None:
    """Run benchmarks; each writes bench/results/NAME.json with its machine, versions and sizes, and prints its bars."""
    known = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in ("figures", "report"))
    if name is not None and name not in known:
        raise BadInputError(f"no benchmark {name!r}; there are: {', '.join(known) or 'none'}")
    for chosen in [name] if name else known:
        console().print(f"[bold]{chosen}[/]")
        done = subprocess.run([sys.executable, str(FOLDER / f"{chosen}.py")], cwd=PROJECT, check=False)
        if done.returncode:
            raise typer.Exit(1)
