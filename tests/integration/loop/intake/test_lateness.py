"""A late feed on a real ledger: one mail when the grace period ends, one when it comes."""

import datetime as dt
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from evergreen.core.ledger.tables import Alert, LateFeed
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


def test_tables_and_partitions_are_late_each_for_itself(shop):
    for table, key in (("inputs", KEY), ("labels", KEY), ("inputs", "2024-01-02")):
        assert report(shop, dt.timedelta(days=9), table, key) == "reported"
    assert len(mails(shop)) == 3


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


def test_a_drop_that_comes_while_it_is_reported_leaves_none_or_both(shop):
    """Whichever takes the partition's lock first: a first mail without its second would keep somebody awake."""
    for day in range(1, 7):
        key = f"2024-02-{day:02}"
        shop.land(key, shop.orders(key))
        with ThreadPoolExecutor(2) as pool:
            told = pool.submit(report, shop, dt.timedelta(days=60), "inputs", key)
            pool.submit(shop.ingest, key).result()
        assert len([m for m in mails(shop) if m.key == key]) == (2 if told.result() == "reported" else 0)
    with shop.ledger.transaction() as session:
        assert len(mails(shop)) == 2 * len(session.scalars(select(LateFeed)).all())
