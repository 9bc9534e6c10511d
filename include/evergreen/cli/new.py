"""`evergreen new`: the folder of a new model, from a file of its past."""

from __future__ import annotations

import datetime as dt
import sys
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from evergreen.cli.shared import JsonOption, console, print_json

if TYPE_CHECKING:
    from evergreen.core.definition.sections import CsvSection


class Period(StrEnum):
    """Length of a partition."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class Task(StrEnum):
    """What is predicted."""

    BINARY = "binary"
    REGRESSION = "regression"
    MULTICLASS = "multiclass"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("new")(new)


def new(
    name: Annotated[str, typer.Argument(help="Name of the model: small letters, digits and underscores.")],
    data: Annotated[
        Path,
        typer.Option(
            "--data",
            metavar="FILE",
            help="Rows of the past with their labels: .csv, .tsv (also .gz) or .parquet; or a folder of part files, a "
            "Delta or an Iceberg table.",
        ),
    ],
    target: Annotated[str | None, typer.Option("--target", metavar="COL", help="Column to predict.")] = None,
    task: Annotated[
        Task | None,
        typer.Option("--task", help="What is predicted: a probability, a number, or one of several classes."),
    ] = None,
    time: Annotated[
        str | None, typer.Option("--time", metavar="COL", help="Column that says when a row's event was.")
    ] = None,
    entity: Annotated[
        list[str] | None,
        typer.Option(
            "--entity",
            "--id",
            metavar="COL",
            help="Column that names a row; repeated, columns that together do. Default: what fits.",
        ),
    ] = None,
    later: Annotated[
        list[str] | None,
        typer.Option("--later", metavar="COL", help="Column known only with the target: no feature. May be repeated."),
    ] = None,
    period: Annotated[
        Period | None,
        typer.Option("--period", help="Length of a partition. Default: what the stamps mean, or 200 rows or more."),
    ] = None,
    start: Annotated[
        dt.datetime | None,
        typer.Option(
            "--start", formats=["%Y-%m-%d"], metavar="DATE", help="First partition. Default: the first whole."
        ),
    ] = None,
    end: Annotated[
        str | None,
        typer.Option("--end", metavar="DATE", help="Last partition, or `last`: the file's. Default: the feed goes on."),
    ] = None,
    label_delay: Annotated[
        int, typer.Option("--label-delay", min=0, help="Periods from a partition's end to its labels' landing.")
    ] = 1,
    delimiter: Annotated[
        str, typer.Option("--delimiter", metavar="SIGN", help="Of a text file: the sign between two fields.")
    ] = ",",
    decimal: Annotated[
        str, typer.Option("--decimal", metavar="SIGN", help="Of a text file: the sign before decimals, . or ,")
    ] = ".",
    thousands: Annotated[
        str | None, typer.Option("--thousands", metavar="SIGN", help="Of a text file: the sign between thousands.")
    ] = None,
    encoding: Annotated[str, typer.Option("--encoding", help="Of a text file, such as cp1252.")] = "utf-8",
    time_format: Annotated[
        str | None,
        typer.Option(
            "--time-format", metavar="FORMAT", help="Of times that are not ISO 8601, such as '%d/%m/%Y %H:%M'."
        ),
    ] = None,
    timezone: Annotated[
        str, typer.Option("--timezone", metavar="ZONE", help="Of the days and of times without one: Europe/Berlin.")
    ] = "UTC",
    owner: Annotated[str, typer.Option("--owner", help="The team.")] = "data-science",
    mail: Annotated[str, typer.Option("--mail", metavar="ADDRESS", help="Who is told.")] = "data-science@example.com",
    force: Annotated[bool, typer.Option("--force", help="Replace a folder that this command wrote before.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing: take what is proposed.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a new model's folder from a file of its past: model.yaml, features.py, expectations.py and a README.

    Columns, types, task, id, period and calendar come from the file and are said with their reasons, so that they can
    be corrected; in a terminal each is asked, and Enter takes what is proposed. All columns but the target and those of
    --later are taken to be known when a prediction is needed; columns that give the target away are named. The calendar
    has no end. The file itself stays where it is: `evergreen feed land NAME --data FILE` lands its rows, partition by
    partition.

    Exit code 0: done; 1: the file does not make a model; 2: wrong usage; 3: the model is there already.
    """
    from evergreen.cli.new_dialogue import Terminal, converse
    from evergreen.tools.scaffold.new import place_of, read_file, write
    from evergreen.tools.scaffold.plan import Asked
    from evergreen.tools.scaffold.summary import lines

    place_of(name, force=force)  # before anybody waits for a file to be read
    asks = not (yes or as_json) and sys.stdin.isatty() and sys.stdout.isatty()
    lacking = [option for option, given in (("--target", target), ("--time", time)) if given is None]
    if lacking and not asks:
        raise typer.BadParameter("name the column: without a terminal nothing is asked", param_hint=", ".join(lacking))
    asked = Asked(
        name, target or "", time or "", tuple(entity or ()), tuple(later or ()), period.value if period else None,
        label_delay, owner, mail, start.date() if start else None, end, task.value if task else None, timezone,
    )  # fmt: skip
    if time_format and not time:
        raise typer.BadParameter("name the column whose times are written so", param_hint="--time")
    form = _form(delimiter=delimiter, decimal=decimal, thousands=thousands, encoding=encoding, time_format=time_format)
    file = read_file(data, asked.time, form.model_copy(update={"time_format": None}), time_format, timezone)
    decided = None
    if asks:
        asked, decided = converse(asked, file, Terminal())
    decided, folder, replaced = write(asked, file, force=force, decided=decided)
    if as_json:
        there = asdict(replaced) if replaced else None
        print_json({"model": name, "folder": str(folder), "replaced": there, **asdict(decided)})
    else:
        for line in lines(decided, folder, data, replaced):
            say(line.text, line.style)


def _form(**said: str | None) -> CsvSection:
    """How text files are written, as the options say."""
    from pydantic import ValidationError

    from evergreen.core.definition.sections import CsvSection

    said["delimiter"] = {"\\t": "\t", "tab": "\t"}.get(said["delimiter"] or "", said["delimiter"])
    try:
        return CsvSection.model_validate(said)
    except ValidationError as error:
        first = error.errors()[0]
        option = f"--{str((first['loc'] or ('delimiter',))[0]).replace('_', '-')}"
        raise typer.BadParameter(first["msg"].removeprefix("Value error, "), param_hint=option) from None


def say(text: str, style: str = "") -> None:
    """One line, whatever the columns are called."""
    console().print(Text(text, style), soft_wrap=True)
