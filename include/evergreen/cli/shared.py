"""What the commands share: options, output, and joining the environment of a stack."""

from __future__ import annotations

import json
import os
import pwd
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from evergreen.core.store.filesystem import url_to_fs
from evergreen.errors import BadInputError, SettingsError
from evergreen.stack.config.home import Home

if TYPE_CHECKING:
    from evergreen.stack.airflow_client import AirflowApi
    from evergreen.stack.control import Stack


class Shape(StrEnum):
    """What a stack consists of (see `evergreen.stack.shapes`)."""

    embedded = "embedded"
    cluster = "cluster"


HomeOption = Annotated[
    Path | None,
    typer.Option("--home", metavar="DIR", help="Folder of the stack. Default: EVERGREEN_HOME, else var/ here."),
]
ShapeOption = Annotated[
    Shape | None,
    typer.Option("--shape", help="embedded (default), or cluster: what docker-compose.yaml describes."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer in JSON, for programs.")]


def console() -> Console:
    """Where answers for people go."""
    return Console(highlight=False)


def print_json(answer: Any) -> None:
    """Where answers for programs go."""
    typer.echo(json.dumps(answer, indent=2, default=str))


def stack_of(home: Path | None, shape: Shape | None) -> Stack:
    """The stack that the options name. The cluster shape has a folder of its own, so that both may run."""
    from evergreen.stack.control import Stack

    default = "var/cluster" if shape is Shape.cluster else "var"
    return Stack(Home.find(home, default), shape=shape.value if shape else None)


def join_stack(home: Path | None = None) -> None:
    """Take over a stack's environment: at the start of a command that needs `Settings.from_env()`."""
    from evergreen.stack.control import join

    join(home)


def landing_url(given: str | None, home: Path | None, option: str) -> str:
    """The landing zone that `option` names, a folder or URL; by default the stack's own.

    Raises:
        BadParameter: no file system has this kind of URL.
        SettingsError: none is given, and there is no stack.
    """
    if given is not None:
        try:
            url_to_fs(given)
        except BadInputError as error:
            raise typer.BadParameter(str(error), param_hint=option) from error
        return given if "://" in given else f"file://{Path(given).resolve()}"
    from evergreen.settings import Settings

    join_stack(home)
    return Settings.from_env().landing_url


def check_writable(file: Path, option: str) -> None:
    """Refuse an output file that could not be written, before the work for it begins.

    Raises:
        BadParameter: `file` is a folder, may not be written, or cannot have a folder.
    """
    if file.is_dir():
        raise typer.BadParameter(f"{file} is a folder; name the file to be written", param_hint=option)
    nearest = next(place for place in (file, *file.absolute().parents) if place.exists())
    if not (nearest == file or nearest.is_dir()):
        raise typer.BadParameter(f"{file} cannot be written: {nearest} is no folder", param_hint=option)
    if not os.access(nearest, os.W_OK):
        raise typer.BadParameter(f"{file} cannot be written: {nearest} may not be written to", param_hint=option)


def os_user() -> str:
    """Whom the ledger names for what the command line did: the operating system's user, whatever the shell says.

    LOGNAME and USER would let anybody sign as anybody. A user id without a name, as in a container, is a number.
    """
    uid = os.getuid()
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def airflow(home: Path | None = None) -> AirflowApi:
    """A client of the Airflow whose environment `join_stack` took over, or that the shell names.

    Elsewhere than in an embedded stack the login comes from EVERGREEN_AIRFLOW_USER and EVERGREEN_AIRFLOW_PASSWORD, and
    the address from EVERGREEN_AIRFLOW_INTERNAL_URL, or else from EVERGREEN_AIRFLOW_URL.

    Raises:
        SettingsError: there is no address or no login.
    """
    from evergreen.stack.airflow_client import AirflowApi
    from evergreen.stack.control import Stack

    url, user, password = (os.environ.get(f"EVERGREEN_AIRFLOW_{name}") for name in ("URL", "USER", "PASSWORD"))
    if url and user and password:
        return AirflowApi(os.environ.get("EVERGREEN_AIRFLOW_INTERNAL_URL") or url, user, password)
    stack = Stack(Home.find(home))
    if "airflow" in stack.urls and url in (None, stack.urls["airflow"]):
        return stack.airflow
    raise SettingsError(
        "no login to Airflow: set EVERGREEN_AIRFLOW_URL, EVERGREEN_AIRFLOW_USER and EVERGREEN_AIRFLOW_PASSWORD, or use "
        "the form of the DAG in Airflow"
    )
