"""An experiment's record in MLflow: a run of its own, beside the model's and never among its versions."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from evergreen.loop.training.tracking import TAG, answering, client, experiment_id
from evergreen.settings import Settings
from evergreen.tools.experiment.result import Result, cost, sentence
from evergreen.tools.experiment.variant import Variant

MOST_CHANGES, MOST_LETTERS = 100, 500


def log(result: Result, variant: Variant, *, settings: Settings, decided_by: str) -> str:
    """Write one run to the MLflow experiment `evergreen/<model>.experiments`; address of its page.

    Parameters are the changed settings, metrics the comparison and each round's losses (the step is the round),
    artifacts the result as JSON, the diff of the files and a plot. No model is saved or registered.

    Raises:
        UnavailableError: MLflow does not answer.
    """
    with answering(settings, "take the experiment"):
        mlflow = client(settings)
        experiment = experiment_id(settings, f"{result.model}.experiments")
        tags = {f"{TAG}kind": "experiment", "mlflow.user": decided_by, "mlflow.note.content": _note(result)}
        run = mlflow.create_run(experiment, run_name=_name(result), tags=tags).info.run_id
        for number, change in enumerate(result.changes[:MOST_CHANGES], 1):
            mlflow.log_param(run, f"change_{number}", change[:MOST_LETTERS])
        for name, value in _metrics(result).items():
            mlflow.log_metric(run, name, value)
        for step, part in enumerate(result.rounds):
            mlflow.log_metric(run, "round.definition_loss", part.definition.loss, step=step)
            mlflow.log_metric(run, "round.variant_loss", part.variant.loss, step=step)
        with tempfile.TemporaryDirectory(prefix="evergreen-experiment-") as folder:
            _artifacts(result, variant, Path(folder))
            mlflow.log_artifacts(run, folder)
        mlflow.set_terminated(run)
    root = settings.mlflow_pages_url or settings.mlflow_url
    return f"{root.rstrip('/')}/#/experiments/{experiment}/runs/{run}"


def _note(result: Result) -> str:
    changes = "\n".join(f"- `{change}`" for change in result.changes)
    return f"{sentence(result)}\n\n{cost(result)}\n\n{changes}"


def _name(result: Result) -> str:
    return f"{result.changes[0].partition(':')[0]}{' and more' if len(result.changes) > 1 else ''}"


def _metrics(result: Result) -> dict[str, float]:
    found = result.comparison
    known = {
        "relative": found.relative, "relative_low": found.relative_low, "relative_high": found.relative_high,
        "p_value": found.p_value, "definition_loss": found.champion_loss, "variant_loss": found.challenger_loss,
        "rows": found.rows, "days": found.clusters,
    }  # fmt: skip
    return {name: float(value) for name, value in known.items() if value is not None}


def _artifacts(result: Result, variant: Variant, folder: Path) -> None:
    from evergreen.tools.experiment.plot import draw

    (folder / "result.json").write_text(json.dumps(result.to_json(), indent=2, default=str), encoding="utf-8")
    (folder / "variant.diff").write_text(variant.diff, encoding="utf-8")
    draw(result, folder / "rounds.png")
