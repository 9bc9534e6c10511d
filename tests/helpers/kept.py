"""What many tests begin with, made once for each test process and given to each of them as it was.

A shop of ten weeks with a champion takes seconds to make and a tenth of that to copy. What a copy holds names its place
by absolute URLs, so that the copy is always put back to the same place.
"""

import io
import shutil
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg2

from evergreen.stack.config import credentials
from evergreen.stack.embedded import postgres
from evergreen.stack.embedded.features_remote import create_features_remote

NOWHERE = "http://127.0.0.1:9"
"""Discard port: nothing answers there. What needs a server asks for its fixture."""


@contextmanager
def connected(url):
    """A connection that commits each statement, closed at the end."""
    connection = psycopg2.connect(url.replace("+psycopg2", ""))
    connection.autocommit = True
    try:
        yield connection
    finally:
        connection.close()


def database(url, name):
    """URL of another database of the same server."""
    return url.rsplit("/", 1)[0] + f"/{name}"


def relax(stack):
    """Have a throw-away PostgreSQL wait for no disk, and take the superuser's word: a test connects a hundred times.

    Without fsync it loses nothing if it is killed, only in a power cut.
    """
    url, rules = superuser_url(stack), stack.home.postgres / "pg_hba.conf"
    rules.write_text(f"host all {postgres.SUPERUSER} 127.0.0.1/32 trust\n{rules.read_text()}")
    off = dict.fromkeys(("fsync", "full_page_writes", "autovacuum"), "off")
    with connected(url) as connection:
        for setting, value in {**off, "max_wal_size": "'128MB'"}.items():
            connection.cursor().execute(f"ALTER SYSTEM SET {setting} = {value}")
        connection.cursor().execute("SELECT pg_reload_conf()")


def copy_database(url, name, template):
    """Create `name` as a copy of `template`, from which all connections go."""
    with connected(url) as connection:
        ask = connection.cursor().execute
        ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (template,))
        ask(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY')


@dataclass
class Place:
    """Folders of one store, landing zone, feature repository and models folder."""

    root: Path

    @classmethod
    def create(cls, root):
        """Empty ones."""
        place = cls(root)
        for folder in (place.store, place.landing, place.dvc):
            folder.mkdir(parents=True)
        return place

    def create_git(self):
        """Make the feature repository's Git remote, if there is none yet."""
        if not self.git.exists():
            create_features_remote(self.git)

    @property
    def store(self):
        return self.root / "store"

    @property
    def landing(self):
        return self.root / "landing"

    @property
    def git(self):
        return self.root / "features.git"

    @property
    def dvc(self):
        return self.root / "dvc"

    @property
    def models(self):
        return self.root / "models"


def settings_values(ledger_url, place, mlflow_url):
    """The variables of the settings of one place."""
    return {
        "EVERGREEN_LEDGER_URL": ledger_url,
        "EVERGREEN_STORE_URL": place.store.as_uri(),
        "EVERGREEN_LANDING_URL": place.landing.as_uri(),
        "EVERGREEN_FEATURES_GIT_URL": str(place.git),
        "EVERGREEN_FEATURES_DVC_URL": str(place.dvc),
        "MLFLOW_TRACKING_URI": mlflow_url,
        "EVERGREEN_MODELS_DIR": str(Path(__file__).parents[2] / "include" / "models"),
        "EVERGREEN_AIRFLOW_URL": NOWHERE,
    }


def superuser_url(stack):
    """URL of the stack's PostgreSQL, as its superuser."""
    password = credentials.load(stack.home.secrets)["POSTGRES_PASSWORD"]
    port = stack.status().ports["postgres"]
    return f"postgresql+psycopg2://{postgres.SUPERUSER}:{password}@127.0.0.1:{port}/postgres"


def mlflow_login(stack):
    """The variables that clients take URL and login of the stack's MLflow from."""
    user, password = stack.mlflow_login
    return {
        "MLFLOW_TRACKING_URI": stack.urls["mlflow"],
        "MLFLOW_TRACKING_USERNAME": user,
        "MLFLOW_TRACKING_PASSWORD": password,
    }


@dataclass
class MlflowState:
    """Everything that an MLflow server knows: the rows of its database, and its artifacts.

    Attributes:
        url: of its database, as a superuser.
        artifacts: folder of its artifacts.
        copy: folder that the artifacts are kept in.
    """

    url: str
    artifacts: Path
    copy: Path
    rows: dict[str, bytes] = field(default_factory=dict)
    counters: dict[str, int | None] = field(default_factory=dict)

    def save(self):
        """Keep what there is now."""
        with connected(self.url) as connection:
            cursor = connection.cursor()
            cursor.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename NOT LIKE 'alembic%'"
            )
            for (table,) in cursor.fetchall():
                kept = io.BytesIO()
                cursor.copy_expert(f'COPY "{table}" TO STDOUT', kept)
                self.rows[table] = kept.getvalue()
            cursor.execute("SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = 'public'")
            self.counters = dict(cursor.fetchall())
        shutil.copytree(self.artifacts, self.copy, symlinks=True)

    def restore(self):
        """Bring back what was kept; what came since is gone."""
        with connected(self.url) as connection:
            connection.autocommit = False
            cursor = connection.cursor()
            cursor.execute("SET session_replication_role = replica")  # rows come in any order of the foreign keys
            for table in self.rows:
                cursor.execute(f'DELETE FROM "{table}"')
            for table, rows in self.rows.items():
                cursor.copy_expert(f'COPY "{table}" FROM STDIN', io.BytesIO(rows))
            for counter, last in self.counters.items():
                cursor.execute("SELECT setval(%s::regclass, %s, %s)", (f'"{counter}"', last or 1, last is not None))
            connection.commit()
        for item in self.artifacts.iterdir():
            shutil.rmtree(item) if item.is_dir() else item.unlink()
        shutil.copytree(self.copy, self.artifacts, symlinks=True, dirs_exist_ok=True)


@dataclass
class Kept:
    """A made world: its folders, its ledger, and what MLflow knows about it.

    Attributes:
        place: where its folders are whenever a test has it.
        copy: folder of their copies.
        ledger: name of the database that tests get a copy of.
        mlflow: None if it has no model.
        again: what else a test process must forget, such as models that it has loaded.
    """

    place: Place
    copy: Path
    ledger: str
    mlflow: MlflowState | None
    again: Callable[[], None]

    def save(self):
        """Keep what has been made."""
        shutil.copytree(self.place.root, self.copy, symlinks=True)
        if self.mlflow is not None:
            self.mlflow.save()

    def restore(self):
        """Put everything but the ledger back as it was made."""
        shutil.rmtree(self.place.root)
        shutil.copytree(self.copy, self.place.root, symlinks=True)
        if self.mlflow is not None:
            self.mlflow.restore()
        self.again()
