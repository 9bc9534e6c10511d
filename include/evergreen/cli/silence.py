"""`evergreen silence MODEL`: no mails of a model for a while, with a reason and an end."""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text
from sqlalchemy.orm import Session

from evergreen.cli.shared import HomeOption, JsonOption, console, join_stack, os_user, print_json
from evergreen.core.definition import load_definition
from evergreen.core.ledger import silences
from evergreen.core.ledger.outbox import KINDS
from evergreen.core.ledger.session import Ledger
from evergreen.core.ledger.tables import Silence
from evergreen.settings import Settings

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_LENGTH = re.compile(r"(\d{1,5})([mhdw])")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("silence")(silence)


def silence(
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    kind: Annotated[
        str | None,
        typer.Option("--kind", help="Only mails of this kind. Approvals, harm and changes of the champion need it."),
    ] = None,
    cause: Annotated[
        str | None,
        typer.Option("--cause", metavar="FINGERPRINT", help="Only mails of this cause, as the mail names it."),
    ] = None,
    length: Annotated[
        str | None, typer.Option("--for", metavar="TIME", help="30m, 12h, 3d or 2w; 90 days at most.")
    ] = None,
    why: Annotated[str | None, typer.Option("--why", help="The reason, in a sentence; kept in the ledger.")] = None,
    show: Annotated[bool, typer.Option("--list", help="List the silences, newest first.")] = False,
    end: Annotated[int | None, typer.Option("--end", metavar="NUMBER", help="End this silence now.")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Hold back a model's mails for a while. They stay on record, and one mail sums them up at the end.

    Without `--kind` and `--cause` it holds back everything but requests for approval, harm, and what changes or keeps
    the champion: those need `--kind`.
    """
    if show + (end is not None) + (length is not None) != 1:
        raise typer.BadParameter("give one of --for, --list and --end")
    _check_kind(kind)
    asked = None if length is None else _asked(length, why)
    join_stack(home)
    load_definition(model)
    now = dt.datetime.now(dt.UTC)
    with Ledger.from_settings(Settings.from_env()).transaction() as session:
        if asked is not None:
            found = [_begun(session, model, kind, cause, asked, now)]
        elif end is not None:
            found = [silences.end(session, model, end, ended_by=os_user(), now=now)]
        else:
            found = silences.lines(session, model)
        _answer(session, model, found, now, as_json)


def _check_kind(kind: str | None) -> None:
    if kind is not None and kind not in KINDS:
        raise typer.BadParameter(f"there is no such kind; there are {', '.join(KINDS)}", param_hint="--kind")


def _begun(
    session: Session, model: str, kind: str | None, cause: str | None, asked: tuple[dt.timedelta, str], now: dt.datetime
) -> Silence:
    length, why = asked
    return silences.begin(session, model, kind=kind, cause=cause, length=length, why=why, asked_by=os_user(), now=now)


def _asked(length: str, why: str | None) -> tuple[dt.timedelta, str]:
    matched = _LENGTH.fullmatch(length.strip())
    if matched is None:
        raise typer.BadParameter("give a number and a unit, such as 30m, 12h, 3d or 2w", param_hint="--for")
    if why is None or not why.strip():
        raise typer.BadParameter("say why, in a sentence: it is what the ledger keeps", param_hint="--why")
    return dt.timedelta(**{_UNITS[matched[2]]: int(matched[1])}), why.strip()


def _answer(session: Session, model: str, found: list[Silence], now: dt.datetime, as_json: bool) -> None:
    if as_json:
        print_json([as_dict(line, now) for line in found])
        return
    if not found:
        console().print(f"{model} has no silences.")
        return
    table = Table("number", "about", "until (UTC)", "state", "by", "why", box=None, pad_edge=False, header_style="dim")
    for line in found:
        row = as_dict(line, now)
        about = " ".join(str(row[name]) for name in ("kind", "cause") if row[name]) or "all that need not be named"
        state = "holds mails back" if row["active"] else f"ended by {line.ended_by}" if line.ended_by else "over"
        cells = (str(line.id), about, f"{line.until:%Y-%m-%d %H:%M}", state, line.asked_by, line.why)
        table.add_row(*(Text(cell, overflow="fold") for cell in cells))
    console().print(table)


def as_dict(line: Silence, now: dt.datetime) -> dict[str, Any]:
    """A silence for programs."""
    names = ("id", "kind", "cause", "until", "why", "asked_by", "created_at", "ended_at", "ended_by", "summed_at")
    return {name: getattr(line, name) for name in names} | {"active": silences.is_active(line, now)}
