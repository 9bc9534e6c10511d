"""What a check weighs beside what it must find."""

from types import SimpleNamespace

import numpy as np

from evergreen.core.ledger.tables import Performance
from evergreen.errors import UnavailableError
from evergreen.loop.monitoring.load_rows import Frames
from evergreen.loop.monitoring.loss.harm_test import Cluster
from evergreen.loop.monitoring.telling.past import LATE, Looked, Past, to_judge
from evergreen.loop.monitoring.telling.weigh import _expectation, _impacts
from helpers.drift_frames import SMALL, batch


def test_a_check_does_not_fail_because_the_champion_cannot_be_loaded(caplog):
    def gone(rows):
        raise UnavailableError("MLflow does not answer")

    rows = batch(np.random.default_rng(0), 300)
    reference = rows.assign(part="holdout", prediction=0.5, target=1.0, cluster="a")
    frames = Frames(reference, reference, rows, len(rows), None, gone)
    drift = SimpleNamespace(drifted=True, drifted_columns=("temperature",))
    assert _impacts(SMALL, frames, drift, None) == ()
    assert "MLflow does not answer" in caplog.text


USUAL = [Cluster(f"day {day}", 100, 0.2 + 0.002 * (day % 3), 0.2) for day in range(14)]


def measured(number, bad=False, version=1):
    loss = 0.4 if bad else 0.2
    clusters = [{"name": f"{day}", "rows": 100, "loss": loss + 0.002 * (day % 3), "expected": 0.2} for day in range(7)]
    return Performance(key=f"2013-06-{number:02d}", version=version, loss=loss, clusters=clusters)


def expectation(*losses, judged=(), holdouts=None):
    known = SimpleNamespace(losses={p.key: p for p in losses}, version=1)
    checks = tuple(Looked(f"2013-07-{place + 1:02d}", 1, judged=key) for place, key in enumerate(judged))
    return _expectation(known, USUAL, Past(checks, holdouts or {}), 0.05)


def test_a_bad_partition_whose_labels_land_after_those_of_a_newer_one_is_found_once():
    late, newer = measured(3, bad=True), measured(4)
    found = expectation(measured(2), late, newer, judged=("2013-06-02", "2013-06-04"))
    assert (found.key, found.above) == ("2013-06-03", True)
    after = expectation(measured(2), late, newer, judged=("2013-06-02", "2013-06-04", "2013-06-03"))
    assert (after.key, after.above) == ("2013-06-04", False), "a later check has the newest again"


def test_of_several_bad_partitions_the_newest_comes_first_and_the_others_after_it():
    losses = (measured(2, bad=True), measured(3, bad=True), measured(4))
    assert expectation(*losses).key == "2013-06-03"
    assert expectation(*losses, judged=("2013-06-03",)).key == "2013-06-02"
    assert expectation(*losses, judged=("2013-06-03", "2013-06-02")).key == "2013-06-04"


def test_a_late_partition_is_held_against_the_holdout_of_the_version_that_predicted_it():
    late = measured(3, bad=True, version=2)
    assert not expectation(late, measured(4)).above, "nothing is known of that version"
    found = expectation(late, measured(4), holdouts={2: tuple(USUAL)})
    assert (found.key, found.version, found.above) == ("2013-06-03", 2, True)


def test_only_the_newest_few_are_judged_and_the_newest_always():
    losses = {p.key: p for p in (measured(number) for number in range(1, 20))}
    newest = [f"2013-06-{number:02d}" for number in range(19, 19 - LATE, -1)]
    assert [p.key for p in to_judge(losses, ())] == newest
    checks = [Looked("2013-07-01", 1, judged=key) for key in (newest[0], newest[2])]
    assert [p.key for p in to_judge(losses, checks)] == [newest[0], newest[1], *newest[3:]]
    assert to_judge({}, checks) == []
