"""Where the services of docker-compose.yaml are on one machine: their addresses, folders and environments."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from evergreen.stack.cluster.compose_file import ComposeService
from evergreen.stack.config.credentials import write_private
from evergreen.stack.config.environment import code_version, process
from evergreen.stack.config.home import PROJECT, Home
from evergreen.stack.config.ports import HOST, PREFERRED
from evergreen.stack.process.service import Service

PORTS = PREFERRED | {
    "redis": 6389,
    "features_git": 9418,
    "s3": 8333,
    # SeaweedFS' own parts talk to each other; in its container they stay on its loopback.
    "s3_grpc": 18333,
    "s3_master": 9333,
    "s3_master_grpc": 19333,
    "s3_volume": 9340,
    "s3_volume_grpc": 19340,
    "s3_filer": 8888,
    "s3_filer_grpc": 18888,
    "statsd": 9125,
    "statsd_web": 9102,
    "prometheus": 9090,
    "alertmanager": 9093,
}
_ADDRESSES = {
    "postgres:5432": "postgres", "redis:6379": "redis", "s3:8333": "s3", "features-git:9418": "features_git",
    "mlflow:5000": "mlflow", "localhost:5000": "mlflow", "127.0.0.1:5000": "mlflow",
    "api-server:8080": "airflow", "127.0.0.1:8333": "s3",
    "statsd-exporter:9102": "statsd_web", "127.0.0.1:9102": "statsd_web", "localhost:9090": "prometheus",
    "127.0.0.1:9090": "prometheus", "alertmanager:9093": "alertmanager", "localhost:9093": "alertmanager",
    "127.0.0.1:9093": "alertmanager", "online:8600": "online",
}  # fmt: skip
"""Addresses in the compose file's network, each with our name for its port."""
_ADDRESS = re.compile("|".join(rf"(?<![\w.-]){re.escape(address)}\b" for address in _ADDRESSES))
_APART = {"EVERGREEN_LEDGER": "postgres", "EVERGREEN_SMTP": "smtp", "AIRFLOW__METRICS__STATSD": "statsd"}
"""Prefixes of variables that name a host and its port apart."""
_TOKENS = {"api-server": ("8080", "airflow"), "mlflow": ("5000", "mlflow"), "online": ("8600", "online")}
"""Ports that stand alone on a command line."""


@dataclass(frozen=True)
class Place:
    """Where the services of the compose file are on this machine.

    Attributes:
        ports: by our names for them, see `PORTS`.
        shell: the environment of the process that starts the stack; only its search path is handed on.
    """

    home: Home
    ports: Mapping[str, int]
    shell: Mapping[str, str]

    def text(self, text: str) -> str:
        """A value with this machine's addresses and folders."""

        def found(match: re.Match[str]) -> str:
            # MLflow answers to names that it knows only.
            host = "localhost" if match[0].startswith("localhost") else HOST
            return f"{host}:{self.ports[_ADDRESSES[match[0]]]}"

        return _ADDRESS.sub(found, text).replace("/opt/evergreen", str(PROJECT))

    def words(self, service: ComposeService, words: tuple[str, ...]) -> tuple[str, ...]:
        """A command line with this machine's addresses and folders."""
        token, port = _TOKENS.get(service.name, ("", ""))
        alone = {"0.0.0.0": HOST} | ({token: str(self.ports[port])} if token else {})  # nosec B104  # noqa: S104
        return tuple(alone.get(word, self.text(word)) for word in words)

    def environment(self, service: ComposeService, folder: Path | None = None) -> dict[str, str]:
        """What the container would find in its environment; nothing of the shell's but the search path."""
        folder = folder or self.home.part(service.name)
        env = process(self.home, self.shell) | {
            "HOME": str(folder),
            "TMPDIR": str(folder / "tmp"),
            "AIRFLOW_HOME": str(folder),
            "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(folder / "logs"),
            "EVERGREEN_CODE_VERSION": code_version(),
        }
        env |= {name: self.text(value) for name, value in service.environment.items()}
        for prefix, port in _APART.items():
            if f"{prefix}_HOST" in env:
                env |= {f"{prefix}_HOST": HOST, f"{prefix}_PORT": str(self.ports[port])}
        return env

    def service(self, made: ComposeService, argv: tuple[str, ...], **changes: str) -> Service:
        """The process of a service, in a folder of its own."""
        folder = self.home.part(made.name)

        def before() -> None:
            (folder / "tmp").mkdir(parents=True, exist_ok=True)
            folder.chmod(0o700)

        return Service(
            made.name,
            argv,
            self.environment(made) | changes,
            needs=tuple("databases" if name == "postgres" else name for name in made.needs),
            check=self.words(made, made.check),
            timeout=480,
            before=before,
            folder=folder,
        )

    def files(self, made: ComposeService) -> dict[str, str]:
        """Write what Docker would mount from deploy/ and the secrets below the service's folder, with this machine's
        addresses in it.

        Returns:
            Path of each in the container, and here.
        """
        folder = self.home.part(made.name) / "files"
        folder.mkdir(parents=True, exist_ok=True)
        known = {path: str(folder / Path(path).name) for path in (*made.secrets, *made.files)}
        for path, value in made.secrets.items():
            write_private(Path(known[path]), value)
        for path, source in made.files.items():
            text = self.text((PROJECT / source).read_text())
            for inside, here in known.items():
                text = text.replace(inside, here)
            write_private(Path(known[path]), text)
            Path(known[path]).chmod((PROJECT / source).stat().st_mode & 0o700)
        return known
