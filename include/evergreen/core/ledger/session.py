"""Connections to the ledger, and the locks that make read-then-write happen once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL, Engine
from sqlalchemy.exc import ArgumentError, OperationalError
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool, QueuePool

from evergreen.errors import SettingsError, UnavailableError
from evergreen.settings import Settings


def engine(url: str | URL, variable: str = "EVERGREEN_LEDGER_URL", **options: Any) -> Engine:
    """An engine that keeps no connections, unless told to; `options` are those of SQLAlchemy's `create_engine`.

    Raises:
        SettingsError: `url`, the value of `variable`, is no address of a PostgreSQL database.
    """
    try:
        made = create_engine(url, **({"poolclass": NullPool} | options))
    except (ValueError, ImportError, ArgumentError):
        made = None
    if made is None or made.dialect.name != "postgresql":
        # The value may hold a password, and so may SQLAlchemy's message about it: neither is repeated, nor chained.
        raise SettingsError(
            f"{variable} is no address of a PostgreSQL database; set it to one such as "
            "postgresql+psycopg2://USER:PASSWORD@HOST:5432/DATABASE"
        )
    return made


_PATIENCE = {"connect_timeout": 10}


@lru_cache(maxsize=8)
def _shared_engine(url: str) -> Engine:
    """One engine for all ledgers of a process at `url`: it knows the server, and the SQL of statements made before.

    It keeps no connection, so that forks may share it. A new one would ask the server what it is, and make all SQL
    again: as much work as a transaction.
    """
    return engine(url, connect_args=_PATIENCE)


class Ledger:
    """The ledger database. Cheap to make; holds no connection between transactions, so it survives a fork."""

    def __init__(self, url: str, **options: Any) -> None:
        self._engine = engine(url, connect_args=_PATIENCE, **options) if options else _shared_engine(url)

    @classmethod
    def from_settings(cls, settings: Settings) -> Ledger:
        """The ledger that `settings` names."""
        return cls(settings.ledger_url.get_secret_value())

    @classmethod
    def kept_open(cls, settings: Settings, connections: int) -> Ledger:
        """The same, for a server that does not fork: up to `connections` stay open, each tried before use."""
        url = settings.ledger_url.get_secret_value()
        return cls(url, poolclass=QueuePool, pool_size=connections, max_overflow=0, pool_pre_ping=True)

    @property
    def engine(self) -> Engine:
        """The SQLAlchemy engine, for migrations and tests."""
        return self._engine

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A session that commits at the end of the block, or rolls back if it raises. Rows stay readable after.

        Raises:
            UnavailableError: the database does not answer.
        """
        try:
            with Session(self._engine, expire_on_commit=False) as session, session.begin():
                yield session
        except OperationalError as error:
            address = self._engine.url.render_as_string(hide_password=True)
            raise UnavailableError(
                f"the ledger at {address} does not answer ({str(error.orig).strip().splitlines()[0]}); "
                "check that PostgreSQL runs (`evergreen status`), nothing was written"
            ) from error

    @contextmanager
    def lock(self, *name: str) -> Iterator[Session]:
        """A transaction that holds the advisory lock `name`: one process at a time, released with the transaction."""
        with self.transaction() as session:
            hold(session, *name)
            yield session


def hold(session: Session, *name: str) -> None:
    """Take the advisory lock `name` too, until the session's transaction ends."""
    session.execute(text("SELECT pg_advisory_xact_lock(:id)"), {"id": lock_id(*name)})


def share(session: Session, *name: str) -> None:
    """Make sessions that `hold` the lock `name` wait until the transaction ends; those that share it do not wait."""
    session.execute(text("SELECT pg_advisory_xact_lock_shared(:id)"), {"id": lock_id(*name)})


def lock_id(*name: str) -> int:
    """The signed 64-bit number of an advisory lock's name."""
    digest = hashlib.sha256("\x1f".join(name).encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
