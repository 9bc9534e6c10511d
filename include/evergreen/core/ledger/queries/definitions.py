"""Which versions of a definition were at work: what judged and built how many partitions, and when."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, literal, select
from sqlalchemy.orm import Session

from evergreen.core.ledger.tables import PartitionVersion, Snapshot, Verdict
from evergreen.core.names import PartitionKey
from evergreen.core.values import SuiteName


@dataclass(frozen=True)
class DefinitionLine:
    """One version of a part of the definition. While a release rolls out, two are at work side by side."""

    part: SuiteName
    """Of inputs and labels: columns and expectations that verdicts are given by"""
    hash: str
    """SHA-256, hex: the suite's of a verdict, without the version of the reading that a quarantined one carries; the
    feature code's of a snapshot"""
    partitions: int
    first_key: PartitionKey
    last_key: PartitionKey
    first_used: dt.datetime
    last_used: dt.datetime


def lines(session: Session, model: str) -> list[DefinitionLine]:
    """Every version that the ledger knows, by part and then by first use."""
    suite = func.split_part(Verdict.suite_hash, "-reading-", 1)
    verdicts = _lines(PartitionVersion.table, suite, PartitionVersion.key, Verdict.decided_at)
    verdicts = verdicts.join(Verdict, Verdict.partition_version_id == PartitionVersion.id)
    verdicts = verdicts.where(PartitionVersion.model == model)
    verdicts = verdicts.group_by(PartitionVersion.table, suite)
    built = _lines(literal("features"), Snapshot.code_hash, Snapshot.key, Snapshot.created_at)
    built = built.where(Snapshot.model == model).group_by(Snapshot.code_hash)
    found = [DefinitionLine(*row) for query in (verdicts, built) for row in session.execute(query).tuples()]
    parts = ("inputs", "labels", "features")
    return sorted(found, key=lambda line: (parts.index(line.part), line.first_used))


def _lines(part: Any, hash_of: Any, key: Any, used: Any) -> Select[Any]:
    return select(
        part, hash_of, func.count(key.distinct()), func.min(key), func.max(key), func.min(used), func.max(used)
    )
