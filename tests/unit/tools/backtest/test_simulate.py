"""Policies replayed on streams whose drift is known."""

import json

import numpy as np
import pytest

from evergreen.errors import BadInputError, NotReadyError
from evergreen.tools.backtest.challengers import fit, fit_all, split
from evergreen.tools.backtest.oracle import PRICES, Losses, excess, oracle
from evergreen.tools.backtest.policies import make
from evergreen.tools.backtest.result import replay
from evergreen.tools.backtest.simulate import served_keys
from evergreen.tools.backtest.synthetic_streams import stream

pytestmark = pytest.mark.xdist_group("evidently")  # one worker imports Evidently and fits the streams, not each


def test_a_challenger_sees_no_label_after_its_time(abrupt):
    for as_of, made in abrupt.by_as_of.items():
        assert max(made.train_keys) < min(made.holdout_keys)
        assert max(made.holdout_keys) == as_of


def test_a_challenger_does_not_depend_on_what_comes_later(abrupt, definition):
    as_of = list(abrupt.by_as_of)[3]
    shorter = stream("abrupt", 1, partitions=16, rows=600, definition=definition)
    cut = type(shorter)(shorter.definition, tuple(p for p in shorter if p.key <= as_of), {})
    again = fit(cut, as_of)
    for key, predicted in again.predictions.items():
        np.testing.assert_array_equal(predicted, abrupt.by_as_of[as_of].predictions[key])


def test_kept_fits_are_those_that_were_made(abrupt, tmp_path):
    as_of = next(iter(abrupt.by_as_of))
    made = fit(abrupt.history, as_of, cache=tmp_path)
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert len(kept) == 1 + len(made.predictions)
    again = fit(abrupt.history, as_of, cache=tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == kept
    assert made.predictions.keys() == again.predictions.keys()
    for key in made.predictions:
        np.testing.assert_array_equal(made.predictions[key], again.predictions[key])
        np.testing.assert_array_equal(made.predictions[key], abrupt.by_as_of[as_of].predictions[key])


def test_a_champion_serves_what_it_has_not_seen(abrupt, walk):
    first, keys = served_keys(abrupt)
    assert keys[0] > first
    walked = walk("abrupt", "weekly")
    for step in walked.steps:
        assert step.champion.as_of < step.key
        assert step.champion.from_key <= step.key


def test_never_trains_never_and_weekly_each_week(walk):
    assert walk("abrupt", "never").trainings == 0
    weekly = walk("abrupt", "weekly")
    assert weekly.trainings == weekly.promotions == len(weekly.steps)
    assert walk("abrupt", "period-4").trainings == len(weekly.steps) // 4


def test_a_changed_world_is_followed_and_a_still_one_left_alone(walk):
    follows, leaves = walk("abrupt", "evergreen"), walk("abrupt", "never")
    assert follows.promotions >= 1
    assert follows.mean_loss < 0.97 * leaves.mean_loss
    quiet = walk("still", "evergreen")
    assert quiet.trainings <= 2
    assert quiet.mean_loss <= 1.005 * walk("still", "never").mean_loss


def test_nobody_costs_less_than_the_oracle(abrupt, walk):
    losses = Losses.of(abrupt)
    for name in ("never", "weekly", "period-3", "evergreen"):
        walked = walk("abrupt", name)
        for price in PRICES:
            cost = price * losses.unit
            assert oracle(losses, cost).cost(cost) <= walked.cost(cost) + 1e-12
        assert excess(losses, walked) >= 0


def test_the_outcome_is_plain_and_complete(abrupt, tmp_path):
    from evergreen.tools.backtest.plot import draw

    outcome = replay(abrupt, ("never", "evergreen", "oracle"))
    told = json.loads(json.dumps(outcome.to_json(), allow_nan=False))
    assert [p["policy"] for p in told["policies"]] == ["never", "evergreen", "oracle"]
    assert all(len(p["steps"]) == len(told["partitions"]) for p in told["policies"])
    assert told["policies"][-1]["excess"] == 0.0
    draw(outcome, tmp_path / "replay.png")
    assert (tmp_path / "replay.png").stat().st_size > 5_000


def test_an_unknown_policy_and_a_short_history_are_told(abrupt, definition):
    with pytest.raises(BadInputError, match="there is no policy 'monthly'; choose from never"):
        make("monthly")
    short = stream("stationary", 1, partitions=3, rows=600, definition=definition)
    with pytest.raises(NotReadyError):
        split(short, short.keys[-1])
    with pytest.raises(NotReadyError, match="not enough labelled partitions"):
        replay(fit_all(short, jobs=1), ("never",))
