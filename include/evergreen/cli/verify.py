"""`evergreen verify`: do ledger, store, feature repository, registry and mails agree?"""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from evergreen.cli.shared import HomeOption, JsonOption, airflow, console, join_stack, print_json
from evergreen.errors import EvergreenError

if TYPE_CHECKING:
    from evergreen.operations.audit.audit import Audit, Runs
    from evergreen.stack.airflow_client import AirflowApi

DISAGREES = 3


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("verify")(verify)


def verify(
    model: Annotated[str, typer.Argument(help="Name of the model, such as nyc_flights.")],
    settled: Annotated[
        float,
        typer.Option("--settled", metavar="MINUTES", min=0, help="What is younger is taken for work in progress."),
    ] = 15,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare ledger, landing zone, store, DVC remote, feature repository, registry and mails; change nothing.

    Reads every file that the ledger names and hashes it anew, so that it takes as long as reading them takes. What
    disagrees is said in sentences, each with what to do. Airflow's runs are compared where there is a login to it, and
    the mails that arrived where there is a mail catcher. Rows of a table sink are compared if the variable
    EVERGREEN_DATABASE_<NAME> says where it is: Airflow's connections are known to DAGs only.

    Exit code 0: all agrees; 3: something disagrees.
    """
    join_stack(home)
    from evergreen.core.definition import load_definition
    from evergreen.operations.audit.audit import audit
    from evergreen.settings import Settings

    found = audit(
        load_definition(model),
        settings=Settings.from_env(),
        now=dt.datetime.now(dt.UTC),
        settled=dt.timedelta(minutes=settled),
        mail_folder=_mail_folder(),
        airflow=_runs(model, home),
    )
    if as_json:
        print_json(found.as_dict())
    else:
        _show(found)
    if found.disagreements:
        raise typer.Exit(DISAGREES)


def read_runs(client: AirflowApi, model: str) -> Runs:
    """The runs and task instances of the model's DAGs."""
    from evergreen.operations.audit.audit import Runs

    dags = [dag["dag_id"] for dag in client.dags() if dag["dag_id"].startswith(f"{model}.")]
    runs = [run for dag in dags for run in client.dag_runs(dag)]
    tasks = [task for dag in dags for task in client.task_instances(dag)]
    return Runs(runs, tasks)


def _mail_folder() -> Path | None:
    """Where the stack's mail catcher keeps its mails; None outside a stack."""
    folder = Path(os.environ.get("EVERGREEN_HOME") or "/nonexistent") / "mail"
    return folder if folder.is_dir() else None


def _runs(model: str, home: Path | None) -> Runs | None:
    try:
        return read_runs(airflow(home), model)
    except EvergreenError as error:
        note = Console(stderr=True, highlight=False)
        note.print(Text(f"Airflow's runs are not compared: {error}", "yellow"), soft_wrap=True)
        return None


def _show(found: Audit) -> None:
    screen = console()
    screen.print(Text("compared: " + ", ".join(f"{count} {what}" for what, count in found.compared.items())))
    for note in found.not_compared:
        screen.print(Text(note, "yellow"), soft_wrap=True)
    for one in found.disagreements:
        screen.print(Text(f"{one.area:11} ", "bold red"), Text(f"{one.about}: {one.what}. {one.fix}"), soft_wrap=True)
    if found.in_progress:
        screen.print(f"In progress, so not judged: {len(found.in_progress)} (--settled 0 shows them)")
    if not found.disagreements:
        screen.print("[green]All agrees.[/]")
