"""Rounds on streams whose truth is known: what is better is proven so, and what is the same is not."""

from dataclasses import replace

import numpy as np
import pytest

from evergreen.errors import NotReadyError
from evergreen.tools.backtest.challengers import split
from evergreen.tools.backtest.landed_data import History
from evergreen.tools.backtest.synthetic_streams import stream, stream_definition
from evergreen.tools.experiment.result import cost, sentence
from evergreen.tools.experiment.run import cut_points, run_rounds

TRAINING = {"candidates": ["linear"], "trials": 1, "window": 4, "validation": 1}


@pytest.fixture(scope="module")
def world():
    return stream("stationary", 3, partitions=16, rows=500, definition=stream_definition(training=TRAINING))


def blind(history):
    """The same rows, whose features say nothing."""
    rng = np.random.default_rng(0)
    parts = []
    for part in history:
        features = part.features.assign(x=rng.normal(size=len(part.features)), z=0.5)
        own = part.examples.features.assign(x=features["x"].to_numpy(), z=0.5)
        parts.append(replace(part, features=features, examples=replace(part.examples, features=own)))
    return History(history.definition, tuple(parts), {})


def test_a_variant_that_sees_is_proven_better_and_one_that_is_blind_worse(world):
    better = run_rounds(blind(world), world, ("x",), rounds=3)
    assert better.comparison.verdict == "superior"
    assert sentence(better).startswith("The variant lowers the Brier score by ")
    assert sentence(better).endswith("proven better.")
    worse = run_rounds(world, blind(world), ("x",), rounds=3)
    assert worse.comparison.verdict == "worse"
    assert worse.comparison.rows == sum(part.rows for part in worse.rounds)
    assert sentence(worse).endswith("proven worse.")


def test_the_same_twice_is_no_difference(world, tmp_path):
    found = run_rounds(world, world, (), rounds=2, cache=tmp_path)
    assert found.comparison.delta == 0
    assert found.comparison.verdict == "inconclusive"
    assert "does not change" in sentence(found)
    assert all(part.definition.loss == part.variant.loss for part in found.rounds)


def test_a_kept_model_keeps_its_seconds(world, tmp_path):
    first, again = (run_rounds(world, world, (), rounds=1, cache=tmp_path).rounds[0].variant for _ in range(2))
    assert first.seconds is not None
    assert again.seconds == pytest.approx(first.seconds, abs=1e-3)
    assert again.loss == first.loss


def test_no_row_is_judged_twice_or_by_a_model_that_has_seen_it(world):
    other = replace(world, definition=stream_definition(training=TRAINING | {"window": 8}, gate={"holdout": 3}))
    cuts = cut_points(world, other, 99)
    assert cuts == sorted(cuts)
    assert cuts[-1] == world.keys[-1]
    judged = []
    for as_of in cuts:
        ours, theirs = split(world, as_of), split(other, as_of)
        common = set(ours[1]) & set(theirs[1])
        assert common
        assert not common & {*ours[0], *theirs[0]}
        assert max(*ours[0], *theirs[0]) < min(common)
        judged += common
    assert len(judged) == len(set(judged))
    assert cut_points(world, other, 2) == cuts[-2:], "the newest are taken"


def test_the_rounds_are_told_one_by_one(world):
    told = []
    found = run_rounds(world, world, (), rounds=2, progress=lambda done, of: told.append((done, of)))
    assert told == [(part, 2) for part in found.rounds]
    assert "processor time instead of" in cost(found)
    assert found.to_json()["verdict"] == "inconclusive"


def test_too_little_history_says_what_is_needed(world):
    young = History(world.definition, world.partitions[:3], {})
    with pytest.raises(NotReadyError, match="not enough labelled partitions to train"):
        run_rounds(young, young, ())


def test_a_round_that_teaches_nothing_is_left_out(world, caplog):
    first = cut_points(world, world, 3)[0]
    window = split(world, first)[0]
    parts = [
        replace(p, examples=replace(p.examples, target=np.zeros_like(p.examples.target))) if p.key in window else p
        for p in world
    ]
    dull = History(world.definition, tuple(parts), {})
    found = run_rounds(dull, dull, (), rounds=3)
    assert first not in [part.as_of for part in found.rounds]
    assert found.rounds
    assert f"no round of labels through {first}" in caplog.text
    alone = History(dull.definition, dull.partitions[: dull.keys.index(first) + 1], {})
    with pytest.raises(NotReadyError, match="class"):
        run_rounds(alone, alone, (), rounds=1)
