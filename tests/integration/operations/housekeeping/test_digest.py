"""One mail a week for each model, whatever asks for it and how often."""

import datetime as dt
import threading
from functools import partial

import pytest
from sqlalchemy import select

from evergreen.core.ledger import Ledger, incidents
from evergreen.core.ledger.outbox import AlertBody, owe
from evergreen.core.ledger.tables import Alert, LateFeed, PartitionVersion, Verdict
from evergreen.errors import EvergreenError
from evergreen.operations.housekeeping.digest import due_week, owe_digest
from evergreen.operations.housekeeping.messages import settle_all

pytestmark = pytest.mark.integration
MONDAY = dt.datetime(2026, 11, 30, tzinfo=dt.UTC)
WEDNESDAY = MONDAY - dt.timedelta(days=5)


WARNING = {"name": "not_null", "column": "dep_time", "severity": "warning", "observed": "", "expected": "",
           "sentence": "dep_time: 3 of 90 rows are missing", "count": 3, "sample": [], "rows": []}  # fmt: skip


def judge(session, key, outcome, version=1, at=WEDNESDAY, warnings=0):
    """Inputs of a partition land and are given a verdict."""
    landed = PartitionVersion(
        model="nyc_flights", table="inputs", key=key, version=version, content_hash="a", landed_uri="file:///a",
        raw_uri="file:///a", bytes=1, rows=1, landed_at=at, received_at=at,
    )  # fmt: skip
    session.add(landed)
    session.flush()
    session.add(
        Verdict(
            partition_version_id=landed.id, suite_hash="s", outcome=outcome, reason="", rows_accepted=1,
            rows_rejected=0, decided_at=at, failures=[WARNING] * warnings,
        )
    )  # fmt: skip


@pytest.fixture
def definition():
    from evergreen.core.definition import load_definition

    return load_definition("nyc_flights")


@pytest.fixture
def ledger(settings):
    """A week with two warnings of one kind, one quarantine and an incident that is open."""
    ledger = Ledger.from_settings(settings)
    with ledger.transaction() as session:
        for key, outcome in (("2013-01-07", "accepted"), ("2013-01-14", "accepted"), ("2013-01-21", "quarantined")):
            judge(session, key, outcome, warnings=1 if outcome == "accepted" else 0)
    return ledger


def digests(ledger):
    with ledger.transaction() as session:
        return list(session.scalars(select(Alert).where(Alert.kind == "digest").order_by(Alert.created_at)))


def look(ledger, definition, now):
    with ledger.transaction() as session:
        return owe_digest(session, definition, owe_mail=partial(owe, session, definition), now=now)


@pytest.mark.parametrize(
    ("now", "week"),
    [
        (MONDAY + dt.timedelta(hours=5, minutes=59), "2026-11-16"), (MONDAY + dt.timedelta(hours=6), "2026-11-23"),
        (MONDAY + dt.timedelta(days=7, hours=5), "2026-11-23"), (MONDAY + dt.timedelta(days=7, hours=6), "2026-11-30"),
    ],
)  # fmt: skip
def test_it_is_due_on_monday_morning_about_the_week_before(now, week):
    assert due_week(now) == dt.date.fromisoformat(week)


def test_it_says_what_happened_and_what_needs_a_person(ledger, definition):
    with ledger.transaction() as session:
        incidents.occur(
            session, "nyc_flights", incidents.Cause("quarantine", "inputs", ("x",), "inputs quarantined for carrier"),
            [incidents.Met("q", "2013-01-21", "carrier is missing")], subject="s", now=WEDNESDAY,
            body=AlertBody(headline="h", summary="s"), owe=partial(owe, session, definition),
        )  # fmt: skip
    now = MONDAY + dt.timedelta(hours=6)
    assert [look(ledger, definition, now + dt.timedelta(hours=n)) for n in range(3)] == [True, False, False]
    (mail,) = digests(ledger)
    assert mail.subject == "[evergreen] nyc_flights: the week of 2026-11-23, 1 in quarantine, 1 open incidents"
    assert "1 of inputs quarantined" in mail.body["summary"]
    assert mail.body["table"]["rows"] == [
        ["Open incident", "inputs quarantined for carrier", "1, 1 not resolved", "2026-11-25"],
        ["Warning, inputs", "dep_time: 3 of 90 rows are missing", "2", "2013-01-14"],
    ]
    assert dict(mail.body["facts"])["In quarantine"] == "inputs of 2013-01-21"
    assert look(ledger, definition, now + dt.timedelta(days=7)), "nothing happened, and it still needs a person"
    assert len(digests(ledger)) == 2


def test_a_week_in_which_nothing_happened_and_after_which_nothing_needs_a_person_has_none(ledger, definition):
    with ledger.transaction() as session:
        judge(session, "2013-01-21", "accepted", version=2)
    assert look(ledger, definition, MONDAY + dt.timedelta(hours=6))
    week_later = MONDAY + dt.timedelta(days=7, hours=6)
    assert not look(ledger, definition, week_later)
    with ledger.transaction() as session:
        judge(session, "2013-01-28", "quarantined", at=week_later + dt.timedelta(days=2))
    assert not look(ledger, definition, week_later + dt.timedelta(days=3)), "what begins later is for the next one"
    assert look(ledger, definition, week_later + dt.timedelta(days=7))


def test_a_feed_that_has_not_come_is_named_until_a_later_one_has(ledger, definition):
    with ledger.transaction() as session:
        judge(session, "2013-01-21", "accepted", version=2)
        session.add(
            LateFeed(
                model="nyc_flights", table="inputs", key="2013-01-28", due_at=WEDNESDAY, waiting_since=WEDNESDAY,
                grace_until=WEDNESDAY, missing="nothing is there", told_at=WEDNESDAY,
            )
        )  # fmt: skip
    assert look(ledger, definition, MONDAY + dt.timedelta(hours=6))
    assert look(ledger, definition, MONDAY + dt.timedelta(days=7, hours=6))
    assert [mail.subject.rpartition(", ")[2] for mail in digests(ledger)] == ["1 late", "1 late"]
    with ledger.transaction() as session:
        judge(session, "2013-02-04", "accepted", at=MONDAY + dt.timedelta(days=8))
    assert look(ledger, definition, MONDAY + dt.timedelta(days=14, hours=6))
    assert digests(ledger)[2].subject.endswith("nothing needs a person")
    assert not look(ledger, definition, MONDAY + dt.timedelta(days=21, hours=6))


def test_lookers_at_once_owe_one(ledger, definition):
    threads = [
        threading.Thread(target=look, args=(ledger, definition, MONDAY + dt.timedelta(hours=7))) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(digests(ledger)) == 1


def test_a_model_that_wants_none_or_has_no_life_gets_none(settings, ledger, definition):
    never = definition.model_copy(update={"alerts": definition.alerts.model_copy(update={"digest": "never"})})
    assert not look(ledger, never, MONDAY + dt.timedelta(hours=7))
    assert not look(ledger, definition, WEDNESDAY), "the week before, nothing had landed"
    assert digests(ledger) == []
    assert settle_all([definition], settings=settings, now=MONDAY + dt.timedelta(hours=7)) == 1


def test_a_model_that_fails_keeps_no_other_from_its_mails(settings, ledger, definition):
    broken = definition.model_copy(update={"name": "broken", "alerts": None})
    with pytest.raises(EvergreenError, match="not owed for broken: "):
        settle_all([broken, definition], settings=settings, now=MONDAY + dt.timedelta(hours=7))
    assert len(digests(ledger)) == 1
