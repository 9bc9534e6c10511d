"""Gather what a partition is compared with, from ledger and store."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from evergreen.core.definition import ModelDefinition
from evergreen.core.ledger import Ledger
from evergreen.core.ledger.queries import partitions
from evergreen.core.ledger.queries.partitions import Current
from evergreen.core.ledger.tables import PartitionVersion
from evergreen.core.names import ObjectName, PartitionKey
from evergreen.core.store import Store, layout
from evergreen.errors import CollectedError
from evergreen.loop.intake.accepted_rows import read_columns, read_known
from evergreen.loop.intake.comparisons.past import Ids, Past
from evergreen.loop.intake.comparisons.profile import VERSION, Profile
from evergreen.loop.intake.comparisons.rules import Comparison
from evergreen.loop.intake.validation.judged_before import OTHER, calendar_of, ids_name, profile_of, wanted_of
from evergreen.loop.intake.validation.load_expectations import load_expectations
from evergreen.settings import Settings

log = logging.getLogger("evergreen.intake")

_GONE = (CollectedError, FileNotFoundError)


def past_of(definition: ModelDefinition, partition: PartitionVersion, rules: Sequence[Any], settings: Settings) -> Past:
    """What the comparisons among `rules` need to know about `partition`, and no more: often nothing is read.

    What the store no longer has, because retention removed it or somebody else did, is passed over: a verdict does not
    hang on what it would have been compared with.
    """
    asked = [rule for rule in rules if isinstance(rule, Comparison)]
    table, key = partition.table, partition.key
    known = calendar_of(definition, table, key, asked)
    refers = any(rule.about_other_table for rule in asked)
    wanted = wanted_of(known)
    if not wanted and not refers:
        return known
    with Ledger.from_settings(settings).transaction() as session:
        accepted = partitions.current_map(session, definition.name, table, wanted)
        decided = partitions.decided_keys(session, definition.name, table, wanted)
        other = partitions.current(session, definition.name, OTHER[table], key) if refers else None
    return replace(
        known,
        accepted=_profiles(definition, accepted, settings),
        decided=decided,
        other=_ids(definition, other, settings) if other else None,
    )


def _profiles(
    definition: ModelDefinition, accepted: Mapping[PartitionKey, Current], settings: Settings
) -> dict[PartitionKey, Profile]:
    profiles = {}
    for key, found in accepted.items():
        try:
            profiles[key] = read_profile(definition, found, settings)
        except _GONE:
            log.warning("%s of %s: neither profile nor rows in the store, not compared with", found[0].table, key)
    return profiles


def read_profile(definition: ModelDefinition, found: Current, settings: Settings) -> Profile:
    """The profile of accepted rows; made and kept now if they were accepted before profiles were.

    Raises:
        CollectedError: there is no profile, and retention has removed the rows.
        FileNotFoundError: the store has neither the profile nor the rows.
    """
    partition, verdict = found
    store, name = Store.from_settings(settings), profile_name(partition, verdict.suite_hash)
    try:
        return Profile.from_json(store.read(name))
    except FileNotFoundError:
        table = partition.table
        made = profile_of(definition, table, read_known(verdict, settings, definition, table))
        store.write(name, made.to_json().encode())
        log.info("%s of %s had no profile yet: made from its accepted rows", partition.table, partition.key)
        return made


def profile_name(partition: PartitionVersion, suite_hash: str) -> ObjectName:
    """Name of the object that holds the profile of the rows that a suite accepted."""
    return layout.profile(
        partition.model, partition.table, partition.key, partition.content_hash, suite_hash, VERSION
    )  # fmt: skip


def rules_for(
    definition: ModelDefinition, partition: PartitionVersion, own: Sequence[Any], settings: Settings
) -> list[Any]:
    """The rules `own` of the partition's table and, for inputs, what the labels that wait for them could not be asked.

    Labels may be accepted before their inputs, or inputs landed again after them: whichever comes last is compared.
    """
    if partition.table != "inputs":
        return list(own)
    with Ledger.from_settings(settings).transaction() as session:
        if partitions.current(session, definition.name, "labels", partition.key) is None:
            return list(own)
    labels = load_expectations(definition, "labels")
    return [*own, *(rule for rule in labels if isinstance(rule, Comparison) and rule.about_other_table)]


def _ids(definition: ModelDefinition, found: Current, settings: Settings) -> Ids | None:
    partition, verdict = found
    entity, section = definition.feed.entity, definition.feed.tables[partition.table]
    try:
        values = read_columns(verdict, settings, section, [entity]).column(entity)
    except _GONE:
        log.warning("%s of %s: accepted rows no longer in the store, not compared", partition.table, partition.key)
        return None
    return Ids(values, ids_name(partition.table, partition.key, partition.version), partitions.rows_hash(found))
