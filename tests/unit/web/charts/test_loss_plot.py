"""The plot of the realised loss."""

import datetime as dt

import pytest

from evergreen.core.ledger.views.lines import DecisionLine, DeploymentLine, LossLine
from evergreen.web.charts.loss_plot import HEIGHT, WIDTH, interval, loss_plot

NOW = dt.datetime(2013, 5, 1, tzinfo=dt.UTC)
KEYS = ["2013-02-25", "2013-03-04", "2013-03-11", "2013-03-18"]


def loss(key, value, error=None):
    return LossLine(key, 1, 100, value, {}, NOW, error)


def deployment(version, key):
    decision = DecisionLine(version, "promote", key, "better", {}, version, "policy", NOW, None)
    return DeploymentLine(version, key, NOW, None, decision)


def plot(losses, estimates=None, deployments=(), **more):
    found = {line.key: line for line in losses}
    return loss_plot(KEYS, found, estimates or {}, deployments, title="Loss", **more)


def test_there_is_no_plot_before_the_first_loss():
    assert plot([], deployments=[deployment(1, KEYS[1])]) is None


def test_missing_partitions_are_gaps():
    drawn = plot([loss(KEYS[0], 0.1), loss(KEYS[1], 0.1), loss(KEYS[3], 0.2)])
    assert [len(line.split()) for line in drawn.realised] == [2, 1]
    assert [point.said[:10] for point in drawn.points] == [KEYS[0], KEYS[1], KEYS[3]]


def test_what_is_worse_is_drawn_higher_and_all_of_it_on_the_plot():
    drawn = plot([loss(KEYS[0], 0.1, 0.05), loss(KEYS[1], 0.4, 0.01)], {KEYS[2]: 0.9}, base_rate=1.2)
    assert drawn.points[0].y > drawn.points[1].y
    assert drawn.points[0].high < drawn.points[0].y < drawn.points[0].low
    lines = [*drawn.realised, *drawn.estimated, *drawn.bands]
    places = [float(pair.split(",")[1]) for line in lines for pair in line.split()]
    assert all(0 <= y <= HEIGHT for y in [*places, drawn.base_rate[0]])
    assert all(0 <= point.x <= WIDTH for point in drawn.points)


def test_what_was_estimated_stands_beside_and_goes_further():
    drawn = plot([loss(KEYS[1], 0.1)], {KEYS[1]: 0.15, KEYS[2]: 0.15})
    assert [len(line.split()) for line in drawn.estimated] == [2]
    assert "estimated 0.15" in drawn.points[0].said


@pytest.mark.parametrize(("error", "above"), [(0.01, True), (0.2, False), (None, False)])
def test_a_loss_is_above_what_was_estimated_only_if_its_whole_interval_is(error, above):
    assert plot([loss(KEYS[1], 0.2, error)], {KEYS[1]: 0.15}).points[0].above is above


def test_the_interval_is_the_loss_alone_if_its_error_is_not_known():
    assert interval(loss(KEYS[0], 0.2)) == (0.2, 0.2)
    assert interval(loss(KEYS[0], 0.2, 0.1)) == pytest.approx((0.004, 0.396))


def test_who_served_which_partitions():
    deployed = [deployment(1, "2013-01-07"), deployment(2, KEYS[2]), deployment(3, KEYS[2])]
    drawn = plot([loss(KEYS[0], 0.1)], deployments=deployed)
    assert [reign.version for reign in drawn.reigns] == [1, 3], "version 2 was replaced before its first partition"
    first, second = drawn.reigns
    assert first.x + first.width == pytest.approx(second.x)
    assert second.x + second.width == pytest.approx(WIDTH - 16)


def test_what_is_in_quarantine_is_marked_where_it_would_stand():
    drawn = plot([loss(KEYS[0], 0.1)], quarantined={KEYS[2]: "no rows", "1999-01-04": "not shown"})
    assert drawn.quarantined == ((drawn.x_labels[2][0], "no rows"),)
