"""The options of `evergreen new`."""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


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


NameArgument = Annotated[str, typer.Argument(help="Name of the model: small letters, digits and underscores.")]
DataOption = Annotated[
    Path,
    typer.Option(
        "--data",
        metavar="FILE",
        help="Rows of the past with their labels: .csv, .tsv (also packed, .csv.gz) or .parquet; or a folder of part "
        "files, a Delta or an Iceberg table.",
    ),
]
TargetOption = Annotated[str | None, typer.Option("--target", metavar="COL", help="Column to predict.")]
TaskOption = Annotated[
    Task | None,
    typer.Option("--task", help="What is predicted: a probability, a number, or one of several classes."),
]
TimeOption = Annotated[
    str | None,
    typer.Option("--time", metavar="COL", help="Column that says when a row's event was; or several: year,month,day"),
]
EntityOption = Annotated[
    list[str] | None,
    typer.Option(
        "--entity",
        "--id",
        metavar="COL",
        help="Column that names a row; repeated, columns that together do. Default: what fits.",
    ),
]
LaterOption = Annotated[
    list[str] | None,
    typer.Option("--later", metavar="COL", help="Column known only with the target: no feature. May be repeated."),
]
PeriodOption = Annotated[
    Period | None,
    typer.Option("--period", help="Length of a partition. Default: what the stamps mean, or 200 rows or more."),
]
StartOption = Annotated[
    dt.datetime | None,
    typer.Option("--start", formats=["%Y-%m-%d"], metavar="DATE", help="First partition. Default: the first whole."),
]
EndOption = Annotated[
    str | None,
    typer.Option("--end", metavar="DATE", help="Last partition, or `last`: the file's. Default: the feed goes on."),
]
LabelDelayOption = Annotated[
    int, typer.Option("--label-delay", min=0, help="Periods from a partition's end to its labels' landing.")
]
DelimiterOption = Annotated[
    str, typer.Option("--delimiter", metavar="SIGN", help="Of a text file: the sign between two fields.")
]
DecimalOption = Annotated[
    str, typer.Option("--decimal", metavar="SIGN", help="Of a text file: the sign before decimals, . or ,")
]
ThousandsOption = Annotated[
    str | None, typer.Option("--thousands", metavar="SIGN", help="Of a text file: the sign between thousands.")
]
EncodingOption = Annotated[str, typer.Option("--encoding", help="Of a text file, such as cp1252.")]
TimeFormatOption = Annotated[
    str | None,
    typer.Option("--time-format", metavar="FORMAT", help="Of times that are not ISO 8601, such as '%d/%m/%Y %H:%M'."),
]
TimezoneOption = Annotated[
    str, typer.Option("--timezone", metavar="ZONE", help="Of the days and of times without one: Europe/Berlin.")
]
OwnerOption = Annotated[str, typer.Option("--owner", help="The team.")]
MailOption = Annotated[str, typer.Option("--mail", metavar="ADDRESS", help="Who is told.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace a folder that this command wrote before.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing: take what is proposed.")]
