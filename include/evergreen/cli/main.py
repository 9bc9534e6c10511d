"""The command `evergreen`: puts the command groups together and turns errors into exit codes.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused (a verdict or a gate said no).
"""

from __future__ import annotations

import errno
import os
import sys

import typer
from rich.console import Console

from evergreen.cli import (
    adopt,
    airflow,
    backup,
    bench,
    check,
    deliver,
    demo,
    doctor,
    expectations,
    experiment,
    feed,
    gc,
    history,
    mail,
    model_test,
    new,
    promote,
    quick_start,
    replay,
    replay_quarantine,
    reproduce,
    rollback,
    serve,
    silence,
    stack,
    start,
    verify,
)
from evergreen.errors import EvergreenError, QuarantinedError, RefusedError

FAILED, REFUSED = 1, 3

app = typer.Typer(
    name="evergreen",
    help="Keeps tabular models fresh by themselves. Begin with `evergreen up`, then `evergreen status`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
for group in (
    stack,
    demo,
    doctor,
    mail,
    new,
    feed,
    start,
    check,
    model_test,
    experiment,
    expectations,
    history,
    verify,
    deliver,
    adopt,
    promote,
    rollback,
    silence,
    replay_quarantine,
    replay,
    serve,
    backup,
    reproduce,
    gc,
    bench,
    airflow,
):
    group.register(app)


def main() -> None:
    """Run the command line."""
    quick_start.collect_seldom()
    try:
        app()
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
