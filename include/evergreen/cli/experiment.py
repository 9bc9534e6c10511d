"""`evergreen experiment`: is another `features.py`, candidate or setting worth it?"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from evergreen.cli.replay import LandingOption, PlotOption, bar_of, check_picture, land_source
from evergreen.cli.shared import (
    HomeOption,
    JsonOption,
    console,
    join_stack,
    landing_url,
    os_user,
    print_json,
)

if TYPE_CHECKING:
    from evergreen.core.definition import ModelDefinition
    from evergreen.tools.experiment.result import Result, Round
    from evergreen.tools.experiment.variant import Variant


FilesOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--with",
        metavar="PATH",
        help="features.py, candidates.py, model.yaml or expectations.py to use instead, or a folder with some of "
        "them. May be repeated.",
    ),
]
CandidatesOption = Annotated[
    str | None,
    typer.Option("--candidates", metavar="NAMES", help="Candidates to use instead, by commas: linear,boosted."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="FIELD=VALUE",
        help="Field of model.yaml by its dotted name, such as training.window=24. May be repeated.",
    ),
]
RoundsOption = Annotated[
    int, typer.Option("--rounds", min=1, help="At most so many trainings of each side, a holdout apart.")
]
LogOption = Annotated[
    bool | None,
    typer.Option("--log/--no-log", help="Write it to MLflow. Default: if a stack runs or MLFLOW_TRACKING_URI is set."),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("experiment")(experiment)


def experiment(
    model: Annotated[str, typer.Argument(help="Name of the model, such as nyc_flights.")],
    files: FilesOption = None,
    candidates: CandidatesOption = None,
    settings: SetOption = None,
    rounds: RoundsOption = 8,
    landing: LandingOption = None,
    plot: PlotOption = None,
    log: LogOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare a variant of a model with its definition on landed history, by the gate's own test.

    Each round makes both models as the train DAG would, of labels through one partition, and judges them on the
    partitions that neither has seen. All rounds together are compared row by row, clustered by day: what the variant
    saves with its interval, and what it costs. The model's folder, its champion and the ledger stay as they are.

        evergreen experiment nyc_flights --candidates linear
        evergreen experiment nyc_flights --with draft/features.py --set training.window=24

    Exit code 0: done, whatever was found; 1: too little has landed; 2: wrong usage.
    """
    from evergreen.core.definition import load_definition
    from evergreen.tools.experiment.variant import make_variant

    check_picture(plot)
    changed = _settings(settings or [], candidates)
    base = load_definition(model)
    with tempfile.TemporaryDirectory(prefix="evergreen-experiment-") as folder:
        variant = make_variant(base, Path(folder) / "variant", files=files or [], settings=changed)
        result = _run(base, variant, landing, Path(folder), rounds, home, quiet=as_json)
        page = _log(result, variant, home, wanted=log)
    if plot:
        from evergreen.tools.experiment.plot import draw

        draw(result, plot)
    if as_json:
        print_json(result.to_json() | {"mlflow": page} | ({"plot": str(plot)} if plot else {}))
    else:
        _show(result, page, plot)


def _settings(given: list[str], candidates: str | None) -> dict[str, Any]:
    """What --set and --candidates say."""
    import yaml

    found: dict[str, Any] = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not sign or not name.strip():
            raise typer.BadParameter(f"{text!r} is not FIELD=VALUE, such as training.window=24", param_hint="--set")
        try:
            found[name.strip()] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise typer.BadParameter(f"{value!r} is no YAML value: {error}", param_hint="--set") from error
    if candidates is not None:
        found["training.candidates"] = [name.strip() for name in candidates.split(",") if name.strip()]
    return found


def _run(
    base: ModelDefinition, variant: Variant, landing: str | None, folder: Path, rounds: int, home: Path | None, *,
    quiet: bool,
) -> Result:  # fmt: skip
    from evergreen.stack.config.home import Home
    from evergreen.tools.experiment.run import experiment as run

    with bar_of(quiet=quiet) as bar:
        if isinstance(base.feed.source, str) and landing is None:
            where = land_source(base, folder / "landing", bar)
        else:
            where = landing_url(landing, home, "--landing")
        reading = bar.add_task("Read, validate, build features", total=None)
        training = bar.add_task("Train both", total=None)

        def tell(done: Round, of: int) -> None:
            bar.update(training, total=of, advance=1)
            if not quiet and not bar.console.is_terminal:  # a log file shows no bar
                bar.console.print(_line(done), markup=False, soft_wrap=True)

        return run(
            base,
            variant,
            where,
            rounds=rounds,
            cache=Home.find(home).root / "replay",
            read=lambda done, of: bar.update(reading, completed=done, total=of),
            progress=tell,
        )


def _line(done: Round) -> str:
    losses = f"{done.definition.loss:.4f} to {done.variant.loss:.4f}"
    return f"labels through {done.as_of}: {losses} ({100 * done.relative:+.1f} % saved)"


def _log(result: Result, variant: Variant, home: Path | None, *, wanted: bool | None) -> str | None:
    """Write it to MLflow if that is wanted or there is one; address of the page."""
    if wanted is False:
        return None
    from evergreen.errors import EvergreenError
    from evergreen.settings import Settings
    from evergreen.tools.experiment.tracking import log

    try:
        join_stack(home)
        return log(result, variant, settings=Settings.from_env(), decided_by=os_user())
    except EvergreenError as error:
        if wanted:
            raise
        Console(stderr=True).print(f"Not written to MLflow: {str(error).splitlines()[0]}", markup=False, soft_wrap=True)
        return None


def _show(result: Result, page: str | None, plot: Path | None) -> None:
    from evergreen.tools.experiment.result import cost, sentence

    out = console()
    out.print(f"{result.model}: the variant changes", markup=False)
    for change in result.changes:
        out.print(f"  {change}", markup=False, soft_wrap=True)
    table = Table(title=result.title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("labels through", no_wrap=True)
    for head in ("rows", "definition", "variant", "saved"):
        table.add_column(head, justify="right")
    for part in result.rounds:
        losses = (f"{part.definition.loss:.4f}", f"{part.variant.loss:.4f}")
        table.add_row(part.as_of, f"{part.rows:,}", *losses, f"{100 * part.relative:+.1f} %")
    out.print(table)
    out.print(sentence(result), markup=False, soft_wrap=True)
    out.print(cost(result), markup=False, soft_wrap=True)
    if page:
        out.print(f"MLflow: {page}", markup=False, soft_wrap=True)
    if plot:
        out.print(f"Picture: {plot}", markup=False, soft_wrap=True)
