"""A late feed on a real ledger: one mail when the grace period ends, one when it comes."""

import datetime as dt
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from evergreen.core.ledger.tables import Alert, Incident, LateFeed, Occurrence
from evergreen.loop.intake.lateness import report_if_late, terms

pytestmark = pytest.mark.integration
KEY = "2024-01-01"
BEGAN = dt.datetime(2024, 1, 2, 0, 0, 7, tzinfo=dt.UTC)
GRACE = dt.timedelta(hours=24)
LOG = "http://airflow/dags/shop.ingest_inputs/runs/r/tasks/wait_for_drop"


def report(shop, after, table="inputs", key=KEY):
    """Look `after` the wait began."""
    asked = terms(shop.definition, table, key, BEGAN)
    return report_if_late(
        shop.definition, asked, missing=f"nothing has landed for {key} yet", now=BEGAN + after,
        settings=shop.settings, run_url=LOG,
    )  # fmt: skip


def mails(shop, kind="late_feed"):
    with shop.ledger.transaction() as session:
        return list(session.scalars(select(Alert).where(Alert.kind == kind).order_by(Alert.created_at)))


def occurrences(shop):
    with shop.ledger.transaction() as session:
        return list(session.scalars(select(Occurrence).order_by(Occurrence.id)))


def test_no_mail_is_owed_before_the_grace_period_has_ended(shop):
    assert report(shop, GRACE - dt.timedelta(seconds=1)) == "in_time"
    assert mails(shop) == []


def test_one_mail_is_owed_however_often_it_is_asked(shop):
    assert [report(shop, GRACE + dt.timedelta(seconds=n)) for n in range(3)] == ["reported", "known", "known"]
    (mail,) = mails(shop)
    assert mail.subject == f"[evergreen] shop {KEY}: inputs are late"
    facts = dict(mail.body["facts"])
    assert facts["Due"] == "2024-01-02 00:00:00 UTC"
    assert facts["Waited for since"] == "2024-01-02 00:00:07 UTC"
    assert facts["Grace period"] == "24 h, until 2024-01-03 00:00:07 UTC"
    assert facts["Looked for in"] == f"{shop.settings.landing_url}/orders/{KEY}"
    assert facts["Missing"] == f"nothing has landed for {KEY} yet"
    assert mail.body["links"]["log"] == LOG


def test_at_the_same_moment_too(shop):
    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(lambda _: report(shop, GRACE), range(16)))
    assert sorted(said) == ["known"] * 15 + ["reported"]
    assert len(mails(shop)) == 1


def test_tables_are_told_each_for_itself_and_partitions_of_one_together(shop):
    for table, key in (("inputs", KEY), ("labels", KEY), ("inputs", "2024-01-02")):
        assert report(shop, dt.timedelta(days=9), table, key) == "reported"
    assert [mail.subject for mail in mails(shop)] == [
        f"[evergreen] shop {KEY}: inputs are late", f"[evergreen] shop {KEY}: labels are late",
    ]  # fmt: skip
    assert {(one.part, one.resolved_at) for one in occurrences(shop)} == {(KEY, None), ("2024-01-02", None)}
    assert len(occurrences(shop)) == 3


def test_twenty_late_partitions_are_two_mails_and_one_when_all_have_come(shop):
    keys = [f"2024-03-{day:02}" for day in range(1, 21)]
    for key in keys:
        report(shop, dt.timedelta(days=90), key=key)
    for key in keys[::-1]:
        assert len(mails(shop)) == 2
        shop.land(key, shop.orders(key))
        shop.ingest(key)
    *_, over = mails(shop)
    assert over.subject == "[evergreen] shop: all clear: late inputs"
    assert [row[3] for row in over.body["table"]["rows"]] == ["arrived, accepted"] * 20


def test_a_feed_that_was_told_before_there_were_incidents_has_its_second_mail(shop):
    with shop.ledger.transaction() as session:
        session.add(
            LateFeed(model="shop", table="inputs", key=KEY, due_at=BEGAN, waiting_since=BEGAN, grace_until=BEGAN,
                     missing="nothing", run_url=LOG)
        )  # fmt: skip
    shop.land(KEY, shop.orders(KEY))
    shop.ingest(KEY)
    (mail,) = mails(shop)
    assert mail.subject == f"[evergreen] shop {KEY}: late inputs have arrived and are accepted"


@pytest.mark.parametrize(("price", "outcome"), [(9.5, "accepted"), (999.0, "quarantined")])
def test_the_second_mail_says_that_it_has_come_and_what_became_of_it(shop, price, outcome):
    report(shop, GRACE)
    shop.land(KEY, shop.orders(KEY, price=price))
    for _ in range(3):
        assert shop.ingest(KEY).outcome == outcome
    _, arrived = mails(shop)
    assert arrived.subject == f"[evergreen] shop {KEY}: late inputs have arrived and are {outcome}"
    facts = dict(arrived.body["facts"])
    assert facts["Verdict"] == outcome
    assert facts["Log of the wait"] == LOG
    assert arrived.body["links"]["log"] == "http://airflow/run"
    assert "days after they were waited for" in arrived.body["summary"]
    assert len(mails(shop, "quarantine")) == (outcome == "quarantined")


def test_it_is_told_once_that_it_came_however_often_it_is_restated(shop):
    report(shop, GRACE)
    for price in (1.0, 999.0, 2.0):
        shop.land(KEY, shop.orders(KEY, price=price))
        shop.ingest(KEY)
    assert len(mails(shop)) == 2


def test_what_came_in_time_owes_nothing(shop):
    shop.land(KEY, shop.orders(KEY))
    shop.ingest(KEY)
    assert report(shop, GRACE) == "known", "the feed was in time, the run is late"
    assert mails(shop) == []


def test_a_drop_that_comes_while_it_is_reported_leaves_nothing_that_waits(shop):
    """Whichever takes the partition's lock first: a late feed that is not resolved would keep somebody awake."""
    told = 0
    for day in range(1, 7):
        key = f"2024-02-{day:02}"
        shop.land(key, shop.orders(key))
        with ThreadPoolExecutor(2) as pool:
            reported = pool.submit(report, shop, dt.timedelta(days=60), "inputs", key)
            pool.submit(shop.ingest, key).result()
        told += reported.result() == "reported"
        assert all(one.how == "arrived, accepted" for one in occurrences(shop))
    with shop.ledger.transaction() as session:
        assert len(occurrences(shop)) == len(session.scalars(select(LateFeed)).all()) == told
        (incident, *more) = session.scalars(select(Incident).order_by(Incident.id)).all() or [None]
    if incident is not None:
        assert incident.closed_at is not None
        assert len(mails(shop)) == 2 + len(more), "the second time, it has to be well for an hour before it is over"
