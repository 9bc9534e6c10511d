"""`evergreen gc MODEL`: what no champion and no policy needs is collected. Named as in Git, DVC and MLflow."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from evergreen.cli.shared import HomeOption, JsonOption, console, join_stack, os_user, print_json
from evergreen.core.definition import load_definition
from evergreen.settings import Settings

if TYPE_CHECKING:
    from evergreen.operations.retention.collect import Collected


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("gc")(gc)


def gc(
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    yes: Annotated[bool, typer.Option("--yes", help="Remove it. Without this, nothing is changed.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go: the default.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say which old objects nothing needs, and remove them with --yes.

    How much is kept stands in `retention` of model.yaml; where it says nothing, everything is. Whatever the champion,
    a rollback, a challenger in the shadow, an open training run or the next training needs stays, and so does what is
    in quarantine and what was recorded in the last seven days. The landing zone is never touched. The ledger's rows
    stay, and say of what is gone when it went and by which rule.

    The DAG evergreen.retention does the same each week. Interrupted, run it again: it goes on where it ended.
    """
    if yes and dry_run:
        raise typer.BadParameter("--dry-run removes nothing and --yes does: give one of them", param_hint="--yes")
    join_stack(home)
    from evergreen.operations.retention.collect import collect

    found = collect(
        load_definition(model),
        settings=Settings.from_env(),
        now=dt.datetime.now(dt.UTC),
        dry_run=not yes,
        by=os_user(),
    )
    if as_json:
        print_json(dataclasses.asdict(found))
    else:
        _print(found)


def _print(found: Collected) -> None:
    out = console()
    if found.policy is None:
        out.print(
            f"model.yaml of {found.model} has no section `retention`: everything is kept. docs/model-definition.md "
            "lists its fields.",
            markup=False,
        )
    if found.groups:
        table = Table(
            "what", "objects", "size", "oldest", "newest", "why", box=None, pad_edge=False, header_style="dim"
        )
        for group in found.groups:
            cells = (group.kind, f"{group.objects:,}", size(group.bytes), group.oldest, group.newest, group.rule)
            table.add_row(*map(Text, cells))
        out.print(table)
    if found.unfinished:
        out.print(f"{found.unfinished:,} objects were left to be removed by a call that was interrupted.")
    total = f"{found.objects:,} objects, {size(found.bytes)}"
    if not found.dry_run:
        out.print(f"[bold]Removed: {found.removed:,} objects[/]; {total} of them by this call.")
    elif found.objects or found.unfinished:
        out.print(
            f"[bold]Would be removed: {total}.[/] Nothing was changed; `evergreen gc {found.model} --yes` does it."
        )
    elif found.policy is not None:
        out.print("Nothing goes.")


def size(count: int) -> str:
    """Bytes in words: '12 B', '3.4 kB', '1.2 GB' (1 kB is 1,000 bytes)."""
    value, units = float(count), ["B", "kB", "MB", "GB", "TB"]
    while value >= 999.5 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.3g} {units[0]}"
