"""The search: what it tries follows from seed, number of the trial and losses before, however often it is killed."""

import itertools

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evergreen.loop.training import tune
from evergreen.loop.training.estimators.spaces import Choice, Float, Integer, grid, middle
from evergreen.loop.training.learn import learn
from evergreen.loop.training.search import Journal, search
from evergreen.loop.training.tune import best_trial
from helpers.synthetic_examples import definition, examples

SPACE = {"depth": Integer(2, 9), "rate": Float(0.01, 1.0, log=True), "way": Choice("a", "b")}
START = {"depth": 4, "rate": 0.1, "way": "b"}
METHODS = ("tpe", "random", "grid")


def losses(params):
    """Of two folds; the best is deep, near a rate of 0.3."""
    base = abs(params["depth"] - 8) + abs(np.log(params["rate"] / 0.3)) + (params["way"] == "a")
    return [base, base / 2]


def run(rule, journal=None, clock=None, seconds=None, tried=None, space=SPACE, start=START):
    def judge(params):
        if tried is not None:
            tried.append(params)
        yield from losses(params) if space is SPACE else [1.0]

    return search(
        rule, "own", space, start, judge,
        clock=clock or (lambda: 0.0), journal=journal or Journal(), seconds=seconds,
    )  # fmt: skip


def make(**search_):
    training = {"seed": search_.pop("seed", 1), "search": {"trials": 14, **search_}}
    rule = definition()
    section = type(rule.training).model_validate(training)
    return rule.model_copy(update={"training": section})


def test_a_definition_of_before_draws_as_optuna_s_own_loop_does():
    """The loop of all releases before there was a choice: one sampler, seeded once."""
    rule, seen = definition(trials=15), []

    def objective(trial):
        params = {name: part.suggest(trial, name) for name, part in SPACE.items()}
        seen.append(params)
        return float(np.mean(losses(params)))

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=rule.training.seed))
    study.enqueue_trial(START)
    study.optimize(objective, n_trials=15)
    assert [trial.params for trial in run(rule)] == seen


@pytest.mark.parametrize("method", METHODS)
def test_a_search_begins_with_the_start_and_stays_in_its_space(method):
    trials = run(make(method=method))
    assert trials == run(make(method=method))
    assert trials[0].params == START
    assert all(SPACE[name].holds(value) for trial in trials for name, value in trial.params.items())
    assert trials[1:] != run(make(method=method, seed=2))[1:]


@given(st.sampled_from(METHODS), st.booleans(), st.integers(0, 14), st.integers(0, 2**32 - 1), st.booleans())
@settings(max_examples=25, deadline=None)
def test_a_search_that_was_killed_anywhere_ends_as_if_it_had_not_been(method, pruning, cut, seed, old):
    rule = definition(trials=14, seed=seed) if old else make(method=method, pruning=pruning, seed=seed)
    written, tried = [], []
    whole = run(rule, Journal(write=written.append))
    assert written == whole
    known = {(trial.candidate, trial.number): trial for trial in whole[:cut]}
    rest = []
    assert run(rule, Journal(known=known, write=rest.append), tried=tried) == whole
    assert len(tried) == len(whole) - cut == len(rest), "nothing is fitted twice"


def test_what_was_known_of_other_settings_is_not_believed():
    whole = run(make())
    known = {(trial.candidate, trial.number): trial for trial in run(make(seed=5))}
    tried = []
    assert run(make(), Journal(known=known), tried=tried) == whole
    assert len(tried) == 13, "only the start is the same"


def test_minutes_end_a_search_and_a_rebuild_repeats_the_trials_that_were_done():
    ticks = itertools.count(0, 7.0)
    done = run(make(), clock=lambda: next(ticks), seconds=20)
    assert [trial.seconds for trial in done] == [7.0, 7.0, 7.0]
    assert done == run(make())[:3]
    assert run(make(), Journal(done={"own": 3})) == done, "whatever the clock says"
    assert len(run(make(), clock=lambda: next(ticks), seconds=0.0)) == 1
    known = {("own", number): trial for number, trial in enumerate(done[:2])}
    assert run(make(), Journal(known=known), clock=lambda: next(ticks), seconds=20) == done, (
        "time that was spent counts"
    )


def test_a_trial_worse_than_the_median_ends_early_and_is_not_chosen():
    trials = run(make(pruning=True, method="random"))
    pruned = [trial for trial in trials if trial.pruned]
    assert pruned
    assert {len(trial.fold_losses) for trial in pruned} == {1}
    assert not any(trial.pruned for trial in trials[:3])
    assert not best_trial(trials).pruned
    assert all(trial.fold_losses[0] >= np.median([t.fold_losses[0] for t in trials[:3]]) / 2 for trial in pruned)


def test_a_grid_is_walked_through_once_in_an_order_of_the_seed():
    space, start = {"depth": Integer(1, 3), "way": Choice("a", "b")}, {"depth": 2, "way": "a"}
    tried = [trial.params for trial in run(make(method="grid"), space=space, start=start)]
    assert tried[0] == start
    assert len(tried) == 6
    assert {tuple(params.values()) for params in tried} == {(d, w) for d in (1, 2, 3) for w in "ab"}
    assert grid({"rate": Float(0.01, 10.0, log=True)}) == [
        {"rate": pytest.approx(value)} for value in (0.01, 0.1, 1.0, 10.0)
    ]
    assert middle(SPACE) == {"depth": 6, "rate": pytest.approx(0.1), "way": "a"}


def test_minutes_are_shared_by_the_candidates(monkeypatch):
    """Each trial takes 40 s by this clock: of two minutes the first gets one and uses 80 s, the other 40 s."""
    ticks = itertools.count(0, 40.0)
    monkeypatch.setattr(tune.time, "monotonic", lambda: next(ticks))
    rule = definition()
    section = type(rule.training).model_validate(
        {"validation": 1, "search": {"method": "random", "trials": 9, "minutes": 2}}
    )
    trials = learn(rule.model_copy(update={"training": section}), examples(rows=120)).trials
    assert [(trial.candidate, trial.number) for trial in trials] == [("linear", 0), ("linear", 1), ("boosted", 0)]


def test_the_number_of_trials_is_given_once():
    rule = definition()
    with pytest.raises(ValueError, match="the number of trials is given twice"):
        type(rule.training).model_validate({"trials": 4, "search": {"trials": 5}})
    with pytest.raises(ValueError, match="candidates names linear twice"):
        type(rule.training).model_validate({"candidates": ["linear", "linear"]})
