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


FromOption = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="KEY",
        help="First partition (of hours 2024-01-01T05, UTC). Default: the calendar's.",
    ),
]
ThroughOption = Annotated[
    str | None,
    typer.Option("--through", metavar="KEY", help="Last partition, this one included. Default: the file's last."),
]
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="FILE",
        help="Land the rows of this file, labels included: .csv, .tsv (also packed, .csv.gz) or .parquet; or of a "
        "folder of part files, a Delta or an Iceberg table.",
    ),
]
ToOption = Annotated[
    str | None, typer.Option("--to", metavar="DIR", help="Landing zone, a folder or URL. Default: the stack's.")
]
WithLabelsOption = Annotated[
    bool, typer.Option("--with-labels", help="Land the labels of the same partitions at once, without delay.")
]


@feed.command("land")
def land(
    model: Annotated[str, typer.Argument(help="Name of the model, such as nyc_flights.")],
    first: FromOption = None,
    last: ThroughOption = None,
    data: DataOption = None,
    to: ToOption = None,
    with_labels: WithLabelsOption = False,
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
    file = DataFile(data, definition.feed.csv, definition.calendar.clock) if data else None
    past = PastRows(definition, file) if file else None
    first, last = first or definition.partitions.first_key, last or (past.last_tick() if past else "")
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


@feed.command("land-reference")
def land_reference(
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    name: Annotated[str, typer.Argument(help="Name of the reference, as in feed.references of model.yaml.")],
    data: Annotated[Path, typer.Argument(metavar="FILE", help="Rows: .csv, .tsv (also packed, .csv.gz) or .parquet.")],
    stamp: Annotated[
        str,
        typer.Option(
            "--known-from", metavar="STAMP",
            help="Since when it has been known: a day, or an instant in UTC such as 2024-03-01T0630. Partitions that "
            "begin then or later read it. A correction has a number: 2024-03-01.2.",
        ),
    ],
    to: ToOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Land a version of a reference table (prices, shops, holidays), which features read beside the inputs.

    The DAG `<model>.ingest_references` brings it in within ten minutes, or when it is triggered.
    """
    from evergreen.core.definition import load_definition
    from evergreen.tools.simulator.land_reference import land_reference as land_version

    url = landing_url(to, home, "--to")
    done = land_version(load_definition(model), name, data, stamp, landing_url=url)
    if as_json:
        print_json({"model": model, **asdict(done)})
        return
    console().print(f"{'landed' if done.new else 'lies there already'}: {done.uri}", markup=False, soft_wrap=True)


@feed.command("extract")
def extract_rows(
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    first: Annotated[str, typer.Option("--from", metavar="KEY", help="First partition, YYYY-MM-DD.")],
    last: Annotated[
        str | None, typer.Option("--through", metavar="KEY", help="Last partition, this one included. Default: --from.")
    ] = None,
    tables: Annotated[
        list[str] | None, typer.Option("--table", help="inputs or labels; may be repeated. Default: both.")
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="DIR", help="Landing zone, a folder or URL. Default: the stack's.")
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Land partitions from the database that `feed.source` names, as the ingest DAGs do when they are due.

    The address of the database is in the variable EVERGREEN_DATABASE_<NAME of its connection.
    """
    from evergreen.core.definition import load_definition
    from evergreen.core.definition.database_address import from_environment
    from evergreen.core.definition.query import query_of
    from evergreen.errors import DefinitionError
    from evergreen.loop.intake.database.extract import extract

    definition = load_definition(model)
    strange = set(tables or ()) - {"inputs", "labels"}
    if strange:
        raise typer.BadParameter("give inputs or labels", param_hint="--table")
    wanted = [name for name in ("inputs", "labels") if name in (tables or ("inputs", "labels"))]
    asked = [table for table in wanted if query_of(definition, table)]  # type: ignore[arg-type]
    if not asked:
        raise DefinitionError(f"feed.source of {model} has no query for {' and '.join(wanted)}; see docs/databases.md")
    url, done, kept = landing_url(to, home, "--to"), [], list[str]()
    for key in definition.partitions.keys(first, last or first):
        for table in asked:
            item = extract(definition, table, key, landing_url=url, address_of=from_environment)  # type: ignore[arg-type]
            if item is None:
                kept.append(f"{key} {table}")
                continue
            done.append(item)
            if not as_json:
                console().print(
                    f"{key} {table:<6} {item.rows:>9,} rows {item.bytes:>12,} bytes  landed", soft_wrap=True
                )
    if as_json:
        print_json({"model": model, "landing": url, "landed": [asdict(item) for item in done], "kept": kept})
    elif kept:
        told = f"landed by hand and left as they are: {', '.join(kept)}. Delete a file to have the query's answer"
        console().print(Text(told, "yellow"), soft_wrap=True)


def _say(item: Landed) -> None:
    state = "landed" if item.new else "there already"
    console().print(f"{item.key} {item.table:<6} {item.rows:>9,} rows {item.bytes:>12,} bytes  {state}", soft_wrap=True)


def _repeats(definition: ModelDefinition, done: list[Landed]) -> list[str]:
    """What is said of partitions that intake will not take because their rows share names."""
    doubled = [item for item in done if item.repeated]
    if not doubled:
        return []
    rows = share(sum(item.repeated for item in doubled), sum(item.rows for item in done))
    columns = definition.feed.id_columns or ("the content of rows",)
    told = (
        f"{' and '.join(columns)} {'repeat' if len(columns) > 1 else 'repeats'} within a partition: {rows} rows, in "
        f"{len(doubled)} of {len(done)} tables"
    )
    allowed = {name: table.max_bad_rows for name, table in definition.feed.tables.items()}
    if all(item.repeated <= allowed[item.table] * item.rows for item in doubled):  # type: ignore[index]
        return [f"{told}: these rows alone go to quarantine (max_bad_rows)"]
    return [
        f"{told}. Intake quarantines them: name other columns (`evergreen new ... --id COL --id COL`), or correct the "
        "file"
    ]
