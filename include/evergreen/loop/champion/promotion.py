"""Promote or refuse: decision, deployment and mail in one transaction, then the registry's alias."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from evergreen.core.definition import ModelDefinition
from evergreen.core.ledger import Ledger
from evergreen.core.ledger.outbox import owe, sentence
from evergreen.core.ledger.queries import collected, decisions, versions
from evergreen.core.ledger.tables import Comparison, Decision, Deployment, TrainingRun
from evergreen.core.names import PartitionKey
from evergreen.core.text import said
from evergreen.errors import BadInputError, CollectedError, NotReadyError, RefusedError
from evergreen.loop.champion.alias import reconcile
from evergreen.loop.champion.approval import chart, guard_table, rival, unformatted
from evergreen.loop.champion.succession import next_key
from evergreen.loop.features.feature_code import said as fed_by
from evergreen.loop.training.tracking import TAG, Registry, answering
from evergreen.settings import Settings

log = logging.getLogger("evergreen.champion")

Kind = Literal["promote", "refuse"]
POLICY, NOBODY = "policy", "nobody in time"


@dataclass(frozen=True)
class Decided:
    """A decision on a challenger, as recorded."""

    decision_id: int
    kind: str
    version: int
    reason: str
    reused: bool
    """Whether it had been recorded before"""


def conclude(
    definition: ModelDefinition,
    training_run_id: int,
    outcome: str,
    *,
    approval: tuple[bool, str] | None,
    settings: Settings,
    run_url: str | None = None,
) -> Decided:
    """Record what the gate said or, if it asked, what the person answered.

    Args:
        definition: the model.
        training_run_id: whose challenger it is about.
        outcome: promote, refuse or ask, as `evaluate` returned it.
        approval: whether the person said yes, and their name; None if nobody was asked or answered: no.
        settings: where ledger and registry are.
        run_url: address of the task's log.

    Raises:
        NotReadyError: the challenger was not compared yet.
        BadInputError: the ledger holds another outcome of the gate.
        UnavailableError: ledger or registry do not answer; what was recorded stays, run it again.
    """
    yes, who = outcome == "promote", POLICY
    if outcome == "ask":
        yes, who = approval or (False, NOBODY)
    kind: Kind = "promote" if yes else "refuse"
    return _decide(definition, training_run_id, _Wish(kind, who, outcome), settings=settings, run_url=run_url)


def promote(
    definition: ModelDefinition,
    training_run_id: int,
    *,
    settings: Settings,
    decided_by: str,
    why: str = "",
    first: bool = False,
    run_url: str | None = None,
) -> Decided:
    """Make the run's challenger the champion because `decided_by`, a person, says so.

    What the gate said stands in the decision's reason, and `why` if the person says it. A challenger that was
    refused before can be promoted so.

    Raises:
        NotReadyError: the challenger was not compared yet.
        BadInputError: the reason is blank, or it is the champion already, by another decision.
        RefusedError: it gives no usable predictions; or `first` is set, and another version serves by now.
        UnavailableError: ledger or registry do not answer; what was recorded stays, run it again.
    """
    wish = _Wish("promote", decided_by, None, stated(why) if why else "", first)
    return _decide(definition, training_run_id, wish, settings=settings, run_url=run_url)


def stated(why: str) -> str:
    """A person's reason, as it is recorded.

    Raises:
        BadInputError: nothing is left of it.
    """
    if not why.strip():
        raise BadInputError("say why, in a sentence: it is what the ledger keeps")
    return said(why)


def refuse(
    definition: ModelDefinition,
    training_run_id: int,
    *,
    settings: Settings,
    decided_by: str,
    run_url: str | None = None,
) -> Decided:
    """Record that `decided_by`, a person, refuses the run's challenger; raises as `promote`."""
    wish = _Wish("refuse", decided_by, None)
    return _decide(definition, training_run_id, wish, settings=settings, run_url=run_url)


@dataclass(frozen=True)
class _Wish:
    kind: Kind
    decided_by: str
    outcome: str | None
    """What the caller was told the gate said; None if a person decides against or without it"""
    why: str = ""
    first: bool = False
    """Whether it may only be the first champion"""


def _decide(
    definition: ModelDefinition, training_run_id: int, wish: _Wish, *, settings: Settings, run_url: str | None
) -> Decided:
    name = definition.name
    with Ledger.from_settings(settings).lock("champion", name) as session:
        run = versions.training_run(session, name, training_run_id)
        comparison = versions.comparison_of(session, run.id)
        if comparison is None:
            raise NotReadyError(f"training run {run.id} of {name} was not compared yet; run its task `compare` first")
        if wish.outcome not in (None, comparison.result["outcome"]):
            raise BadInputError(
                f"training run {run.id} of {name}: asked to conclude {wish.outcome!r}, but the ledger says the gate's "
                f"outcome was {comparison.result['outcome']!r}; clear the task `compare` and what follows it"
            )
        decision = _earlier(session, run, wish)
        reused = decision is not None
        if not reused and wish.kind == "promote":
            _check_kept(session, run)
        if decision is None:
            decision = _record(session, definition, run, comparison, wish, run_url, settings)
        log.info("%s: %s", "decided already" if reused else decision.kind, decision.reason)
    reconcile(definition, settings=settings)
    annotate(definition, decision, settings)
    return Decided(decision.id, decision.kind, int(decision.version or 0), decision.reason, reused)


def _check_kept(session: Session, run: TrainingRun) -> None:
    found = collected.newest(session, [collected.model_name(run.model, int(run.version or 0))])
    if found is not None:
        raise CollectedError(
            f"version {run.version} of {run.model} cannot serve: it was {collected.sentence(found)}. Trigger "
            f"{run.model}.train for another one"
        )


def _earlier(session: Session, run: TrainingRun, wish: _Wish) -> Decision | None:
    """The run's last decision, unless a person now asks to promote what was refused."""
    keys = [decisions.gate_key(run.id, forced=forced) for forced in (False, True)]
    query = select(Decision).where(Decision.model == run.model, Decision.dedup_key.in_(keys))
    found = session.scalars(query.order_by(Decision.id.desc()).limit(1)).one_or_none()
    overruled = found is not None and found.kind == "refuse" and wish.kind == "promote" and wish.outcome is None
    return None if overruled else found


def annotate(definition: ModelDefinition, decision: Decision, settings: Settings) -> None:
    """Say on the version's page in the registry what was decided."""
    text = f"Decision {decision.id} ({decision.kind}, by {decision.decided_by}): {unformatted(decision.reason)}"
    with answering(settings, "note the decision on the version"):
        tags = {f"{TAG}decision": decision.kind, f"{TAG}decision_id": str(decision.id)}
        Registry(settings, definition.name).annotate(int(decision.version or 0), text, tags)


def _record(
    session: Session,
    definition: ModelDefinition,
    run: TrainingRun,
    comparison: Comparison,
    wish: _Wish,
    run_url: str | None,
    settings: Settings,
) -> Decision:
    """Decision, deployment, the run's state and the unsent mail: all or nothing."""
    kind, reason = _settle(session, definition, comparison, wish)
    decision = Decision(
        model=definition.name,
        kind=kind,
        key=run.as_of,
        dedup_key=decisions.gate_key(run.id, forced=wish.outcome is None),
        reason=reason,
        evidence={
            "comparison": {k: v for k, v in comparison.result.items() if k != "by_cluster"},
            "guards": comparison.guards,
            "keys": comparison.keys,
            "champion": comparison.champion_version,
            "training_run": run.id,
        },
        version=run.version,
        decided_by=wish.decided_by,
        run_url=run_url,
    )
    session.add(decision)
    session.flush()
    if kind == "promote":
        # The partition that was just checked has the predictions of the champion before.
        first = first_served(definition, run.as_of)
        from_key = max(first, next_key(session, definition, first))
        session.add(Deployment(model=definition.name, version=run.version, decision_id=decision.id, from_key=from_key))
    run.state = "promoted" if kind == "promote" else "refused"
    run.finished_at = func.now()
    _owe(session, definition, run, comparison, decision, settings)
    return decision


def _settle(session: Session, definition: ModelDefinition, comparison: Comparison, wish: _Wish) -> tuple[Kind, str]:
    """Kind and reason, again under the lock: a champion that changed meanwhile makes the comparison void."""
    deployment = versions.current_deployment(session, definition.name)
    serving = deployment.version if deployment else None
    said = str(comparison.result["reason"])
    if wish.first and serving is not None:
        raise RefusedError(
            f"version {serving} of {definition.name} serves by now, so that version {comparison.challenger_version} is "
            f"no first champion; promote it with evergreen promote if it is to replace that one"
        )
    if wish.kind == "promote" and wish.outcome is not None and serving != comparison.champion_version:
        return "refuse", (
            f"the champion changed to version {serving} after version {comparison.challenger_version} was compared "
            f"with {rival(comparison)}, so that says nothing: refused; train again"
        )
    if wish.decided_by == POLICY:
        return wish.kind, said
    if wish.kind == "promote" and wish.outcome is None and serving == comparison.challenger_version:
        raise BadInputError(f"version {serving} of {definition.name} is the champion already; nothing was changed")
    unusable = [g for g in comparison.guards if g["name"] == "signature" and g["state"] == "failed"]
    if wish.kind == "promote" and unusable:
        raise RefusedError(
            f"version {comparison.challenger_version} of {definition.name} cannot serve, whoever asks for it: "
            f"{unusable[0]['sentence']}. Train another one"
        )
    verb = "promoted" if wish.kind == "promote" else "refused"
    gate = comparison.result["outcome"]
    forced = ", against the gate" if wish.outcome is None and wish.kind == "promote" and gate == "refuse" else ""
    why = f" ({wish.why})" if wish.why else ""
    return wish.kind, f"{verb} by {wish.decided_by}{forced}{why}; the gate said {gate}: {said}"


def first_served(definition: ModelDefinition, as_of: PartitionKey) -> PartitionKey:
    """The first partition that a champion decided on labels through `as_of` can serve, if none did before. Pure.

    Labels of `as_of` land with the inputs of the partition `label_delay` later, which waits for its predictions.
    """
    return definition.partitions.shift(as_of, max(1, definition.feed.label_delay))


def _owe(
    session: Session,
    definition: ModelDefinition,
    run: TrainingRun,
    comparison: Comparison,
    decision: Decision,
    settings: Settings,
) -> None:
    promoted = decision.kind == "promote"
    words = f"version {run.version} {'promoted' if promoted else 'refused'}"
    owe(
        session,
        definition,
        kind="promotion" if promoted else "refusal",
        key=run.as_of,
        dedup_key=decision.dedup_key,
        subject=words,
        body={
            "headline": f"Challenger {words} (trained because of {run.cause}).",
            "summary": f"{sentence(decision.reason)} Cause: {run.reason}",
            "facts": [
                ("Decided by", decision.decided_by),
                ("Compared with", rival(comparison)),
                ("Judged on", ", ".join(comparison.keys) or "nothing"),
                ("Trained on", f"{run.dataset['train_keys'][0]} to {run.dataset['train_keys'][-1]}"),
                ("Candidate", run.candidate),
                ("Dataset", run.dataset_hash[:12]),
                ("Feature code", fed_by(session, definition.name, int(run.version or 0), comparison.champion_version)),
            ],
            "table": guard_table(comparison),
            "chart": chart(definition, run, comparison),
            "next_steps": _next_steps(definition, promoted),
            "links": {"log": decision.run_url, "model": Registry(settings, definition.name).url(int(run.version or 0))},
        },
    )


def _next_steps(definition: ModelDefinition, promoted: bool) -> list[str]:
    if promoted:
        return [
            "Nothing to do: the next partitions are scored by this version.",
            f"If it should not serve: `evergreen rollback {definition.name} --why REASON`, or the DAG "
            f"{definition.name}.rollback.",
        ]
    return [
        "Nothing to do: the champion goes on serving.",
        "If refusals repeat while the realised loss rises, look at features and labels before thresholds.",
    ]
