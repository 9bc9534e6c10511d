"""Drops outside the schedule, on a real ledger: found once, and not again when they were brought in."""

import datetime as dt
import os
from pathlib import Path

import pytest
from sqlalchemy import select, update

from evergreen.core.definition.query import QuerySection
from evergreen.core.ledger.tables import Alert, LateFeed, Sighting
from evergreen.operations.housekeeping.unscheduled_drops import AGAIN_AFTER, discover

pytestmark = pytest.mark.integration
KEY, NEXT = "2024-01-01", "2024-01-02"
AGO = dt.timedelta(minutes=20)


@pytest.fixture
def found(shop):
    """What a look finds: (table, key) of each."""

    def look(**more):
        arrivals = discover(shop.definition, settings=shop.settings, now=dt.datetime.now(dt.UTC), **more)
        return [(arrival.table, arrival.key) for arrival in arrivals]

    return look


def land(shop, key, data=None, ago=AGO, **more):
    shop.land(key, shop.orders(key) if data is None else data, **more)
    folder = Path(shop.file(key).removeprefix("file://")).parent
    when = (dt.datetime.now(dt.UTC) - ago).timestamp()
    for file in folder.iterdir():
        os.utime(file, (when, when))


def mails(shop):
    with shop.ledger.transaction() as session:
        return list(session.scalars(select(Alert).where(Alert.kind == "stray_drop").order_by(Alert.created_at)))


def test_history_is_found_once_and_is_known_when_it_was_brought_in(shop, found):
    land(shop, KEY)
    land(shop, NEXT, ago=dt.timedelta(minutes=5))
    assert found(dry_run=True) == [("inputs", KEY)]
    assert found() == [("inputs", KEY)], "a dry run records nothing, and what has just landed is left alone"
    assert found() == [], "its run has been started"
    shop.ingest(KEY)
    with shop.ledger.transaction() as session:
        session.execute(update(Sighting).values(acted_at=Sighting.acted_at - 2 * AGAIN_AFTER))
    assert found() == []


def test_a_run_that_came_to_nothing_is_asked_for_again(shop, found):
    land(shop, KEY)
    assert found() == [("inputs", KEY)]
    with shop.ledger.transaction() as session:
        session.execute(update(Sighting).values(acted_at=Sighting.acted_at - AGAIN_AFTER))
    assert found() == [("inputs", KEY)]
    assert found() == []


def test_what_is_restated_or_landed_again_after_its_quarantine_is_found(shop, found):
    for key, price in ((KEY, 9.5), (NEXT, 999.0)):
        land(shop, key, shop.orders(key, price=price), ago=3 * AGO)
        shop.ingest(key)
    assert found() == []
    land(shop, KEY, shop.orders(KEY, price=8.0))
    land(shop, NEXT, shop.orders(NEXT, price=10.0))
    assert found() == [("inputs", KEY), ("inputs", NEXT)]
    assert [shop.ingest(key).version for key in (KEY, NEXT)] == [2, 2]
    assert found() == []


def test_the_same_bytes_landed_again_are_looked_at_once(shop, found):
    land(shop, KEY, ago=3 * AGO)
    shop.ingest(KEY)
    land(shop, KEY)
    assert found() == [("inputs", KEY)]
    assert shop.ingest(KEY).version == 1
    with shop.ledger.transaction() as session:
        session.execute(update(Sighting).values(acted_at=Sighting.acted_at - 2 * AGAIN_AFTER))
    assert found() == []


def test_a_backfill_in_the_queue_is_given_time(shop, found):
    land(shop, KEY)
    assert found(queued=True) == []
    assert found() == [("inputs", KEY)]


def test_names_that_are_no_partitions_are_reported_once_and_never_followed(shop, found):
    for name in ("2024-13-01", "2024-01-01 copy", "<b>x\n2024", "_temporary"):
        land(shop, name, b"x")
    assert found(dry_run=True) == found() == found() == []
    (mail,) = mails(shop)
    assert mail.subject == "[evergreen] shop: 3 names in the landing zone are no partitions"
    assert [row[0] for row in mail.body["table"]["rows"]] == ["2024-01-01 copy", "2024-13-01", "<b>x\\u000a2024"]
    land(shop, "2023-12-31", b"x")
    found()
    assert [row[0] for row in mails(shop)[1].body["table"]["rows"]] == ["2023-12-31"]


def test_a_name_that_is_no_text_is_reported_too(shop, found):
    land(shop, os.fsdecode(b"\xff\xfe"), b"x")
    assert found() == []
    assert mails(shop)[0].body["table"]["rows"][0][0] == "\\udcff\\udcfe"


def test_what_a_query_was_not_asked_for_is_found_and_told_if_it_does_not_come(shop):
    land(shop, KEY)
    shop.ingest(KEY)
    query = QuerySection(connection="warehouse", query="SELECT 1 WHERE t >= :start AND t < :end")
    feed = shop.definition.feed.model_copy(update={"source": {"inputs": query}})
    definition = shop.definition.model_copy(update={"feed": feed})
    noon = dt.datetime(2024, 1, 4, 12, tzinfo=dt.UTC)

    def look(now=noon, **more):
        return [one.key for one in discover(definition, settings=shop.settings, now=now, **more)]

    def told():
        with shop.ledger.transaction() as session:
            return sorted(session.scalars(select(LateFeed.key)))

    assert look(dry_run=True) == look(limit=1) + look() == ["2024-01-02", "2024-01-03"]
    assert look() == told() == [], "their runs have been started"
    with shop.ledger.transaction() as session:
        session.execute(update(Sighting).values(first_seen=noon))
    later = noon + feed.grace
    look(later - dt.timedelta(seconds=1))
    assert told() == []
    look(later)
    look(later)
    assert told() == ["2024-01-02", "2024-01-03"]
    with shop.ledger.transaction() as session:
        (mail,) = session.scalars(select(Alert).where(Alert.kind == "late_feed"))
    assert "evergreen feed extract shop --from 2024-01-02 --table inputs" in str(mail.body["next_steps"])
