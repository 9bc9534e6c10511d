"""`evergreen backup URL` and `evergreen restore URL`."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from evergreen.cli.shared import HomeOption, JsonOption, console, join_stack, print_json

if TYPE_CHECKING:
    from evergreen.operations.backup.create import Progress as Report
    from evergreen.operations.backup.locations import Places

UrlArgument = Annotated[
    str, typer.Argument(metavar="DIR|URL", help="A folder, or an fsspec URL such as s3://bucket/backups.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("backup")(backup)
    app.command("restore")(restore)


def backup(url: UrlArgument, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Back up the ledger, MLflow, the store and the feature repository, while the loop runs.

    What an earlier backup in the same place holds already is not copied again; each backup can be restored for itself.
    For the seconds of the two database dumps, tasks wait that would write to the ledger. Passwords and keys are not in
    a backup, nor are the landing zone and Airflow's own database (docs/deployment.md says why). Where no stack's folder
    is, set EVERGREEN_MLFLOW_DATABASE_URL and EVERGREEN_MLFLOW_ARTIFACTS_URL beside the settings.
    """
    places = _places(home)
    from evergreen.operations.backup.create import back_up

    with _shown(as_json) as report:
        taken = back_up(places, url, report)
    if as_json:
        print_json(dataclasses.asdict(taken))
        return
    console().print(
        f"Backup {taken.manifest.partition('-')[0]}: {taken.files:,} files, {_size(taken.bytes)}; copied "
        f"{taken.copied_files:,} of them, {_size(taken.copied_bytes)}. Writers waited {taken.held_seconds:.1f} s."
    )


def restore(
    url: UrlArgument,
    at: Annotated[
        str | None, typer.Option("--at", metavar="ID", help="Beginning of a backup's name. Default: the newest.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only read the whole backup and compare its hashes; write nothing.")
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Restore a backup into an empty stack: `evergreen up --home NEW`, then `evergreen restore URL --home NEW`.

    All of it is checked before anything is written. A restore that was interrupted goes on when it is run again. The
    addresses may be others than they were: the ledger's follow. Leave the DAGs paused until it is done.
    """
    from evergreen.operations.backup.restore import check as check_whole
    from evergreen.operations.backup.restore import restore as restore_into

    if check:
        with _shown(as_json) as report:
            name, manifest = check_whole(url, at, report)
        about = manifest.model_dump(mode="json", exclude={"entries"})
        if as_json:
            print_json({"manifest": name, "files": len(manifest.entries), "bytes": manifest.bytes} | about)
        else:
            size = f"{len(manifest.entries):,} files, {_size(manifest.bytes)}"
            console().print(f"Backup {name.partition('-')[0]} is whole: {size}.")
        return
    places = _places(home)
    with _shown(as_json) as report:
        done = restore_into(places, url, at, report)
    if as_json:
        print_json(dataclasses.asdict(done))
        return
    console().print(f"Restored {done.files:,} files, {_size(done.bytes)}, as of {done.taken_at}.")
    _list_secrets(done.bring)


def _places(home: Path | None) -> Places:
    join_stack(home)
    from evergreen.operations.backup.locations import Places
    from evergreen.stack.config.home import Home
    from evergreen.stack.control import Stack

    stack = Stack(Home.find(home))
    ours = stack.mlflow_places if os.environ.get("EVERGREEN_HOME") == str(stack.home.root) else {}
    return Places.from_env({**ours, **os.environ})


def _list_secrets(bring: Mapping[str, str]) -> None:
    console().print("Not in a backup, to be brought along by you:")
    for name, why in bring.items():
        console().print(f"  {name}: {why}", markup=False, soft_wrap=True)


@contextmanager
def _shown(quiet: bool) -> Iterator[Report | None]:
    """Progress on the terminal's error stream."""
    if quiet:
        yield None
        return
    columns = (TextColumn("{task.description:8}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as screen:
        tasks = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = screen.add_task(what, total=total)
            screen.update(tasks[what], completed=done, total=total)

        yield report


def _size(number: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.1f} {unit}" if unit != "B" else f"{number:.0f} B"
        number /= 1000
    return f"{number:.1f} TB"
