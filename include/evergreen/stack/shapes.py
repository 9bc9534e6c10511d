"""The two shapes of a stack: one machine's processes on folders, or the compose file's services on URLs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from evergreen.stack.cluster import observers
from evergreen.stack.cluster import services as cluster
from evergreen.stack.config import credentials, environment, ports
from evergreen.stack.config.home import Home
from evergreen.stack.embedded import services as embedded
from evergreen.stack.process.service import Service


@dataclass(frozen=True)
class Shape:
    """What a stack consists of.

    Attributes:
        name: as `--shape` takes it.
        require: raises SettingsError if this machine lacks what it needs.
        ports: each service that listens, with the port to try first.
        folders: what has to be there before the first service starts.
        create_secrets: writes the passwords and keys of a new stack to a file.
        environment: of a task, from the home, the ports and the secrets.
        services: from the home, the ports and the secrets; each after those that it needs.
        left_out: services that this machine cannot run and the rest can do without, each with the reason.
        mlflow_artifacts: URL below which the MLflow server keeps artifacts.
    """

    name: str
    require: Callable[[], None]
    ports: Mapping[str, int]
    folders: Callable[[Home], tuple[Path, ...]]
    create_secrets: Callable[[Path], None]
    environment: Callable[[Home, Mapping[str, int], Mapping[str, str]], dict[str, str]]
    services: Callable[[Home, Mapping[str, int], Mapping[str, str]], list[Service]]
    left_out: Callable[[], dict[str, str]]
    mlflow_artifacts: Callable[[Home], str]


SHAPES = {
    shape.name: shape
    for shape in (
        Shape(
            "embedded",
            lambda: None,
            ports.PREFERRED,
            lambda home: (home.airflow, home.mlflow, home.mail, home.store, home.landing, home.features_dvc),
            credentials.create,
            environment.environment,
            embedded.services,
            dict,
            lambda home: home.mlflow.as_uri(),
        ),
        Shape(
            "cluster",
            cluster.require_programs,
            cluster.PORTS,
            lambda home: (home.airflow, home.mail, home.parts),
            cluster.create_secrets,
            cluster.environment,
            cluster.services,
            observers.left_out,
            lambda _: cluster.mlflow_artifacts(),
        ),
    )
}
