"""Steps of a start that run once, each in a process of its own: `python -m evergreen.stack.embedded.steps NAME`.

They find everything in their environment, and each finds what an earlier start did and leaves it alone.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from evergreen.stack.config import airflow_settings
from evergreen.stack.config.home import PROJECT, Home
from evergreen.stack.embedded import postgres
from evergreen.stack.embedded.features_remote import IDENTITY, create_features_remote

log = logging.getLogger("evergreen.stack")


def databases() -> None:
    """Create the roles and databases.

    Airflow commits some dozens of times a task, and every task of ours finds what it did before: Airflow may forget the
    last moment. The ledger may not: a mail is sent because its row was committed.
    """
    wanted = {name: os.environ[f"{name.upper()}_DB_PASSWORD"] for name in ("airflow", "mlflow", "ledger")}
    port, password = int(os.environ["EVERGREEN_POSTGRES_PORT"]), os.environ["POSTGRES_PASSWORD"]
    postgres.create_databases(port, password, wanted, unsynced=("airflow",))


def databases_by_script() -> None:
    """Have deploy/postgres-init.sh create the roles and databases, as PostgreSQL's image does on an empty folder."""
    connection = postgres.connect(int(os.environ["EVERGREEN_POSTGRES_PORT"]), os.environ["POSTGRES_PASSWORD"])
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = 'airflow'")
        known = cursor.fetchone()
    connection.close()
    if known:
        databases()  # completes what a start that was killed midway left
    else:
        subprocess.run([str(PROJECT / "deploy" / "postgres-init.sh")], check=True)


def airflow_migrate() -> None:
    """Bring Airflow's database to the installed version. Skipped if that was seen done: it costs many seconds."""
    mark = Home.find().airflow / f".migrated-{version('apache-airflow-core')}"
    if mark.exists() and mark.read_text() == _airflow_revision():
        log.info("Airflow's database is current")
        return
    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True)
    mark.write_text(_airflow_revision())


def ledger_migrate() -> None:
    """Bring the ledger to the head of its migrations."""
    from evergreen.core.ledger.migrate import upgrade

    upgrade(os.environ["EVERGREEN_LEDGER_URL"])


def folders() -> None:
    """Create the feature repository's remote and the Git configuration of everything that runs here."""
    Path(os.environ["GIT_CONFIG_GLOBAL"]).write_text(IDENTITY)
    create_features_remote(Path(os.environ["EVERGREEN_FEATURES_GIT_URL"]))


def airflow_prepare() -> None:
    """Create Airflow's pools, and let the api-server build the API that tasks talk to.

    It does so at the first request there, which takes seconds: the first task would wait for it.
    """
    import httpx

    from evergreen.stack.airflow_client import AirflowApi
    from evergreen.stack.config.environment import AIRFLOW_USER

    settings = airflow_settings.load(PROJECT / "airflow_settings.yaml", os.environ)
    password = os.environ["AIRFLOW_ADMIN_PASSWORD"]
    with AirflowApi(os.environ["EVERGREEN_AIRFLOW_URL"], AIRFLOW_USER, password) as airflow:
        for pool in settings.pools:
            airflow.set_pool(pool.pool_name, pool.pool_slot, pool.pool_description)
    httpx.get(f"{os.environ['EVERGREEN_AIRFLOW_URL']}/execution/health", timeout=90, trust_env=False)


def _airflow_revision() -> str:
    import psycopg2

    url = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg2", "")
    connection = psycopg2.connect(url, connect_timeout=5)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass('alembic_version')")
            row = cursor.fetchone()
            if row is None or row[0] is None:
                return "none"
            cursor.execute("SELECT version_num FROM alembic_version")
            found = cursor.fetchone()
            return str(found[0]) if found else "none"
    finally:
        connection.close()


STEPS: dict[str, Callable[[], None]] = {
    "databases": databases,
    "databases-by-script": databases_by_script,
    "airflow-migrate": airflow_migrate,
    "ledger-migrate": ledger_migrate,
    "folders": folders,
    "airflow-prepare": airflow_prepare,
}

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    STEPS[sys.argv[1]]()
