"""`evergreen mail`: the mails that the stack's mail catcher kept."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from evergreen.cli.shared import HomeOption, JsonOption, console, print_json
from evergreen.stack.config.home import Home
from evergreen.stack.embedded import caught_mails

mail = typer.Typer(help="List and show the mails that were caught.", invoke_without_command=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(mail, name="mail")


@mail.callback()
def default(context: typer.Context, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """List the mails that were caught; `evergreen mail show N` shows one."""
    if context.invoked_subcommand is None:
        list_mails(home, as_json)


@mail.command("list")
def list_mails(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """List the mails, oldest first."""
    found = caught_mails.read_all(Home.find(home).mail)
    if as_json:
        keys = ("number", "caught", "sender", "to", "subject", "message_id", "attachments", "path")
        print_json([{key: item.as_dict()[key] for key in keys} for item in found])
        return
    if not found:
        console().print("No mail was caught yet.")
        return
    table = Table("no", "caught (UTC)", "to", "subject", box=None, pad_edge=False)
    for item in found:
        table.add_row(str(item.number), item.caught, Text(item.to), Text(item.subject))
    console().print(table)


@mail.command("show")
def show(
    number: Annotated[int, typer.Argument(help="Number of the mail in the list.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one mail: its heads, its text, and the file to open in a mail program."""
    item = caught_mails.read_one(Home.find(home).mail, number)
    if as_json:
        print_json(item.as_dict())
        return
    heads = {"From": item.sender, "To": item.to, "Subject": item.subject, "Caught": f"{item.caught} UTC"}
    if item.attachments:
        heads["Attached"] = ", ".join(item.attachments)
    heads["File"] = str(item.path)
    for name, value in heads.items():
        console().print(Text(f"{name + ':':9} {value}"), soft_wrap=True)
    console().print()
    console().print(Text(item.text or item.html), soft_wrap=True)
