"""Search a candidate's settings: which are tried, in which order, and when it is enough. Pure except for the clock.

Every proposal follows from the seed, the number of the trial and the losses before it. What a killed attempt had done
is therefore handed in again and not fitted again, and the search goes on as if nothing had happened.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna

from evergreen.loop.training.estimators.spaces import Params, Space, grid, suggest

if TYPE_CHECKING:
    from evergreen.core.definition import ModelDefinition

PRUNE_AFTER = 3
"""Whole trials without whose losses nothing is pruned."""


@dataclass(frozen=True)
class Trial:
    """One setting that was tried. `loss` is the mean over the folds, whose own losses run from the newest fold back."""

    candidate: str
    number: int
    params: Params
    loss: float
    fold_losses: list[float]
    pruned: bool = False
    """Whether it ended before its last fold; `loss` is then of those it had"""
    seconds: float = field(default=0.0, compare=False)
    """By the clock"""


@dataclass(frozen=True)
class Journal:
    """What is known of a search before it begins, and where it writes what it does."""

    known: Mapping[tuple[str, int], Trial] = field(default_factory=dict)
    """Trials of an attempt that was killed, by candidate and number"""
    done: Mapping[str, int] | None = None
    """How many trials each candidate had, if they are to be repeated; None if the budget decides"""
    write: Callable[[Trial], None] = lambda trial: None


Judge = Callable[[Params], Iterator[float]]
"""Losses of a setting, one a fold, each fitted when it is asked for."""


def search(
    definition: ModelDefinition,
    candidate: str,
    space: Space,
    start: Params,
    judge: Judge,
    *,
    clock: Callable[[], float],
    journal: Journal,
    seconds: float | None,
) -> list[Trial]:
    """The trials of one candidate, in the order they ran.

    Args:
        definition: says how to search.
        candidate: its name.
        space: its hyperparameters.
        start: the first trial.
        judge: gives the losses of a setting.
        clock: seconds.
        journal: what is known, and where to write.
        seconds: after which no further trial begins; the first always does.
    """
    study, most = _study(definition, space, start)
    if journal.done is not None:
        most = journal.done.get(candidate, most)
    trials: list[Trial] = []
    while len(trials) < most:
        if journal.done is None and trials and seconds is not None and sum(t.seconds for t in trials) >= seconds:
            break
        if definition.training.search:  # each trial draws by its own number, however those before it came about
            study.sampler = _sampler(definition, len(trials))
        proposal = study.ask()
        params = suggest(space, proposal)
        known = journal.known.get((candidate, proposal.number))
        fits = known is not None and known.params == params
        trial = _repeat(known, proposal) if known and fits else _try(candidate, params, judge, proposal, clock)
        study.tell(proposal, *((None, optuna.trial.TrialState.PRUNED) if trial.pruned else (trial.loss,)))
        trials.append(trial)
        if not (known and fits):
            journal.write(trial)
    return trials


def _study(definition: ModelDefinition, space: Space, start: Params) -> tuple[optuna.Study, int]:
    """A study whose first trial is `start`, and how many trials it has at most."""
    rules, training = definition.training.search, definition.training
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    most = (rules.trials if rules else None) or training.trials
    study = optuna.create_study(sampler=_sampler(definition, 0), pruner=_pruner(definition))
    study.enqueue_trial(start)
    if rules and rules.method == "grid":
        most = min(most, _enqueue_grid(study, space, start, training.seed) + 1)
    return study, most if space else 1


def _try(candidate: str, params: Params, judge: Judge, proposal: optuna.Trial, clock: Callable[[], float]) -> Trial:
    begun, losses, pruned = clock(), list[float](), False
    for step, loss in enumerate(judge(params)):
        losses.append(loss)
        proposal.report(loss, step)
        if proposal.should_prune():
            pruned = True
            break
    mean = float(np.mean(losses))
    return Trial(candidate, proposal.number, params, mean, losses, pruned, clock() - begun)


def _repeat(known: Trial, proposal: optuna.Trial) -> Trial:
    for step, loss in enumerate(known.fold_losses):
        proposal.report(loss, step)
    return known


def _sampler(definition: ModelDefinition, number: int) -> optuna.samplers.BaseSampler:
    """Without `training.search`, one sampler draws for all trials, as it always has."""
    rules, seed = definition.training.search, definition.training.seed
    if rules is None:
        return optuna.samplers.TPESampler(seed=seed)
    own = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    if rules.method == "tpe":
        return optuna.samplers.TPESampler(seed=own)
    return optuna.samplers.RandomSampler(seed=own)


def _pruner(definition: ModelDefinition) -> optuna.pruners.BasePruner:
    """The median of the trials before, after any fold. (Wilcoxon's test never prunes on as few folds as there are.)"""
    rules = definition.training.search
    if rules is None or not rules.pruning:
        return optuna.pruners.NopPruner()
    return optuna.pruners.MedianPruner(n_startup_trials=PRUNE_AFTER, n_warmup_steps=0)


def _enqueue_grid(study: optuna.Study, space: Space, start: Params, seed: int) -> int:
    """Put the grid's points after the start, in an order that the seed gives: a budget may end before the last."""
    points: list[Any] = [params for params in grid(space) if params != start]
    random.Random(seed).shuffle(points)  # noqa: S311 - an order, no secret
    for params in points[:500]:
        study.enqueue_trial(params)
    return len(points)
