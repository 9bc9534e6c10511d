"""MLflow: runs and the model registry, through a client of its own. No global tracking URI, no active run."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow.artifacts
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from requests.exceptions import RequestException

from evergreen.core.store.page_links import version_page
from evergreen.errors import BadInputError, UnavailableError
from evergreen.settings import Settings

if TYPE_CHECKING:
    from mlflow.entities import Run

    from evergreen.core.ledger.tables import TrainingRun

log = logging.getLogger("evergreen.training")

TAG = "evergreen."
RUN_ID_TAG = f"{TAG}training_run_id"
RUN_TAG = f"{TAG}training_run"
"""Names a training run across ledgers: a new ledger uses its ids a second time."""
CHAMPION, CHALLENGER = "champion", "challenger"
_MISSING = {"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND", "INVALID_PARAMETER_VALUE"}
_EXISTS = {"RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"}


@contextmanager
def answering(settings: Settings, doing: str) -> Iterator[None]:
    """Turn whatever MLflow raises inside the block into one error that says what failed and what to do.

    Raises:
        UnavailableError: the server did not answer, or not as it should.
    """
    try:
        yield
    except (MlflowException, RequestException) as error:
        said = str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
        raise UnavailableError(
            f"MLflow at {settings.mlflow_url} did not {doing}: {said}. Check that it runs (`evergreen status`) and "
            "that MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD are its login"
        ) from error


def client(settings: Settings) -> MlflowClient:
    """A client of the settings' server, for both runs and registry."""
    return MlflowClient(tracking_uri=settings.mlflow_url, registry_uri=settings.mlflow_url)


def experiment_id(settings: Settings, model: str) -> str:
    """Id of the model's experiment `evergreen/<model>`, made if it is missing."""
    name, mlflow_client = f"evergreen/{model}", client(settings)
    found = mlflow_client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    try:
        return str(mlflow_client.create_experiment(name))
    except MlflowException as error:
        again = mlflow_client.get_experiment_by_name(name)
        if error.error_code not in _EXISTS or again is None:
            raise
        return str(again.experiment_id)


def run_name(run: TrainingRun) -> str:
    """Name of a training run that no other one has, in this ledger or another."""
    return f"{run.id}@{run.started_at.isoformat()}"


def end_interrupted(settings: Settings, experiment: str, run: TrainingRun) -> int:
    """Mark as killed what earlier attempts at this training run left running; returns how many there were."""
    mlflow_client = client(settings)
    query = f"tags.`{RUN_TAG}` = '{run_name(run)}' AND attributes.status = 'RUNNING'"
    left: list[Run] = list(mlflow_client.search_runs([experiment], query))
    for attempt in left:
        mlflow_client.set_terminated(attempt.info.run_id, status="KILLED")
    return len(left)


class Registry:
    """The versions of one registered model, which has the name of the definition."""

    def __init__(self, settings: Settings, model: str) -> None:
        self.settings, self.model = settings, model
        self.client = client(settings)

    def url(self, version: int) -> str:
        """Page of a version in MLflow's user interface."""
        return version_page(self.settings, self.model, version)

    def version_of_run(self, run: TrainingRun) -> ModelVersion | None:
        """The version that this training run registered, or None."""
        query = f"name = '{self.model}' AND tags.`{RUN_TAG}` = '{run_name(run)}'"
        found = sorted(self.client.search_model_versions(query), key=lambda v: int(v.version))
        return found[0] if found else None

    def drop_twins(self, run: TrainingRun) -> list[int]:
        """Delete the versions that this training run registered after its first one; returns them.

        MLflow's client sends a request again whose answer it did not hear: a server that died between doing and
        answering does it twice.
        """
        query = f"name = '{self.model}' AND tags.`{RUN_TAG}` = '{run_name(run)}'"
        twins = sorted(int(v.version) for v in self.client.search_model_versions(query))[1:]
        for twin in twins:
            self.client.delete_model_version(self.model, str(twin))
        return twins

    def register(
        self,
        folder: Path,
        *,
        experiment: str,
        run_id: str,
        params: Mapping[str, Any],
        tags: Mapping[str, str],
        text: str,
    ) -> int:
        """Upload the model in `folder` and register it as the next version, with its tags, in one step at the end."""
        logged = self.client.create_logged_model(
            experiment,
            name=self.model,
            source_run_id=run_id,
            params={name: str(value) for name, value in params.items()},
            tags=dict(tags),
        )
        self.client.log_model_artifacts(logged.model_id, str(folder))
        self.client.finalize_logged_model(logged.model_id, "READY")
        self.client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
        try:
            self.client.create_registered_model(self.model)
        except MlflowException as error:
            if error.error_code not in _EXISTS:
                raise
        version = self.client.create_model_version(
            self.model,
            source=f"models:/{logged.model_id}",
            run_id=run_id,
            tags=dict(tags),
            description=text,
            model_id=logged.model_id,
        )
        return int(version.version)

    def download(self, version: int, file: str, folder: Path) -> Path:
        """Copy one file of a version into `folder`.

        Raises:
            BadInputError: there is no such version, or it has lost the file.
            UnavailableError: the server does not answer.
        """
        with answering(self.settings, f"give out version {version} of {self.model}"):
            try:
                source = self.client.get_model_version_download_uri(self.model, str(version))
            except MlflowException as error:
                if error.error_code not in _MISSING:
                    raise
                raise self._no_such(version) from None
            if not self._holds(source, file):
                raise BadInputError(
                    f"the registry at {self.settings.mlflow_url} has version {version} of {self.model}, and its file "
                    f"{file} is gone; restore MLflow's artifacts from a backup, or train another model"
                )
            return Path(
                mlflow.artifacts.download_artifacts(
                    f"{source}/{file}",
                    dst_path=str(folder),
                    tracking_uri=self.settings.mlflow_url,
                    registry_uri=self.settings.mlflow_url,
                )
            )

    def _no_such(self, version: int) -> BadInputError:
        return BadInputError(
            f"the registry at {self.settings.mlflow_url} has no version {version} of {self.model}; restore MLflow from "
            f"a backup, or let another serve: `evergreen history {self.model}` lists the versions that were made, and "
            f"`evergreen rollback {self.model} --to VERSION` goes back to one"
        )

    def _holds(self, source: str, file: str) -> bool:
        """Whether `file` is at `source`. Asked first: of a lost file a server over S3 says that it failed (500)."""
        try:
            listed = mlflow.artifacts.list_artifacts(source, tracking_uri=self.settings.mlflow_url)
        except MlflowException as error:
            if error.error_code not in _MISSING:
                raise
            return False
        return any(Path(found.path).name == file for found in listed)

    def alias(self, alias: str) -> int | None:
        """The version that the alias names, or None."""
        try:
            return int(self.client.get_model_version_by_alias(self.model, alias).version)
        except MlflowException as error:
            if error.error_code not in _MISSING:
                raise
            return None

    def set_alias(self, alias: str, version: int) -> bool:
        """Let the alias name `version`; whether it named another one, or none, before.

        Raises:
            BadInputError: there is no such version.
        """
        if self.alias(alias) == version:
            return False
        try:
            self.client.set_registered_model_alias(self.model, alias, str(version))
        except MlflowException as error:
            if error.error_code not in _MISSING:
                raise
            raise self._no_such(version) from None
        return True

    def annotate(self, version: int, text: str, tags: Mapping[str, str]) -> None:
        """Put `text` at the end of a version's description, once, and set its tags."""
        described = self.client.get_model_version(self.model, str(version)).description or ""
        if text not in described:
            self.client.update_model_version(self.model, str(version), f"{described}\n\n{text}".strip())
        for name, value in tags.items():
            self.client.set_model_version_tag(self.model, str(version), name, value)
