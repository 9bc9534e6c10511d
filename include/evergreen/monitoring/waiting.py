"""Have the predictions of a partition been written?"""

from __future__ import annotations

from sqlalchemy import select

from evergreen.definition import ModelDefinition
from evergreen.definition.waiting import Wait
from evergreen.ledger import Ledger
from evergreen.ledger.tables import Deployment, Prediction
from evergreen.settings import Settings


def look(definition: ModelDefinition, key: str, *, subject: str, settings: Settings) -> Wait:
    """Look once; a partition from before the first champion is never predicted."""
    model = definition.name
    with Ledger.from_settings(settings).transaction() as session:
        prediction = session.scalar(
            select(Prediction).where(Prediction.model == model, Prediction.key == key).order_by(Prediction.id.desc())
        )
        first = session.scalar(select(Deployment).where(Deployment.model == model).order_by(Deployment.id))
    if prediction is not None:
        return Wait("ready", f"predictions of {key} by version {prediction.version}: {prediction.rows:,} rows")
    if first is None:
        return Wait(
            "never", f"{model} has no champion yet, so {key} has no predictions to monitor; trigger {model}.train"
        )
    if first.from_key is not None and key < first.from_key:
        return Wait("never", f"{key} lies before {first.from_key}, the first partition that a champion served")
    return Wait("waiting", f"predictions of {key} have not been written yet (DAG {model}.score writes them)")
