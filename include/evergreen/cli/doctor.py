"""`evergreen doctor`: what is wrong, and what to do about it."""

from __future__ import annotations

import typer
from rich.table import Table
from rich.text import Text

from evergreen.cli.shared import HomeOption, JsonOption, console, print_json
from evergreen.stack.config.home import Home


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


def doctor(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Check the machine, the servers and the model definitions; a line each, with the fix. Exit code 1 if any fails."""
    from evergreen.stack.doctor import examine

    findings = examine(Home.find(home))
    if as_json:
        print_json([finding.as_dict() for finding in findings])
    else:
        table = Table(box=None, pad_edge=False, show_header=False)
        for finding in findings:
            mark = Text("ok", "green") if finding.ok else Text("FAIL", "bold red")
            said = finding.found if finding.ok else f"{finding.found}. {finding.fix}"
            table.add_row(mark, finding.name, Text(said))
        console().print(table)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)
