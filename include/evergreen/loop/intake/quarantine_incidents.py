"""A verdict as part of an incident: partitions that are quarantined for one reason are told together."""

from __future__ import annotations

from functools import partial

from sqlalchemy.orm import Session

from evergreen.core.definition import ModelDefinition
from evergreen.core.ledger import incidents
from evergreen.core.ledger.outbox import AlertBody, owe
from evergreen.core.ledger.queries.partitions import ACCEPTED
from evergreen.core.ledger.tables import PartitionVersion, Verdict
from evergreen.core.text import listed, plain
from evergreen.loop.intake.failures import Failure, critical


def cause(table: str, verdict: Verdict) -> incidents.Cause:
    """Why a partition is quarantined: the expectations that do not hold, and their columns. Pure."""
    worst = critical(Failure.from_json(failure) for failure in verdict.failures)
    faults = tuple(f"{failure.name} {failure.column or ''}" for failure in worst)
    columns = list(dict.fromkeys(plain(failure.column) for failure in worst if failure.column is not None))
    about = f"{table} quarantined"
    return incidents.Cause("quarantine", table, faults, f"{about} for {listed(columns)}" if columns else about)


def record(
    session: Session,
    definition: ModelDefinition,
    partition: PartitionVersion,
    verdict: Verdict,
    mail: AlertBody | None,
) -> None:
    """Have `verdict` open, join or end incidents, in the transaction that gives it, under the partition's lock.

    Args:
        session: the verdict has its id in it.
        definition: the model.
        partition: what was judged.
        verdict: on it.
        mail: about the quarantine; None if it is accepted.
    """
    told = partial(owe, session, definition)
    table, key = partition.table, partition.key
    accepted = verdict.outcome == ACCEPTED
    why = cause(table, verdict)
    incidents.well(
        session, definition.name, "quarantine", table,
        part=key, key=key, owe=told, came_through=accepted, except_for=None if accepted else why,
        how=f"accepted as version {partition.version}" if accepted else "quarantined for another cause",
    )  # fmt: skip
    if mail is not None:
        incidents.occur(
            session, definition.name, why,
            [incidents.Met(f"quarantine:{verdict.id}", key, verdict.reason, run_url=verdict.run_url)],
            subject=f"{table} quarantined", body=mail, owe=told,
        )  # fmt: skip
