"""The maps of drift and of what became of each partition."""

import datetime as dt

from evergreen.core.ledger.views.lines import CheckLine, MovedColumn
from evergreen.core.ledger.views.partition_states import PartitionState
from evergreen.core.ledger.views.standings import Lost
from evergreen.web.charts.calendar_map import calendar_map
from evergreen.web.charts.heat_map import ROWS, heat_map
from evergreen.web.charts.sparkline import HEIGHT, WIDTH, sparkline

NOW = dt.datetime(2013, 5, 1, tzinfo=dt.UTC)
KEYS = ["2013-03-04", "2013-03-11", "2013-03-18"]


def check(key, moved, watched=("age", "fare", "miles")):
    columns = tuple(MovedColumn(name, effect, f"{name} moved by {effect}") for name, effect in moved.items())
    names = tuple(moved)
    return CheckLine(key, 1, bool(moved), "", names, None, None, NOW, None, columns, watched, bool(moved))


def test_the_columns_that_drift_most_often_come_first_and_by_how_far():
    checks = {KEYS[0]: check(KEYS[0], {"fare": 0.2}), KEYS[1]: check(KEYS[1], {"fare": 1.4, "age": -0.6})}
    found = heat_map(KEYS, checks)
    assert [name for name, _ in found.rows] == ["predictions", "fare", "age", "miles"]
    levels = {name: [cell.level for cell in cells] for name, cells in found.rows}
    assert levels == {"predictions": [2, 2, -1], "fare": [1, 3, -1], "age": [0, 2, -1], "miles": [0, 0, -1]}
    assert dict(found.rows)["fare"][1].said == "2013-03-11: fare moved by 1.4"


def test_the_map_of_many_columns_leaves_out_the_quietest_and_says_so():
    watched = tuple(f"c{number:02}" for number in range(ROWS + 5))
    found = heat_map(KEYS, {KEYS[0]: check(KEYS[0], {"c24": 0.2}, watched)})
    assert len(found.rows) == ROWS + 1
    assert found.rows[1][0] == "c24"
    assert found.quiet == 5


def test_there_is_no_map_before_the_first_check():
    assert heat_map(KEYS, {}) is None
    assert calendar_map([], {}, {}) is None


def test_each_stage_of_each_partition():
    states = {
        KEYS[0]: PartitionState("accepted", "", "accepted", "2 rows put into quarantine", False, True, 3),
        KEYS[1]: PartitionState("quarantined", "no rows", "accepted", "", True),
    }
    found = calendar_map(KEYS, states, {KEYS[0]: True})
    said = {name: [mark.state for mark in marks] for name, marks in found.rows}
    assert said == {
        "inputs": ["good", "bad", "none"],
        "labels": ["warn", "waits", "none"],
        "features": ["good", "none", "none"],
        "predictions": ["good", "none", "none"],
        "check": ["warn", "none", "none"],
    }
    assert dict(found.rows)["inputs"][1].said == "2013-03-11: inputs quarantined: no rows"
    assert dict(found.rows)["predictions"][0].said == "2013-03-04: predicted by version 3"


def test_a_sparkline_has_two_losses_at_least_and_lies_within_its_frame():
    losses = [Lost(key, 1, value, None) for key, value in zip(KEYS, (0.2, 0.1, 0.3), strict=True)]
    assert sparkline(losses[:1]) is None
    found = sparkline(losses)
    places = [tuple(map(float, pair.split(","))) for pair in found.realised[0].split()]
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in places)
    assert places[-1] == found.last
    assert places[2][1] < places[0][1] < places[1][1], "what is worse is drawn higher"
    assert found.estimated == ()
    assert "0.3 now" in found.words
