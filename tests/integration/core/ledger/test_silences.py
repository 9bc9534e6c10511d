"""Silences hold mails back, keep them, and sum them up once."""

import datetime as dt
import threading
from functools import partial

import pytest
from sqlalchemy import select, update

from evergreen.core.ledger import silences
from evergreen.core.ledger.outbox import claim, count_pending, owe
from evergreen.core.ledger.tables import Alert, Silence
from evergreen.errors import BadInputError
from evergreen.operations.housekeeping.messages import settle

pytestmark = pytest.mark.integration
HOUR = dt.timedelta(hours=1)


def now():
    return dt.datetime.now(dt.UTC)


def begin(ledger, kind=None, cause=None, length=HOUR, at=None):
    with ledger.transaction() as session:
        return silences.begin(
            session, "nyc_flights", kind=kind, cause=cause, length=length, why="the producer\x1b knows", asked_by="ann",
            now=at or now(),
        ).id  # fmt: skip


def tell(ledger, definition, kind, name, cause=None):
    with ledger.transaction() as session:
        return owe(
            session, definition, kind=kind, key=None, dedup_key=name, subject=name,
            body={"headline": "h", "summary": "s"}, cause=cause,
        ).silence_id  # fmt: skip


def due(ledger, definition, at):
    with ledger.transaction() as session:
        return settle(session, definition.name, owe_mail=partial(owe, session, definition), now=at)


def test_what_is_held_back_is_on_record_unsent_and_summed_up_once(ledger, definition):
    silence = begin(ledger)
    assert tell(ledger, definition, "quarantine", "q1") == silence
    assert tell(ledger, definition, "late_feed", "l1") == silence
    with ledger.transaction() as session:
        assert claim(session) is None
        assert count_pending(session) == 0
    assert due(ledger, definition, now()) == 0
    assert [due(ledger, definition, now() + 2 * HOUR) for _ in range(2)] == [1, 0]
    with ledger.transaction() as session:
        mail = claim(session)
        assert mail.subject == "[evergreen] nyc_flights: a silence is over, 2 mails held back"
        assert [row[1] for row in mail.body["table"]["rows"]] == ["quarantine", "late_feed"]
        assert dict(mail.body["facts"])["Why"] == "the producer\\u001b knows"


@pytest.mark.parametrize("kind", sorted(silences.BY_NAME_ONLY))
def test_approvals_harm_and_changes_of_the_champion_are_held_back_by_name_only(ledger, definition, kind):
    begin(ledger)
    assert tell(ledger, definition, kind, "one") is None
    silence = begin(ledger, kind=kind)
    assert tell(ledger, definition, kind, "two") == silence


def test_one_cause_is_silenced_and_others_are_not(ledger, definition):
    from evergreen.core.ledger import incidents

    causes = [incidents.Cause("quarantine", "inputs", (fault,), fault) for fault in ("a", "b")]
    with ledger.transaction() as session:
        for n, cause in enumerate(causes):
            incidents.occur(
                session, "nyc_flights", cause, [incidents.Met(f"o{n}", f"2013-04-{n + 1:02}", "bad")], subject="s",
                body=incidents.AlertBody(headline="h", summary="s"), owe=partial(owe, session, definition),
            )  # fmt: skip
    silence = begin(ledger, cause=causes[0].fingerprint)
    assert tell(ledger, definition, "quarantine", "of a", causes[0].fingerprint) == silence
    assert tell(ledger, definition, "quarantine", "of b", causes[1].fingerprint) is None
    assert tell(ledger, definition, "quarantine", "of none") is None


def test_ended_before_its_time(ledger, definition):
    silence = begin(ledger)
    tell(ledger, definition, "quarantine", "q1")
    with ledger.transaction() as session:
        silences.end(session, "nyc_flights", silence, ended_by="bob", now=now())
    assert tell(ledger, definition, "quarantine", "q2") is None
    assert due(ledger, definition, now()) == 1
    with ledger.transaction() as session, pytest.raises(BadInputError, match="over already"):
        silences.end(session, "nyc_flights", silence, ended_by="bob", now=now())


def test_one_that_held_nothing_back_owes_nothing(ledger, definition):
    begin(ledger)
    assert due(ledger, definition, now() + 2 * HOUR) == 0
    with ledger.transaction() as session:
        assert session.scalars(select(Silence)).one().summed_at is not None


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"length": dt.timedelta(0)}, "more than nothing"), ({"length": dt.timedelta(days=91)}, "90 days"),
        ({"kind": "digest"}, "alerts.digest"), ({"cause": "0123456789ab"}, "no incident of the cause"),
    ],
)  # fmt: skip
def test_what_cannot_be_silenced_is_said(ledger, asked, says):
    with pytest.raises(BadInputError, match=says):
        begin(ledger, **asked)


def test_no_mail_slips_between_a_silence_and_its_summary(ledger, definition):
    """Mails are owed while it ends: each is sent by itself or listed, never neither."""
    silence = begin(ledger)
    barrier = threading.Barrier(5)

    def owe_some(first):
        barrier.wait()
        for n in range(first, 40, 4):
            tell(ledger, definition, "quarantine", f"q{n}")

    def stop():
        barrier.wait()
        with ledger.transaction() as session:
            silences.end(session, "nyc_flights", silence, ended_by="bob", now=now())
        due(ledger, definition, now())

    threads = [threading.Thread(target=owe_some, args=(n,)) for n in range(4)] + [threading.Thread(target=stop)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with ledger.transaction() as session:
        alerts = session.scalars(select(Alert)).all()
        held = [alert for alert in alerts if alert.silence_id is not None]
        summed = [alert for alert in alerts if alert.kind == "silence"]
    assert len(alerts) - len(summed) == 40
    assert sum(len(mail.body["table"]["rows"]) for mail in summed) == len(held)


def test_a_mail_that_was_owed_before_the_silence_is_sent(ledger, definition):
    tell(ledger, definition, "quarantine", "q1")
    begin(ledger)
    with ledger.transaction() as session:
        assert claim(session) is not None
        session.execute(update(Alert).values(sent_at=now()))
