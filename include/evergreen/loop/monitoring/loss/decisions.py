"""What the choices of a partition came to, by slice too, once its labels have landed."""

from __future__ import annotations

import logging
from typing import Any

import pandas as pd

from evergreen.core.definition import ModelDefinition
from evergreen.core.feature_repository.snapshots import read_frames
from evergreen.core.ledger.queries.partitions import Current
from evergreen.core.ledger.tables import Snapshot
from evergreen.errors import EvergreenError, UnavailableError
from evergreen.loop.champion.evaluation.scores import by_slice
from evergreen.loop.intake.accepted_rows import read_known
from evergreen.loop.training.decide import chosen_in
from evergreen.loop.training.outcomes import outcomes
from evergreen.settings import Settings

log = logging.getLogger("evergreen.monitoring")


def decision_figures(
    definition: ModelDefinition, rows: pd.DataFrame, snapshot: Snapshot, inputs: Current | None, settings: Settings
) -> dict[str, Any]:
    """`decision`: the figures of `outcomes`, with `slices`; empty if the definition has no `decision`.

    Args:
        definition: the model.
        rows: labelled predictions, as `labelled_rows` gives them.
        snapshot: the features that were predicted.
        inputs: the partition's.
        settings: where store and feature remotes are.
    """
    choice = chosen_in(definition, rows)
    if choice is None:
        return {}
    target = rows["target"].to_numpy()
    scores = rows["prediction"].to_numpy("float64") if definition.task == "binary" else None
    columns = _columns(definition, rows[definition.feed.entity], snapshot, inputs, settings)
    sliced = by_slice(definition, columns, target, choice)
    return {"decision": outcomes(definition, target, choice, scores) | ({"slices": sliced} if sliced else {})}


def _columns(
    definition: ModelDefinition, entities: pd.Series, snapshot: Snapshot, inputs: Current | None, settings: Settings
) -> dict[str, pd.Series]:
    """The columns of `gate.slices`, row for row: of the features, else of the inputs; those that can be read."""
    entity, wanted = definition.feed.entity, definition.gate.slices
    if not wanted:
        return {}
    found: dict[str, pd.Series] = {}
    try:
        path = snapshot.dvc_path
        built = read_frames(settings, snapshot.git_commit, [path], expected={path: snapshot.dvc_hash})[path]
        outside = [name for name in wanted if name not in built]
        landed = read_known(inputs[1], settings, definition, "inputs") if outside and inputs else built
        for name in wanted:
            source = built if name in built else landed
            if name in source:
                found[name] = source.set_index(entity, drop=False)[name].reindex(entities).reset_index(drop=True)
        if lacking := [name for name in wanted if name not in found]:
            log.warning("the choices of %s are not counted by %s: no such column", snapshot.key, ", ".join(lacking))
    except (EvergreenError, FileNotFoundError) as error:
        if isinstance(error, UnavailableError):
            raise
        log.warning("the choices of %s are not counted by slice: %s", snapshot.key, error)
    return found
