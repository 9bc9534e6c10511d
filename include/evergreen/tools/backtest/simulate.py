"""Walk one policy through a history, partition by partition, knowing at each what had landed by then.

At partition P the champion predicts P; the labels of P - label_delay land; the policy looks and may ask for a
retrain, which is made of the labels that have landed, or for a version that is there already. What changes serves from
the next partition on. Challengers meet the champion at the gate, as the train DAG has it; a policy that promotes
without a gate says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

import numpy as np

from evergreen.core.names import PartitionKey
from evergreen.core.values import MonitorDecision
from evergreen.errors import NotReadyError
from evergreen.loop.champion.evaluation import guards, record
from evergreen.loop.champion.evaluation.gate import GateVerdict, decide, level, mode_for, too_few
from evergreen.loop.champion.evaluation.guards import Guard
from evergreen.loop.champion.evaluation.paired_test import Comparison, compare, nothing
from evergreen.loop.champion.evaluation.record import Met
from evergreen.loop.champion.evaluation.scores import Predicted, Scores, judge_guards, rarer, score
from evergreen.loop.training.examples import concatenate
from evergreen.tools.backtest.challengers import Fits

Ending = Literal["promoted", "refused"]
HINDSIGHT = 4
"""Partitions over which it is judged afterwards whether a training was worth its while"""


@dataclass(frozen=True)
class Wish:
    """What a policy asks for."""

    kind: MonitorDecision = "no_action"
    cause: str = ""
    reason: str = ""
    drifted: tuple[str, ...] = ()
    harmed: bool = False
    effects: Mapping[str, float] = field(default_factory=dict)
    """By how much each has drifted, in standard deviations"""
    version: int | None = None
    """Who serves from now on, if it is a rollback or a promotion"""


@dataclass(frozen=True)
class Champion:
    """A model that serves.

    Attributes:
        as_of: newest partition whose labels it was made of; names the challenger it was.
        from_key: first partition it served.
        version: counts trainings, as the registry does; a version that is restored keeps its number.
    """

    as_of: PartitionKey
    from_key: PartitionKey
    version: int


@dataclass(frozen=True)
class Step:
    """One partition of a replay."""

    key: PartitionKey
    champion: Champion
    loss: float
    """Mean loss of the champion on it"""
    wish: Wish
    ending: Ending | None = None
    """What became of the challenger, if one was trained"""
    why: str = ""
    """What the gate said of it"""
    useless: bool = False
    """Whether its challenger would have lost as much or more over the next partitions: known only afterwards"""


@dataclass(frozen=True)
class Now:
    """What a policy may look at after `key` was predicted."""

    fits: Fits
    key: PartitionKey
    labels_through: PartitionKey
    """Newest partition whose labels have landed"""
    champion: Champion
    before: Champion | None
    """Version that served before, for as long as it can be restored"""
    shadow: Champion | None
    """The newest challenger that was refused because of insufficient evidence; it is still scored beside the
    champion"""
    steps: tuple[Step, ...]
    """What has been, oldest first"""
    met: int = 0
    """Challengers that the champion has met"""
    earlier: tuple[Champion, ...] = ()
    """Who has served, each version once, the newest first, without the champion"""
    record: tuple[Met, ...] = ()
    """Challengers that any champion has met, oldest first"""

    @property
    def served(self) -> list[PartitionKey]:
        """Partitions the champion has served whose labels have landed, oldest first."""
        from_key = self.champion.from_key
        return [p.key for p in self.fits.history if from_key <= p.key <= self.labels_through and len(p.examples)]


class Policy(Protocol):
    """Decides, after each partition."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def gated(self) -> bool:
        """Whether its challengers have to pass the gate."""
        ...

    def decide(self, now: Now) -> Wish:
        """What it asks for."""
        ...


@dataclass(frozen=True)
class Replay:
    """What came of one policy."""

    policy: str
    steps: tuple[Step, ...]

    @property
    def mean_loss(self) -> float:
        """Mean over the partitions of the champion's mean loss."""
        return float(np.mean([step.loss for step in self.steps]))

    @property
    def trainings(self) -> int:
        """Challengers trained, refused ones too; the first champion does not count."""
        return sum(step.ending is not None for step in self.steps)

    @property
    def promotions(self) -> int:
        """Challengers promoted, at the gate or out of the shadow."""
        return sum(step.ending == "promoted" or step.wish.kind == "promote" for step in self.steps)

    @property
    def refusals(self) -> int:
        """Challengers that the gate refused."""
        return sum(step.ending == "refused" for step in self.steps)

    @property
    def rollbacks(self) -> int:
        """Times an earlier version was restored."""
        return sum(step.wish.kind == "rollback" for step in self.steps)

    @property
    def false_alarms(self) -> int:
        """Trainings whose challenger would have lost as much or more over the partitions that followed."""
        return sum(step.useless for step in self.steps)

    def cost(self, price: float) -> float:
        """Sum of the losses, and `price` for each training."""
        return sum(step.loss for step in self.steps) + price * self.trainings


def served_keys(fits: Fits, start: PartitionKey | None = None) -> tuple[PartitionKey, list[PartitionKey]]:
    """The first champion's `as_of` and the labelled partitions that are replayed.

    It is the first challenger with a full window, or that of `start`; a shorter history begins with its first.

    Raises:
        NotReadyError: the history is too short for a champion and a partition to serve.
    """
    definition, keys = fits.history.definition, list(fits.by_as_of)
    full = (k for k in keys if len(fits.by_as_of[k].train_keys) >= definition.training.window)
    first = start or next(full, next(iter(keys), None))
    if first is None or first not in fits.by_as_of:
        raise NotReadyError(f"{definition.name}: not enough labelled partitions for a first champion: land more weeks")
    after = definition.partitions.shift(first, definition.feed.label_delay)
    served = [p.key for p in fits.history if p.key > after and len(p.examples)]
    if len(served) < 2:
        raise NotReadyError(f"{definition.name}: {len(served)} partition(s) left to replay after the first champion")
    return first, served


def simulate(fits: Fits, policy: Policy, *, start: PartitionKey | None = None) -> Replay:
    """Replay `policy` over all that follows the first champion (see `served_keys`, which raises)."""
    first, served = served_keys(fits, start)
    definition = fits.history.definition
    place, steps, version = Place(Champion(first, served[0], 1)), list[Step](), 1
    for key in served:
        through = definition.partitions.shift(key, -definition.feed.label_delay)
        met = place.looks.get(place.champion.version, 0)
        now = Now(fits, key, through, place.champion, place.before, place.shadow, tuple(steps), met, place.earlier,
            place.record)  # fmt: skip
        wish = policy.decide(now)
        loss = float(fits.losses(place.champion.as_of, key).mean())
        step, next_key = Step(key, place.champion, loss, wish), definition.partitions.shift(key, 1)
        if wish.kind == "retrain" and through in fits.by_as_of and through > place.champion.as_of:
            version += 1
            step, place = _train(fits, policy, step, place, Champion(through, next_key, version))
        elif wish.kind == "rollback":
            back = next(one for one in place.earlier if one.version == wish.version)
            place = place.then(replace(back, from_key=next_key), before=None)
        elif wish.kind == "promote" and place.shadow is not None:
            place = place.then(replace(place.shadow, from_key=next_key), before=place.champion)
        steps.append(step)
    return Replay(policy.name, tuple(steps))


@dataclass(frozen=True)
class Place:
    """Who serves, who did before, and who is scored beside."""

    champion: Champion
    before: Champion | None = None
    shadow: Champion | None = None
    looks: Mapping[int, int] = field(default_factory=dict)
    """Challengers that each version has met as the champion"""
    earlier: tuple[Champion, ...] = ()
    """Who has served, each version once, the newest first, without the champion"""
    record: tuple[Met, ...] = ()
    """Challengers that any champion has met, oldest first"""

    def then(self, champion: Champion, *, before: Champion | None, looks: Mapping[int, int] | None = None) -> Place:
        """After `champion` has taken the place."""
        served = (self.champion, *(one for one in self.earlier if one.version != champion.version))
        known = self.looks if looks is None else looks
        return Place(champion, before, looks=known, earlier=served, record=self.record)


def _train(fits: Fits, policy: Policy, step: Step, place: Place, challenger: Champion) -> tuple[Step, Place]:
    """The step with what became of the challenger, and who serves next."""
    as_of, useless = challenger.as_of, _useless(fits, place.champion.as_of, challenger.as_of, step.key)
    if not policy.gated:
        done = replace(step, ending="promoted", why="promoted without a gate", useless=useless)
        return done, place.then(challenger, before=place.champion)
    champion, met = place.champion.version, place.looks.get(place.champion.version, 0)
    looks = {**place.looks, champion: met + 1}
    said, found, one = judge(fits, place.champion, as_of, cause=step.wish.cause, version=challenger.version, looks=met)
    place = replace(place, record=(*place.record, one))
    if said.outcome == "promote":
        done = replace(step, ending="promoted", why=said.reason, useless=useless)
        return done, place.then(challenger, before=place.champion, looks=looks)
    lacks_proof = found.verdict != "worse" and all(guard.state != "failed" for guard in said.guards)
    refused = replace(step, ending="refused", why=said.reason, useless=useless)
    return refused, replace(place, shadow=challenger if lacks_proof else None, looks=looks)


def judge(
    fits: Fits,
    champion: Champion,
    as_of: PartitionKey,
    *,
    cause: str,
    version: int,
    looks: int,
) -> tuple[GateVerdict, Comparison, Met]:
    """What the gate says of the challenger of `as_of`, on held-out partitions the champion was not trained on either.

    Latency, size and signature cannot be replayed and are taken as passed. If the gate would ask a person, a replay
    refuses. Beside the verdict: what it rests on, and the same as the record of challengers keeps it.
    """
    definition = fits.history.definition
    theirs, ours = fits.by_as_of[as_of], fits.by_as_of[champion.as_of]
    keys = [k for k in theirs.holdout_keys if k not in ours.train_keys]
    mode, gate = mode_for(cause, proven=True), definition.gate
    alpha = level(gate.alpha, looks)
    if keys:
        losses = [np.concatenate([fits.losses(a, k) for k in keys]) for a in (champion.as_of, as_of)]
        clusters = np.concatenate([fits.history[k].examples.cluster for k in keys])
        found = compare(losses[0], losses[1], clusters, alpha=alpha, margin=gate.margin, mode=mode)
        scores = _scores(fits, champion.as_of, as_of, keys)
        answers = {guard.name: guard for guard in judge_guards(definition, scores)}
        few = too_few(rarer(definition, scores), definition.min_positives)
    else:
        found, answers, few = nothing(alpha=alpha, margin=gate.margin, mode=mode), {}, None
    taken = [
        answers.get(name, Guard(name, "passed", "not replayed, taken as passed", [])) for name in guards.REQUIRED
    ]  # fmt: skip
    said = decide(
        found, taken, gate, loss=definition.loss, challenger=version, champion=champion.version,
        unit=definition.unit, few=few,
    )  # fmt: skip
    newer = max(0, definition.partitions.distance(champion.as_of, as_of))
    return said, found, record.met(found, keys, newer)


def _scores(fits: Fits, champion: PartitionKey, challenger: PartitionKey, keys: list[PartitionKey]) -> Scores:
    rows, definition = concatenate([fits.history[k].examples for k in keys]), fits.history.definition
    ours, theirs = (
        Predicted(
            np.concatenate([fits.labelled_predictions(a, k) for k in keys]),
            fits.by_as_of[a].classes,
            fits.by_as_of[a].rule,
        )
        for a in (champion, challenger)
    )
    return score(definition, rows, ours, theirs)


def _useless(fits: Fits, champion: PartitionKey, challenger: PartitionKey, key: PartitionKey) -> bool:
    """Whether the challenger loses as much as the champion, or more, over the `HINDSIGHT` partitions after `key`."""
    after = [p.key for p in fits.history if p.key > key and len(p.examples)][:HINDSIGHT]
    if not after:
        return False
    ours, theirs = (np.mean([fits.losses(a, k).mean() for k in after]) for a in (champion, challenger))
    return bool(theirs >= ours)
