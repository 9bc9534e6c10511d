"""`evergreen start MODEL`: let a model run on a stack that is up; with `--history`, from all that has landed."""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.table import Table

from evergreen.cli.progress import progress
from evergreen.cli.shared import HomeOption, JsonOption, airflow, console, join_stack, print_json
from evergreen.core.definition import ModelDefinition, load_definition
from evergreen.errors import RefusedError, SettingsError, UnavailableError

if TYPE_CHECKING:
    from pathlib import Path

    from evergreen.stack.airflow_client import AirflowApi
    from evergreen.tools.start.summary import Summary


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("start")(start)


AsOfOption = Annotated[
    str | None,
    typer.Option(
        "--as-of",
        metavar="DATE",
        help="Newest partition (its key, or a day in it) whose labels the first champion may learn from. Default: two "
        "thirds of what has landed, so that partitions are left to be checked after it.",
    ),
]
ThroughOption = Annotated[
    str | None,
    typer.Option("--through", metavar="KEY", help="Last partition to bring in, this one included. Default: all."),
]


def start(
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    history: Annotated[
        bool,
        typer.Option("--history", help="Bring in what has landed, make a first champion of it, and check the rest."),
    ] = False,
    as_of: AsOfOption = None,
    through: ThroughOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a model run on a stack that is up: its DAGs are unpaused, and what lands from now on goes through the loop.

    With `--history`, what has landed already comes in first: inputs and labels are validated, features built, a first
    champion is made as of a date, from what was known then, and the partitions after it are scored and checked one by
    one, with the retrains and mails that they ask for. A summary says what came of it.

    Run it again at any time, also after it was stopped: what is done stays done, and it goes on from there. Exit code
    0: done; 1: something failed, and the message says where; 2: wrong usage; 3: the gate refused the first model, or
    leaves it to a person.
    """
    begun = time.monotonic()
    if not history and (as_of or through):
        raise typer.BadParameter("is about what has landed: give --history too", param_hint="--as-of, --through")
    definition = load_definition(model)
    client = running(home)
    if history:
        _history(definition, client, as_of, through, begun, as_json)
    else:
        _follow(definition, client, as_json)


def running(home: Path | None) -> AirflowApi:
    """A client of the Airflow of the stack that is up; its environment is this process's from now on.

    Raises:
        UnavailableError: no stack is up in the folder, or the Airflow that the shell names does not answer.
    """
    from evergreen.stack.config.home import Home
    from evergreen.stack.control import Stack

    join_stack(home)
    stack = Stack(Home.find(home))
    phase = stack.status().phase
    try:
        client = airflow(home)
    except SettingsError:
        if phase == "ready":
            raise
        raise UnavailableError(f"no stack is up in {stack.home.root}: run `evergreen up`, then this again") from None
    if client.url == stack.urls.get("airflow") and phase != "ready":
        raise UnavailableError(f"the stack in {stack.home.root} is {phase}: run `evergreen up`, then this again")
    return client


def _follow(definition: ModelDefinition, client: AirflowApi, as_json: bool) -> None:
    from evergreen.settings import Settings
    from evergreen.tools.start.begin import Beginning

    with progress(1, "step") as (say, advance):
        ids = Beginning(definition, Settings.from_env(), client, say, advance).open()
    if as_json:
        print_json({"model": definition.name, "outcome": "done", "unpaused": ids})
        return
    screen = console()
    screen.print(f"{definition.name} runs: what lands from now on goes through the loop.")
    screen.print("What has landed already, and a first champion from it:")
    screen.print(f"  evergreen start {definition.name} --history")


def _history(
    definition: ModelDefinition, client: AirflowApi, as_of: str | None, through: str | None, begun: float, as_json: bool
) -> None:
    from evergreen.settings import Settings
    from evergreen.tools.start.begin import Beginning
    from evergreen.tools.start.landed import find_landed
    from evergreen.tools.start.plan import key_of
    from evergreen.tools.start.summary import collect

    settings, calendar = Settings.from_env(), definition.partitions
    asked = key_of(calendar, as_of, "--as-of") if as_of else None
    last = key_of(calendar, through, "--through") if through else None
    landed = find_landed(definition, settings=settings, now=dt.datetime.now(dt.UTC)).through(last)
    refused: RefusedError | None = None
    with progress(len(landed.inputs), calendar.unit) as (say, advance):
        beginning = Beginning(definition, settings, client, say, advance)
        beginning.check(landed, asked)
        beginning.open_for_history(landed)
        try:
            beginning.history(landed, asked)
        except RefusedError as error:
            refused = error
        beginning.open()
    urls = {"airflow": client.url, "model": f"{client.url}/evergreen/models/{definition.name}"}
    summary = collect(definition, settings, time.monotonic() - begun, urls)
    notes = {"passed_over": beginning.passed_over, "forms": beginning.waits_for_person}
    if as_json:
        outcome = {"outcome": "refused" if refused else "done", "reason": str(refused) if refused else None}
        print_json({**outcome, **summary.to_json(), **notes})
    else:
        show(summary, beginning.passed_over, beginning.waits_for_person)
    if refused:
        raise refused


def show(summary: Summary, passed_over: dict[str, str], forms: list[str]) -> None:
    """Print the summary and what to do next."""
    screen = console()
    screen.print()
    if summary.monitored:
        screen.print(_table(summary))
    counts = ", ".join(f"{summary.accepted.get(table, 0)} of {table}" for table in ("inputs", "labels"))
    screen.print(f"[bold]Accepted[/] {counts}; [bold]quarantined[/] {len(summary.quarantined)}")
    for one in summary.quarantined:
        screen.print(f"  {one['table']} of {one['key']}: {one['reason']}", markup=False, soft_wrap=True)
    for key, why in passed_over.items():
        screen.print(f"  {key} went no further: {why.splitlines()[0]}", markup=False, soft_wrap=True)
    _show_versions(summary)
    drifted = sum(one.drifted for one in summary.monitored)
    screen.print(f"[bold]Monitored[/] {len(summary.monitored)}, {drifted} with input drift")
    for title, rows in (
        ("Retrains", summary.retrains), ("Promoted", summary.promotions), ("Refused", summary.refusals),
    ):  # fmt: skip
        screen.print(f"[bold]{title}[/] {len(rows)}")
        for row in rows:
            screen.print(f"  {_named(row)}{row['reason']}", markup=False, soft_wrap=True)
    screen.print(f"[bold]Mails[/] {len(summary.mails)}, {sum(mail['sent'] for mail in summary.mails)} sent")
    for mail in summary.mails:
        screen.print(f"  {mail['subject']}", markup=False, soft_wrap=True)
    for form in forms:
        screen.print(f"[yellow]A person is asked:[/] {form}", soft_wrap=True)
    screen.print(f"[bold]Took[/] {summary.wall_seconds:.0f} s\n")
    _show_next(summary)


def _named(row: dict[str, Any]) -> str:
    where = row.get("as_of")
    version = f"version {row['version']}" if row.get("version") else ""
    return f"{', '.join(part for part in (f'as of {where}' if where else '', version) if part)}: "


def _show_versions(summary: Summary) -> None:
    screen, first = console(), summary.first
    if first is None:
        screen.print("[bold]Champion[/] none yet")
        return
    compared = ""
    if first.loss is not None and first.base_rate_loss is not None:
        gain = f" ({first.loss / first.base_rate_loss - 1:+.1%})" if first.base_rate_loss else ""
        compared = f": {summary.loss_name} {first.loss:.4g} held out, the base rate {first.base_rate_loss:.4g}{gain}"
    screen.print(
        f"[bold]First champion[/] version {first.version} ({first.candidate or 'adopted'}), as of {first.as_of}, "
        f"serves from {first.serves_from}{compared}",
        soft_wrap=True,
    )
    if summary.champion != first.version:
        screen.print(f"[bold]Champion now[/] version {summary.champion}")


def _table(summary: Summary) -> Table:
    """A row a monitored partition; made to fit 80 columns."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for name in ("partition", "model", "drift", "decision", summary.loss_name):
        table.add_column(name, justify="right" if name in ("model", summary.loss_name) else "left", no_wrap=True)
    for one in summary.monitored:
        loss = f"{one.loss:.4g}" if one.loss is not None else "not measured yet"
        table.add_row(one.key, str(one.version), "yes" if one.drifted else "no", one.decision or "", loss)
    return table


def _show_next(summary: Summary) -> None:
    screen = console()
    screen.print("The model runs: what lands from now on goes through the loop. Next:")
    screen.print(f"  evergreen history {summary.model}     # its life, with every reason")
    screen.print("  evergreen mail                # what was sent; `mail show N` shows one")
    screen.print("  evergreen status --logins     # logins of the pages")
    screen.print(f"  {summary.urls['model']}", soft_wrap=True)
