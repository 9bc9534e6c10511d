"""`evergreen feed ...`: the feed simulator, which lands real rows partition by partition."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from evergreen.cli.shared import HomeOption, JsonOption, console, landing_url, print_json
from evergreen.core.text import share

if TYPE_CHECKING:
    from evergreen.core.definition import ModelDefinition
    from evergreen.tools.simulator.land import Landed

feed = typer.Typer(help="The feed simulator: land real rows, partition by partition.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(feed, name="feed")


@feed.command("land")
def land(
    model: Annotated[str, typer.Argument(help="Name of the model, such as nyc_flights.")],
    first: Annotated[
        str | None,
        typer.Option("--from", metavar="KEY", help="First partition, YYYY-MM-DD. Default: the calendar's start."),
    ] = None,
    last: Annotated[
        str | None,
        typer.Option("--through", metavar="KEY", help="Last partition, this one included. Default: the file's last."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="FILE",
            help="Land the rows of this file, labels included: .csv, .tsv (also .gz) or .parquet; or of a folder of "
            "part files, a Delta or an Iceberg table.",
        ),
    ] = None,
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

    The rows are those of the model's `feed.source`, a simulator, or of a file of its past (`--data`): its columns are
    those of both tables, or of one (next week's rows have no labels yet), a row without a target has no label yet, and
    a partition without rows is passed over. An id that joins columns (`feed.entity_from`) is written. What lies there
    already with the same bytes is left alone, so the command can be given again.
    """
    from evergreen.core.definition import load_definition
    from evergreen.errors import BadInputError
    from evergreen.tools.data_file import DataFile
    from evergreen.tools.simulator.land import land as land_ticks
    from evergreen.tools.simulator.past_rows import PastRows

    definition = load_definition(model)
    if data is None and None in (first, last):
        raise typer.BadParameter("give both, or --data", param_hint="--from, --through")
    file = DataFile(data, definition.feed.csv) if data else None
    past = PastRows(definition, file) if file else None
    first, last = first or str(definition.calendar.start), last or (past.last_tick() if past else "")
    keys = definition.partitions.keys(first, last)
    if not keys:
        raise BadInputError(f"--through {last} lies before --from {first}: there is nothing to land")
    url = landing_url(to, home, "--to")
    done = land_ticks(
        definition,
        keys,
        landing_url=url,
        with_labels=with_labels,
        rows=past.partition if past else None,
        progress=None if as_json else _say,
    )
    said = [*(past.said() if past else []), *_repeats(definition, done)]
    if as_json:
        print_json({"model": model, "landing": url, "landed": [asdict(item) for item in done], "notes": said})
        return
    for text in said:
        console().print(Text(text, "yellow"), soft_wrap=True)
    console().print(f"{sum(item.new for item in done)} landed below {url}", markup=False, soft_wrap=True)


def _say(item: Landed) -> None:
    state = "landed" if item.new else "there already"
    console().print(f"{item.key} {item.table:<6} {item.rows:>9,} rows {item.bytes:>12,} bytes  {state}", soft_wrap=True)


def _repeats(definition: ModelDefinition, done: list[Landed]) -> list[str]:
    """What is said of partitions that intake will not take because their rows share names."""
    doubled = [item for item in done if item.repeated]
    if not doubled:
        return []
    rows = share(sum(item.repeated for item in doubled), sum(item.rows for item in done))
    told = f"{definition.feed.entity} repeats within a partition: {rows} rows, in {len(doubled)} of {len(done)} tables"
    allowed = {name: table.max_bad_rows for name, table in definition.feed.tables.items()}
    if all(item.repeated <= allowed[item.table] * item.rows for item in doubled):  # type: ignore[index]
        return [f"{told}: these rows alone go to quarantine (max_bad_rows)"]
    return [
        f"{told}. Intake quarantines them: name other columns (`evergreen new ... --id COL --id COL`), or correct the "
        "file"
    ]
