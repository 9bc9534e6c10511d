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
from evergreen.errors import UnavailableError
from evergreen.loop.intake.accepted_rows import read_clean
from evergreen.loop.intake.labels.usable import usable_labels
from evergreen.loop.monitoring.loss.harm_test import Cluster
from evergreen.loop.monitoring.loss.realised import UNREADABLE, cluster_names, labelled_rows, losses_by_cluster
from evergreen.loop.training.model_files import load
from evergreen.settings import Settings

log = logging.getLogger("evergreen.monitoring")

Shadow = dict[tuple[int, str], tuple[Cluster, ...]]
"""Clusters by (version, partition key)."""
Inputs = Mapping[str, Current]


def score_in_shadow(
    definition: ModelDefinition, versions: Collection[int], keys: Sequence[str], *, settings: Settings
) -> Shadow:
    """Losses by cluster of each of `versions` on each of `keys`, had it predicted it: over rows that have a label.

    Keys without features, complete labels or a labelled row are left out, and those whose features or labels were
    collected before they were scored or cannot be read. What was scored before is read.

    Raises:
        BadInputError: the registry has no such version.
        UnavailableError: the ledger, the registry, the store or the feature remotes do not answer.
    """
    ledger, name = Ledger.from_settings(settings), definition.name
    with ledger.transaction() as session:
        snapshots = built.current_map(session, name, keys)
        labels = usable_labels(session, definition, keys)
        inputs = raw.current_map(session, name, "inputs", keys) if definition.gate.cluster else {}
        usable = {key: (snapshots[key], labels[key]) for key in keys if key in snapshots and key in labels}
        found, gone = _known(session, name, versions, usable), collected.gone(session, name)
    for key, (snapshot, truth) in usable.items():
        lacking = [version for version in versions if (version, key) not in found]
        if not lacking or {snapshot.dvc_hash, truth[1].clean_uri} & gone:
            continue
        try:
            rows = _labelled(definition, snapshot, truth, inputs.get(key), settings)
        except UNREADABLE as error:
            if isinstance(error, UnavailableError):
                raise
            log.warning("%s is left out of the comparison of versions: %s", key, error)
            continue
        for version in lacking if len(rows) else []:
            clusters = _score(definition, version, rows, settings)
            found[version, key] = clusters
            with ledger.transaction() as session:
                row = _row(name, key, version, snapshot, truth, clusters)
                session.execute(insert(ShadowLoss).values(row).on_conflict_do_nothing())
    return found


def losses_of_version(
    definition: ModelDefinition, version: int, keys: Sequence[str], *, settings: Settings
) -> dict[str, float]:
    """Mean loss by partition key, had `version` predicted it; raises and leaves out as `score_in_shadow`."""
    found = score_in_shadow(definition, [version], keys, settings=settings)
    return {key: _mean(clusters) for (_, key), clusters in found.items()}


def _known(
    session: Session, model: str, versions: Collection[int], usable: Mapping[str, tuple[Snapshot, Current]]
) -> Shadow:
    """What was scored before, of the current features and labels only."""
    query = select(ShadowLoss).where(
        ShadowLoss.model == model, ShadowLoss.version.in_(versions), ShadowLoss.key.in_(usable)
    )
    current = {(snapshot.id, truth[0].id, raw.kept(truth[1])) for snapshot, truth in usable.values()}
    return {
        (row.version, row.key): tuple(Cluster(**cluster) for cluster in row.clusters)
        for row in session.scalars(query)
        if (row.snapshot_id, row.labels_version_id, row.labels_rows) in current
    }


def _labelled(
    definition: ModelDefinition, snapshot: Snapshot, labels: Current, inputs: Current | None, settings: Settings
) -> pd.DataFrame:
    """The features of rows that have a label, with `target` (float64) and `cluster` (str)."""
    path = snapshot.dvc_path
    frame = read_frames(settings, snapshot.git_commit, [path], expected={path: snapshot.dvc_hash})[path]
    rows = labelled_rows(definition, frame, read_clean(labels[1], settings))
    return rows.assign(cluster=cluster_names(definition, rows, inputs, settings)) if len(rows) else rows


def _score(definition: ModelDefinition, version: int, rows: pd.DataFrame, settings: Settings) -> tuple[Cluster, ...]:
    predicted = load(definition, version, settings=settings).predict(rows)
    about = rows[["target", "cluster"]].assign(prediction=predicted)
    return tuple(losses_by_cluster(definition, about))


def _row(
    model: str, key: str, version: int, snapshot: Snapshot, labels: Current, clusters: tuple[Cluster, ...]
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
