"""Writing a mail to the outbox: once for one cause, and only if what it reports is committed."""

import threading

import pytest
from sqlalchemy import select

from evergreen.core.ledger.outbox import claim, count_pending, mark_failed, owe
from evergreen.core.ledger.tables import Alert

BODY = {"headline": "Drift.", "summary": "It moved."}


def owe_one(session, definition, **changes):
    values = {"kind": "drift", "key": "2013-04-15", "dedup_key": "k", "subject": "drift", "body": BODY}
    return owe(session, definition, **{**values, **changes})


def test_the_same_mail_is_owed_once(ledger, definition):
    with ledger.transaction() as session:
        first = owe_one(session, definition).id
    with ledger.transaction() as session:
        again = owe_one(session, definition, subject="other words")
        assert again.id == first
        assert again.subject.endswith(": drift")
        assert count_pending(session) == 1


def test_callers_at_once_owe_one_mail(ledger, definition):
    found, barrier = [], threading.Barrier(8)

    def call():
        with ledger.transaction() as session:
            barrier.wait()
            found.append(owe_one(session, definition).id)

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_a_rolled_back_decision_owes_nothing(ledger, definition):
    def decide():
        with ledger.transaction() as session:
            owe_one(session, definition)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        decide()
    with ledger.transaction() as session:
        assert count_pending(session) == 0


def test_hostile_text_reaches_the_ledger(ledger, definition):
    with ledger.transaction() as session:
        owe_one(session, definition, body={**BODY, "facts": [["a\x00b", "\ud800 \x1b[31m \u202e"]]})
    with ledger.transaction() as session:
        (label, value) = session.scalars(select(Alert)).one().body["facts"][0]
    assert label == "a\N{REPLACEMENT CHARACTER}b"
    assert value.isprintable()


def test_recipients_and_own_runbooks_come_from_the_definition(ledger, definition):
    alerts = definition.alerts.model_copy(update={"to": ("a@x.org", "b@x.org"), "runbooks": "https://wiki/run/"})
    with ledger.transaction() as session:
        alert = owe_one(session, definition.model_copy(update={"alerts": alerts}))
        assert alert.recipients == ["a@x.org", "b@x.org"]
        assert alert.body["links"]["runbook"] == "https://wiki/run/drift"


def test_a_claimed_mail_is_passed_over_and_a_failed_one_comes_last(ledger, owed):
    owed(3)
    with ledger.transaction() as one, ledger.transaction() as other:
        first = claim(one)
        second = claim(other)
        assert {first.subject[-1], second.subject[-1]} < {"0", "1", "2"}
        assert first.id != second.id
        mark_failed(first, "no")
    with ledger.transaction() as session:
        assert claim(session).id != first.id
        assert count_pending(session) == 3
