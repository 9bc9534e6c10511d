"""Which earlier versions are compared with a champion."""

from types import SimpleNamespace

import yaml

from evergreen.core.definition.model import ModelDefinition
from evergreen.loop.monitoring.rivals.compare import _spread
from evergreen.loop.monitoring.rivals.recurrence_test import spread
from helpers.orders_model import DEFINITION


def model(**monitoring):
    said = {"training": {"window": 8}, "monitoring": {"pool": 2, "learned_pace": True} | monitoring}
    return ModelDefinition.model_validate(yaml.safe_load(DEFINITION) | said)


MODEL = model()


def key(n):
    return MODEL.partitions.shift(MODEL.partitions.first_key, n)


MADE = [(9, key(39)), (8, key(36)), (7, key(35)), (6, key(32)), (5, key(20))]
"""Version, newest partition whose labels it was made from; the newest first"""


def test_versions_made_from_mostly_the_same_rows_count_once():
    """9 is of the champion's world, 7 of that of 8, and 5 is beyond the pool."""
    assert spread(MODEL, MADE, champion=key(40)) == [8, 6]


def test_unless_asked_for_the_newest_are_compared_whatever_they_knew():
    assert spread(model(learned_pace=False), MADE, champion=key(40)) == [9, 8]
    assert _spread(None, model(learned_pace=False), SimpleNamespace(as_of=key(40)), [9, 8, 5]) == [9, 8]


def test_a_version_of_another_calendar_is_none_that_is_known_to_be_apart():
    assert spread(MODEL, [(9, "2024-01-02T05"), (5, key(20))], champion=key(40)) == [5]


def test_no_pool_compares_nobody():
    assert spread(model(pool=0), MADE, champion=key(40)) == []


def test_the_order_is_that_of_service_and_not_of_the_ledger():
    ledger = SimpleNamespace(execute=lambda query: [(5, key(20)), (8, key(36)), (9, key(39))])
    assert _spread(ledger, MODEL, SimpleNamespace(as_of=key(40)), [9, 8, 5, 4]) == [8, 5], "4 has no training run"
