"""Is another version that is there already better than the champion? On the very rows, once their labels have landed.

Two can be: the version that served before, while the promotion that replaced it is young, and the newest challenger
that the gate refused for want of proof. Both go on being scored in the shadow; `regret` says what that has proven.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from evergreen.champion import gate
from evergreen.champion.decide import NOBODY, POLICY
from evergreen.definition import ModelDefinition
from evergreen.errors import BadInputError, RefusedError
from evergreen.ledger import decisions, models
from evergreen.ledger.tables import Comparison, Decision, Deployment, TrainingRun
from evergreen.monitoring import regret
from evergreen.monitoring.evidence import Evidence
from evergreen.monitoring.harm import Cluster
from evergreen.monitoring.regret import PairedCluster, RegretResult
from evergreen.monitoring.shadow import Shadow, score_in_shadow
from evergreen.settings import Settings

log = logging.getLogger("evergreen.monitoring")


@dataclass(frozen=True)
class Candidate:
    """A version to compare the champion with, and the labelled partitions to do it on, oldest first."""

    version: int
    keys: tuple[str, ...]
    look: int
    """How many partitions have been labelled since the comparison began"""
    earlier: int = 0
    """Challengers that the champion has met before this one"""


@dataclass(frozen=True)
class Candidates:
    """Who could serve in the champion's place."""

    before: Candidate | None
    challenger: Candidate | None


@dataclass(frozen=True)
class Rival:
    """What a version has proven against the champion."""

    version: int
    found: RegretResult

    @property
    def sentence(self) -> str:
        """What was found, in words."""
        return f"Version {self.version}: {self.found.sentence}"


@dataclass(frozen=True)
class Rivals:
    """What both have proven; None where there is no such version, or nothing to judge it by."""

    before: Rival | None = None
    challenger: Rival | None = None


def compare_with_rivals(
    session: Session, definition: ModelDefinition, known: Evidence, *, settings: Settings
) -> Rivals:
    """Find the rivals of the champion, score what was not scored yet, and judge.

    A rival that the registry has lost, or whose file is not trusted any more, is none: it is logged, and what else the
    check sees does not depend on it.

    Raises:
        UnavailableError: the ledger, the registry, the store or the feature remotes do not answer.
    """
    who = candidates(session, definition, known)
    return Rivals(*(_compare(definition, known.version, rival, settings) for rival in (who.before, who.challenger)))


def _compare(definition: ModelDefinition, champion: int, rival: Candidate | None, settings: Settings) -> Rival | None:
    if rival is None:
        return None
    try:
        shadow = score_in_shadow(definition, [champion, rival.version], rival.keys, settings=settings)
    except (BadInputError, RefusedError) as error:
        log.warning("version %d cannot be compared with the champion: %s", rival.version, error)
        return None
    return judge(definition, champion, rival, shadow)


def candidates(session: Session, definition: ModelDefinition, known: Evidence) -> Candidates:
    """Who could serve in the champion's place, as the ledger knew when the partition was due."""
    if known.serving.version != known.version:
        return Candidates(None, None)
    return Candidates(_before(session, definition, known), _challenger(session, definition, known))


def judge(definition: ModelDefinition, champion: int, rival: Candidate | None, shadow: Shadow) -> Rival | None:
    """What `rival` has proven on the partitions where both were scored. Pure."""
    if rival is None:
        return None
    settings, pairs = definition.monitoring, list[PairedCluster]()
    for key in rival.keys:
        if (champion, key) in shadow and (rival.version, key) in shadow:
            pairs.extend(paired(shadow[champion, key], shadow[rival.version, key]))
    alpha = gate.level(settings.rival_alpha, rival.earlier)
    found = regret.judge(pairs, alpha=alpha, margin=settings.rival_margin, look=rival.look)
    return Rival(rival.version, found) if pairs else None


def paired(champion: Sequence[Cluster], rival: Iterable[Cluster]) -> list[PairedCluster]:
    """Clusters of the same rows under both versions, in the champion's order. Pure."""
    theirs = {cluster.name: cluster for cluster in rival}
    return [PairedCluster(c.name, c.rows, c.loss, theirs[c.name].loss) for c in champion if c.name in theirs]


def _before(session: Session, definition: ModelDefinition, known: Evidence) -> Candidate | None:
    """The version that the champion replaced; none where a person put the champion there against the gate."""
    served = tuple(p.key for p in known.own_losses)
    if not served or len(served) > definition.monitoring.rollback_within:
        return None
    decision = session.get_one(Decision, known.serving.decision_id)
    if decision.kind != "promote" or decisions.is_forced(decision):
        return None
    query = select(Deployment).where(Deployment.model == definition.name, Deployment.id < known.serving.id)
    earlier = session.scalar(query.order_by(Deployment.id.desc()).limit(1))
    if earlier is None or earlier.version == known.version:
        return None
    return Candidate(earlier.version, served, look=len(served))


def _challenger(session: Session, definition: ModelDefinition, known: Evidence) -> Candidate | None:
    """The newest challenger of this champion, where the gate refused it for nothing but a lack of proof."""
    query = (
        select(TrainingRun, Comparison)
        .join(Comparison, Comparison.training_run_id == TrainingRun.id)
        .where(
            TrainingRun.model == definition.name,
            TrainingRun.as_of <= known.labels_through,
            Comparison.champion_version == known.version,
        )
        .order_by(TrainingRun.id.desc())
        .limit(1)
    )
    found = session.execute(query).first()
    if found is None:
        return None
    run, comparison = found
    decision = decisions.of_gate(session, definition.name, run.id)
    lacks_proof = comparison.verdict != "worse" and all(guard["state"] != "failed" for guard in comparison.guards)
    if decision is None or decision.kind != "refuse" or decision.decided_by not in (POLICY, NOBODY) or not lacks_proof:
        return None
    champion = models.run_of_version(session, definition.name, known.version)
    seen = set(champion.dataset["train_keys"]) if champion else set()
    unseen = [key for key in run.dataset["holdout_keys"] if key not in seen]
    later = [key for key in known.labels if key > run.as_of]
    if not later:
        return None
    earlier = models.looks_at(session, definition.name, known.version, before=comparison.id)
    return Candidate(comparison.challenger_version, (*unseen, *later), look=len(later), earlier=earlier)
