"""`evergreen airflow ...`: Airflow's own command line inside the stack's environment."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import typer

from evergreen.errors import UnavailableError
from evergreen.stack.config.home import Home
from evergreen.stack.control import Stack


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "airflow",
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
        add_help_option=False,
    )(airflow)


def airflow(context: typer.Context) -> None:
    """Run Airflow's own command line in the stack's environment, e.g. `evergreen airflow dags list`.

    Everything after `airflow` is passed on, `--help` too. The stack's folder comes from EVERGREEN_HOME.
    """
    stack = Stack(Home.find())
    env = stack.environment()
    if not stack.status().running():
        raise UnavailableError(f"the stack in {stack.home.root} does not run: start it with `evergreen up`.")
    program = str(Path(sys.executable).parent / "airflow")
    sys.stdout.flush()
    os.execve(program, [program, *context.args], env)  # noqa: S606 -- replaces this process; no shell is involved
