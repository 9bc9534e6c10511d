"""What has to be there before Airflow starts. Each step finds what an earlier run did and leaves it alone."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import roles

from evergreen.core.definition import list_models
from evergreen.core.ledger.migrate import upgrade
from evergreen.settings import Settings
from evergreen.stack.config import airflow_settings
from evergreen.stack.config.home import PROJECT

log = logging.getLogger("evergreen.deploy")


def create_buckets(urls: list[str]) -> None:
    """Create the bucket of each `s3://` URL if it is missing, and try that it takes an object.

    Raises:
        UnavailableError: the server does not answer, or takes none: its disk may be full.
    """
    from evergreen.core.store.s3 import S3

    s3 = S3()
    for bucket in sorted({urlsplit(url).netloc for url in urls if url.startswith("s3://")}):
        if s3.exists(bucket):
            log.info("bucket %s is there", bucket)
        else:
            s3.mkdir(bucket)
            log.info("bucket %s created", bucket)
        probe = f"{bucket}/.evergreen-init"
        s3.pipe_file(probe, b"1")
        s3.rm_file(probe)


def import_pools() -> None:
    """Create or update the pools of `airflow_settings.yaml`; connections and variables come with the environment."""
    pools = airflow_settings.load(PROJECT / "airflow_settings.yaml", os.environ).pools
    known = {p.pool_name: {"slots": p.pool_slot, "description": p.pool_description} for p in pools}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pools.json"
        path.write_text(json.dumps(known))
        subprocess.run(["airflow", "pools", "import", str(path)], check=True)


def create_people(models: list[str], user: str, password: str) -> None:
    """Create the roles and the first administrator; one that exists keeps its password.

    (Airflow's own command line would show ours in `ps`.)
    """
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

    roles.quiet()
    with get_application_builder() as builder:
        manager = builder.sm
        roles.provision(manager, models)
        if manager.find_user(user):
            log.info("administrator %s is there", user)
            return
        role = manager.find_role("Admin")
        if not manager.add_user(user, "Evergreen", "Administrator", f"{user}@localhost", role, password):
            raise SystemExit(f"the administrator {user} could not be created; the lines above say why")
        log.info("administrator %s created", user)


def main() -> None:
    """Run all steps, each after those that it needs."""
    settings = Settings.from_env()
    create_buckets([settings.store_url, settings.landing_url, settings.features_dvc_url])
    upgrade(settings.ledger_url.get_secret_value())
    log.info("the ledger is at this code's schema")
    subprocess.run(["airflow", "db", "migrate"], check=True)
    import_pools()
    create_people(list_models(settings.models_dir), "admin", os.environ["AIRFLOW_ADMIN_PASSWORD"])


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    main()
