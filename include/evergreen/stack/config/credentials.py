"""Passwords and keys of a stack: generated once, kept in one file that only its owner can read."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from evergreen.errors import SettingsError

PASSWORDS = (
    "POSTGRES_PASSWORD",
    "AIRFLOW_DB_PASSWORD",
    "MLFLOW_DB_PASSWORD",
    "LEDGER_DB_PASSWORD",
    "AIRFLOW_ADMIN_PASSWORD",
    "MLFLOW_ADMIN_PASSWORD",
    "SMTP_PASSWORD",
)
KEYS = ("JWT_SECRET", "API_SECRET_KEY", "MLFLOW_FLASK_SECRET_KEY")
FERNET_KEY = "FERNET_KEY"
TOKENS = ("METRICS_TOKEN", "PSEUDONYM_KEY", "ONLINE_TOKEN")
"""Known to nobody who keeps them: a file from before there was one gets it at the next start."""


def generate() -> dict[str, str]:
    """A fresh set. Values are safe in URLs and in an environment file."""
    values = {name: secrets.token_urlsafe(18) for name in (*PASSWORDS, *TOKENS)}
    values |= {name: secrets.token_urlsafe(48) for name in KEYS}
    values[FERNET_KEY] = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    return values


def load(path: Path) -> dict[str, str]:
    """Read the set.

    Raises:
        SettingsError: there is none, or it lacks some.
    """
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        raise SettingsError(f"{path} does not exist: `evergreen up` has not run here yet.") from None
    values = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    missing = [name for name in (*PASSWORDS, *KEYS, FERNET_KEY) if not values.get(name)]
    if missing:
        raise SettingsError(f"{path} lacks {', '.join(missing)}. Restore the file; the databases know the old values.")
    return values


def create(path: Path) -> None:
    """Write a fresh set."""
    write_private(path, "".join(f"{name}={value}\n" for name, value in generate().items()))


def load_or_create(path: Path, databases: Path, create: Callable[[Path], None] = create) -> dict[str, str]:
    """Read the set, or make it at the very first start.

    Raises:
        SettingsError: the file is gone or incomplete while databases that know its passwords exist.
    """
    if not path.exists():
        if (databases / "PG_VERSION").exists():
            raise SettingsError(
                f"{path} is gone, but the databases in {databases} know its passwords. Restore the file, or remove "
                f"{path.parent} to start over."
            )
        create(path)
    path.chmod(0o600)
    values = load(path)
    lacking = [name for name in TOKENS if not values.get(name)]
    if lacking:
        values |= {name: secrets.token_urlsafe(18) for name in lacking}
        write_private(path, "".join(f"{name}={value}\n" for name, value in values.items()))
    return values


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, from its first byte on."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    temporary.replace(path)
