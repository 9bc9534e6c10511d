"""Where the parts of the system are. Every process reads this from its environment; nothing else knows an address."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, SecretStr

from evergreen.errors import SettingsError

PREFIX = "EVERGREEN_"


class Settings(BaseModel):
    """Addresses of the system's parts. URLs may hold credentials, so the secret ones do not print.

    The same variables serve the embedded stack, the compose file and a Kubernetes deployment.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ledger_url: SecretStr
    """SQLAlchemy URL of the ledger's PostgreSQL database."""
    store_url: str
    """fsspec URL below which raw partitions, quarantine, predictions and reports are kept."""
    landing_url: str
    """fsspec URL of the landing zone where feeds drop partitions."""
    features_git_url: SecretStr
    """URL of the feature repository's bare Git remote."""
    features_dvc_url: str
    """URL of the feature repository's DVC remote."""
    mlflow_url: str
    """Base URL of the MLflow server. Its credentials stay in MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."""
    models_dir: Path
    """Folder of the model definitions: part of the deployed code, so the same on every host."""
    airflow_url: str
    """Base URL of Airflow's web server, for links in mails and reports."""
    airflow_internal_url: str | None = None
    """Base URL at which commands call Airflow's API, if `airflow_url` is for people's browsers only."""
    mlflow_pages_url: str | None = None
    """Base URL at which people open MLflow, for links in mails and reports; `mlflow_url` if it is not set."""
    pseudonym_key: SecretStr | None = None
    """Key of the tokens that stand for values of personal columns; needed if a feed has some."""
    code_version: str = "unknown"
    """Git commit or image tag of the deployed code, recorded with every training run."""

    @property
    def airflow_client_url(self) -> str:
        """Base URL of Airflow for programs."""
        return self.airflow_internal_url or self.airflow_url

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the settings from `EVERGREEN_*` (and `MLFLOW_TRACKING_URI`).

        Raises:
            SettingsError: a variable is not set; the message names all that are missing.
        """
        env = os.environ if environ is None else environ
        names = {field: PREFIX + field.upper() for field in cls.model_fields}
        names["mlflow_url"] = "MLFLOW_TRACKING_URI"
        found = {field: env[name] for field, name in names.items() if env.get(name)}
        missing = [names[f] for f, spec in cls.model_fields.items() if spec.is_required() and f not in found]
        if missing:
            raise SettingsError(
                f"not set in the environment: {', '.join(missing)}. Inside a stack they are set for you: start it with "
                "`evergreen up` and run the command through `evergreen`, or export the variables that "
                "docker-compose.yaml lists."
            )
        return cls.model_validate(found)
