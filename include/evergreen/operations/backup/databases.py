"""Dump and restore a PostgreSQL database with PostgreSQL's own programs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import func, inspect, select, table, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError

from evergreen.core.ledger.session import engine as engine_of
from evergreen.errors import UnavailableError

PROGRAMS = "EVERGREEN_POSTGRES_PROGRAMS"
"""Folder of pg_dump and pg_restore, if the server is newer than the ones of the wheel."""
MLFLOW_LOGINS = ("users", "roles", "role_permissions", "user_role_assignments", "alembic_version_auth", "*_permissions")
"""MLflow's basic-auth keeps its logins in the same database. They are secrets; the place restored into has its own."""
LOCK_SECONDS = 30
_MARK = "evergreen_restoring"
_TLS = ("sslmode", "sslrootcert", "sslcert", "sslkey")


class Database:
    """One database, as its owner."""

    def __init__(self, url: SecretStr, what: str, variable: str = "EVERGREEN_LEDGER_URL") -> None:
        self._url = engine_of(url.get_secret_value(), variable).url
        self.what = what

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A transaction.

        Raises:
            UnavailableError: the server does not answer, or a lock was not free in time.
        """
        engine = engine_of(self._url, connect_args={"connect_timeout": 10})
        try:
            with engine.begin() as connection:
                connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'"))
                yield connection
        except OperationalError as error:
            raise UnavailableError(f"{self} failed: {str(error.orig).strip().splitlines()[0]}") from error

    def __str__(self) -> str:
        return f"{self.what} at {self._url.host}:{self._url.port or 5432}/{self._url.database}"

    def tables(self) -> set[str]:
        """Names of the tables."""
        with self.connect() as connection:
            return set(inspect(connection).get_table_names())

    def revision(self) -> str | None:
        """Alembic's revision of the schema; None if there is none."""
        if "alembic_version" not in self.tables():
            return None
        with self.connect() as connection:
            found = connection.scalar(text("SELECT version_num FROM alembic_version"))
        return None if found is None else str(found)

    def rows(self, tables: Collection[str]) -> dict[str, int]:
        """Rows of each of `tables` that is there and has some."""
        there = sorted(self.tables() & set(tables))
        with self.connect() as connection:
            counted = {name: connection.scalar(select(func.count()).select_from(table(name))) for name in there}
        return {name: rows for name, rows in counted.items() if rows}

    def server_version(self) -> str:
        """Such as 18.4."""
        with self.connect() as connection:
            return str(connection.scalar(text("SHOW server_version")))

    def dump(self, path: Path, without: Collection[str] = ()) -> None:
        """Write the database, as it is at one instant, to `path` in PostgreSQL's custom format, without owners.

        Raises:
            UnavailableError: pg_dump failed; the message quotes it.
        """
        left_out = [f"--exclude-table={name}{end}" for name in without for end in ("", "_id_seq")]
        self._run(
            "pg_dump", "--format=custom", "--no-owner", "--no-privileges", "--no-comments",
            f"--lock-wait-timeout={LOCK_SECONDS * 1000}", *left_out, f"--file={path}",
        )  # fmt: skip

    def restore(self, path: Path, replacing: Collection[str] = ()) -> None:
        """Put what a dump holds in place of what is there of the same names, and drop the tables of `replacing`.

        Until `settled` is called, `restoring` says that this is not finished.

        Raises:
            UnavailableError: it failed. What was there is still there, except `replacing`; run it again.
        """
        with self.connect() as connection:
            connection.execute(text(f"CREATE TABLE IF NOT EXISTS {_MARK} ()"))
            for name in sorted(set(replacing) & self.tables()):
                connection.execute(text(f'DROP TABLE "{name}" CASCADE'))
        self._run(
            "pg_restore", "--clean", "--if-exists", "--single-transaction", "--exit-on-error", "--no-owner",
            "--no-privileges", f"--dbname={self._url.database}", str(path),
        )  # fmt: skip

    def restoring(self) -> bool:
        """Whether a restore began and did not come to its end."""
        return _MARK in self.tables()

    def settled(self, connection: Connection) -> None:
        """A restore has come to its end, with the transaction of `connection`."""
        connection.execute(text(f"DROP TABLE IF EXISTS {_MARK}"))

    def _run(self, program: str, *arguments: str) -> str:
        """Run a program. The login reaches it through its environment, never its command line."""
        url = self._url
        login: dict[str, object] = {
            "PGHOST": url.host,
            "PGPORT": url.port,
            "PGUSER": url.username,
            "PGPASSWORD": url.password,
        }
        login |= {"PGDATABASE": url.database, "PGCONNECT_TIMEOUT": 10}
        login |= {f"PG{name.upper()}": url.query.get(name) for name in _TLS}
        login["PGOPTIONS"] = f"-c lock_timeout={LOCK_SECONDS}s"
        env = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        env |= {name: str(value) for name, value in login.items() if value}
        done = subprocess.run(
            [str(_programs() / program), *arguments], env=env, capture_output=True, text=True, check=False
        )
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if line.strip()]
            newer = (
                " Name the folder of the server's own programs in " + PROGRAMS
                if "version mismatch" in done.stderr
                else ""
            )
            raise UnavailableError(f"{program} of {self} failed: {' '.join(said[:3]) or 'no message'}.{newer}")
        return done.stdout


def _programs() -> Path:
    from evergreen.stack.embedded.postgres import programs

    return Path(os.environ[PROGRAMS]) if os.environ.get(PROGRAMS) else programs()
