"""Back to a version that has served: decision, deployment and mail in one transaction, then the registry's alias."""

from __future__ import annotations

import logging

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from evergreen.champion.decide import Decided, annotate
from evergreen.champion.serving import reconcile
from evergreen.definition import ModelDefinition
from evergreen.errors import BadInputError, NotReadyError
from evergreen.ledger import Ledger, decisions, models
from evergreen.ledger.outbox import owe
from evergreen.ledger.tables import Decision, Deployment, Prediction
from evergreen.settings import Settings
from evergreen.training.models import load
from evergreen.training.tracking import Registry

log = logging.getLogger("evergreen.champion")


def roll_back(
    definition: ModelDefinition,
    *,
    to: int | None,
    why: str,
    decided_by: str,
    cause_key: str,
    settings: Settings,
    run_url: str | None = None,
) -> Decided:
    """Have a version serve again that has served before. What the other one predicted is kept.

    Args:
        definition: the model.
        to: the version; the one that served before the champion where None.
        why: a sentence, kept in the ledger.
        decided_by: a person's name, or `policy`.
        cause_key: names the cause; one cause rolls back once, however often it is asked.
        settings: where ledger and registry are.
        run_url: address of the task's log.

    Raises:
        NotReadyError: there is no champion yet.
        BadInputError: there is no such version, it has never served, or it serves already.
        RefusedError: its file holds types that the definition does not trust.
        UnavailableError: ledger or registry do not answer; what was recorded stays, run it again.
    """
    name, dedup_key = definition.name, f"rollback:{cause_key}"
    with Ledger.from_settings(settings).transaction() as session:
        done = decisions.find(session, name, dedup_key)
        wanted = done.version if done is not None else target(served(session, name), to, name)
    if done is None:
        load(definition, int(wanted or 0), settings=settings, anew=True)  # what cannot be loaded cannot serve
    with Ledger.from_settings(settings).lock("champion", name) as session:
        done = decisions.find(session, name, dedup_key)
        decision = done or _record(session, definition, to, why, decided_by, dedup_key, run_url, settings)
        log.info("%s: %s", "rolled back already" if done else "rolled back", decision.reason)
    reconcile(definition, settings=settings)
    annotate(definition, decision, settings)
    return Decided(decision.id, decision.kind, int(decision.version or 0), decision.reason, done is not None)


def served(session: Session, model: str) -> list[int]:
    """The versions that have served, in the order in which they did; the last one is the champion."""
    return list(session.scalars(select(Deployment.version).where(Deployment.model == model).order_by(Deployment.id)))


def target(served: list[int], to: int | None, model: str) -> int:
    """The version to go back to. Pure.

    Raises:
        NotReadyError: nothing has served.
        BadInputError: `to` has never served or is the champion, or no other version has served.
    """
    if not served:
        raise NotReadyError(f"{model} has no champion yet, so there is nothing to roll back; trigger {model}.train")
    champion, known = served[-1], ", ".join(map(str, sorted(set(served))))
    if to == champion:
        raise BadInputError(f"version {to} of {model} is the champion already; versions that have served: {known}")
    if to is not None and to not in served:
        raise BadInputError(
            f"version {to} of {model} has never served, so that nothing says how it does; versions that have: {known}. "
            f"To try another model, trigger {model}.train"
        )
    before = [version for version in served if version != champion]
    if not before:
        raise BadInputError(
            f"version {champion} is the only one of {model} that has served: there is none to go back to. Trigger "
            f"{model}.train, with the reason, for another one"
        )
    return before[-1] if to is None else to


def _record(
    session: Session,
    definition: ModelDefinition,
    to: int | None,
    why: str,
    decided_by: str,
    dedup_key: str,
    run_url: str | None,
    settings: Settings,
) -> Decision:
    """Decision, deployment and the mail that is owed: all or nothing. The target is chosen anew, under the lock."""
    name = definition.name
    history = served(session, name)
    version, champion = target(history, to, name), history[-1]
    key = _next_key(session, definition)
    decision = Decision(
        model=name,
        kind="rollback",
        key=key,
        dedup_key=dedup_key,
        reason=f"version {champion} was replaced by version {version}, which has served before, from {key} on: {why}",
        evidence={"from": champion, "to": version, "why": why, "served": history},
        version=version,
        decided_by=decided_by,
        run_url=run_url,
    )
    session.add(decision)
    session.flush()
    session.add(Deployment(model=name, version=version, decision_id=decision.id, from_key=key))
    _owe(session, definition, decision, champion, settings)
    return decision


def _next_key(session: Session, definition: ModelDefinition) -> str:
    """The first partition without predictions, which the version will serve."""
    newest = session.scalar(select(func.max(Prediction.key)).where(Prediction.model == definition.name))
    if newest is not None:
        return definition.partitions.shift(newest, 1)
    deployment = models.current_deployment(session, definition.name)
    return str(deployment.from_key) if deployment else definition.partitions.key_of(definition.calendar.start)


def _owe(session: Session, definition: ModelDefinition, decision: Decision, champion: int, settings: Settings) -> None:
    registry = Registry(settings, definition.name)
    owe(
        session,
        definition,
        kind="rollback",
        key=decision.key,
        dedup_key=decision.dedup_key,
        subject=f"rolled back to version {decision.version}",
        body={
            "headline": f"Version {decision.version} serves again in place of version {champion}.",
            "summary": f"{decision.reason}",
            "facts": [
                ("Decided by", decision.decided_by),
                ("Serves from", decision.key),
                ("Replaced", f"version {champion}; its predictions are kept"),
            ],
            "next_steps": [
                f"Partitions that version {champion} has predicted keep its predictions: tell those who used them.",
                "The monitor watches the version that serves now from its next labels on.",
            ],
            "links": {"log": decision.run_url, "model": registry.url(int(decision.version or 0))},
        },
    )
