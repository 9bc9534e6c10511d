"""The instant of a backup: what ledger, MLflow's database, store and feature repository agree on.

While it is taken nobody writes to the ledger, whose rows come after what they name. Without that, rows and objects of
the seconds between two dumps would carry numbers (of snapshots, training runs, model versions) that the restored ledger
gives out a second time: decision 018.
"""

from __future__ import annotations

import datetime as dt
import logging
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError

from evergreen.core.ledger.tables import Base
from evergreen.errors import UnavailableError
from evergreen.operations.backup.databases import MLFLOW_LOGINS, Database
from evergreen.operations.backup.git_bundle import tip
from evergreen.operations.backup.locations import Places
from evergreen.operations.backup.object_copy import Folder, Found

log = logging.getLogger("evergreen.backup")

PATIENCE_SECONDS = 300.0
_LOCK_NOT_AVAILABLE = "55P03"


@dataclass(frozen=True)
class Cut:
    """What there was at that instant.

    Attributes:
        store: the store's objects: all that the ledger names, and what was written ahead of its row.
        git_commit: newest commit of the feature repository; None if it has none.
        held_seconds: how long writers to the ledger waited.
    """

    taken_at: dt.datetime
    ledger: Path
    mlflow: Path
    store: Mapping[str, Found]
    git_commit: str | None
    held_seconds: float


def take(places: Places, ledger: Database, mlflow: Database, folder: Path) -> Cut:
    """Dump both databases into `folder` and list what belongs to them.

    Raises:
        UnavailableError: something does not answer, or the ledger was written to without a pause for five minutes.
    """
    dumps = folder / "ledger.dump", folder / "mlflow.dump"
    with _nobody_writes(ledger):
        begun, taken_at = time.monotonic(), dt.datetime.now(dt.UTC)
        ledger.dump(dumps[0])
        # Before MLflow's dump: a version's reference is written once the version is registered.
        store = Folder(places.settings.store_url).find()
        mlflow.dump(dumps[1], without=MLFLOW_LOGINS)
        commit = tip(places.settings)
        held = time.monotonic() - begun
    log.info("ledger and MLflow were dumped within %.1f s, in which nobody wrote to the ledger", held)
    return Cut(taken_at, *dumps, store, commit, held)


@contextmanager
def _nobody_writes(ledger: Database) -> Iterator[None]:
    """Hold a lock on every table that lets others read and makes writers wait.

    It is asked for again and again, not waited for: who waits for a lock holds up everybody behind, and a
    task that writes to two tables could meet us crosswise.
    """
    names = ", ".join(f'"{name}"' for name in sorted(Base.metadata.tables.keys() & ledger.tables()))
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        with ledger.connect() as connection:
            if _locked(connection, f"LOCK TABLE {names} IN SHARE MODE NOWAIT"):
                yield
                return
        if time.monotonic() > deadline:
            raise UnavailableError(
                f"{ledger} was being written to for {PATIENCE_SECONDS:.0f} s without a pause, so that no backup could "
                "begin. Nothing was written; try again when fewer tasks run"
            )
        time.sleep(random.uniform(0.05, 0.5))  # noqa: S311


def _locked(connection: Connection, statement: str) -> bool:
    try:
        with connection.begin_nested():
            connection.execute(text(statement))
    except OperationalError as error:
        if getattr(error.orig, "pgcode", None) != _LOCK_NOT_AVAILABLE:
            raise
        return False
    return True
