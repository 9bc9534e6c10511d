"""Bring a ledger database to the schema of this code (Alembic)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import text

from evergreen.ledger.session import Ledger, lock_id

if TYPE_CHECKING:
    from alembic.config import Config


def _config(url: str) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["url"] = url
    return config


def upgrade(url: str) -> None:
    """Migrate the ledger at `url` to head. Safe to run from several processes at once: they take turns."""
    from alembic import command

    config = _config(url)
    with Ledger(url).engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:id)"), {"id": lock_id("migrate")})
        command.upgrade(config, "head")


def at_head(url: str) -> bool:
    """Whether the ledger at `url` has the schema of this code."""
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    heads = set(ScriptDirectory.from_config(_config(url)).get_heads())
    with Ledger(url).engine.connect() as connection:
        return set(MigrationContext.configure(connection).get_current_heads()) == heads


def known(revision: str) -> bool:
    """Whether this code has the migration `revision`; not so where newer code wrote it."""
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    try:
        return ScriptDirectory.from_config(_config("")).get_revision(revision) is not None
    except CommandError:
        return False
