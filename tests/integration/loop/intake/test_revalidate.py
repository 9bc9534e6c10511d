"""Out of quarantine, on a real ledger and store: what passes is accepted once, what does not stays where it is."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlparse

import pytest
from sqlalchemy import select

from evergreen.core.ledger.queries import partitions
from evergreen.core.ledger.tables import Alert, PartitionVersion, Snapshot, Verdict
from evergreen.errors import BadInputError, PartitionKeyError
from evergreen.loop.intake.revalidate import find, outcomes, released, validate_again

pytestmark = pytest.mark.integration
KEY, NEXT, THIRD = "2024-01-01", "2024-01-02", "2024-01-03"


def everything(shop, table):
    with shop.ledger.transaction() as session:
        return session.scalars(select(table).order_by(table.id)).all()


def held(shop, *keys, tables="both"):
    return [(h["table"], h["key"]) for h in find(shop.definition, tables, keys, settings=shop.settings)]


def replay(shop, key, table="inputs", why="prices went up"):
    return validate_again(shop.definition, table, key, asked_by="Ada", why=why, settings=shop.settings)


@pytest.fixture
def dear(shop):
    """Two partitions in quarantine for their prices, and an accepted one."""
    for key, price in ((KEY, 150.0), (NEXT, 250.0), (THIRD, 9.5)):
        shop.land(key, shop.orders(key, price=price))
        shop.ingest(key)
    return shop


def test_what_is_in_quarantine_is_found_oldest_first(dear):
    assert held(dear) == held(dear, tables="inputs") == [("inputs", KEY), ("inputs", NEXT)]
    assert held(dear, NEXT, THIRD) == [("inputs", NEXT)], "an accepted partition is left alone"
    assert held(dear, tables="labels") == []


def test_a_corrected_expectation_releases_what_passes_now(dear):
    dear.allow_prices_up_to(200)
    first, second = replay(dear, KEY), replay(dear, NEXT)
    assert (first.outcome, first.version, first.new) == ("accepted", 1, True)
    assert (second.outcome, second.new) == ("quarantined", True)
    assert second.reason == "price: 50 of 50 (100 %) values lie outside 0 to 200, such as 250"
    asked = [{"table": "inputs", "key": key} for key in (KEY, NEXT)]
    said = outcomes(dear.definition, asked, settings=dear.settings)
    assert [(o.key, o.outcome, o.rows) for o in said] == [(KEY, "accepted", 50), (NEXT, "quarantined", 0)]
    assert released(dear.definition, "inputs", asked, settings=dear.settings) == [KEY]
    assert released(dear.definition, "labels", asked, settings=dear.settings) == []
    with dear.ledger.transaction() as session:
        assert partitions.accepted_keys(session, "shop", "inputs") == [KEY, THIRD]


def test_the_ledger_keeps_who_asked_and_why_and_every_verdict(dear):
    dear.allow_prices_up_to(200)
    replay(dear, KEY)
    said = [(v.outcome, v.asked_by, v.why) for v in everything(dear, Verdict) if v.partition_version_id == 1]
    assert said == [("quarantined", None, None), ("accepted", "Ada", "prices went up")]


def test_asked_again_it_changes_nothing(dear):
    dear.allow_prices_up_to(200)
    for _ in range(3):
        replay(dear, KEY)
        replay(dear, NEXT)
    assert len(everything(dear, PartitionVersion)) == 3
    assert len(everything(dear, Verdict)) == 5
    assert len(everything(dear, Alert)) == 3, "a new verdict owes its mail once"


def test_without_a_change_it_is_the_old_verdict(dear):
    again = replay(dear, KEY)
    assert (again.outcome, again.new) == ("quarantined", False)
    assert len(everything(dear, Verdict)) == 3


def test_data_that_was_landed_again_is_taken_and_the_old_version_stays(dear):
    dear.land(KEY, dear.orders(KEY))
    result = replay(dear, KEY)
    assert (result.outcome, result.version) == ("accepted", 2)
    versions = [v for v in everything(dear, PartitionVersion) if v.key == KEY]
    assert [v.version for v in versions] == [1, 2]


def test_the_kept_bytes_are_enough_and_stay_as_they_are(dear):
    (raw,) = {v.raw_uri for v in everything(dear, PartitionVersion) if v.key == KEY}
    before = Path(urlparse(raw).path).read_bytes()
    Path(urlparse(dear.file(KEY)).path).unlink()
    dear.allow_prices_up_to(200)
    assert replay(dear, KEY).outcome == "accepted"
    assert Path(urlparse(raw).path).read_bytes() == before


def test_a_drop_that_is_not_complete_yet_is_not_taken(dear):
    dear.land(KEY, dear.orders(KEY))
    (Path(urlparse(dear.file(KEY)).path).parent / "_SUCCESS").unlink()
    assert replay(dear, KEY).version == 1


def test_a_bad_restatement_is_in_quarantine_though_an_older_version_serves(dear):
    dear.land(THIRD, dear.orders(THIRD, price=150.0))
    dear.ingest(THIRD)
    assert held(dear, THIRD) == [("inputs", THIRD)]
    dear.allow_prices_up_to(200)
    assert replay(dear, THIRD).outcome == "accepted"
    with dear.ledger.transaction() as session:
        assert partitions.current(session, "shop", "inputs", THIRD)[0].version == 2


def test_what_was_accepted_and_never_built_is_found_again(dear):
    """The run that accepted it ended before it could tell anybody."""
    dear.allow_prices_up_to(200)
    version = replay(dear, KEY).partition_version_id
    assert held(dear, KEY) == [("inputs", KEY)]
    with dear.ledger.transaction() as session:
        session.add(
            Snapshot(
                model="shop", key=KEY, version=1, build_hash="b", inputs_version_id=version, labels_used={},
                inputs_looked_back={}, labels_missing=[], code_hash="c", git_commit="g", dvc_path="p", dvc_hash="h",
                content_hash="x", rows=50,
            )
        )  # fmt: skip
    assert held(dear, KEY) == []


def test_labels_come_out_too(shop):
    labels = shop.orders(KEY).assign(returned=True)[["order_id", "ordered_at", "returned"]]
    shop.land(KEY, labels.iloc[:0], table="labels")
    shop.ingest(KEY, "labels")
    assert held(shop) == [("labels", KEY)]
    shop.land(KEY, labels, table="labels")
    assert replay(shop, KEY, "labels").outcome == "accepted"
    assert held(shop) == []


def test_at_once_with_the_run_of_its_arrival_there_is_one_verdict(dear):
    dear.allow_prices_up_to(200)
    with ThreadPoolExecutor(6) as pool:
        jobs = [pool.submit(replay, dear, KEY) if n % 2 else pool.submit(dear.ingest, KEY) for n in range(6)]
        results = [job.result() for job in jobs]
    assert len({result.verdict_id for result in results}) == 1
    assert sum(result.new for result in results) == 1


def test_what_cannot_be_asked_for_is_said(dear):
    with pytest.raises(BadInputError, match="no inputs or labels of shop have landed for 2024-02-01"):
        held(dear, "2024-02-01")
    with pytest.raises(PartitionKeyError, match="outside the calendar"):
        held(dear, "2023-12-31")


def test_the_mail_names_the_way_out(dear):
    (alert,) = (a for a in everything(dear, Alert) if a.key == KEY)
    assert "evergreen replay-quarantine shop --partition 2024-01-01" in " ".join(alert.body["next_steps"])
    assert alert.body["links"]["form"] == f"{dear.settings.airflow_url}/dags/shop.replay_quarantine"
