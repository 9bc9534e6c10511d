"""The cluster shape: the services of docker-compose.yaml as processes of one machine, which share only URLs.

Environment, commands, health checks and order are read from that file. Replaced are only names of hosts, ports and
folders, and the two images that no wheel holds: PostgreSQL's (its programs come from one) and Mailpit (our mail catcher
takes the mails under the same login). `redis-server` comes from the machine, and what watches the rest (observers.py)
as far as the machine has it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from evergreen.errors import SettingsError
from evergreen.stack.cluster import compose_file, observers
from evergreen.stack.cluster.compose_file import ComposeService
from evergreen.stack.cluster.host_mapping import PORTS, Place
from evergreen.stack.config import airflow_settings
from evergreen.stack.config.credentials import write_private
from evergreen.stack.config.environment import NOT_INHERITED, process
from evergreen.stack.config.home import PROJECT, Home
from evergreen.stack.config.ports import HOST
from evergreen.stack.embedded import postgres
from evergreen.stack.embedded.features_remote import IDENTITY
from evergreen.stack.embedded.services import mail_service, postgres_service, step
from evergreen.stack.process.service import Service

__all__ = ["PORTS", "create_secrets", "environment", "mlflow_artifacts", "require_programs", "services"]

COMPOSE = PROJECT / "docker-compose.yaml"
_PROGRAMS = {"redis-server": "redis-server", "redis-cli": "redis-tools", "git": "git", "wget": "wget"}
"""Programs of the machine that commands and health checks name, each with Debian's package."""


def create_secrets(path: Path) -> None:
    """Write the passwords and keys, as a deployment does: by deploy/make-env.sh."""
    subprocess.run([str(PROJECT / "deploy" / "make-env.sh"), str(path)], check=True, stdout=subprocess.DEVNULL)


def environment(
    home: Home, ports: Mapping[str, int], secrets: Mapping[str, str], base: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The full environment of a command that joins the stack; that of the containers, with connections and variables.

    Args:
        home: folder of the stack.
        ports: port of each service.
        secrets: passwords and keys; the result holds them, so it must not be logged.
        base: what to start from, by default this process's environment; nothing of it steers the stack.

    Raises:
        SettingsError: the compose file or `airflow_settings.yaml` is wrong.
    """
    shell = os.environ if base is None else base
    place = Place(home, ports, shell)
    joined = place.environment(_read(place, secrets)["scheduler"], home.airflow)
    env = {k: v for k, v in shell.items() if not k.startswith((*NOT_INHERITED, "AWS_"))}
    env |= {k: v for k, v in joined.items() if k not in ("HOME", "TMPDIR")} | {"EVERGREEN_HOME": str(home.root)}
    return env | airflow_settings.load(PROJECT / "airflow_settings.yaml", env).environment()


def services(home: Home, ports: Mapping[str, int], secrets: Mapping[str, str]) -> list[Service]:
    """All services, each after those that it needs.

    Raises:
        SettingsError: the compose file is wrong.
    """
    place = Place(home, ports, os.environ)
    known = _read(place, secrets)
    (home.root / "gitconfig").write_text(IDENTITY)
    here = [service for service in known.values() if service.name not in observers.left_out()]
    made = [_MAKERS.get(service.name, _ours)(service, place) for service in here]
    return [*made, _databases(known["postgres"], place)]


def _read(place: Place, secrets: Mapping[str, str]) -> dict[str, ComposeService]:
    return compose_file.read(COMPOSE, {**secrets, "EVERGREEN_AIRFLOW_URL": f"http://{HOST}:{place.ports['airflow']}"})


def mlflow_artifacts() -> str:
    """URL below which the compose file's MLflow server keeps artifacts."""
    import yaml

    words = yaml.safe_load(COMPOSE.read_text())["services"]["mlflow"]["command"]
    return str(words[words.index("--artifacts-destination") + 1])


def require_programs() -> None:
    """See that this machine has the programs that no wheel brings.

    Raises:
        SettingsError: it lacks some; the message says which packages have them.
    """
    missing = [f"{name} (Debian: {package})" for name, package in _PROGRAMS.items() if shutil.which(name) is None]
    if missing:
        raise SettingsError(
            f"the cluster shape needs programs that are not on the PATH: {', '.join(missing)}. Install them, or start "
            "the embedded shape, which needs none of them but git."
        )


def _postgres(service: ComposeService, place: Place) -> Service:
    plain = {name: place.shell[name] for name in ("LANG",) if name in place.shell}
    plain |= {"PATH": f"{postgres.programs()}:{place.shell.get('PATH', os.defpath)}", "TZ": "UTC"}
    # The options of the file come last, and the last one counts.
    return postgres_service(
        place.home, place.ports, service.environment["POSTGRES_PASSWORD"],
        {**plain, "PGPORT": str(place.ports["postgres"])}, options=service.command[1:], check=service.check,
    )  # fmt: skip


def _databases(service: ComposeService, place: Place) -> Service:
    """The image runs deploy/postgres-init.sh inside the server's start."""
    env = place.environment(service) | {
        "PATH": f"{postgres.programs()}{os.pathsep}{process(place.home, place.shell)['PATH']}",
        "EVERGREEN_POSTGRES_PORT": str(place.ports["postgres"]),
        "POSTGRES_USER": postgres.SUPERUSER,
        "PGHOST": HOST,
        "PGPORT": str(place.ports["postgres"]),
        "PGPASSWORD": service.environment["POSTGRES_PASSWORD"],
    }
    return step("databases-by-script", env, needs=("postgres",), name="databases")


def _redis(service: ComposeService, place: Place) -> Service:
    own = f"dir .\nport {place.ports['redis']}\nbind {HOST}\nset-proc-title no"
    made = place.service(service, tuple(word.replace("dir /data", own) for word in service.command))
    check = (word.replace("redis-cli", f"redis-cli -p {place.ports['redis']}") for word in service.check)
    return _with_check(made, tuple(check))


def _s3(service: ComposeService, place: Place) -> Service:
    at = place.ports
    known = {
        "-dir=/data": "-dir=.",
        "-s3.ip.bind=0.0.0.0": f"-s3.ip.bind={HOST}",
        "-s3.port=8333": f"-s3.port={at['s3']}",
    }
    own = (
        "-s3.localSocket=s3.sock",
        "-filer.localSocket=filer.sock",
        f"-s3.port.grpc={at['s3_grpc']}",
        *(f"-{part}.port={at[f's3_{part}']}" for part in ("master", "volume", "filer")),
        *(f"-{part}.port.grpc={at[f's3_{part}_grpc']}" for part in ("master", "volume", "filer")),
    )
    argv = (*(service.entrypoint or ()), *(known.get(word, word) for word in service.command), *own)
    return place.service(service, argv)


def _mailpit(service: ComposeService, place: Place) -> Service:
    user, _, password = service.environment["MP_SMTP_AUTH"].partition(":")
    env = process(place.home, place.shell) | {"EVERGREEN_SMTP_USER": user, "EVERGREEN_SMTP_PASSWORD": password}
    return mail_service(place.home, place.ports, env, name=service.name)


def _features_git(service: ComposeService, place: Place) -> Service:
    port = str(place.ports["features_git"])
    argv = place.words(service, (*(service.entrypoint or ()), str(place.home.part(service.name))))
    made = place.service(service, argv, GIT_DAEMON_HOST=HOST, GIT_DAEMON_PORT=port)
    return _with_check(made, tuple(word.replace("//localhost/", f"//localhost:{port}/") for word in service.check))


def _mlflow(service: ComposeService, place: Place) -> Service:
    login = place.home.root / "mlflow-auth.ini"
    write_private(login, place.text((PROJECT / "deploy" / "mlflow-auth.ini").read_text()))
    argv = place.words(service, (*(service.entrypoint or ()), *service.command))
    return place.service(service, argv, MLFLOW_AUTH_CONFIG_PATH=str(login))


def _ours(service: ComposeService, place: Place) -> Service:
    """A service of our image behind its entry point."""
    command = ("python", "/opt/evergreen/deploy/entrypoint.py", *service.command)
    return place.service(service, place.words(service, command))


def _with_check(service: Service, check: tuple[str, ...]) -> Service:
    return replace(service, check=check)


_MAKERS: dict[str, Callable[[ComposeService, Place], Service]] = {
    "postgres": _postgres,
    "redis": _redis,
    "s3": _s3,
    "mailpit": _mailpit,
    "features-git": _features_git,
    "mlflow": _mlflow,
    **observers.MAKERS,
}
