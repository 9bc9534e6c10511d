"""A candidate that was refused: the ledger says which and why, and the champion still serves."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import func

from evergreen.core.ledger import Ledger
from evergreen.core.ledger.queries import decisions, versions
from evergreen.core.store.objects import sha256
from evergreen.core.text import said
from evergreen.errors import RefusedError
from evergreen.settings import Settings

if TYPE_CHECKING:
    from evergreen.core.definition import ModelDefinition

log = logging.getLogger("evergreen.training")


@contextmanager
def recorded(definition: ModelDefinition, run_id: int, settings: Settings, run_url: str | None) -> Iterator[None]:
    """Record what the block refuses as a decision, and the training run as failed; then raise it on."""
    try:
        yield
    except RefusedError as error:
        reason = said(f"no challenger was made: {error}")
        log.error("%s; the champion, if there is one, goes on serving", reason)
        with Ledger.from_settings(settings).transaction() as session:
            run = versions.training_run(session, definition.name, run_id)
            decisions.record(
                session, model=definition.name, kind="refuse", key=run.as_of,
                dedup_key=f"candidate:{run.id}:{sha256(reason.encode())[:12]}", reason=reason,
                evidence={"training_run": run.id, "candidates": list(definition.training.candidates)},
                version=None, decided_by="policy", run_url=run_url,
            )  # fmt: skip
            run.state, run.finished_at = "failed", func.now()
        raise
