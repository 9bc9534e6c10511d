"""`evergreen test`: what a model's files promise, tried before the loop relies on it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from evergreen.cli.shared import HomeOption, JsonOption, check_writable, console, landing_url, print_json

if TYPE_CHECKING:
    from evergreen.tools.model_test.result import Outcome

FAILED = 3
_MARKS = {"passed": ("passed ", "green"), "failed": ("FAILED ", "bold red"), "skipped": ("skipped", "yellow")}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("test")(try_model)


def try_model(
    model: Annotated[str, typer.Argument(help="Name of the model, such as nyc_flights.")],
    landing: Annotated[
        str | None,
        typer.Option("--landing", metavar="URL", help="Landing zone, a folder or URL. Default: the stack's."),
    ] = None,
    last: Annotated[
        int, typer.Option("--last", min=2, metavar="N", help="Test on the N newest partitions that have landed.")
    ] = 6,
    junit: Annotated[
        Path | None, typer.Option("--junit", metavar="FILE", help="Write the outcomes as JUnit XML, for CI.")
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Test a model's folder on what has landed: no ledger, no server, nothing is written but the JUnit file.

    Data: the expectations accept it. Features: the same rows give the same features, alone as in their batch, in any
    order, whatever comes later; gaps, extremes and new categories are borne. Model: each candidate is deterministic,
    can be saved, is quick enough and can be compared.

    Exit code 0: nothing failed; 3: something did; 1: nothing has landed.
    """
    from evergreen.core.definition import load_definition
    from evergreen.tools.model_test.result import failures
    from evergreen.tools.model_test.result import junit as as_junit
    from evergreen.tools.model_test.run import run

    if junit:
        check_writable(junit, "--junit")
    definition = load_definition(model)
    outcomes = []
    for outcome in run(definition, landing_url(landing, home, "--landing"), last=last):
        outcomes.append(outcome)
        if not as_json:
            _say(outcome)
    if junit:
        junit.parent.mkdir(parents=True, exist_ok=True)
        junit.write_bytes(as_junit(model, outcomes))
    failed = failures(outcomes)
    if as_json:
        print_json({"model": model, "passed": not failed, "tests": [asdict(outcome) for outcome in outcomes]})
    else:
        seconds = sum(outcome.seconds for outcome in outcomes)
        console().print(f"{len(outcomes)} tests of {model}, {len(failed)} failed, {seconds:.0f} s", markup=False)
    if failed:
        raise typer.Exit(FAILED)


def _say(outcome: Outcome) -> None:
    words, style = _MARKS[outcome.state]
    console().print(Text(words, style), Text(f"{outcome.group}: {outcome.name}: {outcome.said}"), soft_wrap=True)
