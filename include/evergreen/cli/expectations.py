"""`evergreen expectations propose MODEL`: a first `expectations.py` from what has landed."""

from __future__ import annotations

import time
from dataclasses import asdict
from enum import StrEnum
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from evergreen.cli import quick_start
from evergreen.cli.progress import counted
from evergreen.cli.shared import HomeOption, JsonOption, check_writable, console, landing_url, print_json

if TYPE_CHECKING:
    from evergreen.core.definition.model import TableName
    from evergreen.tools.propose.propose import Proposal

REFUSED = 3


class Table(StrEnum):
    """A table of the feed."""

    INPUTS = "inputs"
    LABELS = "labels"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="Help with writing a model's expectations.")
    group.command("propose")(propose)
    group.callback()(_group)
    app.add_typer(group, name="expectations")


def _group() -> None:
    """Help with writing a model's `expectations.py`."""


def propose(
    model: Annotated[str, typer.Argument(help="Name of the model, such as nyc_flights. Its model.yaml must be there.")],
    first: Annotated[str | None, typer.Option("--from", metavar="KEY", help="First partition. Default: all.")] = None,
    last: Annotated[str | None, typer.Option("--through", metavar="KEY", help="Last partition, included.")] = None,
    table: Annotated[
        Table | None, typer.Option("--table", help="Only this table; the other's function is left out. Default: both.")
    ] = None,
    landing: Annotated[
        str | None,
        typer.Option("--landing", metavar="URL", help="Landing zone, a folder or URL. Default: the stack's own."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write the proposal there. Default: print it.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE where it is there already.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Propose an expectations.py from partitions that have landed: to be read, corrected and then owned by the team.

    Profiles what model.yaml accepts (columns, types, ids, times) and writes ranges with room, shares of missing values,
    closed sets, the look of ids and codes, numbers of rows, and comparisons with the partitions before. Eight
    partitions or more are a good beginning; below four, little is taken for certain. The proposal is then tried on the
    partitions it was made from. No ledger is needed, and an existing expectations.py is neither read nor changed.

    Exit code 0: done; 1: nothing usable has landed; 2: wrong usage; 3: FILE is there already, or a partition that the
    proposal was made from would be quarantined by it.
    """
    quick_start.import_seldom_used_when_used()
    from evergreen.core.definition import load_definition
    from evergreen.errors import RefusedError
    from evergreen.tools.propose.propose import propose as run

    if out is not None:
        check_writable(out, "--out")
    if out is not None and out.exists() and not force:
        raise RefusedError(f"{out} is there already and stays as it is; name another --out, or give --force")
    definition = load_definition(model)
    both: tuple[TableName, ...] = ("inputs", "labels")
    tables = [name for name in both if table in (None, name)]
    where, steps, begun = landing_url(landing, home, "--landing"), count(1), time.monotonic()
    with counted("steps", quiet=as_json) as tell:
        proposal = run(
            definition, where, tables=tables, first=first, last=last,
            progress=lambda what, table, key: tell(next(steps), 0, f"{what} {key} {table}"),
        )  # fmt: skip
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(proposal.text, encoding="utf-8")
    if as_json:
        print_json({"model": model, "out": str(out) if out else None, **asdict(proposal)})
    else:
        _show(proposal, out, time.monotonic() - begun)
    if not all(tried.accepted for tried in proposal.tried):
        raise typer.Exit(REFUSED)


def _show(proposal: Proposal, out: Path | None, seconds: float) -> None:
    """The text alone goes to standard output, so that it can be redirected; what is said about it goes beside it."""
    from rich.console import Console

    if out is None:
        typer.echo(proposal.text, nl=False)
    beside = console() if out else Console(stderr=True, highlight=False)
    for name, reason in proposal.left_out.items():
        beside.print(Text(f"left out: {name}: {reason}", "yellow"), soft_wrap=True)
    for tried in proposal.tried:
        if not tried.accepted:
            beside.print(Text(f"would be quarantined: {tried.key} {tried.table}: {tried.reason}", "bold red"))
    accepted, warned = sum(t.accepted for t in proposal.tried), sum(bool(t.warnings) for t in proposal.tried)
    said = f"{accepted} of {len(proposal.tried)} tables it was made from pass, {warned} with warnings ({seconds:.0f} s)"
    beside.print(
        f"{f'{out}: ' if out else ''}{said}. Read it, correct it, then try a drop: evergreen check",
        markup=False,
        soft_wrap=True,
    )
