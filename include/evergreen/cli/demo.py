"""`demo`: a model's life on real data, through a live Airflow."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from evergreen.cli.progress import progress
from evergreen.cli.shared import HomeOption, ShapeOption, check_writable, console, stack_of
from evergreen.cli.stack import show_pages, start
from evergreen.core.definition import load_definition
from evergreen.stack.control import Stack

if TYPE_CHECKING:
    from evergreen.tools.demo.summary import Summary

MODEL = "nyc_flights"
WEEKS = 26
SHORTEST = 10
LOSS_NAMES = {"brier": "Brier score", "log_loss": "log loss", "squared_error": "squared error"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo")(demo)


def demo(
    weeks: Annotated[
        int, typer.Option(min=SHORTEST, max=51, help="Weeks of 2013 to go through; 51 is the year.")
    ] = WEEKS,
    leave: Annotated[bool, typer.Option("--exit", help="End the stack afterwards instead of leaving it up.")] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the summary for machines.")
    ] = None,
    home: HomeOption = None,
    shape: ShapeOption = None,
) -> None:
    """Bring a year of New York's flights through the loop: two months of history, a first champion, then week by week.

    Starts the stack, lands real weeks, runs backfills, trains and promotes a champion, and goes on: every week is
    validated, built, scored and monitored; drift or harm triggers a retrain whose challenger is promoted or refused;
    mails arrive. One week's file lands truncated on purpose. Ctrl-C ends everything that was started.
    """
    if json_file is not None:
        check_writable(json_file, "--json")
    begun = time.monotonic()
    stack = stack_of(home, shape)
    signal.signal(signal.SIGTERM, lambda *_: _interrupt())
    started = False
    try:
        started = start(stack, tied=True)
        os.environ.update(stack.environment())
        summary = _run(stack, weeks, begun)
        show(summary)
        _write(stack, summary, json_file)
        if leave:
            stack.stop()
        else:
            stack.release()
            console().print("\nThe stack stays up; `make down` ends it.")
            show_pages(stack, model=MODEL)
    except BaseException:
        if started:
            Console(stderr=True).print("[dim]ending the stack[/]")
            stack.stop()
        raise


def _interrupt() -> None:
    raise KeyboardInterrupt


def _run(stack: Stack, weeks: int, begun: float) -> Summary:
    from evergreen.settings import Settings
    from evergreen.tools.demo.story import HISTORY, Story
    from evergreen.tools.demo.summary import collect

    definition, settings = load_definition(MODEL), Settings.from_env()
    first = definition.partitions.first_key
    keys = definition.partitions.keys(first, definition.partitions.shift(first, weeks - 1))
    threading.Thread(target=_warm, daemon=True).start()
    with progress(weeks) as (say, advance):
        Story(definition, settings, stack.airflow, say, advance, broken_week=keys[HISTORY]).tell(keys)
        say("reading the ledger")
        return collect(definition, settings, time.monotonic() - begun, stack.urls)


def _warm() -> None:
    """Import what the summary needs while the stack is at work."""
    import evergreen.loop.monitoring.rivals.shadow_scores  # noqa: F401


def _write(stack: Stack, summary: Summary, json_file: Path | None) -> None:
    """Plot and JSON. One that cannot be written is said, and ends no stack: what the demo was for has been done."""
    import json

    from evergreen.tools.demo.plot import plot_losses

    loss = load_definition(summary.model).loss
    plot = stack.home.root / "demo" / "loss.png"
    try:
        plot_losses(summary, LOSS_NAMES.get(loss, loss), plot)
        console().print("[bold]Plot[/] ", end="")
        console().print(str(plot), markup=False, soft_wrap=True)
        if json_file is not None:
            json_file.parent.mkdir(parents=True, exist_ok=True)
            json_file.write_text(json.dumps(summary.to_json(), indent=2, default=str), encoding="utf-8")
    except OSError as error:
        said = f"cannot write {error.filename or json_file or plot}: {error.strerror or error}"
        Console(stderr=True, highlight=False).print(said, style="yellow", markup=False, soft_wrap=True)


def show(summary: Summary) -> None:
    """Print the summary."""
    screen = console()
    screen.print()
    screen.print(_week_table(summary))
    for title, rows in (("Quarantined", summary.quarantined), ("Retrains", summary.retrains)):
        _list(screen, title, rows)
    _list(screen, "Promoted", summary.promotions)
    _list(screen, "Refused", summary.refusals)
    screen.print(f"\n[bold]Mails[/] {len(summary.mails)}, {sum(m['sent'] for m in summary.mails)} sent")
    for mail in summary.mails:
        screen.print(f"  {mail['subject']}", markup=False)
    if summary.champion_loss is not None and summary.first_model_loss is not None:
        gain = 1 - summary.champion_loss / summary.first_model_loss
        compared = f"{-gain:+.1%}" if len(summary.promotions) > 1 else "it still serves: no challenger proved better"
        screen.print(
            f"\n[bold]Realised loss[/] champion {summary.champion_loss:.4f}, first model never retrained "
            f"{summary.first_model_loss:.4f} ({compared})"
        )
    screen.print(f"[bold]Took[/] {summary.wall_seconds:.0f} s")


def _week_table(summary: Summary) -> Table:
    """A row a week; made to fit 80 columns."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0)
    for name in ("week", "rows", "inputs", "labels", "model", "drift", "decision", "loss", "first"):
        right = name in ("rows", "model", "loss", "first")
        table.add_column(name, justify="right" if right else "left", no_wrap=True)
    for week in summary.weeks:
        table.add_row(
            week.key,
            f"{week.rows:,}" if week.rows else "",
            week.inputs or "",
            week.labels or "not yet",
            str(week.version or ""),
            "" if week.drifted is None else "yes" if week.drifted else "no",
            week.decision or "",
            f"{week.loss:.4f}" if week.loss is not None else "",
            f"{week.first_model_loss:.4f}" if week.first_model_loss is not None else "",
        )
    return table


def _list(screen: Console, title: str, rows: list[dict[str, Any]]) -> None:
    screen.print(f"\n[bold]{title}[/] {len(rows)}")
    for row in rows:
        what = row.get("key") or row.get("as_of") or ""
        screen.print(f"  {what} {row['reason']}", markup=False)
