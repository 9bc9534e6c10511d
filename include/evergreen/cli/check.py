"""`evergreen check`: the verdict that a drop would get, offline, for a data producer's own CI."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from evergreen.cli import quick_start
from evergreen.cli.progress import counted
from evergreen.cli.shared import JsonOption, console, print_json

QUARANTINED = 3


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("check")(check)


def check(
    model: Annotated[str, typer.Argument(help="Name of the model, such as nyc_flights.")],
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="A partition's folder, named by its key, or a folder of such folders; or that of a reference's "
            "version, named by its stamp.",
        ),
    ],
    key: Annotated[
        str | None, typer.Option("--key", metavar="KEY", help="Partition key, where DIR is not named by it.")
    ] = None,
    history: Annotated[
        Path | None,
        typer.Option("--history", metavar="DIR", help="Folder of partitions to compare with those in DIR, by key."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Judge the tables in DIR as if they had landed, without a ledger or a server. `_SUCCESS` is not asked for.

    Where expectations compare with earlier partitions, these are looked for in DIR and in the folder of `--history`;
    the reason says what could not be compared. Labels are compared with inputs that lie beside them.

    Exit code 0: all would be accepted; 3: at least one would be quarantined.
    """
    quick_start.import_seldom_used_when_used()
    from evergreen.core.definition import load_definition
    from evergreen.tools.check_drops import check_folder, tables_in

    if key is not None and folder.is_dir() and not tables_in(folder):
        raise typer.BadParameter(
            f"a key is for the tables that lie in DIR itself, and {folder} holds none; its folders are named by their "
            f"keys: leave --key away, or give {folder / key}",
            param_hint="--key",
        )
    definition, begun = load_definition(model), time.monotonic()
    with counted("tables checked", quiet=as_json) as tell:
        checks = check_folder(definition, folder, key, history, tell)
    if as_json:
        print_json({"model": model, "accepted": all(c.accepted for c in checks), "tables": [asdict(c) for c in checks]})
    else:
        for item in checks:
            verdict = Text("accepted   ", "green") if item.accepted else Text("quarantined", "bold red")
            console().print(verdict, Text(f"{item.key} {item.table}: {item.reason}"), soft_wrap=True)
        if len(checks) > 1:
            accepted, seconds = sum(item.accepted for item in checks), time.monotonic() - begun
            console().print(f"{accepted:,} of {len(checks):,} tables would be accepted ({seconds:.0f} s)")
    if not all(item.accepted for item in checks):
        raise typer.Exit(QUARANTINED)
