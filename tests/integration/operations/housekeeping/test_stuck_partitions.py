"""What is stuck is started again once, and reported once if that did not help."""

import datetime as dt

import pytest
from sqlalchemy import select, update

from evergreen.core.definition import load_definition
from evergreen.core.ledger import Ledger
from evergreen.core.ledger.tables import Alert, PartitionVersion, Sighting, Verdict
from evergreen.loop.monitoring.readiness import STUCK_AFTER
from evergreen.operations.housekeeping.stuck_partitions import AGAIN_AFTER, mend

pytestmark = pytest.mark.integration
NOW = dt.datetime.now(dt.UTC)
KEYS = ["2013-01-07", "2013-01-14"]


@pytest.fixture
def ledger(settings):
    """Two accepted partitions from which no features were built, two days ago."""
    ledger, long_ago = Ledger.from_settings(settings), NOW - dt.timedelta(days=2)
    with ledger.transaction() as session:
        for key in KEYS:
            for table in ("inputs", "labels"):
                version = PartitionVersion(
                    model="nyc_flights", table=table, key=key, version=1, content_hash="a", landed_uri="file:///a",
                    raw_uri="file:///a", bytes=1, rows=1, landed_at=long_ago, received_at=long_ago,
                )  # fmt: skip
                session.add(version)
                session.flush()
                session.add(
                    Verdict(
                        partition_version_id=version.id, suite_hash="s", outcome="accepted", reason="", failures=[],
                        rows_accepted=1, rows_rejected=0, decided_at=long_ago,
                    )
                )  # fmt: skip
    return ledger


@pytest.fixture
def look(settings):
    def look(**more):
        found = mend(load_definition("nyc_flights"), settings=settings, now=dt.datetime.now(dt.UTC), **more)
        return [(stuck.step, stuck.key) for stuck in found]

    return look


def mails(ledger):
    with ledger.transaction() as session:
        return list(session.scalars(select(Alert).where(Alert.kind == "stuck")))


def age(ledger, by):
    with ledger.transaction() as session:
        session.execute(update(Sighting).values(first_seen=Sighting.first_seen - by))


def forget_the_restart(ledger, by):
    with ledger.transaction() as session:
        session.execute(update(Sighting).values(acted_at=Sighting.acted_at - by))


BOTH = [("features", key) for key in KEYS]


def test_it_is_started_again_once(ledger, look):
    assert look(dry_run=True) == look() == BOTH
    assert look() == look() == []
    assert mails(ledger) == []


def test_a_restart_that_came_to_nothing_is_asked_for_again(ledger, look):
    assert look() == BOTH
    forget_the_restart(ledger, AGAIN_AFTER)
    assert look() == BOTH
    assert look() == []
    assert mails(ledger) == []


def test_what_is_over_the_limit_comes_at_the_next_look(ledger, look):
    assert [look(limit=1) for _ in range(3)] == [BOTH[:1], BOTH[1:], []]


def test_what_did_not_move_is_reported_once(ledger, look):
    look()
    age(ledger, STUCK_AFTER - dt.timedelta(minutes=1))
    look()
    assert mails(ledger) == []
    age(ledger, dt.timedelta(minutes=1))
    look(dry_run=True)
    assert mails(ledger) == []
    assert look() == look() == []
    (mail,) = mails(ledger)
    assert mail.subject == "[evergreen] nyc_flights: 2 partitions are stuck"
    assert [row[:2] for row in mail.body["table"]["rows"]] == [["nyc_flights.features", key] for key in KEYS]


def test_what_moved_is_not_reported(ledger, look):
    look()
    age(ledger, 2 * STUCK_AFTER)
    with ledger.transaction() as session:
        session.execute(update(Verdict).values(outcome="quarantined"))
    assert look() == []
    assert mails(ledger) == []


def test_what_moved_after_it_was_reported_is_told_to_be_over(ledger, look):
    look()
    age(ledger, STUCK_AFTER)
    look()
    with ledger.transaction() as session:
        session.execute(update(Verdict).values(outcome="quarantined"))
    look()
    look()
    assert sorted(mail.subject for mail in mails(ledger)) == [
        "[evergreen] nyc_flights: 2 partitions are stuck",
        "[evergreen] nyc_flights: all clear: partitions stuck before features",
    ]
