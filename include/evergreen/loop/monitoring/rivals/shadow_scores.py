"""What would another version have lost on the partitions that have labels by now? Scored in the shadow, and kept.

A version that does not serve can still predict. Each (version, features, labels) is scored once: what was found stays
in the ledger, so that a weekly check scores one partition and not the whole past again.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from evergreen.core.definition import ModelDefinition
from evergreen.core.feature_repository.snapshots import read_frames
from evergreen.core.ledger import Ledger
from evergreen.core.ledger.queries import collected
from evergreen.core.ledger.queries import partitions as raw
from evergreen.core.ledger.queries import snapshots as built
from evergreen.core.ledger.queries.partitions import Current
from evergreen.core.ledger.tables import ShadowLoss, Snapshot
from evergreen.core.names import PartitionKey
from evergreen.errors import UnavailableError
from evergreen.loop.features.feature_code import of_version, serving
from evergreen.loop.features.feed import feed
from evergreen.loop.intake.accepted_rows import read_known
from evergreen.loop.intake.labels.usable import usable_labels
from evergreen.loop.monitoring.loss.harm_test import Cluster
from evergreen.loop.monitoring.loss.realised import UNREADABLE, cluster_names, labelled_rows, losses_by_cluster
from evergreen.loop.training.classes import as_columns
from evergreen.loop.training.decide import chosen
from evergreen.loop.training.model_files import load
from evergreen.settings import Settings

log = logging.getLogger("evergreen.monitoring")

Shadow = dict[tuple[int, PartitionKey], tuple[Cluster, ...]]
"""Clusters by (version, partition key)."""
Inputs = Mapping[PartitionKey, Current]


def score_in_shadow(
    definition: ModelDefinition, versions: Collection[int], keys: Sequence[PartitionKey], *, settings: Settings
) -> Shadow:
    """Losses by cluster of each of `versions` on each of `keys`, had it predicted it: over rows that have a label.

    Each version reads features of the code that it was made from; they are built now if only other code has built them.
    Keys without features, complete labels or a labelled row are left out, and those whose features or labels were
    collected before they were scored or cannot be read. What was scored before is read.

    Raises:
        BadInputError: the registry has no such version.
        UnavailableError: the ledger, the registry, the store or the feature remotes do not answer.
    """
    ledger, name = Ledger.from_settings(settings), definition.name
    _feed(definition, versions, keys, settings)
    with ledger.transaction() as session:
        usable = _usable(session, definition, versions, keys)
        inputs = raw.current_map(session, name, "inputs", keys) if definition.gate.cluster else {}
        found, gone = _known(session, name, usable), collected.gone(session, name)
    for key in keys:
        lacking = [v for v in versions if (v, key) in usable and (v, key) not in found]
        read: dict[int, pd.DataFrame | None] = {}
        for version in lacking:
            snapshot, truth = usable[version, key]
            if snapshot.id not in read:
                read[snapshot.id] = _readable(definition, snapshot, truth, inputs.get(key), gone, settings)
            rows = read[snapshot.id]
            if rows is None:
                continue
            clusters = _score(definition, version, rows, settings)
            found[version, key] = clusters
            with ledger.transaction() as session:
                row = _row(name, key, version, snapshot, truth, clusters)
                session.execute(insert(ShadowLoss).values(row).on_conflict_do_nothing())
    return found


def _feed(
    definition: ModelDefinition, versions: Collection[int], keys: Sequence[PartitionKey], settings: Settings
) -> None:
    """See that the partitions are built by the code of each version."""
    with Ledger.from_settings(settings).transaction() as session:
        usual = serving(session, definition).hash
        fed_by = {code.hash: code for code in (of_version(session, definition, version) for version in versions)}
    for code in fed_by.values():
        feed(code, keys, settings=settings, outdated=code.hash != usual)


def _usable(
    session: Session, definition: ModelDefinition, versions: Collection[int], keys: Sequence[PartitionKey]
) -> dict[tuple[int, PartitionKey], tuple[Snapshot, Current]]:
    """What each version reads of each partition, and its labels."""
    labels = usable_labels(session, definition, keys)
    return {
        (version, key): (snapshot, labels[key])
        for version in versions
        for key, snapshot in built.current_map(
            session, definition.name, keys, of_version(session, definition, version).hash
        ).items()
        if key in labels
    }


def _readable(
    definition: ModelDefinition,
    snapshot: Snapshot,
    truth: Current,
    inputs: Current | None,
    gone: Collection[str],
    settings: Settings,
) -> pd.DataFrame | None:
    """The labelled rows of a partition; None if there are none, or they can no longer be read."""
    if {snapshot.dvc_hash, truth[1].clean_uri} & set(gone):
        return None
    try:
        rows = _labelled(definition, snapshot, truth, inputs, settings)
    except UNREADABLE as error:
        if isinstance(error, UnavailableError):
            raise
        log.warning("%s is left out of the comparison of versions: %s", snapshot.key, error)
        return None
    return rows if len(rows) else None


def losses_of_version(
    definition: ModelDefinition, version: int, keys: Sequence[PartitionKey], *, settings: Settings
) -> dict[PartitionKey, float]:
    """Mean loss by partition key, had `version` predicted it; raises and leaves out as `score_in_shadow`."""
    found = score_in_shadow(definition, [version], keys, settings=settings)
    return {key: _mean(clusters) for (_, key), clusters in found.items()}


def _known(session: Session, model: str, usable: Mapping[tuple[int, PartitionKey], tuple[Snapshot, Current]]) -> Shadow:
    """What was scored before, of the current features and labels only."""
    versions, keys = ({place[n] for place in usable} for n in (0, 1))
    query = select(ShadowLoss).where(
        ShadowLoss.model == model, ShadowLoss.version.in_(versions), ShadowLoss.key.in_(keys)
    )
    current = {(place[0], snapshot.id, truth[0].id, raw.kept(truth[1])) for place, (snapshot, truth) in usable.items()}
    return {
        (row.version, row.key): tuple(Cluster(**cluster) for cluster in row.clusters)
        for row in session.scalars(query)
        if (row.version, row.snapshot_id, row.labels_version_id, row.labels_rows) in current
    }


def _labelled(
    definition: ModelDefinition, snapshot: Snapshot, labels: Current, inputs: Current | None, settings: Settings
) -> pd.DataFrame:
    """The features of rows that have a label, with `target` (float64, or text) and `cluster` (str)."""
    path = snapshot.dvc_path
    frame = read_frames(settings, snapshot.git_commit, [path], expected={path: snapshot.dvc_hash})[path]
    rows = labelled_rows(definition, frame, read_known(labels[1], settings, definition, "labels"))
    return rows.assign(cluster=cluster_names(definition, rows, inputs, settings)) if len(rows) else rows


def _score(definition: ModelDefinition, version: int, rows: pd.DataFrame, settings: Settings) -> tuple[Cluster, ...]:
    model = load(definition, version, settings=settings)
    predicted = model.predict(rows)
    choice = chosen(definition, model.rule, predicted, model.classes)
    about = rows[["target", "cluster"]].assign(**as_columns(predicted, model.classes, choice))
    return tuple(losses_by_cluster(definition, about))


def _row(
    model: str, key: PartitionKey, version: int, snapshot: Snapshot, labels: Current, clusters: tuple[Cluster, ...]
) -> dict[str, Any]:
    return {
        "model": model,
        "key": key,
        "version": version,
        "snapshot_id": snapshot.id,
        "labels_version_id": labels[0].id,
        "labels_rows": raw.kept(labels[1]),
        "rows": sum(c.rows for c in clusters),
        "loss": _mean(clusters),
        "clusters": [asdict(c) for c in clusters],
    }


def _mean(clusters: Sequence[Cluster]) -> float:
    return float(np.average([c.loss for c in clusters], weights=[c.rows for c in clusters]))
