"""Where everything is that a backup holds: the addresses of the settings, and MLflow's own database and artifacts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import SecretStr

from evergreen.errors import SettingsError
from evergreen.settings import Settings

MLFLOW_DATABASE = "EVERGREEN_MLFLOW_DATABASE_URL"
MLFLOW_ARTIFACTS = "EVERGREEN_MLFLOW_ARTIFACTS_URL"
"""Only these two commands need them: no task should know the password of MLflow's database."""


@dataclass(frozen=True)
class Places:
    """What is backed up, or restored into."""

    settings: Settings
    mlflow_database: SecretStr
    """SQLAlchemy URL of the database behind the MLflow server"""
    mlflow_artifacts: str
    """fsspec URL (or path) below which the MLflow server keeps artifacts"""

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Places:
        """Read them from the environment.

        Raises:
            SettingsError: a variable is not set; the message names all that are missing.
        """
        env = os.environ if environ is None else environ
        settings = Settings.from_env(env)
        missing = [name for name in (MLFLOW_DATABASE, MLFLOW_ARTIFACTS) if not env.get(name)]
        if missing:
            raise SettingsError(
                f"not set in the environment: {', '.join(missing)}. A backup takes MLflow's database and artifacts "
                "from where its server keeps them (--backend-store-uri and --artifacts-destination): export both "
                "for this command only; docs/deployment.md shows how."
            )
        return cls(settings, SecretStr(env[MLFLOW_DATABASE]), env[MLFLOW_ARTIFACTS])

    @property
    def folders(self) -> dict[str, str]:
        """URL of each part that consists of objects."""
        return {
            "store": self.settings.store_url,
            "dvc": self.settings.features_dvc_url,
            "mlflow": self.mlflow_artifacts,
        }
