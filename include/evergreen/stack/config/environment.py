"""The environment of everything that runs in a stack: services, tasks, and commands that join it.

The variables are the ones a deployment sets too (docker-compose.yaml): nothing else tells a process where things are.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from evergreen.stack.config import airflow_settings
from evergreen.stack.config.home import PROJECT, Home
from evergreen.stack.config.ports import HOST

AIRFLOW_USER = "admin"
MLFLOW_USER = "admin"
SMTP_USER = "evergreen"
MAIL_FROM = "evergreen@localhost"
ON_CALL = "on-call@localhost"

NOT_INHERITED = ("AIRFLOW_", "EVERGREEN_", "MLFLOW_", "GIT_", "PG", "PYTHON")
"""A stack must not be steered by what a shell, a Git hook or another stack happens to export. (Without bytecode files,
for one, each process would compile the libraries it imports, which takes longer than importing them.)"""
INHERITED = ("EVERGREEN_DATABASE_", "EVERGREEN_CHANNEL_")
"""Addresses that definitions refer to by name: of databases and channels. They steer nothing else, and a stack has no
other place for them."""

_CHATTER = ("aiobotocore", "alembic", "boto3", "botocore", "dvc", "dvc_data", "fsspec", "git", "great_expectations",
            "httpx", "matplotlib", "mlflow", "optuna", "s3fs", "scmrepo", "urllib3")  # fmt: skip
"""Loggers of libraries whose INFO lines drown the report that a task log is."""


def environment(
    home: Home, ports: Mapping[str, int], secrets: Mapping[str, str], base: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The full environment of a task.

    Args:
        home: folder of the stack.
        ports: port of each service.
        secrets: passwords and keys; the result holds them, so it must not be logged.
        base: what to start from, by default this process's environment. `AIRFLOW__*` settings in it win over ours,
            except for those that make the stack one (databases, keys, addresses), and so does `EVERGREEN_MODELS_DIR`.

    Raises:
        SettingsError: `airflow_settings.yaml` is wrong.
    """
    shell = os.environ if base is None else base
    env = {k: v for k, v in shell.items() if not k.startswith(NOT_INHERITED) or k.startswith(INHERITED)}
    env |= process(home, shell)
    env |= _airflow_defaults(home)
    env |= {k: v for k, v in shell.items() if k.startswith("AIRFLOW__")}
    env |= _airflow_fixed(home, ports, secrets)
    env |= _evergreen(home, ports, secrets, shell)
    env |= airflow_settings.load(PROJECT / "airflow_settings.yaml", env).environment()
    return env


def database_url(name: str, ports: Mapping[str, int], password: str | None = None) -> str:
    """SQLAlchemy URL of a database; role and database share their name."""
    login = name if password is None else f"{name}:{password}"
    return f"postgresql+psycopg2://{login}@{HOST}:{ports['postgres']}/{name}"


def process(home: Home, shell: Mapping[str, str]) -> dict[str, str]:
    """What steers Python, Git and the libraries in every process, whatever it runs."""
    folders = [str(PROJECT / name) for name in ("include", "config", "plugins")]
    binaries = str(Path(sys.executable).parent)
    return {
        "PATH": os.pathsep.join([binaries, shell.get("PATH", os.defpath)]),
        "PYTHONPATH": os.pathsep.join(folders),
        "PYTHONHASHSEED": "0",
        "PYTHONUNBUFFERED": "1",
        "TZ": "UTC",
        "OMP_NUM_THREADS": "1",
        "MPLBACKEND": "Agg",
        # Without this a process that sets its title overwrites its environment, and with it the stack's marker.
        "SPT_NOENV": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_GLOBAL": str(home.root / "gitconfig"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "DO_NOT_TRACK": "true",
        "DVC_NO_ANALYTICS": "true",
        "GX_ANALYTICS_ENABLED": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "SCARF_NO_ANALYTICS": "true",
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "TQDM_DISABLE": "1",
    }


def _airflow_defaults(home: Home) -> dict[str, str]:
    sections: dict[str, dict[str, object]] = {
        "CORE": {
            "DAGS_FOLDER": PROJECT / "dags",
            "PLUGINS_FOLDER": PROJECT / "plugins",
            "LOAD_EXAMPLES": False,
            "PARALLELISM": 4,
            "DAGS_ARE_PAUSED_AT_CREATION": True,
        },
        "API": {"WORKERS": 1, "EXPOSE_CONFIG": False, "EXPOSE_STACKTRACE": False},
        "SCHEDULER": {
            "SCHEDULER_IDLE_SLEEP_TIME": 0.2,
            # A scheduler that was killed is replaced within seconds here; what it left must not wait five minutes.
            "ORPHANED_TASKS_CHECK_INTERVAL": 20,
            "SCHEDULER_HEALTH_CHECK_THRESHOLD": 20,
            "TASK_INSTANCE_HEARTBEAT_TIMEOUT": 90,
        },
        # A task rides out the minute in which the api-server is replaced, instead of needing another try.
        "WORKERS": {"EXECUTION_API_RETRIES": 20, "EXECUTION_API_RETRY_WAIT_MAX": 10},
        "DAG_PROCESSOR": {"MIN_FILE_PROCESS_INTERVAL": 30, "REFRESH_INTERVAL": 10, "PARSING_PROCESSES": 1},
        "LOGGING": {
            "LOGGING_LEVEL": "INFO",
            "COLORED_CONSOLE_LOG": False,
            "NAMESPACE_LEVELS": " ".join(f"{name}=WARNING" for name in _CHATTER),
        },
        "USAGE_DATA_COLLECTION": {"ENABLED": False},
    }
    return _flatten(sections)


def _airflow_fixed(home: Home, ports: Mapping[str, int], secrets: Mapping[str, str]) -> dict[str, str]:
    url = f"http://{HOST}:{ports['airflow']}"
    sections: dict[str, dict[str, object]] = {
        "CORE": {
            "EXECUTOR": "LocalExecutor",
            "FERNET_KEY": secrets["FERNET_KEY"],
            "EXECUTION_API_SERVER_URL": f"{url}/execution/",
            "SIMPLE_AUTH_MANAGER_USERS": f"{AIRFLOW_USER}:ADMIN",
            "SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": home.airflow / "passwords.json",
        },
        "DATABASE": {"SQL_ALCHEMY_CONN": database_url("airflow", ports, secrets["AIRFLOW_DB_PASSWORD"])},
        "API": {"HOST": HOST, "PORT": ports["airflow"], "BASE_URL": url, "SECRET_KEY": secrets["API_SECRET_KEY"]},
        "API_AUTH": {"JWT_SECRET": secrets["JWT_SECRET"]},
        "LOGGING": {"BASE_LOG_FOLDER": home.airflow / "logs"},
    }
    return _flatten(sections) | {"AIRFLOW_HOME": str(home.airflow)}


def _evergreen(
    home: Home, ports: Mapping[str, int], secrets: Mapping[str, str], shell: Mapping[str, str]
) -> dict[str, str]:
    password = secrets["LEDGER_DB_PASSWORD"]
    return {
        "EVERGREEN_HOME": str(home.root),
        "EVERGREEN_LEDGER_URL": database_url("ledger", ports, password),
        "EVERGREEN_LEDGER_HOST": HOST,
        "EVERGREEN_LEDGER_PORT": str(ports["postgres"]),
        "EVERGREEN_LEDGER_DATABASE": "ledger",
        "EVERGREEN_LEDGER_USER": "ledger",
        "EVERGREEN_LEDGER_PASSWORD": password,
        "EVERGREEN_STORE_URL": home.store.as_uri(),
        "EVERGREEN_LANDING_URL": home.landing.as_uri(),
        "EVERGREEN_FEATURES_GIT_URL": str(home.features_git),
        "EVERGREEN_FEATURES_DVC_URL": str(home.features_dvc),
        "EVERGREEN_MODELS_DIR": shell.get("EVERGREEN_MODELS_DIR") or str(PROJECT / "include" / "models"),
        "EVERGREEN_AIRFLOW_URL": f"http://{HOST}:{ports['airflow']}",
        "EVERGREEN_PSEUDONYM_KEY": secrets.get("PSEUDONYM_KEY", ""),
        "EVERGREEN_CODE_VERSION": code_version(),
        "EVERGREEN_SMTP_HOST": HOST,
        "EVERGREEN_SMTP_PORT": str(ports["smtp"]),
        "EVERGREEN_SMTP_USER": SMTP_USER,
        "EVERGREEN_SMTP_PASSWORD": secrets["SMTP_PASSWORD"],
        "EVERGREEN_SMTP_DISABLE_TLS": "true",
        "EVERGREEN_MAIL_FROM": MAIL_FROM,
        "EVERGREEN_MAIL_TO": shell.get("EVERGREEN_MAIL_TO") or ON_CALL,
        "MLFLOW_TRACKING_URI": f"http://{HOST}:{ports['mlflow']}",
        "MLFLOW_TRACKING_USERNAME": MLFLOW_USER,
        "MLFLOW_TRACKING_PASSWORD": secrets["MLFLOW_ADMIN_PASSWORD"],
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
    }


def _flatten(sections: Mapping[str, Mapping[str, object]]) -> dict[str, str]:
    return {f"AIRFLOW__{name}__{key}": str(value) for name, keys in sections.items() for key, value in keys.items()}


def code_version() -> str:
    """Commit of the checkout, with `-dirty` if files differ from it; `unknown` outside a repository."""
    try:
        found = subprocess.run(
            ["git", "-C", str(PROJECT), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True, text=True, check=False, timeout=20,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return found.stdout.strip() or "unknown"
