"""Read a training run's labelled rows, by the ids that its ledger row fixed."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sqlalchemy import select

from evergreen.core.feature_repository.snapshots import read_frames
from evergreen.core.frames import on_the_clock
from evergreen.core.ledger import Ledger
from evergreen.core.ledger.queries import partitions
from evergreen.core.ledger.tables import Snapshot, TrainingRun, Verdict
from evergreen.core.names import PartitionKey
from evergreen.errors import UnavailableError
from evergreen.loop.intake.accepted_rows import read_known
from evergreen.loop.training.examples import Examples, Names, concatenate
from evergreen.loop.training.model_matrix import model_frame, target_values, unknown_as_null
from evergreen.settings import Settings

if TYPE_CHECKING:
    from evergreen.core.definition import ModelDefinition

log = logging.getLogger("evergreen.training")


@dataclass(frozen=True)
class _Sources:
    """Where the rows of one partition are."""

    key: PartitionKey
    snapshot: Snapshot
    labels: Verdict
    inputs: Verdict


def read_examples(
    definition: ModelDefinition, run: TrainingRun, keys: list[PartitionKey], *, settings: Settings
) -> Examples:
    """Labelled rows of these partitions of the run's dataset, in time order.

    Rows without a label, or whose target is null (unknown yet), are left out. A feature that came to the definition
    after a partition was built is unknown there: null.

    Raises:
        BadInputError: features or target do not fit the definition.
        UnavailableError: ledger, store or feature remotes do not answer.
    """
    sources = _sources(definition, run, keys, settings)
    paths = {s.snapshot.dvc_path: s.snapshot.dvc_hash for s in sources}
    frames = read_frames(settings, run.git_commit, list(paths), expected=paths)
    parts = [_examples(definition, s, frames[s.snapshot.dvc_path], settings) for s in sources]
    examples = concatenate(parts)
    built = sum(len(frame) for frame in frames.values())
    log.info(
        "read %s labelled rows of %d partitions, %s to %s, from their snapshots; %s rows have no label",
        f"{len(examples):,}", len(keys), keys[0], keys[-1], f"{built - len(examples):,}",
    )  # fmt: skip
    if examples.lacking:
        log.info(_built_before(definition, examples.lacking))
    return examples


def _built_before(definition: ModelDefinition, lacking: Mapping[str, frozenset[str]]) -> str:
    names = ", ".join(sorted(set().union(*lacking.values())))
    return (
        f"{names}: null in {len(lacking)} partitions, {min(lacking)} to {max(lacking)}, which were built before the "
        f"definition had it; trigger {definition.name}.features with their keys to have them built again"
    )


def _sources(
    definition: ModelDefinition, run: TrainingRun, keys: list[PartitionKey], settings: Settings
) -> list[_Sources]:
    dataset = run.dataset
    with Ledger.from_settings(settings).transaction() as session:
        snapshots = select(Snapshot).where(Snapshot.id.in_(dataset["snapshots"].values()))
        built = {s.id: s for s in session.scalars(snapshots)}
        verdicts = select(Verdict).where(Verdict.id.in_(dataset["label_verdicts"].values()))
        labels = {v.id: v for v in session.scalars(verdicts)}
        found = []
        for key in keys:
            snapshot = built[dataset["snapshots"][key]]
            inputs = session.get(Verdict, snapshot.inputs_verdict_id) if snapshot.inputs_verdict_id else None
            inputs = inputs or partitions.latest_verdict(session, snapshot.inputs_version_id)
            if inputs is None:
                raise UnavailableError(f"{definition.name} {key}: the inputs of its snapshot have no verdict")
            found.append(_Sources(key, snapshot, labels[dataset["label_verdicts"][key]], inputs))
    return found


def _examples(definition: ModelDefinition, sources: _Sources, features: pd.DataFrame, settings: Settings) -> Examples:
    entity, event_time = definition.feed.entity, definition.feed.event_time
    truth = read_known(sources.labels, settings, definition, "labels")[[entity, definition.target]].dropna()
    target = "__target__"  # no column of a feed may begin so: the labels' name can also be a feature's
    rows = features.merge(truth.rename(columns={definition.target: target}), on=entity, validate="one_to_one")
    inputs = (
        read_known(sources.inputs, settings, definition, "inputs").set_index(entity).loc[rows[entity]].reset_index()
    )
    rows, lacking = unknown_as_null(rows, definition.features)
    strangers = [c for c in definition.gate.columns if c not in definition.features.columns]
    return Examples(
        features=model_frame(rows, definition.features.numeric, definition.features.categorical),
        target=target_values(definition, rows[target].rename(definition.target)),
        key=np.full(len(rows), sources.key, dtype=object),
        cluster=cluster_names(definition, inputs),
        entity=rows[entity].to_numpy(dtype=object),
        event_time=rows[event_time],
        extra=inputs[strangers],
        lacking={sources.key: lacking} if lacking else {},
    )


def cluster_names(definition: ModelDefinition, inputs: pd.DataFrame) -> Names:
    """What fails together with each row: the value of `gate.cluster`, by default the day of the event time."""
    column = definition.gate.cluster
    if column is None:
        days = on_the_clock(inputs[definition.feed.event_time], definition.calendar.timezone)
        names = days.dt.strftime("%Y-%m-%d")
    else:
        names = inputs[column].astype("object").where(inputs[column].notna(), "(none)").astype(str)
    return np.asarray(names, dtype=object)
