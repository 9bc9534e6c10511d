"""`evergreen new`: the folder of a new model, from a file of its past."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from evergreen.cli.shared import JsonOption, console, print_json

if TYPE_CHECKING:
    from evergreen.core.definition.sections import CsvSection
    from evergreen.tools.scaffold.plan import Plan


class Period(StrEnum):
    """Length of a partition."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("new")(new)


def new(
    name: Annotated[str, typer.Argument(help="Name of the model: small letters, digits and underscores.")],
    data: Annotated[
        Path,
        typer.Option(
            "--data", metavar="FILE", help="Rows of the past with their labels: .csv, .tsv (also .gz) or .parquet."
        ),
    ],
    target: Annotated[str, typer.Option("--target", metavar="COL", help="Column to predict.")],
    time: Annotated[str, typer.Option("--time", metavar="COL", help="Column that says when a row's event was.")],
    entity: Annotated[
        str | None,
        typer.Option("--entity", metavar="COL", help="Column that names a row. Default: the first that is unique."),
    ] = None,
    later: Annotated[
        list[str] | None,
        typer.Option("--later", metavar="COL", help="Column known only with the target: no feature. May be repeated."),
    ] = None,
    period: Annotated[
        Period | None,
        typer.Option("--period", help="Length of a partition. Default: the shortest with 200 rows or more."),
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
    owner: Annotated[str, typer.Option("--owner", help="The team.")] = "data-science",
    mail: Annotated[str, typer.Option("--mail", metavar="ADDRESS", help="Who is told.")] = "data-science@example.com",
    as_json: JsonOption = False,
) -> None:
    """Write a new model's folder from a file of its past: model.yaml, features.py, expectations.py and a README.

    Columns, types, task, period and calendar come from the file and are said, so that they can be corrected. All
    columns but the target and those of --later are taken to be known when a prediction is needed. The file itself
    stays where it is: `evergreen feed land NAME --data FILE` lands its rows, partition by partition.

    Exit code 0: done; 1: the file does not make a model; 2: wrong usage; 3: the model is there already.
    """
    from evergreen.tools.scaffold.new import new as run
    from evergreen.tools.scaffold.plan import Asked

    asked = Asked(
        name, target, time, entity, tuple(later or ()), period.value if period else None, label_delay, owner, mail
    )  # fmt: skip
    form = _form(delimiter=delimiter, decimal=decimal, thousands=thousands, encoding=encoding, time_format=time_format)
    decided, folder = run(asked, data, form=form.model_copy(update={"time_format": None}), time_format=time_format)
    if as_json:
        print_json({"model": name, "folder": str(folder), **asdict(decided)})
    else:
        _show(decided, folder, data)


def _form(**said: str | None) -> CsvSection:
    from pydantic import ValidationError

    from evergreen.core.definition.sections import CsvSection

    said["delimiter"] = {"\\t": "\t", "tab": "\t"}.get(said["delimiter"] or "", said["delimiter"])
    try:
        return CsvSection.model_validate(said)
    except ValidationError as error:
        first = error.errors()[0]
        option = f"--{str((first['loc'] or ('delimiter',))[0]).replace('_', '-')}"
        raise typer.BadParameter(first["msg"].removeprefix("Value error, "), param_hint=option) from None


def _show(plan: Plan, folder: Path, data: Path) -> None:
    name = plan.asked.name
    until = f"through {plan.end}" if plan.end else "and goes on"
    say(f"{folder}: written, and tried on {data}", "bold")
    say(f"  task      {plan.task}, target {plan.asked.target}; {plan.covered:.1%} of the rows have one")
    say(f"  row       named by {plan.entity}, at {plan.asked.time}")
    say(f"  calendar  each {plan.period} from {plan.start} {until}; {plan.rows:,} rows in an ordinary one")
    features = [*plan.numeric, *plan.derived, *plan.categorical]
    say(f"  features  {', '.join(features)}")
    for column, reason in plan.left_out.items():
        say(f"  left out  {column}: {reason}", "yellow")
    for column, reason in plan.unread.items():
        say(f"  not read  {column}: {reason}", "yellow")
    for column, strays in plan.nearly.items():
        told = "it is numbers otherwise. Leave missing values empty, and it becomes a column of numbers"
        say(f"  text      {column}: {strays}; {told}", "yellow")
    if plan.window:
        say(f"  window    {plan.window} partitions: the default of 16 holds too few rows to train on", "yellow")
    if plan.min_new_rows:
        say(f"  retrain   after {plan.min_new_rows:,} new labelled rows: the default takes too long to land", "yellow")
    say("Correct what you know better: owner, alerts.to; columns known only afterwards (they belong to labels alone).")
    say("Then:", "bold")
    file, out = (shlex.quote(str(path)) for path in (data, folder / "expectations.py"))
    say(f"  evergreen feed land {name} --data {file} --to landing  # cut into partitions, as a producer would")
    say(f"  evergreen expectations propose {name} --landing landing --out {out} --force")
    say(f"  evergreen check {name} landing/{name}")
    say(f"  evergreen replay {name} --landing landing")


def say(text: str, style: str = "") -> None:
    """One line, whatever the columns are called."""
    console().print(Text(text, style), soft_wrap=True)
