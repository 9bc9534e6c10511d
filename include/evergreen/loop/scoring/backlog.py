"""Which partitions wait for a champion's predictions?"""

from __future__ import annotations

from sqlalchemy import select

from evergreen.core.definition import ModelDefinition
from evergreen.core.ledger import Ledger
from evergreen.core.ledger.queries import versions
from evergreen.core.ledger.tables import Prediction, Snapshot
from evergreen.core.names import PartitionKey
from evergreen.settings import Settings


def unscored_keys(definition: ModelDefinition, *, settings: Settings) -> list[PartitionKey]:
    """Keys, oldest first, that have features and no predictions, from the first partition on that a champion serves."""
    model = definition.name
    with Ledger.from_settings(settings).transaction() as session:
        first = versions.first_deployment(session, model)
        if first is None:
            return []
        built = session.scalars(select(Snapshot.key).where(Snapshot.model == model).distinct())
        scored = set(session.scalars(select(Prediction.key).where(Prediction.model == model).distinct()))
        return sorted(key for key in built if key not in scored and key >= (first.from_key or ""))
