"""`evergreen deliver`: bring predictions to the sinks of a model again, or for the first time."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from evergreen.cli.shared import HomeOption, JsonOption, console, join_stack, print_json

if TYPE_CHECKING:
    from evergreen.core.definition import ModelDefinition
    from evergreen.core.definition.database_address import AddressOf


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("deliver")(deliver)


def deliver(
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    first: Annotated[
        str | None, typer.Option("--from", metavar="KEY", help="First partition, YYYY-MM-DD. Default: all.")
    ] = None,
    last: Annotated[str | None, typer.Option("--through", metavar="KEY", help="Last partition. Default: all.")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have every sink of the model hold the newest predictions of its partitions; one that has them is left alone.

    For a sink that is new in model.yaml, and after one was lost. The score DAG does it for each partition by itself.
    The address of a database is in the variable EVERGREEN_DATABASE_<NAME> of its connection; an Airflow connection is
    known to DAGs only. Partitions whose predictions retention has removed are left out.
    """
    join_stack(home)
    from evergreen.core.definition import load_definition
    from evergreen.core.definition.database_address import from_environment
    from evergreen.errors import DefinitionError
    from evergreen.loop.scoring.deliver import deliver as bring
    from evergreen.loop.scoring.deliver import predicted_keys
    from evergreen.settings import Settings

    definition, settings = load_definition(model), Settings.from_env()
    if not definition.sinks:
        raise DefinitionError(f"{model} has no `sinks` in model.yaml; see docs/sinks.md")
    _check_addresses(definition, from_environment)
    asked = predicted_keys(definition, settings=settings)
    asked = {key: kept for key, kept in asked.items() if (first or key) <= key <= (last or key)}
    keys = [key for key, kept in asked.items() if kept]
    done = [one for key in keys for one in bring(definition, key, settings=settings, address_of=from_environment)]
    if as_json:
        collected = [key for key, kept in asked.items() if not kept]
        print_json({"model": model, "delivered": [asdict(one) for one in done], "collected": collected})
        return
    for one in done:
        state = "delivered" if one.new else "there already"
        console().print(
            f"{one.key} {one.rows:>9,} rows of version {one.version} to {one.place}  {state}", soft_wrap=True
        )
    if len(keys) < len(asked):
        console().print(f"Left out: {len(asked) - len(keys)} partitions whose predictions retention has removed.")


def _check_addresses(definition: ModelDefinition, address_of: AddressOf) -> None:
    from evergreen.core.definition.database_address import without_address
    from evergreen.errors import SettingsError

    for sink, variable in without_address(definition.sinks, address_of).items():
        raise SettingsError(
            f"the sink {sink} cannot be reached: this command knows only the variable {variable}, and it is not set. "
            "Set it; or, if DAGs have an Airflow connection, clear the task deliver of the score DAG"
        )
