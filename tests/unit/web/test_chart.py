"""The plot of the realised loss."""

import datetime as dt

from evergreen.core.definition import load_definition
from evergreen.core.ledger.views.lines import CheckLine, DecisionLine, DeploymentLine, LossLine
from evergreen.web.model_page import loss_chart

FLIGHTS = load_definition("nyc_flights")
NOW = dt.datetime(2013, 5, 1, tzinfo=dt.UTC)


def loss(key, value):
    return LossLine(key, 1, 100, value, {}, NOW)


def deployment(version, key):
    decision = DecisionLine(version, "promote", key, "better", {}, version, "policy", NOW, None)
    return DeploymentLine(version, key, NOW, None, decision)


def test_there_is_no_plot_before_the_first_loss():
    assert loss_chart([], [], [deployment(1, "2013-03-04")], FLIGHTS) is None


def test_missing_partitions_are_gaps():
    chart = loss_chart([loss("2013-03-04", 0.1), loss("2013-03-18", 0.2)], [], [], FLIGHTS)
    assert chart.x == ["2013-03-04", "2013-03-11", "2013-03-18"]
    assert chart.series[0].values == [0.1, None, 0.2]


def test_what_was_estimated_stands_beside_and_goes_further():
    checks = [CheckLine(key, 1, False, "", (), 0.15, None, NOW, None) for key in ("2013-03-04", "2013-03-11")]
    chart = loss_chart([loss("2013-03-04", 0.1)], checks, [], FLIGHTS)
    assert chart.x == ["2013-03-04", "2013-03-11"]
    assert [(line.name, line.values) for line in chart.series] == [
        ("realised", [0.1, None]),
        ("estimated before labels", [0.15, 0.15]),
    ]


def test_changes_of_the_champion_are_marked_where_they_took_effect():
    deployed = [deployment(1, "2013-02-25"), deployment(2, "2013-03-11"), deployment(3, "2013-03-11")]
    chart = loss_chart([loss("2013-03-04", 0.1), loss("2013-03-18", 0.2)], [], deployed, FLIGHTS)
    assert [(mark.x, mark.label) for mark in chart.marks] == [
        ("2013-02-25", "version 1"),
        ("2013-03-11", "version 2, 3"),
    ]
    assert chart.x[0] == "2013-02-25"
