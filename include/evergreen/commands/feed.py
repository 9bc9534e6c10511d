"""`evergreen feed ...`: the feed simulator, which lands real rows week by week."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evergreen.commands.shared import HomeOption, JsonOption, console, join_stack, print_json

if TYPE_CHECKING:
    from evergreen.intake.landing import Landed

feed = typer.Typer(help="The feed simulator: land real rows, partition by partition.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(feed, name="feed")


@feed.command("land")
def land(
    model: Annotated[str, typer.Argument(help="Name of the model, such as nyc_flights.")],
    first: Annotated[str, typer.Option("--from", metavar="KEY", help="First partition, YYYY-MM-DD.")],
    last: Annotated[str, typer.Option("--through", metavar="KEY", help="Last partition, this one included.")],
    to: Annotated[
        str | None, typer.Option("--to", metavar="DIR", help="Landing zone, a folder or URL. Default: the stack's.")
    ] = None,
    with_labels: Annotated[
        bool, typer.Option("--with-labels", help="Land the labels of the same partitions at once, without delay.")
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Land the inputs of each partition, and the labels that become known with it (`label_delay` partitions before).

    What lies there already with the same bytes is left alone, so the command can be given again.
    """
    from evergreen.definition import load_definition
    from evergreen.errors import BadInputError
    from evergreen.intake.landing import land as land_ticks

    landing_url = _landing_url(to, home)
    definition = load_definition(model)
    keys = definition.partitions.keys(first, last)
    if not keys:
        raise BadInputError(f"--through {last} lies before --from {first}: there is nothing to land")
    done = land_ticks(
        definition, keys, landing_url=landing_url, with_labels=with_labels, progress=None if as_json else _say
    )
    if as_json:
        print_json({"model": model, "landing": landing_url, "landed": [asdict(item) for item in done]})
    else:
        console().print(f"{sum(item.new for item in done)} landed below {landing_url}", soft_wrap=True)


def _landing_url(to: str | None, home: Path | None) -> str:
    if to is not None:
        return to if "://" in to else f"file://{Path(to).resolve()}"
    from evergreen.settings import Settings

    join_stack(home)
    return Settings.from_env().landing_url


def _say(item: Landed) -> None:
    state = "landed" if item.new else "there already"
    console().print(f"{item.key} {item.table:<6} {item.rows:>9,} rows {item.bytes:>12,} bytes  {state}", soft_wrap=True)
