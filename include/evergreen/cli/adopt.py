"""`evergreen adopt MODEL`: the model that serves today becomes the first champion."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated

import typer

from evergreen.cli.shared import HomeOption, JsonOption, airflow, console, join_stack, os_user, print_json
from evergreen.core.definition import ModelDefinition, load_definition
from evergreen.core.names import PartitionKey
from evergreen.errors import EvergreenError
from evergreen.settings import Settings

if TYPE_CHECKING:
    from evergreen.loop.champion.adoption.adopt import Adopted


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("adopt")(adopt)


def adopt(
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    why: Annotated[str, typer.Option("--why", help="The reason, in a sentence; kept in the ledger and in the mail.")],
    predictions: Annotated[
        str | None,
        typer.Option(
            "--predictions",
            metavar="COLUMN",
            help="Column of the inputs in which its predictions land.",
        ),
    ] = None,
    version: Annotated[
        str | None,
        typer.Option("--version", metavar="ADDRESS", help="Its version in MLflow's registry, as models:/NAME/3."),
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option("--as-of", metavar="KEY", help="Newest partition to compare it on. Default: the newest labelled."),
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have the model that serves today be the first champion: compared, monitored and rolled back to like any other.

    With `--predictions` nothing is loaded: what it says lands as a column of the inputs. With `--version` its file is
    loaded with skops, if its types are trusted (`training.trusted_types`), and reads the features of this model's
    features.py. Challengers are compared with it from then on.

    Exit code 0: done; 1: it cannot be adopted; 2: wrong usage; 3: refused, as its file or its predictions are unfit, or
    another version serves.
    """
    if (predictions is None) == (version is None):
        raise typer.BadParameter("give one of them", param_hint="--predictions, --version")
    if not why.strip():
        raise typer.BadParameter("say why, in a sentence: it is what the ledger keeps", param_hint="--why")
    join_stack(home)
    from evergreen.loop.champion.adoption.adopt import adopt as adopt_model
    from evergreen.loop.scoring.backlog import unscored_keys

    definition, settings = load_definition(model), Settings.from_env()
    done = adopt_model(
        definition, column=predictions, address=version, as_of=PartitionKey(as_of) if as_of else None,
        why=why.strip(), decided_by=os_user(), settings=settings,
    )  # fmt: skip
    waiting = unscored_keys(definition, settings=settings)
    asked = _score(definition, waiting, home)
    if as_json:
        print_json({"model": model, **dataclasses.asdict(done), "waiting": waiting, "scoring": asked})
    else:
        _show(definition, done, len(waiting), asked=asked)


def _show(definition: ModelDefinition, done: Adopted, waiting: int, *, asked: bool) -> None:
    screen = console()
    screen.print(f"[bold]Version {done.version} serves:[/] ", end="")
    screen.print(done.reason, markup=False, soft_wrap=True)
    if done.loss is not None and done.base_rate_loss is not None:
        screen.print(
            f"{definition.loss} {done.loss:.4g} on {done.rows:,} rows through {done.as_of}, the base rate "
            f"{done.base_rate_loss:.4g}"
        )
    for note in done.notes:
        screen.print(note, markup=False, soft_wrap=True)
    if waiting:
        how = "are being scored" if asked else "wait to be scored: housekeeping starts that, or trigger the DAG score"
        screen.print(f"{waiting} partitions {how}.")


def _score(definition: ModelDefinition, keys: list[PartitionKey], home: HomeOption) -> bool:
    """Have Airflow score what waits; whether it could be asked."""
    if not keys:
        return False
    try:
        client = airflow(home)
        for key in keys:
            client.trigger(f"{definition.name}.score", run_id=f"adopt__{key}", partition_key=key)
    except EvergreenError:
        return False
    return True
