"""Which services a stack has, how each is started, and how one sees that it serves."""

from __future__ import annotations

import json
import smtplib
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from evergreen.stack.config.credentials import write_private
from evergreen.stack.config.environment import AIRFLOW_USER, MLFLOW_USER, database_url, environment
from evergreen.stack.config.home import Home
from evergreen.stack.config.ports import HOST
from evergreen.stack.embedded import postgres
from evergreen.stack.process.service import Service

AIRFLOW_PARTS = {
    "api-server": "metadatabase",
    "scheduler": "scheduler",
    "dag-processor": "dag_processor",
    "triggerer": "triggerer",
}
"""Each Airflow process and its entry in the health answer of the API."""


def services(home: Home, ports: Mapping[str, int], secrets: Mapping[str, str]) -> list[Service]:
    """All services of the embedded shape, each after those that it needs."""
    env = environment(home, ports, secrets)
    write_airflow_login(home, secrets)
    login = {**env, "AIRFLOW_ADMIN_PASSWORD": secrets["AIRFLOW_ADMIN_PASSWORD"]}
    own = {"api-server": {"EVERGREEN_METRICS_TOKEN": secrets["METRICS_TOKEN"]}}
    return [
        postgres_service(
            home, ports, secrets["POSTGRES_PASSWORD"], {k: env[k] for k in ("PATH", "TZ", "LANG") if k in env}
        ),
        step("databases", {**env, **_superuser(ports, secrets)}, needs=("postgres",)),
        step("airflow-migrate", env, needs=("databases",), timeout=300),
        step("ledger-migrate", env, needs=("databases",)),
        step("folders", env),
        mail_service(home, ports, env),
        _mlflow(home, ports, secrets, env),
        *(_airflow(name, entry, ports, env | own.get(name, {})) for name, entry in AIRFLOW_PARTS.items()),
        _online(ports, env | {"EVERGREEN_ONLINE_TOKEN": secrets["ONLINE_TOKEN"], **own["api-server"]}),
        step("airflow-prepare", login, needs=("api-server",), timeout=180),
    ]


def write_airflow_login(home: Home, secrets: Mapping[str, str]) -> None:
    """Write the password file of Airflow's SimpleAuthManager, which would otherwise invent one and log it."""
    write_private(home.airflow / "passwords.json", json.dumps({AIRFLOW_USER: secrets["AIRFLOW_ADMIN_PASSWORD"]}) + "\n")


def airflow_health(url: str) -> dict[str, Any] | None:
    """What the API at a base URL says of Airflow's parts; None while it does not answer."""
    answer = _get(f"{url}/api/v2/monitor/health")
    return None if answer is None else json.loads(answer)


def mlflow_answers(port: int) -> bool:
    """Whether the MLflow server serves."""
    return _get(f"http://{HOST}:{port}/health") is not None


def mail_answers(port: int) -> bool:
    """Whether the mail catcher takes mails."""
    try:
        with smtplib.SMTP(HOST, port, timeout=2) as server:
            return server.noop()[0] == 250
    except (OSError, smtplib.SMTPException):
        return False


def online_answers(port: int) -> bool:
    """Whether the server for predictions on request serves."""
    return _get(f"http://{HOST}:{port}/health") is not None


def _get(url: str) -> bytes | None:
    try:
        with urllib.request.urlopen(url, timeout=3) as response:  # nosec B310  # noqa: S310 -- our own address
            body: bytes = response.read()
            return body
    except (urllib.error.URLError, OSError):
        return None


def _superuser(ports: Mapping[str, int], secrets: Mapping[str, str]) -> dict[str, str]:
    names = ("POSTGRES_PASSWORD", "AIRFLOW_DB_PASSWORD", "MLFLOW_DB_PASSWORD", "LEDGER_DB_PASSWORD")
    return {"EVERGREEN_POSTGRES_PORT": str(ports["postgres"])} | {name: secrets[name] for name in names}


def step(
    task: str, env: Mapping[str, str], needs: tuple[str, ...] = (), timeout: float = 120, name: str | None = None
) -> Service:
    """A step of the start; `task` is its name in `evergreen.stack.embedded.steps`."""
    return Service(
        name or task, (sys.executable, "-m", "evergreen.stack.embedded.steps", task), env, needs, timeout=timeout
    )


def postgres_service(
    home: Home,
    ports: Mapping[str, int],
    password: str,
    env: Mapping[str, str],
    options: tuple[str, ...] = (),
    check: tuple[str, ...] = (),
) -> Service:
    """PostgreSQL, in an environment that holds nothing of ours; `options` come last on its command line."""

    def before() -> None:
        postgres.initialise(home.postgres, password)
        postgres.clear_stale(home.postgres)

    return Service(
        "postgres",
        (*postgres.command(home.postgres, ports["postgres"]), *options),
        env,
        healthy=lambda _: postgres.answers(ports["postgres"], password),
        check=check,
        before=before,
        popen=postgres.account(home.postgres).popen,
    )


def mail_service(home: Home, ports: Mapping[str, int], env: Mapping[str, str], name: str = "mail") -> Service:
    """The mail catcher."""
    return Service(
        name,
        (sys.executable, "-m", "evergreen.stack.embedded.mail_catcher", str(home.mail), str(ports["smtp"])),
        env,
        healthy=lambda _: mail_answers(ports["smtp"]),
    )


def _mlflow(home: Home, ports: Mapping[str, int], secrets: Mapping[str, str], env: Mapping[str, str]) -> Service:
    login_file = home.mlflow.parent / "mlflow-auth.ini"
    # The role's password reaches the driver through PGPASSWORD, so that no file and no command line holds it.
    own = {
        "PGPASSWORD": secrets["MLFLOW_DB_PASSWORD"],
        "MLFLOW_BACKEND_STORE_URI": database_url("mlflow", ports),
        "MLFLOW_AUTH_CONFIG_PATH": str(login_file),
        "MLFLOW_AUTH_ADMIN_USERNAME": MLFLOW_USER,
        "MLFLOW_AUTH_ADMIN_PASSWORD": secrets["MLFLOW_ADMIN_PASSWORD"],
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets["MLFLOW_FLASK_SECRET_KEY"],
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    inherited = {k: v for k, v in env.items() if not k.startswith("MLFLOW_TRACKING_")}
    return Service(
        "mlflow",
        (
            sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth", "--workers", "1",
            "--host", HOST, "--port", str(ports["mlflow"]), "--artifacts-destination", str(home.mlflow),
        ),
        inherited | own,
        needs=("databases",),
        healthy=lambda _: mlflow_answers(ports["mlflow"]),
        hung=lambda: not mlflow_answers(ports["mlflow"]),
        timeout=180,
        before=lambda: _write_mlflow_login(login_file, ports),
    )  # fmt: skip


def _write_mlflow_login(path: Path, ports: Mapping[str, int]) -> None:
    lines = [
        "[mlflow]",
        "default_permission = READ",
        f"database_uri = {database_url('mlflow', ports)}",
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth",
        "grant_default_workspace_access = false",
        # Hashing the password again costs each request some 50 ms; the one user there is does not change.
        "auth_cache_ttl_seconds = 300",
    ]
    write_private(path, "\n".join(lines) + "\n")


def _online(ports: Mapping[str, int], env: Mapping[str, str]) -> Service:
    port = ports["online"]
    return Service(
        "online",
        (str(Path(sys.executable).parent / "evergreen"), "serve", "--host", HOST, "--port", str(port)),
        env,
        needs=("ledger-migrate", "mlflow"),
        healthy=lambda _: online_answers(port),
        hung=lambda: not online_answers(port),
        timeout=180,
    )


def _airflow(name: str, entry: str, ports: Mapping[str, int], env: Mapping[str, str]) -> Service:
    arguments = {
        "api-server": ("--host", HOST, "--port", str(ports["airflow"])),
        # Task logs lie on the disk that the api-server reads: nobody has to serve them.
        "scheduler": ("--skip-serve-logs",),
        "triggerer": ("--skip-serve-logs",),
    }

    def healthy(since: float) -> bool:
        health = airflow_health(f"http://{HOST}:{ports['airflow']}")
        part = (health or {}).get(entry) or {}
        beat = part.get(f"latest_{entry}_heartbeat")
        # A predecessor's heartbeat says nothing about this process.
        fresh = entry == "metadatabase" or (beat is not None and datetime.fromisoformat(beat).timestamp() >= since)
        return part.get("status") == "healthy" and fresh

    def hung() -> bool:
        health = airflow_health(f"http://{HOST}:{ports['airflow']}")
        if health is None:  # that is the api-server's fault, and says nothing of the others
            return name == "api-server"
        return name != "api-server" and (health.get(entry) or {}).get("status") == "unhealthy"

    return Service(
        name,
        (sys.executable, "-m", "airflow", name, *arguments.get(name, ())),
        env,
        needs=("airflow-migrate", "ledger-migrate", "folders"),
        healthy=healthy,
        hung=hung,
        timeout=480,
    )
