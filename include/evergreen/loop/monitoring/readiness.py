"""Can a partition be monitored: have its predictions been written, and the labels that are due with it been judged?"""

from __future__ import annotations

import datetime as dt

from sqlalchemy import select
from sqlalchemy.orm import Session

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.readiness import Wait
from evergreen.core.ledger import Ledger
from evergreen.core.ledger.queries import partitions, snapshots, versions
from evergreen.core.ledger.tables import PartitionVersion, Prediction, Verdict
from evergreen.core.names import PartitionKey
from evergreen.settings import Settings

STUCK_AFTER = dt.timedelta(hours=3)
"""A step that could have been done for so long, and was not, is stuck; and again so long after it was restarted."""
GIVEN_UP_AFTER = 2 * STUCK_AFTER
"""Past the grace period: what is stuck is started again after the first half, and reported after the second."""


def look(
    definition: ModelDefinition,
    key: PartitionKey,
    *,
    subject: str,
    settings: Settings,
    since: dt.datetime | None = None,
) -> Wait:
    """Look once; a partition from before the first champion is never predicted.

    Predictions that are not there some time after the grace period are waited for no longer: a run that waits is an
    active one, and would keep later partitions from their checks. Those that come after all are found without a check
    by `stuck`, which starts one.

    Args:
        definition: the model.
        key: the partition.
        subject: `predictions`.
        settings: where the ledger is.
        since: when the run began to wait, aware; without it they are waited for without end.
    """
    model = definition.name
    with Ledger.from_settings(settings).transaction() as session:
        prediction = session.scalar(
            select(Prediction).where(Prediction.model == model, Prediction.key == key).order_by(Prediction.id.desc())
        )
        if prediction is not None:
            return _await_labels(session, definition, key, prediction)
        first = versions.first_deployment(session, model)
        lacking = _lacking(session, model, key)
    if first is None:
        return Wait(
            "never", f"{model} has no champion yet, so {key} has no predictions to monitor; trigger {model}.train"
        )
    if first.from_key is not None and key < first.from_key:
        return Wait("never", f"{key} lies before {first.from_key}, the first partition that a champion served")
    if since is not None:
        # A backfill of the past begins when all was due long ago, and its inputs may land in the same hour.
        until = max(definition.partitions.due(key), since) + definition.feed.grace + GIVEN_UP_AFTER
        if dt.datetime.now(dt.UTC) > until:
            return Wait(
                "never",
                f"there were no predictions of {key} by {until:%Y-%m-%d %H:%M} UTC ({lacking}), and this run waits no "
                "longer; evergreen.housekeeping starts the check when they come",
            )
    return Wait("waiting", f"predictions of {key} have not been written yet: {lacking}")


def _lacking(session: Session, model: str, key: PartitionKey) -> str:
    """The first step towards predictions that has not been done, in words."""
    if key not in partitions.current_map(session, model, "inputs", [key]):
        return "no inputs have been accepted, they have not landed or are in quarantine"
    if snapshots.current(session, model, key) is None:
        return f"DAG {model}.features has not built its features"
    return f"DAG {model}.score has not written them"


def _await_labels(session: Session, definition: ModelDefinition, key: PartitionKey, prediction: Prediction) -> Wait:
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
