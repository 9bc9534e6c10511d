"""A training run whose task failed for good: the ledger says so."""

from __future__ import annotations

import logging

from sqlalchemy import func

from evergreen.core.ledger import Ledger
from evergreen.core.ledger.queries import versions
from evergreen.settings import Settings

log = logging.getLogger("evergreen.training")

DECIDED = ("promoted", "refused")


def record_failure(model: str, cause_key: str, *, settings: Settings) -> bool:
    """Set the state of the training run of this cause to `failed`; whether there was one without a decision.

    Clearing the failed task carries the run on: its next step sets the state again.

    Raises:
        UnavailableError: the ledger does not answer.
    """
    with Ledger.from_settings(settings).transaction() as session:
        run = versions.run_of_cause(session, model, cause_key)
        if run is None or run.state in DECIDED:
            return False
        log.warning("training run %d of %s has failed (it was %s)", run.id, model, run.state)
        run.state, run.finished_at = "failed", func.now()
        return True
