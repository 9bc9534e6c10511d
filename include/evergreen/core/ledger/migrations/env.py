"""Alembic's entry point: migrates the database whose URL `evergreen.core.ledger.migrate` put into the configuration."""

from alembic import context
from sqlalchemy import text

from evergreen.core.ledger.migrate import LOCK_TIMEOUT
from evergreen.core.ledger.session import engine
from evergreen.core.ledger.tables import Base

with engine(context.config.attributes["url"]).connect() as connection:
    # A change waits for the tasks that use its table, and those that come after wait behind it: not for long.
    connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
    connection.commit()
    context.configure(
        connection=connection, target_metadata=Base.metadata, compare_type=True, transaction_per_migration=True
    )
    with context.begin_transaction():
        context.run_migrations()
