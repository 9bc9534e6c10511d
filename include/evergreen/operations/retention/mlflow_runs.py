"""Remove from MLflow what a training run has left there: version, logged models, runs, and their artifacts' bytes.

MLflow's own `delete_run` and `delete_logged_model` only mark; `mlflow gc` on the server frees the bytes later. Here the
artifacts are removed through the server's artifact API before that, so that the bytes are free at once. The rows marked
as deleted stay in MLflow's database, some kilobytes a run, until somebody runs `mlflow gc`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from evergreen.loop.training.tracking import RUN_TAG, Registry, answering, client, experiment_id, run_name
from evergreen.settings import Settings

if TYPE_CHECKING:
    from evergreen.core.ledger.tables import TrainingRun


@dataclass(frozen=True)
class Remains:
    """What MLflow has of one attempt at a training run."""

    mlflow_run_id: str
    artifacts: str
    """Where the run's own artifacts are"""
    models: dict[str, str]
    """Logged models: id -> where its artifacts are"""


def find(settings: Settings, run: TrainingRun) -> list[Remains]:
    """What there is of all attempts at `run`, the interrupted ones too; nothing if it was removed already.

    Raises:
        UnavailableError: MLflow does not answer.
    """
    with answering(settings, f"say what it has of training run {run.id}"):
        tracking = client(settings)
        experiments = [experiment_id(settings, run.model)]
        attempts = tracking.search_runs(experiments, f"tags.`{RUN_TAG}` = '{run_name(run)}'")
        found = []
        for attempt in attempts:
            id_ = str(attempt.info.run_id)
            logged = tracking.search_logged_models(experiments, f"source_run_id = '{id_}'")
            models = {str(model.model_id): str(model.artifact_location) for model in logged}
            found.append(Remains(id_, str(attempt.info.artifact_uri), models))
        return found


def count_bytes(settings: Settings, remains: list[Remains]) -> int:
    """Bytes of the artifacts of `remains`; raises as `find`."""
    with answering(settings, "say how large its artifacts are"):
        places = [place for r in remains for place in (r.artifacts, *r.models.values())]
        return sum(size for place in places for size in _sizes(_artifacts(settings, place)))


def remove(settings: Settings, run: TrainingRun) -> None:
    """Remove all that MLflow has of `run`: the registered version first, then bytes, then what names them.

    Interrupted and run again, it goes on where it ended. Raises as `find`.
    """
    remains = find(settings, run)
    with answering(settings, f"remove what it has of training run {run.id}"):
        registry = Registry(settings, run.model)
        version = registry.version_of_run(run)
        if version is not None:
            registry.client.delete_model_version(run.model, str(version.version))
        for attempt in remains:
            for model_id, place in attempt.models.items():
                _artifacts(settings, place).delete_artifacts()
                registry.client.delete_logged_model(model_id)
            _artifacts(settings, attempt.artifacts).delete_artifacts()
            registry.client.delete_run(attempt.mlflow_run_id)


def _artifacts(settings: Settings, place: str) -> Any:
    return get_artifact_repository(place, tracking_uri=settings.mlflow_url, registry_uri=settings.mlflow_url)


def _sizes(artifacts: Any, folder: str | None = None) -> Iterator[int]:
    try:
        listed = artifacts.list_artifacts(folder)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return
    for file in listed:
        if file.is_dir:
            yield from _sizes(artifacts, file.path)
        else:
            yield int(file.file_size or 0)
