"""Is another version that is there already better than the champion? On the very rows, once their labels have landed.

Three kinds can be: the version that served before, while the promotion that replaced it is young; the newest challenger
that the gate refused because of insufficient evidence; and versions that served earlier, whose world may have returned.
All are still scored in the shadow; `regret_test` and, for the last, `recurrence_test` say what that has proven.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from evergreen.core.definition import ModelDefinition
from evergreen.core.ledger.queries import decisions, versions
from evergreen.core.ledger.tables import Comparison, Decision, Deployment, Performance, TrainingRun
from evergreen.core.names import PartitionKey
from evergreen.errors import BadInputError, RefusedError
from evergreen.loop.champion.evaluation import gate
from evergreen.loop.champion.evaluation.guards import CANNOT_PREDICT
from evergreen.loop.champion.promotion import NOBODY, POLICY
from evergreen.loop.monitoring.evidence import Evidence
from evergreen.loop.monitoring.loss.harm_test import Cluster
from evergreen.loop.monitoring.rivals import recurrence_test, regret_test
from evergreen.loop.monitoring.rivals.regret_test import PairedCluster, RegretResult
from evergreen.loop.monitoring.rivals.shadow_scores import Shadow, score_in_shadow
from evergreen.settings import Settings

log = logging.getLogger("evergreen.monitoring")


@dataclass(frozen=True)
class Candidate:
    """A version to compare the champion with, and the labelled partitions to do it on, oldest first."""

    version: int
    keys: tuple[PartitionKey, ...]
    look: int
    """How many partitions have been labelled since the comparison began"""
    earlier: int = 0
    """Challengers that the champion has met before this one"""


@dataclass(frozen=True)
class Candidates:
    """Who could serve in the champion's place."""

    before: Candidate | None
    challenger: Candidate | None
    earlier: tuple[Candidate, ...] = ()
    """The newest first"""

    @property
    def all(self) -> tuple[Candidate, ...]:
        """Those there are."""
        return tuple(rival for rival in (self.before, self.challenger, *self.earlier) if rival is not None)


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
    """What they have proven; None if there is no such version, or nothing to judge it by."""

    before: Rival | None = None
    challenger: Rival | None = None
    earlier: tuple[Rival, ...] = ()

    @property
    def all(self) -> tuple[Rival, ...]:
        """Those there are."""
        return tuple(rival for rival in (self.before, self.challenger, *self.earlier) if rival is not None)

    @property
    def comeback(self) -> int | None:
        """The earlier version that is proven better by most, or None."""
        proven = [rival for rival in self.earlier if rival.found.proven]
        return max(proven, key=lambda rival: rival.found.relative).version if proven else None


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
    scored = {rival: _scored(definition, known.version, rival, settings) for rival in who.all}
    earlier = (
        judge_earlier(definition, known.version, rival, scored[rival], len(who.earlier)) for rival in who.earlier
    )
    found = Rivals(
        before=judge(definition, known.version, who.before, scored[who.before]) if who.before else None,
        challenger=judge(definition, known.version, who.challenger, scored[who.challenger]) if who.challenger else None,
        earlier=tuple(rival for rival in earlier if rival is not None),
    )
    return _with_enough(definition, known, who, found)


def _with_enough(definition: ModelDefinition, known: Evidence, who: Candidates, found: Rivals) -> Rivals:
    """The same, but nothing is proven on fewer rows of the rarer class than the gate asks for; most ask for none."""
    if not definition.min_positives:
        return found
    keys = {rival.version: rival.keys for rival in who.all} | {
        rival.version: rival.keys[-min(recurrence_test.WINDOWS) :] for rival in who.earlier
    }

    def checked(rival: Rival) -> Rival:
        few = gate.too_few(rarer_rows(known.losses, keys[rival.version]), definition.min_positives)
        if few is None or not rival.found.proven:
            return rival
        said = f"{rival.found.sentence} It does not count: {few}."
        return Rival(rival.version, replace(rival.found, proven=False, sentence=said))

    return Rivals(
        before=checked(found.before) if found.before else None,
        challenger=checked(found.challenger) if found.challenger else None,
        earlier=tuple(checked(rival) for rival in found.earlier),
    )


def rarer_rows(losses: Mapping[PartitionKey, Performance], keys: Iterable[PartitionKey]) -> int:
    """Labelled rows of the class that has fewer, of a binary task, on the partitions that were measured. Pure."""
    measured = [losses[key] for key in keys if key in losses]
    ones = sum(round(float(row.metrics.get("mean_target", 0.0)) * row.rows) for row in measured)
    return min(ones, sum(row.rows for row in measured) - ones)


def _scored(definition: ModelDefinition, champion: int, rival: Candidate, settings: Settings) -> Shadow:
    """Losses of both; none if the rival cannot be scored."""
    try:
        return score_in_shadow(definition, [champion, rival.version], rival.keys, settings=settings)
    except (BadInputError, RefusedError, ImportError, *CANNOT_PREDICT) as error:
        log.warning("version %d cannot be compared with the champion: %s", rival.version, error)
        return {}


def candidates(session: Session, definition: ModelDefinition, known: Evidence) -> Candidates:
    """Who could serve in the champion's place, as the ledger knew when the partition was due."""
    if known.serving.version != known.version:
        return Candidates(None, None)
    before, challenger = _before(session, definition, known), _challenger(session, definition, known)
    return Candidates(before, challenger, _earlier(session, definition, known, besides=before))


def judge(definition: ModelDefinition, champion: int, rival: Candidate, shadow: Shadow) -> Rival | None:
    """What `rival` has proven on the partitions where both were scored. Pure."""
    settings = definition.monitoring
    pairs = [pair for partition in _pairs(champion, rival, shadow) for pair in partition]
    alpha = gate.level(settings.rival_alpha, rival.earlier)
    found = regret_test.judge(pairs, alpha=alpha, margin=settings.rival_margin, look=rival.look)
    return Rival(rival.version, found) if pairs else None


def judge_earlier(
    definition: ModelDefinition, champion: int, rival: Candidate, shadow: Shadow, versions: int
) -> Rival | None:
    """What one of `versions` that served earlier has proven on the newest partitions. Pure."""
    settings = definition.monitoring
    found = recurrence_test.judge(
        _pairs(champion, rival, shadow),
        alpha=settings.rival_alpha,
        margin=settings.rival_margin,
        look=rival.look,
        versions=versions,
    )
    return Rival(rival.version, found) if found else None


def _pairs(champion: int, rival: Candidate, shadow: Shadow) -> list[list[PairedCluster]]:
    """Paired clusters of each partition where both were scored."""
    both = [key for key in rival.keys if (champion, key) in shadow and (rival.version, key) in shadow]
    return [paired(shadow[champion, key], shadow[rival.version, key]) for key in both]


def paired(champion: Sequence[Cluster], rival: Iterable[Cluster]) -> list[PairedCluster]:
    """Clusters of the same rows under both versions, in the champion's order. Pure."""
    theirs = {cluster.name: cluster for cluster in rival}
    return [PairedCluster(c.name, c.rows, c.loss, theirs[c.name].loss) for c in champion if c.name in theirs]


def _before(session: Session, definition: ModelDefinition, known: Evidence) -> Candidate | None:
    """The version that the champion replaced; none if a person put the champion there against the gate."""
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


def _earlier(
    session: Session, definition: ModelDefinition, known: Evidence, besides: Candidate | None
) -> tuple[Candidate, ...]:
    """The newest versions that served before the champion and may be restored.

    Not the one before, while its own test may take the promotion back: two tests would err twice as often.
    """
    query = select(Deployment, Decision).join(Decision, Decision.id == Deployment.decision_id)
    found = session.execute(
        query.where(Deployment.model == definition.name, Deployment.id <= known.serving.id).order_by(Deployment.id)
    )
    placed = [Placed(row.Deployment.version, _by_a_person(row.Decision), row.Decision.kind) for row in found]
    others = {known.version, *([besides.version] if besides else [])}
    candidates = [version for version in may_come_back(placed) if version not in others]
    served = [p.key for p in known.own_losses]
    keys = tuple(served[-max(recurrence_test.WINDOWS) :])
    chosen = _spread(session, definition, known, candidates) if len(keys) >= min(recurrence_test.WINDOWS) else []
    return tuple(Candidate(version, keys, look=len(served)) for version in chosen)


def _spread(session: Session, definition: ModelDefinition, known: Evidence, candidates: Sequence[int]) -> list[int]:
    """Those of the versions, the newest first, that are compared with the champion (see `recurrence_test.spread`)."""
    if not definition.monitoring.learned_pace:
        return list(candidates[: definition.monitoring.pool])
    query = select(TrainingRun.version, TrainingRun.as_of).where(
        TrainingRun.model == definition.name, TrainingRun.version.in_(candidates)
    )
    ends = {version: as_of for version, as_of in session.execute(query) if version is not None}
    made = [(version, ends[version]) for version in candidates if version in ends]
    return recurrence_test.spread(definition, made, champion=known.as_of)


def _by_a_person(decision: Decision) -> bool:
    """Whether a person put the version there, without the gate or against it."""
    return decisions.is_forced(decision) or (decision.kind == "rollback" and decision.decided_by != POLICY)


@dataclass(frozen=True)
class Placed:
    """A version that was put in the champion's place."""

    version: int
    by_a_person: bool
    kind: Literal["promote", "rollback"]


def may_come_back(placed: Sequence[Placed]) -> list[int]:
    """Versions that have served, the newest first, as far as no person has said otherwise. Pure.

    None does while a champion serves that a person put there; and one that a person rolled back from stays away until
    it is put there again, as what was wrong with it need not show in the loss.
    """
    if not placed or placed[-1].by_a_person:
        return []
    taken_away: set[int] = set()
    for earlier, later in pairwise(placed):
        taken_away.discard(later.version)
        if later.by_a_person and later.kind == "rollback":
            taken_away.add(earlier.version)
    newest_first = dict.fromkeys(place.version for place in reversed(placed))
    return [version for version in newest_first if version not in taken_away]


def _challenger(session: Session, definition: ModelDefinition, known: Evidence) -> Candidate | None:
    """The newest challenger of this champion, if the gate refused it only because of insufficient evidence.

    One that has served since was replaced again, and is restored only as an earlier version is (`may_come_back`).
    """
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
    if decisions.deployment_of(session, definition.name, comparison.challenger_version) is not None:
        return None
    champion = versions.run_of_version(session, definition.name, known.version)
    seen = set(champion.dataset["train_keys"]) if champion else set()
    unseen = [key for key in run.dataset["holdout_keys"] if key not in seen]
    later = [key for key in known.labels if key > run.as_of]
    if not later:
        return None
    earlier = versions.looks_at(session, definition.name, known.version, before=comparison.id)
    return Candidate(comparison.challenger_version, (*unseen, *later), look=len(later), earlier=earlier)
