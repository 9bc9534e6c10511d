"""`evergreen reproduce MODEL VERSION`: is a registered version what the ledger says it was made of?"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from evergreen.cli.shared import HomeOption, JsonOption, console, join_stack, print_json
from evergreen.core.definition import load_definition
from evergreen.settings import Settings

if TYPE_CHECKING:
    from evergreen.operations.reproduce import Reproduced

DIFFERS = 3


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("reproduce")(reproduce)


def reproduce(
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    version: Annotated[int, typer.Argument(help="Version in the registry.")],
    tune: Annotated[
        bool, typer.Option("--tune", help="Tune again too, instead of taking the recorded hyperparameters.")
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a version again from what the ledger recorded of its training, and compare it with the registered file.

    Snapshots and labels are read from their remotes by the recorded ids. Compared are the data, the model file and the
    predictions on its holdout, bit for bit; where they differ, what else has changed since (code, libraries, machine)
    is named. Nothing is written. The same is possible in Airflow's UI: trigger the DAG MODEL.reproduce.

    Exit code 0: reproduced; 3: something differs.
    """
    join_stack(home)
    from evergreen.operations.reproduce import reproduce

    found = reproduce(load_definition(model), version, settings=Settings.from_env(), tune=tune)
    if as_json:
        checks = [{**dataclasses.asdict(check), "same": check.same} for check in found.checks]
        print_json({**dataclasses.asdict(found), "checks": checks})
    else:
        _print(found)
    if not found.reproduced:
        raise typer.Exit(DIFFERS)


def _print(found: Reproduced) -> None:
    style = "bold green" if found.reproduced else "bold red"
    said = f"{found.model} version {found.version} {found.reason}."
    console().print(Text(said, style), soft_wrap=True)
    table = Table("what", "", "recorded", "now", box=None, pad_edge=False, header_style="dim")
    for check in found.checks:
        mark = Text("same", "green") if check.same else Text("differs", "red")
        table.add_row(Text(check.name), mark, Text(check.recorded), Text("" if check.same else check.now))
    console().print(table)
    rows = f"{found.rows:,} rows trained on, {found.holdout_rows:,} rows predicted by both; training run"
    console().print(Text(f"{rows} {found.training_run_id}", "dim"))
