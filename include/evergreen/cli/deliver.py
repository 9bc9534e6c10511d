"""`evergreen deliver`: bring predictions to the sinks of a model again, or for the first time."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from evergreen.cli.shared import HomeOption, JsonOption, console, join_stack, print_json


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
    The address of a database is in the variable EVERGREEN_DATABASE_<NAME> of its connection.
    """
    join_stack(home)
    from evergreen.core.definition import load_definition
    from evergreen.core.definition.database_address import from_environment
    from evergreen.errors import DefinitionError
    from evergreen.loop.scoring.deliver import deliver as bring
    from evergreen.loop.scoring.deliver import delivered_keys
    from evergreen.settings import Settings

    definition, settings = load_definition(model), Settings.from_env()
    if not definition.sinks:
        raise DefinitionError(f"{model} has no `sinks` in model.yaml; see docs/sinks.md")
    keys = [k for k in delivered_keys(definition, settings=settings) if (first or k) <= k <= (last or k)]
    done = [one for key in keys for one in bring(definition, key, settings=settings, address_of=from_environment)]
    if as_json:
        print_json({"model": model, "delivered": [asdict(one) for one in done]})
        return
    for one in done:
        state = "delivered" if one.new else "there already"
        console().print(
            f"{one.key} {one.rows:>9,} rows of version {one.version} to {one.place}  {state}", soft_wrap=True
        )
