"""The trials of a training run in the ledger: written as each ends, read after a kill and by a rebuild."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import asdict
from typing import Any

from sqlalchemy import update

from evergreen.core.ledger import Ledger
from evergreen.core.ledger.tables import TrainingRun
from evergreen.loop.training.search import Journal, Trial
from evergreen.settings import Settings

log = logging.getLogger("evergreen.training")


def journal_of(run: TrainingRun, code: str, settings: Settings) -> Journal:
    """The journal of a training run: it knows the trials that an attempt made with the same code, and keeps new ones.

    Each trial is committed by itself, beside the transaction that makes the version.
    """
    ledger, kept = Ledger.from_settings(settings), _kept(run, code)
    known = {(trial.candidate, trial.number): trial for trial in map(_read, kept)}
    if known:
        log.info("%d trials of an attempt that was interrupted are taken over", len(known))

    def write(trial: Trial) -> None:
        kept.append(asdict(trial))
        with ledger.transaction() as session:
            row = update(TrainingRun).where(TrainingRun.id == run.id)
            session.execute(row.values(search={"code_hash": code, "trials": kept}))

    return Journal(known=known, write=write)


def repeated(run: TrainingRun) -> Journal:
    """A journal for a rebuild: as many trials of each candidate as were done, whatever the clock says."""
    trials = (run.search or {}).get("trials", [])
    return Journal(done=Counter(trial["candidate"] for trial in trials) if trials else None)


def _kept(run: TrainingRun, code: str) -> list[dict[str, Any]]:
    recorded = run.search or {}
    return list(recorded["trials"]) if recorded.get("code_hash") == code else []


def _read(kept: dict[str, Any]) -> Trial:
    return Trial(**{**kept, "fold_losses": list(kept["fold_losses"])})
