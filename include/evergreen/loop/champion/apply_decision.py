"""Carry out what the monitor decided about who serves: the version before is restored, or a challenger takes over."""

from __future__ import annotations

import logging

from sqlalchemy import select
from sqlalchemy.orm import Session

from evergreen.core.definition import ModelDefinition
from evergreen.core.ledger import Ledger
from evergreen.core.ledger.queries import decisions, versions
from evergreen.core.ledger.tables import Decision, Deployment, DriftCheck
from evergreen.errors import BadInputError, NotReadyError
from evergreen.loop.champion.alias import reconcile
from evergreen.loop.champion.promotion import POLICY, Decided, annotate
from evergreen.loop.champion.succession import serving_instead, succeed
from evergreen.loop.features.feature_code import check_code
from evergreen.loop.training.model_files import load
from evergreen.settings import Settings

log = logging.getLogger("evergreen.champion")


def follow(definition: ModelDefinition, decision_id: int, *, settings: Settings, run_url: str | None = None) -> Decided:
    """Have the version serve that the monitor's decision names; once, however often it is asked.

    If the champion has been replaced meanwhile, the decision stays as it was made, and a decision `no_action` after
    it says that it was not carried out, and why.

    Args:
        definition: the model.
        decision_id: of a decision of the monitor, of kind rollback or promote.
        settings: where ledger and registry are.
        run_url: address of the task's log.

    Raises:
        BadInputError: the decision is of another kind, or the version does not exist.
        NotReadyError: the champion that it was about has been replaced since.
        RefusedError: the version's file holds types that the definition does not trust.
        UnavailableError: ledger or registry do not answer; what was recorded stays, run it again.
    """
    name, ledger = definition.name, Ledger.from_settings(settings)
    with ledger.transaction() as session:
        decision = _decision(session, name, decision_id)
        version, done = int(decision.version or 0), _deployed(session, decision)
    if not done:
        load(definition, version, settings=settings, anew=True)  # what cannot be loaded cannot serve
        check_code(definition, version, settings)
    with ledger.lock("champion", name) as session:
        done = _deployed(session, decision)
        void = None if done else _void(session, decision, run_url)
        if not done and void is None:
            _change(session, definition, decision, settings=settings, run_url=run_url)
        if void is None:
            log.info("%s: %s", "done already" if done else decision.kind, decision.reason)
    if void is not None:
        raise NotReadyError(void)
    reconcile(definition, settings=settings)
    annotate(definition, decision, settings)
    return Decided(decision.id, decision.kind, version, decision.reason, done)


def _decision(session: Session, model: str, decision_id: int) -> Decision:
    found = session.get(Decision, decision_id)
    if found is None or found.model != model or found.kind not in ("rollback", "promote"):
        raise BadInputError(f"decision {decision_id} of {model} is not about who serves; `evergreen history {model}`")
    return found


def _deployed(session: Session, decision: Decision) -> bool:
    return session.scalar(select(Deployment.id).where(Deployment.decision_id == decision.id)) is not None


def _void(session: Session, decision: Decision, run_url: str | None) -> str | None:
    """Why the decision cannot be carried out any more, recorded under its own; None if it can."""
    try:
        serving_instead(session, decision.model, int(decision.evidence["version"]))
    except NotReadyError as changed:
        recorded = decisions.record(
            session,
            model=decision.model,
            kind="no_action",
            key=decision.key,
            dedup_key=f"{decisions.FOLLOW}{decision.id}",
            reason=f"decision {decision.id} ({decision.kind}) was not carried out: {changed}",
            evidence={"decision": decision.id, "version": decision.version},
            version=None,
            decided_by=POLICY,
            run_url=run_url,
        )
        return recorded.reason
    return None


def _change(
    session: Session, definition: ModelDefinition, decision: Decision, *, settings: Settings, run_url: str | None
) -> None:
    serving = serving_instead(session, definition.name, int(decision.evidence["version"]))
    check = session.get_one(DriftCheck, decision.evidence["drift_check_id"])
    succeed(
        session, definition, decision, serving, settings=settings, run_url=run_url, report=check.report_uri
    )  # fmt: skip
    run = versions.run_of_version(session, definition.name, int(decision.version or 0))
    if decision.kind == "promote" and run is not None:
        run.state = "promoted"
