"""How long a check waits for predictions, and that it is made if they come after that."""

import datetime as dt

import pytest

from evergreen.loop.monitoring.readiness import GIVEN_UP_AFTER, STUCK_AFTER, look
from evergreen.operations.housekeeping.stuck_partitions import mend

pytestmark = pytest.mark.integration


def waits(shop, number, waited=None):
    since = None if waited is None else dt.datetime.now(dt.UTC) - waited
    return look(shop.definition, shop.key(number), subject="predictions", settings=shop.settings, since=since)


def test_predictions_that_do_not_come_are_given_up_and_those_that_come_late_are_checked(shop):
    longest = shop.definition.feed.grace + GIVEN_UP_AFTER
    assert waits(shop, 6, longest - dt.timedelta(minutes=1)).state == "waiting"
    assert waits(shop, 6).state == "waiting"
    given_up = waits(shop, 6, longest)
    assert given_up.state == "never"
    assert f"{shop.key(6)} by " in given_up.reason
    assert "no inputs have been accepted" in given_up.reason

    inputs, _ = shop.week(6)
    shop.accept("inputs", 6, inputs)
    assert "orders.features has not built" in waits(shop, 6, longest).reason
    shop.build(6)
    assert "orders.score has not written" in waits(shop, 6, longest).reason

    shop.live(6)
    assert waits(shop, 6, longest).state == "ready"
    later = dt.datetime.now(dt.UTC) + shop.definition.feed.grace + STUCK_AFTER
    found = mend(shop.definition, settings=shop.settings, now=later)
    assert [(stuck.step, stuck.key) for stuck in found] == [("monitor", shop.key(6))]


def test_a_partition_that_is_not_due_yet_is_waited_for(shop):
    ahead = shop.definition.partitions.key_of(dt.datetime.now(dt.UTC) + dt.timedelta(days=7))
    number = len(shop.definition.partitions.keys(shop.key(0), ahead)) - 1
    assert waits(shop, number, dt.timedelta(days=400)).state == "waiting"
