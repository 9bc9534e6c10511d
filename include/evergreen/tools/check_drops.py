"""Judge files on disk as if they had landed: no ledger, no store, no server."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evergreen.core import standing
from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.model import TableName
from evergreen.core.definition.partition_keys import check_key, is_partition
from evergreen.core.names import PartitionKey
from evergreen.core.values import TABLES
from evergreen.errors import BadInputError
from evergreen.loop.intake.landing_zone import local_drop
from evergreen.loop.intake.reading.file_types import ENDINGS, files_of
from evergreen.loop.intake.validation.judge_drop import judge_drop
from evergreen.loop.intake.validation.judged_before import Judged, compared_keys
from evergreen.loop.intake.validation.load_expectations import load_expectations
from evergreen.tools.check_references import check_reference, references_in

Progress = Callable[[int, int, str], None]
"""Told how many tables are judged, of how many, and which is next"""


@dataclass(frozen=True)
class Check:
    """The verdict one file would get."""

    key: str
    """Of the partition; the stamp of a version of a reference"""
    table: str
    file: str
    accepted: bool
    reason: str
    rows: int | None
    """Rows in the file; None if it could not be read"""
    rows_rejected: int
    """Rows of an accepted file that alone would go to quarantine"""
    failures: list[dict[str, Any]]


def check_folder(
    definition: ModelDefinition,
    folder: Path,
    key: str | None = None,
    history: Path | None = None,
    progress: Progress = lambda *_: None,
) -> list[Check]:
    """Judge every table in `folder`: a partition's folder (named by its key, unless `key` is given) or a feed's.

    Versions of references are judged too: those of a feed's folder, or one in its own folder, named by its stamp.

    Each is compared with what is accepted of the partitions before it, in `folder` and in `history`, a feed's folder.

    Raises:
        BadInputError: there is no such folder, no table in it, or a folder of part files that is no table.
        PartitionKeyError: the folder's name, or `key`, is not a partition of the model.
    """
    if not folder.is_dir():
        raise BadInputError(f"{folder} is not a folder; give the folder that holds inputs.parquet or labels.parquet")
    if tables_in(folder):
        partitions = [(check_key(definition, key or folder.resolve().name), folder)]
    else:
        partitions = _partitions(definition, folder)
    before = [(name, *found) for name, place in _before(definition, history, partitions) for found in tables_in(place)]
    asked = [(name, *found) for name, place in partitions for found in tables_in(place)]
    checks = _check_all(definition, [*before, *asked], progress)[len(before) :]
    for reference, stamp, file in references_in(definition, folder):
        accepted, reason, rows, failures = check_reference(definition, reference, stamp, file)
        checks.append(Check(stamp, f"reference {reference}", str(file), accepted, reason, rows, 0, failures))
    if not checks:
        raise BadInputError(
            f"no inputs or labels ({', '.join(ENDINGS)}) in {folder} or in a folder of it named by a key"
        )
    return checks


def _check_all(
    definition: ModelDefinition, tables: list[tuple[PartitionKey, TableName, Path]], progress: Progress
) -> list[Check]:
    # One key for all of them: labels are compared with inputs, and partitions with each other.
    judged, secret, checks = Judged(definition), secrets.token_bytes(32), list[Check]()
    rules = {table: load_expectations(definition, table) for table in dict.fromkeys(table for _, table, _ in tables)}
    with standing.by(definition, *rules.values()):
        for done, (key, table, file) in enumerate(tables):
            progress(done, len(tables), f"{key} {table}")
            checks.append(_check(definition, table, key, file, rules[table], judged, secret))
    progress(len(tables), len(tables), "")
    return checks


def _before(
    definition: ModelDefinition, history: Path | None, partitions: list[tuple[PartitionKey, Path]]
) -> list[tuple[PartitionKey, Path]]:
    """The partitions in `history` that those to be judged may be compared with."""
    if history is None or not partitions:
        return []
    if not history.is_dir():
        raise BadInputError(f"{history} is not a folder; give one whose folders are named by partition keys")
    judged = {name for name, _ in partitions}
    wanted = {key for name in judged for key in compared_keys(definition, name)} - judged
    return [(name, place) for name, place in _partitions(definition, history) if name in wanted]


def tables_in(folder: Path) -> list[tuple[TableName, Path]]:
    """The tables that lie in `folder` itself, as files or folders that could land."""
    names = sorted(file.name for file in folder.iterdir() if file.is_file())
    found = [(table, folder / name) for table in TABLES for name in files_of(table, names)]
    return found + [(table, folder / table) for table in TABLES if (folder / table).is_dir()]


def _partitions(definition: ModelDefinition, folder: Path) -> list[tuple[PartitionKey, Path]]:
    """The folders of `folder` that are named by a key, in order."""
    named = [(place.name, place) for place in sorted(folder.iterdir()) if place.is_dir()]
    return [(PartitionKey(name), place) for name, place in named if is_partition(definition, name)]


def _check(
    definition: ModelDefinition,
    table: TableName,
    key: PartitionKey,
    file: Path,
    rules: list[Any],
    judged: Judged,
    secret: bytes,
) -> Check:
    past = judged.past(table, key, rules)
    judgement = judge_drop(local_drop(file), definition, table, key, rules, past=past, secret=secret)
    judged.keep(table, key, judgement)
    failures = [failure.to_json() for failure in judgement.failures]
    said = (judgement.accepted, judgement.reason, judgement.rows, judgement.rows_rejected)
    return Check(key, table, str(file), *said, failures)
