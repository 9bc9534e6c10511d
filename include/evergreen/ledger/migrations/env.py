"""Alembic's entry point: migrates the database whose URL `evergreen.ledger.migrate` put into the configuration."""

from alembic import context
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from evergreen.ledger.tables import Base

engine = create_engine(context.config.attributes["url"], poolclass=NullPool)
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=Base.metadata, compare_type=True)
    with context.begin_transaction():
        context.run_migrations()
