"""Back to a version that has served, because a person asks for it; then the registry's alias."""

from __future__ import annotations

import logging

from sqlalchemy import select
from sqlalchemy.orm import Session

from evergreen.core.definition import ModelDefinition
from evergreen.core.ledger import Ledger
from evergreen.core.ledger.queries import decisions
from evergreen.core.ledger.tables import Decision, Deployment
from evergreen.core.names import PartitionKey
from evergreen.errors import BadInputError, NotReadyError
from evergreen.loop.champion.alias import reconcile
from evergreen.loop.champion.promotion import Decided, annotate, stated
from evergreen.loop.champion.succession import next_key, serving_instead, succeed
from evergreen.loop.features.feature_code import check_code
from evergreen.loop.training.model_files import load
from evergreen.settings import Settings

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
        to: the version; the one that served before the champion if None.
        why: a sentence, kept in the ledger.
        decided_by: a person's name.
        cause_key: names the cause; one cause rolls back once, however often it is asked.
        settings: where ledger and registry are.
        run_url: address of the task's log.

    Raises:
        NotReadyError: there is no champion yet.
        BadInputError: no reason is given, or there is no such version, it has never served, or it serves already.
        RefusedError: its file holds types that the definition does not trust.
        UnavailableError: ledger or registry do not answer; what was recorded stays, run it again.
    """
    why = stated(why)
    name, dedup_key = definition.name, f"rollback:{cause_key}"
    with Ledger.from_settings(settings).transaction() as session:
        done = decisions.find(session, name, dedup_key)
        wanted = done.version if done is not None else target(served(session, name), to, name)
    if done is None:
        # What cannot be loaded, or be fed by the code that it was made from, cannot serve.
        load(definition, int(wanted or 0), settings=settings, anew=True)
        check_code(definition, int(wanted or 0), settings)
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
    """Decision, deployment and the unsent mail: all or nothing. The target is chosen again, under the lock."""
    name = definition.name
    history, serving = served(session, name), serving_instead(session, name, None)
    version, champion = target(history, to, name), history[-1]
    key = next_key(session, definition, PartitionKey(str(serving.from_key)))
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
    succeed(session, definition, decision, serving, settings=settings, run_url=run_url)
    return decision
