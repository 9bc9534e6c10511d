"""A verdict as part of an incident: partitions that are quarantined for one reason are told together."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial

from sqlalchemy.orm import Session

from evergreen.core.definition import ModelDefinition
from evergreen.core.ledger import incident_rules, incidents
from evergreen.core.ledger.outbox import AlertBody, owe
from evergreen.core.ledger.queries.partitions import ACCEPTED
from evergreen.core.ledger.tables import PartitionVersion, Verdict
from evergreen.core.text import listed, plain
from evergreen.loop.intake.failures import Failure, critical

FEATURES = "features"
_NAMES = frozenset({"column_names", "columns_once"})
"""Rules about the names in the file, which stand in what was observed"""
_MORE = re.compile(r"[:;(]")
"""Begins what a sentence adds to the fault: how many, which, what to do"""
_MISSING = "columns_present"
"""The rule about names that are not in the file, which stand in what was expected"""


def cause(scope: str, failures: Sequence[Failure]) -> incidents.Cause:
    """Why `scope` (a table, or the features) of a partition is quarantined: the rules that are broken, and where. Pure.

    Rules about a column are named by it; others by what they ask for, such as the columns that are missing. What
    values broke them differs from one partition to the next, and says nothing about the cause. Names of columns stay
    whole but for dates in them: a digit may be all that tells `pm10` from `pm25`.
    """
    worst = critical(failures)
    said = listed(list(dict.fromkeys(_about(failure) for failure in worst)))
    what = f"{scope} failed validation" if scope.startswith(FEATURES) else f"{scope} quarantined"
    faults = tuple(f"{failure.name} {_where(failure)}" for failure in worst)
    named = all(failure.column is not None or failure.name == _MISSING for failure in worst)
    return incidents.Cause("quarantine", scope, faults, f"{what}{' for' if named else ':'} {said}" if said else what)


def _where(failure: Failure) -> str:
    if failure.column is not None:
        return incident_rules.general_name(failure.column)
    if failure.name in _NAMES:
        return incident_rules.general_name(failure.observed)
    if failure.name == _MISSING:
        return incident_rules.general_name(failure.expected)
    return incident_rules.general(failure.expected)


def _about(failure: Failure) -> str:
    if failure.name == _MISSING:
        return f"missing {plain(failure.expected)}"
    if failure.column is not None:
        return plain(failure.column)
    # What is wrong, without this file's numbers, and without what to do: an all-clear quotes it when nothing is left.
    fault = incident_rules.general(failure.sentence)
    return plain(_MORE.split(fault, maxsplit=1)[0].strip() or fault, 80)


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
    why = cause(table, [Failure.from_json(failure) for failure in verdict.failures])
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
