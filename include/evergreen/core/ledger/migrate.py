"""Bring a ledger database to the schema of this code (Alembic)."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from evergreen.core.ledger.session import Ledger, lock_id
from evergreen.errors import UnavailableError

if TYPE_CHECKING:
    from alembic.config import Config

log = logging.getLogger("evergreen.ledger")

LOCK_TIMEOUT = "500ms"
"""How long a migration waits for a table; sessions that come after it wait as long. Less than PostgreSQL takes to look
for a deadlock, which might end the task's transaction in place of ours."""
PATIENCE = 600.0
"""Seconds for which it is tried again."""
_PAUSE = 1.0
_BUSY = ("40P01", "55P03")
"""PostgreSQL's codes for a deadlock and for a lock that was not had in time"""


def _config(url: str) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["url"] = url
    return config


def upgrade(url: str) -> None:
    """Migrate the ledger at `url` to head, while tasks work on it.

    Safe to run from several processes at once: they take turns. A change of a table waits for the transactions that use
    it, and all others wait behind it: it gives up after `LOCK_TIMEOUT`, lets them go on, and tries again. Each revision
    is a transaction of its own.

    Raises:
        UnavailableError: it did not come to its turn within `PATIENCE` seconds. A revision has happened whole or not
            at all.
    """
    from alembic import command

    config = _config(url)
    deadline = time.monotonic() + PATIENCE
    with Ledger(url).engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:id)"), {"id": lock_id("migrate")})
        while True:
            try:
                command.upgrade(config, "head")
            except OperationalError as error:
                if getattr(error.orig, "pgcode", None) not in _BUSY:
                    raise
                if time.monotonic() > deadline:
                    raise UnavailableError(
                        f"the ledger could not be migrated within {PATIENCE:.0f} s, because its tables were in use all "
                        "the time; a revision has happened whole or not at all. Pause the model's DAGs and run it again"
                    ) from error
                log.info("a table is in use; the migration is tried again")
                time.sleep(_PAUSE)
            else:
                return


def at_head(url: str) -> bool:
    """Whether the ledger at `url` has the schema of this code."""
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    heads = set(ScriptDirectory.from_config(_config(url)).get_heads())
    with Ledger(url).engine.connect() as connection:
        return set(MigrationContext.configure(connection).get_current_heads()) == heads


def known(revision: str) -> bool:
    """Whether this code has the migration `revision`; not so if newer code wrote it."""
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    try:
        return ScriptDirectory.from_config(_config("")).get_revision(revision) is not None
    except CommandError:
        return False
