"""The command `evergreen`: puts the command groups together and turns errors into exit codes.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused (a verdict or a gate said no).
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from functools import cache
from importlib import import_module, metadata
from typing import Annotated

import typer
from rich.console import Console

from evergreen.cli import quick_start
from evergreen.errors import EvergreenError, QuarantinedError, RefusedError

FAILED, REFUSED = 1, 3
GROUPS = (
    "stack", "demo", "doctor", "mail", "new", "feed", "start", "check", "model_test", "experiment",
    "expectations", "history", "verify", "deliver", "adopt", "promote", "rollback", "silence",
    "replay_quarantine", "replay", "serve", "backup", "reproduce", "gc", "bench", "airflow",
)  # fmt: skip
"""Modules of `evergreen.cli` with commands, in the order of the help"""


@cache
def application() -> typer.Typer:
    """All commands."""
    return _with(GROUPS)


def of_one_command(name: str) -> typer.Typer:
    """The command `name` alone if a module has its name: the others, and what they import, are a third of a second."""
    module = name.replace("-", "_")
    if module in GROUPS:
        found = _with((module,))
        if name in {*(c.name for c in found.registered_commands), *(g.name for g in found.registered_groups)}:
            return found
    return application()


def _with(groups: Sequence[str]) -> typer.Typer:
    made = typer.Typer(
        name="evergreen",
        help="Keeps tabular models fresh by themselves. Begin with `evergreen up`, then `evergreen status`.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
    )
    made.callback()(_before)
    for group in groups:
        import_module(f"evergreen.cli.{group}").register(made)
    return made


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"evergreen {metadata.version('evergreen')}")
        raise typer.Exit


def _before(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line."""
    quick_start.collect_seldom()
    try:
        of_one_command(sys.argv[1] if sys.argv[1:] else "")()
    except (RefusedError, QuarantinedError) as err:
        _complain("refused", err)
        sys.exit(REFUSED)
    except EvergreenError as err:
        _complain("error", err)
        sys.exit(FAILED)
    except OSError as err:
        _complain("error", _said_of(err))
        sys.exit(FAILED)
    except KeyboardInterrupt:
        sys.exit(130)


def _said_of(err: OSError) -> str:
    """One sentence about what the operating system refused, and what to do."""
    if err.errno in (errno.ENOSPC, errno.EDQUOT):
        if err.filename is None:  # the output itself: what is left of it cannot be written at the exit either
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        where = f" for {err.filename}" if err.filename else ""
        return f"no space is left{where}. Free some, then run the command again; what is written is whole"
    reason = err.strerror or str(err) or type(err).__name__
    said = f"cannot use {err.filename}: {reason}" if err.filename else reason
    return f"{said}. Put it right, or name another place, then run the command again"


def _complain(word: str, err: object) -> None:
    console = Console(stderr=True, highlight=False)
    console.print(f"[bold red]{word}:[/] ", end="")
    console.print(str(err), markup=False, soft_wrap=True)
