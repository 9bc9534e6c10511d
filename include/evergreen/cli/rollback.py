"""`evergreen rollback MODEL`: an earlier version serves again."""

from __future__ import annotations

import dataclasses
import uuid
from typing import Annotated

import typer

from evergreen.cli.shared import HomeOption, JsonOption, console, join_stack, os_user, print_json
from evergreen.core.definition import load_definition
from evergreen.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("rollback")(rollback)


def rollback(
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    why: Annotated[str, typer.Option("--why", help="The reason, in a sentence; kept in the ledger and in the mail.")],
    to: Annotated[
        int | None,
        typer.Option("--to", metavar="VERSION", help="A version that has served. Default: the champion's predecessor."),
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have a version serve again that has served before, from the next partition on.

    Predictions that were made stay as they are. The mail about it is sent by the DAG evergreen.housekeeping. The same
    is possible in Airflow's UI: trigger the DAG MODEL.rollback.
    """
    if not why.strip():
        raise typer.BadParameter("say why, in a sentence: it is what the ledger keeps", param_hint="--why")
    join_stack(home)
    from evergreen.loop.champion.rollback import roll_back

    decided = roll_back(
        load_definition(model),
        to=to,
        why=why.strip(),
        decided_by=os_user(),
        cause_key=f"cli:{uuid.uuid4()}",
        settings=Settings.from_env(),
    )
    if as_json:
        print_json(dataclasses.asdict(decided))
    else:
        console().print(f"[bold]Version {decided.version} serves.[/] ", end="")
        console().print(decided.reason, markup=False)
