"""What would another version have lost on the partitions that have labels by now?"""

from __future__ import annotations

from collections.abc import Sequence

from evergreen.definition import ModelDefinition
from evergreen.features.snapshots import read_frames
from evergreen.intake.read import read_clean
from evergreen.ledger import Ledger
from evergreen.ledger import partitions as raw
from evergreen.ledger import snapshots as built
from evergreen.settings import Settings
from evergreen.training.frames import target_values
from evergreen.training.losses import mean_loss
from evergreen.training.models import load


def losses_of_version(
    definition: ModelDefinition, version: int, keys: Sequence[str], *, settings: Settings
) -> dict[str, float]:
    """Mean loss by partition key, had `version` predicted it: over rows that have a label.

    Keys without features or accepted labels are left out.

    Raises:
        UnavailableError: the registry, the store or the feature remotes do not answer.
    """
    with Ledger.from_settings(settings).transaction() as session:
        snapshots = built.current_map(session, definition.name, keys)
        labels = raw.current_map(session, definition.name, "labels", keys)
    usable = [key for key in keys if key in snapshots and key in labels]
    if not usable:
        return {}
    predictor = load(definition, version, settings=settings)
    entity, losses = definition.feed.entity, {}
    for key in usable:
        snapshot = snapshots[key]
        frame = read_frames(
            settings, snapshot.git_commit, [snapshot.dvc_path], expected={snapshot.dvc_path: snapshot.dvc_hash}
        )[snapshot.dvc_path]
        truth = read_clean(labels[key][1], settings)[[entity, definition.target]].dropna()
        rows = frame.merge(truth, on=entity, how="inner", validate="one_to_one")
        target = target_values(definition, rows[definition.target])
        losses[key] = mean_loss(definition.loss, target, predictor.predict(rows[list(definition.features.columns)]))
    return losses
