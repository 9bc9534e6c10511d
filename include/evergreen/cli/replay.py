"""`evergreen replay`: what retraining policies would have cost on the weeks that have landed."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from evergreen.cli.shared import HomeOption, JsonOption, check_writable, console, landing_url, print_json

if TYPE_CHECKING:
    from evergreen.core.definition import ModelDefinition
    from evergreen.tools.backtest.result import Outcome

POLICIES = "never,weekly,evidently,evergreen,oracle"


PICTURES = (".png", ".svg", ".pdf")
LandingOption = Annotated[
    str | None,
    typer.Option(
        "--landing",
        metavar="URL",
        help="Landing zone, a folder or URL. Default: the feed's simulator, else the stack's landing zone.",
    ),
]
PlotOption = Annotated[Path | None, typer.Option("--plot", metavar="FILE", help="Draw it (.png, .svg, .pdf).")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("replay")(replay)


def replay(
    model: Annotated[str, typer.Argument(help="Name of the model, such as nyc_flights.")],
    policy: Annotated[
        list[str] | None,
        typer.Option("--policy", metavar="NAME", help=f"Policies, by commas; also period-K. Default: {POLICIES}."),
    ] = None,
    landing: LandingOption = None,
    plot: PlotOption = None,
    jobs: Annotated[int | None, typer.Option("--jobs", min=1, help="Processes that train. Default: all cores.")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Replay retraining policies on what has landed: no ledger, no server.

    Every challenger that could have been made is made once and kept below the home's `replay/`: the first replay of a
    history takes minutes, the next ones train nothing. Exit code 0: done; 1: too little has landed; 2: wrong usage.
    """
    from evergreen.core.definition import load_definition
    from evergreen.errors import BadInputError
    from evergreen.stack.config.home import Home
    from evergreen.tools.backtest.policies import make

    check_picture(plot)
    definition = load_definition(model)
    names = [name.strip() for part in policy or [POLICIES] for name in part.split(",") if name.strip()]
    try:
        for name in names:
            if name != "oracle":
                make(name)  # a misspelt name is told before minutes of training
    except BadInputError as error:
        raise typer.BadParameter(str(error), param_hint="--policy") from error
    cache = Home.find(home).root / "replay"
    with tempfile.TemporaryDirectory(prefix="evergreen-replay-") as folder, bar_of(quiet=as_json) as bar:
        if isinstance(definition.feed.source, str) and landing is None:
            where = land_source(definition, Path(folder), bar)
        else:
            where = landing_url(landing, home, "--landing")
        outcome = _run(definition, where, names, cache, jobs, bar)
    if as_json:
        print_json(outcome.to_json() | ({"plot": str(plot)} if plot else {}))
    else:
        _show(outcome)
    if plot:
        from evergreen.tools.backtest.plot import draw

        draw(outcome, plot)
        if not as_json:
            console().print(f"Picture: {plot}", markup=False, soft_wrap=True)


def check_picture(file: Path | None) -> None:
    """Refuse a picture that could not be written; raises BadParameter."""
    if file is None:
        return
    check_writable(file, "--plot")
    if file.suffix.lower() not in PICTURES:
        raise typer.BadParameter(f"{file} is none of {', '.join(PICTURES)}", param_hint="--plot")


def _run(
    definition: ModelDefinition, landing_url: str, names: list[str], cache: Path, jobs: int | None, bar: Progress
) -> Outcome:
    from evergreen.tools.backtest.challengers import fit_all
    from evergreen.tools.backtest.landed_data import read_history
    from evergreen.tools.backtest.result import replay as run

    reading = bar.add_task("Read, validate, build features", total=None)
    history = read_history(
        definition, landing_url, progress=lambda done, of: bar.update(reading, completed=done, total=of)
    )  # fmt: skip
    for name, reason in history.left_out.items():
        bar.console.print(f"left out: {name}: {reason}", markup=False, soft_wrap=True)
    fitting = bar.add_task("Train the challengers", total=None)
    fits = fit_all(
        history, cache=cache, jobs=jobs, progress=lambda done, of: bar.update(fitting, completed=done, total=of)
    )  # fmt: skip
    replaying = bar.add_task("Replay", total=len(names))

    def tell(name: str) -> None:
        bar.update(replaying, description=f"Replay {name}", completed=names.index(name))

    outcome = run(fits, names, progress=tell)
    bar.update(replaying, description="Replay", completed=len(names))
    return outcome


def bar_of(*, quiet: bool) -> Progress:
    """Progress on the standard error stream: what is done, how much of it, and for how long."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True, highlight=False), transient=True, disable=quiet)


def land_source(definition: ModelDefinition, folder: Path, bar: Progress) -> str:
    """Land all that the feed's simulator has; its url."""
    from evergreen.tools.simulator.land import land
    from evergreen.tools.simulator.sources import last_key

    calendar = definition.partitions
    first, last = calendar.first_key, last_key(definition)
    keys = calendar.keys(first, calendar.shift(last, definition.feed.label_delay))
    landing = bar.add_task(f"Land {definition.feed.source}, {first} to {last}", total=2 * len(keys))
    url = f"file://{folder}"
    # A calendar without an end would ask the source for the inputs of the last labels' own ticks, which it has not.
    section = definition.calendar.model_copy(update={"end": calendar.parse(last)})
    closed = definition.model_copy(update={"calendar": section})
    land(closed, keys, landing_url=url, progress=lambda _: bar.advance(landing))
    bar.update(landing, completed=2 * len(keys))
    return url


def _show(outcome: Outcome) -> None:

    keys = outcome.losses.keys
    title = f"{outcome.model}: {len(keys)} partitions, {keys[0]} to {keys[-1]}"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    heads = (
        outcome.title, "trainings", "promoted", "refused", "rolled back", "false alarms", "excess cost"
    )  # fmt: skip
    table.add_column("policy", no_wrap=True)
    for head in heads:
        table.add_column(head, justify="right", min_width=max(map(len, head.split())))
    for row in outcome.rows:
        counts = (row.trainings, row.promotions, row.refusals, row.rollbacks, row.false_alarms)
        excess = "-" if row.excess is None else f"{row.excess:.2f}"
        table.add_row(row.policy, f"{row.mean_loss:.4f}", *map(str, counts), excess)
    console().print(table)
    console().print(
        f"All begin with the champion made of labels through {outcome.losses.first}, the first with a whole training "
        "window and holdout: earlier partitions made it, and are not replayed.",
        style="dim",
    )
    console().print(
        "excess cost: over the oracle's, every training counted, mean over prices of a training; 1 is the gap between "
        "never and always training. false alarm: a training whose challenger would have lost no less afterwards.",
        style="dim",
    )
