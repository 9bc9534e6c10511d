"""Can a partition be monitored: have its predictions been written, and the labels that are due with it been judged?"""

from __future__ import annotations

import datetime as dt

from sqlalchemy import select
from sqlalchemy.orm import Session

from evergreen.definition import ModelDefinition
from evergreen.definition.waiting import Wait
from evergreen.ledger import Ledger
from evergreen.ledger.tables import Deployment, PartitionVersion, Prediction, Verdict
from evergreen.settings import Settings


def look(definition: ModelDefinition, key: str, *, subject: str, settings: Settings) -> Wait:
    """Look once; a partition from before the first champion is never predicted."""
    model = definition.name
    with Ledger.from_settings(settings).transaction() as session:
        prediction = session.scalar(
            select(Prediction).where(Prediction.model == model, Prediction.key == key).order_by(Prediction.id.desc())
        )
        if prediction is not None:
            return _await_labels(session, definition, key, prediction)
        first = session.scalar(select(Deployment).where(Deployment.model == model).order_by(Deployment.id))
    if first is None:
        return Wait(
            "never", f"{model} has no champion yet, so {key} has no predictions to monitor; trigger {model}.train"
        )
    if first.from_key is not None and key < first.from_key:
        return Wait("never", f"{key} lies before {first.from_key}, the first partition that a champion served")
    return Wait("waiting", f"predictions of {key} have not been written yet (DAG {model}.score writes them)")


def _await_labels(session: Session, definition: ModelDefinition, key: str, prediction: Prediction) -> Wait:
    """Labels that fall due together with the check belong into it: wait for their verdict for the grace period."""
    done = f"predictions of {key} by version {prediction.version}: {prediction.rows:,} rows"
    label_key = definition.partitions.shift(key, -definition.feed.label_delay)
    if definition.feed.label_delay == 0 or not definition.partitions.contains(label_key):
        return Wait("ready", done)
    judged = session.scalar(
        select(Verdict.outcome)
        .join(PartitionVersion)
        .where(
            PartitionVersion.model == definition.name,
            PartitionVersion.table == "labels",
            PartitionVersion.key == label_key,
        )
        .order_by(Verdict.id.desc())
    )
    if judged is not None:
        return Wait("ready", f"{done}; labels of {label_key} are {judged}")
    due = max(prediction.created_at, definition.partitions.due(label_key, definition.feed.label_delay))
    if dt.datetime.now(dt.UTC) > due + definition.feed.grace:
        return Wait("ready", f"{done}; labels of {label_key} did not come within {definition.feed.grace}")
    return Wait("waiting", f"{done}; labels of {label_key} are due and not judged yet")
