"""`evergreen new`: the folder of a new model, from a file of its past."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer
from rich.text import Text

from evergreen.cli.new_options import (
    DataOption,
    DecimalOption,
    DelimiterOption,
    EncodingOption,
    EndOption,
    EntityOption,
    ForceOption,
    LabelDelayOption,
    LaterOption,
    MailOption,
    NameArgument,
    OwnerOption,
    PeriodOption,
    StartOption,
    TargetOption,
    TaskOption,
    ThousandsOption,
    TimeFormatOption,
    TimeOption,
    TimezoneOption,
    YesOption,
)
from evergreen.cli.shared import JsonOption, console, print_json

if TYPE_CHECKING:
    from evergreen.core.definition.sections import CsvSection


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("new")(new)


def new(
    name: NameArgument,
    data: DataOption,
    target: TargetOption = None,
    task: TaskOption = None,
    time: TimeOption = None,
    entity: EntityOption = None,
    later: LaterOption = None,
    period: PeriodOption = None,
    start: StartOption = None,
    end: EndOption = None,
    label_delay: LabelDelayOption = 1,
    delimiter: DelimiterOption = ",",
    decimal: DecimalOption = ".",
    thousands: ThousandsOption = None,
    encoding: EncodingOption = "utf-8",
    time_format: TimeFormatOption = None,
    timezone: TimezoneOption = "UTC",
    owner: OwnerOption = "data-science",
    mail: MailOption = "data-science@example.com",
    force: ForceOption = False,
    yes: YesOption = False,
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
    _check_named({"--target": target, "--time": time}, asks=asks)
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
        return
    for line in lines(decided, folder, data, replaced):
        say(line.text, line.style)


def _check_named(columns: dict[str, str | None], *, asks: bool) -> None:
    """Raise BadParameter if a column is not named and nobody is asked for it."""
    lacking = [option for option, given in columns.items() if given is None]
    if lacking and not asks:
        raise typer.BadParameter("name the column: without a terminal nothing is asked", param_hint=", ".join(lacking))


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
