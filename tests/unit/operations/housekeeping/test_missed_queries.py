"""Which partitions of a query no run has asked for."""

import datetime as dt

from evergreen.core.definition import load_definition
from evergreen.core.definition.query import QuerySection
from evergreen.operations.housekeeping.missed_queries import PATIENCE, missed

SHIPPED = load_definition("nyc_flights")
QUERY = QuerySection(connection="warehouse", query="SELECT 1 WHERE t >= :start AND t < :end")
FEED = SHIPPED.feed.model_copy(update={"source": {"inputs": QUERY, "labels": QUERY}, "label_delay": 1})
DEFINITION = SHIPPED.model_copy(update={"feed": FEED})
NOW = dt.datetime(2013, 6, 3, tzinfo=dt.UTC) + PATIENCE
"""The week of 2013-05-27 has just been due for so long"""


def keys(table="inputs", received=("2013-05-06",), landed=(), now=NOW, definition=DEFINITION):
    return [one.key for one in missed(definition, table, received, landed, now=now)]


def test_due_partitions_since_the_first_received_one_are_asked_for():
    assert keys() == ["2013-05-13", "2013-05-20", "2013-05-27"]
    assert keys("labels") == ["2013-05-13", "2013-05-20"], "labels are due a period later"
    assert keys(now=NOW - dt.timedelta(seconds=1)) == ["2013-05-13", "2013-05-20"], "its scheduled run has time"


def test_what_was_received_or_has_landed_is_not_missed():
    assert keys(received=("2013-05-06", "2013-05-20"), landed=["2013-05-13"]) == ["2013-05-27"]
    assert keys(received=()) == [], "history is nobody's wish before the first partition"


def test_a_producers_table_is_not_missed():
    assert keys(definition=SHIPPED) == []


def test_the_run_of_a_partition_has_one_name():
    (one,), (again,) = (missed(DEFINITION, "inputs", ["2013-05-20"], [], now=NOW) for _ in range(2))
    assert one == again
    assert one.run_id.startswith("missed__2013-05-27__")
    assert "no run has asked the database warehouse" in one.reason
