"""Another version takes the champion's place without a training: deployment and mail, in one transaction."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from evergreen.core.definition import ModelDefinition
from evergreen.core.ledger.outbox import owe, sentence
from evergreen.core.ledger.queries import versions
from evergreen.core.ledger.tables import Decision, Deployment, Prediction
from evergreen.core.names import PartitionKey
from evergreen.errors import NotReadyError
from evergreen.loop.features.feature_code import said
from evergreen.loop.training.tracking import Registry
from evergreen.settings import Settings


def serving_instead(session: Session, model: str, champion: int | None) -> Deployment:
    """The deployment in force, which must be of `champion` if that is given.

    Raises:
        NotReadyError: nothing serves, or another version does.
    """
    found = versions.current_deployment(session, model)
    if found is None:
        raise NotReadyError(f"{model} has no champion yet, so there is nothing to replace; trigger {model}.train")
    if champion is not None and found.version != champion:
        raise NotReadyError(
            f"version {champion} of {model} was to be replaced, but version {found.version} serves now: left as it is"
        )
    return found


def next_key(session: Session, definition: ModelDefinition, first: PartitionKey) -> PartitionKey:
    """The partition after the newest one with predictions, which a new champion will serve; `first` if none has."""
    newest = session.scalar(select(func.max(Prediction.key)).where(Prediction.model == definition.name))
    return definition.partitions.shift(newest, 1) if newest is not None else first


def succeed(
    session: Session,
    definition: ModelDefinition,
    decision: Decision,
    serving: Deployment,
    *,
    settings: Settings,
    run_url: str | None,
    report: str | None = None,
) -> None:
    """Deploy `decision.version` in place of `serving`, and write the mail: in the session's transaction.

    Args:
        session: holds the lock `champion`.
        definition: the model.
        decision: of kind rollback or promote.
        serving: the deployment that ends.
        settings: where the registry is.
        run_url: address of the task's log.
        report: URI in the store of the report that the decision rests on.
    """
    key = next_key(session, definition, PartitionKey(str(serving.from_key)))
    version, champion = int(decision.version or 0), serving.version
    session.add(Deployment(model=definition.name, version=version, decision_id=decision.id, from_key=key))
    back = decision.kind == "rollback"
    owe(
        session,
        definition,
        kind="rollback" if back else "promotion",
        key=key,
        dedup_key=f"{decision.kind}:{decision.id}",
        subject=f"rolled back to version {version}" if back else f"version {version} promoted",
        body={
            "headline": f"Version {version} {'serves again' if back else 'serves'} in place of version {champion}.",
            "summary": sentence(decision.reason),
            "facts": [
                ("Decided by", decision.decided_by),
                ("Serves from", key),
                ("Replaced", f"version {champion}; its predictions are kept"),
                ("Fed by feature code", said(session, definition.name, version, champion)),
            ],
            "next_steps": [
                f"Partitions that version {champion} has predicted keep its predictions: tell those who used them.",
                "The monitor watches the version that serves now from its next labels on.",
                f"If it should not serve: `evergreen rollback {definition.name} --to {champion} --why REASON`.",
            ],
            "links": {
                "log": run_url,
                "report": report,
                "model": Registry(settings, definition.name).url(version),
            },
        },
    )
