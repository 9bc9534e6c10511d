"""Where a stack keeps everything it writes."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import evergreen

PROJECT = Path(evergreen.__file__).resolve().parents[2]
"""The checkout: the folder of dags/, plugins/, config/ and include/."""

HOME_VARIABLE = "EVERGREEN_HOME"


@dataclass(frozen=True)
class Home:
    """The folder of one stack. Two stacks are two homes; they share nothing else."""

    root: Path

    @classmethod
    def find(cls, given: Path | None = None, default: str = "var") -> Home:
        """The home that was asked for: the argument, else `EVERGREEN_HOME`, else `default` in the checkout."""
        chosen = given or Path(os.environ.get(HOME_VARIABLE) or PROJECT / default)
        return cls(chosen.expanduser().resolve())

    @property
    def state(self) -> Path:
        """What runs, with process ids and ports."""
        return self.root / "stack.json"

    @property
    def lock(self) -> Path:
        """Held (flock) by the supervisor as long as it lives."""
        return self.root / "stack.lock"

    @property
    def secrets(self) -> Path:
        """Generated passwords and keys, mode 600."""
        return self.root / "secrets.env"

    @property
    def logs(self) -> Path:
        """One file for each service."""
        return self.root / "logs"

    @property
    def postgres(self) -> Path:
        """PostgreSQL's data directory."""
        return self.root / "postgres"

    @property
    def airflow(self) -> Path:
        """AIRFLOW_HOME."""
        return self.root / "airflow"

    @property
    def mlflow(self) -> Path:
        """Artifacts that the MLflow server keeps."""
        return self.root / "mlflow"

    @property
    def mail(self) -> Path:
        """One .eml file for each mail caught."""
        return self.root / "mail"

    @property
    def store(self) -> Path:
        """The object store."""
        return self.root / "store"

    @property
    def landing(self) -> Path:
        """The landing zone."""
        return self.root / "landing"

    @property
    def features_git(self) -> Path:
        """Bare Git remote of the feature repository."""
        return self.root / "features.git"

    @property
    def features_dvc(self) -> Path:
        """DVC remote of the feature repository."""
        return self.root / "dvc"

    def log_of(self, service: str) -> Path:
        """Log file of a service."""
        return self.logs / f"{service}.log"

    @property
    def parts(self) -> Path:
        """Folders of the services of the cluster shape."""
        return self.root / "parts"

    def part(self, service: str) -> Path:
        """Folder of one of them, which no other one reads or writes."""
        return self.parts / service

    def create(self, folders: Collection[Path]) -> None:
        """Make the folders. Secrets, mails and data live there, so that only the owner may look inside.

        Root's home lets others pass (not look), because PostgreSQL refuses root and runs as `nobody`.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        self.root.chmod(0o711 if os.geteuid() == 0 else 0o700)
        for folder in (self.logs, *folders):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o700)
