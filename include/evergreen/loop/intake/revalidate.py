"""Take partitions out of quarantine: validate again what is kept of them, or what has been landed in its place.

The verdict is the one that an arriving partition would get now: from the same code, under the expectations of today.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Literal, cast

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.model import TableName
from evergreen.core.definition.partition_keys import check_key
from evergreen.core.ledger import Ledger
from evergreen.core.ledger.queries import partitions, snapshots
from evergreen.core.ledger.queries.partitions import ACCEPTED, QUARANTINED
from evergreen.core.ledger.tables import PartitionVersion, Verdict
from evergreen.core.names import PartitionKey
from evergreen.core.values import VerdictOutcome
from evergreen.errors import BadInputError
from evergreen.loop.intake.receive import receive
from evergreen.loop.intake.validate import Validated, validate
from evergreen.settings import Settings

log = logging.getLogger("evergreen.intake")

Tables = Literal["both", "inputs", "labels"]
LIMIT = 1000
"""Partitions of one replay: Airflow maps a task over 1,024 things by default."""

Newest = tuple[PartitionVersion, Verdict | None]


@dataclass(frozen=True)
class Held:
    """One table of a partition that is to be validated again."""

    table: TableName
    key: PartitionKey


@dataclass(frozen=True)
class Outcome:
    """What the ledger says of the newest version of one table of a partition."""

    table: TableName
    key: PartitionKey
    version: int
    outcome: VerdictOutcome
    reason: str
    rows: int
    """Rows accepted"""
    rows_rejected: int


def find(
    definition: ModelDefinition, tables: Tables = "both", keys: Collection[str] = (), *, settings: Settings
) -> list[dict[str, str]]:
    """What is in quarantine, oldest first, as the fields of `Held`; of the partitions `keys`, or of all if empty.

    A partition is in quarantine while its newest version is. Inputs that an earlier replay accepted count too until
    features are built from them: that run may have ended before anybody was told.

    Raises:
        PartitionKeyError: a key is no partition of the model's calendar.
        BadInputError: nothing has landed for a key.
        UnavailableError: the ledger does not answer.
    """
    wanted: tuple[TableName, ...] = ("inputs", "labels") if tables == "both" else (tables,)
    for key in keys:
        check_key(definition, key)
    with Ledger.from_settings(settings).transaction() as session:
        newest = {table: partitions.newest_map(session, definition.name, table) for table in wanted}
        used = snapshots.built_from(session, definition.name)
    _check_landed(definition, newest, keys)
    held = [
        Held(table, key)
        for table, known in newest.items()
        for key, (partition, verdict) in known.items()
        if (not keys or key in keys) and _is_held(table, partition, verdict, used)
    ]
    held.sort(key=lambda item: (item.key, item.table))
    _tell(definition, held, wanted, keys)
    return [asdict(item) for item in held[:LIMIT]]


def _check_landed(
    definition: ModelDefinition, newest: dict[TableName, dict[PartitionKey, Newest]], keys: Collection[str]
) -> None:
    strangers = sorted(key for key in keys if not any(key in known for known in newest.values()))
    if strangers:
        raise BadInputError(
            f"no {' or '.join(newest)} of {definition.name} have landed for {', '.join(strangers)}; "
            f"`evergreen history {definition.name}` lists what is in quarantine"
        )


def _is_held(table: TableName, partition: PartitionVersion, verdict: Verdict | None, used: Collection[int]) -> bool:
    if verdict is None:
        return False  # its validation has not ended; that run gives the verdict
    if verdict.outcome == QUARANTINED:
        return True
    return table == "inputs" and verdict.asked_by is not None and partition.id not in used


def _tell(
    definition: ModelDefinition, held: Sequence[Held], tables: Collection[TableName], keys: Collection[str]
) -> None:
    about = f"{' and '.join(tables)} of {definition.name}"
    missing = sorted(set(keys) - {item.key for item in held})
    if missing:
        log.info("%s: not in quarantine, left alone: %s", about, ", ".join(missing))
    if not held:
        log.info("%s: nothing is in quarantine, nothing to validate again", about)
        return
    log.info("%s: %d to validate again: %s", about, len(held), ", ".join(f"{h.table} of {h.key}" for h in held[:50]))
    if len(held) > LIMIT:
        log.warning(
            "only the oldest %d are validated by this run; run it again for the other %d", LIMIT, len(held) - LIMIT
        )


def validate_again(
    definition: ModelDefinition,
    table: TableName,
    key: PartitionKey,
    *,
    asked_by: str,
    why: str | None,
    settings: Settings,
    run_url: str | None = None,
) -> Validated:
    """Validate the newest bytes of `table` of the partition `key`: those in the landing zone, else those that are kept.

    Under the expectations that gave the last verdict it is that verdict again. Raises as `receive` and `validate`.
    """
    received = receive(definition, table, key, settings=settings, run_url=run_url)
    return validate(
        definition, received.partition_version_id, asked_by=asked_by, why=why, settings=settings, run_url=run_url
    )


def outcomes(definition: ModelDefinition, held: Collection[dict[str, str]], *, settings: Settings) -> list[Outcome]:
    """What the ledger says now of each of `held` (as `find` returned them), in their order."""
    with Ledger.from_settings(settings).transaction() as session:
        tables = cast("set[TableName]", {item["table"] for item in held})
        newest = {table: partitions.newest_map(session, definition.name, table) for table in tables}
    found = []
    for item in held:
        partition, verdict = newest[cast("TableName", item["table"])][PartitionKey(item["key"])]
        if verdict is not None:
            found.append(
                Outcome(
                    table=partition.table,
                    key=partition.key,
                    version=partition.version,
                    outcome=verdict.outcome,
                    reason=verdict.reason,
                    rows=verdict.rows_accepted,
                    rows_rejected=verdict.rows_rejected,
                )
            )
    return found


def released(
    definition: ModelDefinition, table: TableName, held: Collection[dict[str, str]], *, settings: Settings
) -> list[str]:
    """Keys of those of `held` whose `table` is accepted now: what follows them may begin."""
    own = [item for item in held if item["table"] == table]
    return [item.key for item in outcomes(definition, own, settings=settings) if item.outcome == ACCEPTED]
