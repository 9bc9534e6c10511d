"""What the commands share: options, output, and joining the environment of a stack."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from evergreen.stack import state as states
from evergreen.stack.home import Home

HomeOption = Annotated[
    Path | None,
    typer.Option("--home", metavar="DIR", help="Folder of the stack. Default: EVERGREEN_HOME, else var/ here."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer in JSON, for programs.")]


def console() -> Console:
    """Where answers for people go."""
    return Console(highlight=False)


def print_json(answer: Any) -> None:
    """Where answers for programs go."""
    typer.echo(json.dumps(answer, indent=2, default=str))


def join_stack(home: Path | None = None) -> None:
    """Take over a stack's environment, unless the shell says already where everything is (as in a container).

    Call it at the start of a command that needs `Settings.from_env()`. Does nothing where no stack was ever started:
    the settings then say what is missing.
    """
    from evergreen.stack.control import Stack

    stack = Stack(Home.find(home))
    if "EVERGREEN_LEDGER_URL" not in os.environ and states.read(stack.home.state).ports:
        os.environ.update(stack.environment())
