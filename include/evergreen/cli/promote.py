"""`evergreen promote MODEL VERSION`: a person makes a challenger the champion, whatever the gate said."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from evergreen.cli.shared import HomeOption, JsonOption, console, join_stack, os_user, print_json
from evergreen.core.definition import load_definition
from evergreen.errors import BadInputError
from evergreen.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("promote")(promote)


def promote(
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    version: Annotated[int, typer.Argument(help="Version of the challenger, as the mail or the registry names it.")],
    why: Annotated[str, typer.Option("--why", help="The reason, in a sentence; kept in the ledger and in the mail.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have a challenger serve that was compared with the champion, even where the gate refused it.

    The ledger keeps who did it, why, and what the gate said. Such a promotion is not taken back by the monitor; to go
    back, use `evergreen rollback`. A version that has served before is rolled back to, not promoted.
    """
    if not why.strip():
        raise typer.BadParameter("say why, in a sentence: it is what the ledger keeps", param_hint="--why")
    join_stack(home)
    from evergreen.core.ledger import Ledger
    from evergreen.core.ledger.queries import versions
    from evergreen.loop.champion import promotion

    definition, settings = load_definition(model), Settings.from_env()
    with Ledger.from_settings(settings).transaction() as session:
        run = versions.run_of_version(session, model, version)
    if run is None:
        raise BadInputError(f"{model} has no challenger of version {version}; `evergreen history {model}` lists them")
    decided = promotion.promote(definition, run.id, settings=settings, decided_by=os_user(), why=why.strip())
    if as_json:
        print_json(dataclasses.asdict(decided))
    else:
        said = "served before, so nothing was changed" if decided.reused else "serves"
        console().print(f"[bold]Version {decided.version} {said}.[/] ", end="")
        console().print(decided.reason, markup=False)
