"""From the landing zone to a verdict, on a real ledger and store: each once, whatever is run again."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlparse

import pandas as pd
import pytest
from sqlalchemy import select

from evergreen.core.ledger.queries import partitions
from evergreen.core.ledger.tables import Alert, PartitionVersion, Verdict
from evergreen.core.store import Store
from evergreen.errors import BadInputError, DefinitionError, NotReadyError, PartitionKeyError, UnavailableError
from evergreen.loop.intake.accepted_rows import read_clean
from evergreen.loop.intake.limits import LIMITS
from evergreen.loop.intake.receive import receive
from evergreen.loop.intake.validate import validate

pytestmark = pytest.mark.integration
KEY, NEXT = "2024-01-01", "2024-01-02"


def everything(shop, table):
    with shop.ledger.transaction() as session:
        return session.scalars(select(table).order_by(table.id)).all()


def current(shop, key=KEY):
    with shop.ledger.transaction() as session:
        return partitions.current(session, "shop", "inputs", key)


def test_a_good_drop_is_accepted_and_its_rows_are_read_back(shop):
    orders = shop.orders(KEY, country=["SE"] * 49 + [None])
    shop.land(KEY, orders)
    result = shop.ingest(KEY)
    assert (result.outcome, result.rows, result.rows_rejected, result.version, result.new) == (
        "accepted",
        50,
        0,
        1,
        True,
    )
    assert result.reason == "50 rows; 2 of 2 expectations hold"
    partition, verdict = current(shop)
    frame = read_clean(verdict, shop.settings)
    assert frame.dtypes.astype(str).to_dict() == {
        "order_id": "object",
        "ordered_at": "datetime64[us, UTC]",
        "country": "object",
        "items": "Int64",
        "price": "float64",
    }
    pd.testing.assert_frame_equal(frame, orders, check_dtype=False)
    assert frame["country"].iloc[-1] is None
    assert partition.rows == 50
    store = Store.from_settings(shop.settings)
    landed = Path(urlparse(shop.file(KEY)).path).read_bytes()
    assert store.read(store.name(partition.raw_uri)) == landed
    assert json.loads(store.read(store.name(result.results_uri)))["success"] is True


def test_run_again_it_finds_what_it_did(shop):
    shop.land(KEY, shop.orders(KEY))
    first, second = shop.ingest(KEY), shop.ingest(KEY)
    assert second.new is False
    assert (second.verdict_id, second.clean_uri) == (first.verdict_id, first.clean_uri)
    assert len(everything(shop, PartitionVersion)) == len(everything(shop, Verdict)) == 1


def test_run_again_after_the_landing_zone_was_cleared(shop):
    shop.land(KEY, shop.orders(KEY))
    first = shop.ingest(KEY)
    Path(urlparse(shop.file(KEY)).path).unlink()
    assert shop.ingest(KEY).verdict_id == first.verdict_id


def test_a_restated_partition_is_a_new_version_and_the_old_one_stays(shop):
    for price in (1.0, 2.0, 1.0):
        shop.land(KEY, shop.orders(KEY, price=price))
        shop.ingest(KEY)
    versions = everything(shop, PartitionVersion)
    assert [v.version for v in versions] == [1, 2, 3]
    assert versions[0].content_hash == versions[2].content_hash != versions[1].content_hash
    partition, verdict = current(shop)
    assert partition.version == 3
    assert (read_clean(verdict, shop.settings)["price"] == 1.0).all()


def test_a_bad_restatement_is_quarantined_and_the_accepted_version_goes_on(shop):
    shop.land(KEY, shop.orders(KEY))
    shop.ingest(KEY)
    shop.land(KEY, shop.orders(KEY, price=[5000.0] + [1.0] * 49))
    result = shop.ingest(KEY)
    assert (result.outcome, result.rows, result.rows_rejected) == ("quarantined", 0, 50)
    assert result.reason == "price: 1 of 50 (2.0 %) values lie outside 0 to 100, such as 5000"
    assert result.clean_uri is None
    assert current(shop)[0].version == 1
    with shop.ledger.transaction() as session:
        assert partitions.accepted_keys(session, "shop", "inputs") == [KEY]
        verdict = session.get_one(Verdict, result.verdict_id)
    with pytest.raises(NotReadyError, match="quarantined: price"):
        read_clean(verdict, shop.settings)


def test_a_quarantine_owes_one_mail_and_keeps_a_sample(shop):
    shop.land(KEY, shop.orders(KEY, price=[5000.0] + [1.0] * 49))
    shop.ingest(KEY)
    shop.ingest(KEY)
    (alert,) = everything(shop, Alert)
    assert alert.kind == "quarantine"
    assert alert.recipients == ["shop@example.com"]
    assert alert.subject == "[evergreen] shop 2024-01-01: inputs quarantined"
    assert "price: 1 of 50" in alert.body["summary"]
    assert alert.body["links"]["log"] == "http://airflow/run"
    assert any("web-shop" in step for step in alert.body["next_steps"])
    store = Store.from_settings(shop.settings)
    sample = json.loads(store.read(store.name(dict(alert.body["facts"])["Bad rows, some"])))
    assert [row["row"] for row in sample["rows"]] == [0]
    assert sample["rows"][0]["values"]["price"] == "5000.0"


def test_a_warning_is_accepted_and_reported(shop):
    shop.land(KEY, shop.orders(KEY, country=[None] * 30 + ["SE"] * 20))
    result = shop.ingest(KEY)
    assert result.outcome == "accepted"
    assert "1 warned: country: 30 of 50 (60 %) values are missing; at most 10 % may" in result.reason
    assert [failure["severity"] for failure in result.failures] == ["warning"]
    assert everything(shop, Alert) == []


def test_corrected_expectations_give_a_new_verdict_and_so_does_their_return(shop):
    shop.land(KEY, shop.orders(KEY, price=150.0))
    outcomes = []
    for price in (100, 200, 100, 100):
        shop.allow_prices_up_to(price)
        outcomes.append(shop.ingest(KEY).outcome)
    assert outcomes == ["quarantined", "accepted", "quarantined", "quarantined"]
    assert len(everything(shop, PartitionVersion)) == 1
    assert len(everything(shop, Verdict)) == 3
    with shop.ledger.transaction() as session:
        mails = session.scalars(select(Alert).order_by(Alert.created_at)).all()
    assert [mail.subject.removeprefix(f"[evergreen] shop {KEY}: ") for mail in mails] == [
        "inputs quarantined", "all clear: inputs quarantined for price", "again: inputs quarantined",
    ]  # fmt: skip
    assert current(shop) is None


def test_csv_and_parquet_are_two_versions_of_the_same_rows(shop):
    orders = shop.orders(KEY)
    shop.land(KEY, orders)
    shop.ingest(KEY)
    first = read_clean(current(shop)[1], shop.settings)
    shop.land(KEY, orders.to_csv(index=False).encode(), suffix="csv")
    assert shop.ingest(KEY).version == 2
    pd.testing.assert_frame_equal(read_clean(current(shop)[1], shop.settings), first)


def test_a_file_is_judged_by_its_name_even_where_the_bytes_were_seen_before(shop):
    orders = shop.orders(KEY).to_csv(index=False).encode()
    shop.land(KEY, orders)
    assert shop.ingest(KEY).outcome == "quarantined"
    Path(urlparse(shop.file(KEY)).path).unlink()
    shop.land(KEY, orders, suffix="csv")
    assert shop.ingest(KEY).outcome == "accepted"


def test_a_file_beyond_the_limit_is_quarantined_unread(shop):
    shop.land(KEY, b"")
    path = Path(urlparse(shop.file(KEY)).path)
    os.truncate(path, LIMITS.file_bytes + 1)  # sparse: takes no space
    (path.parent / "_SUCCESS").touch()
    result = shop.ingest(KEY)
    assert result.outcome == "quarantined"
    assert "1,073,741,825 bytes; a partition's file may have 1,073,741,824" in result.reason
    store = Store.from_settings(shop.settings)
    assert not store.fs.exists(store.path("raw"))


def test_hostile_text_reaches_the_ledger_escaped(shop):
    orders = shop.orders(KEY, country="a\x00b\x1b[31m<script>\u202e")
    shop.land(KEY, orders)
    result = shop.ingest(KEY)
    assert result.outcome == "quarantined"
    assert "control characters, such as 'a\\u0000b\\u001b[31m<script>\\u202e'" in result.reason


@pytest.mark.parametrize("step", ["receive", "validate"])
def test_at_once_from_several_workers_it_happens_once(shop, step):
    shop.land(KEY, shop.orders(KEY, price=-1.0))
    if step == "validate":
        version = receive(shop.definition, "inputs", KEY, settings=shop.settings).partition_version_id
    with ThreadPoolExecutor(6) as pool:
        if step == "receive":
            jobs = [pool.submit(receive, shop.definition, "inputs", KEY, settings=shop.settings) for _ in range(6)]
        else:
            jobs = [pool.submit(validate, shop.definition, version, settings=shop.settings) for _ in range(6)]
        results = [job.result() for job in jobs]
    assert sum(result.new for result in results) == 1
    assert len(everything(shop, PartitionVersion)) == 1
    if step == "validate":
        assert len({result.verdict_id for result in results}) == 1
        assert len(everything(shop, Verdict)) == len(everything(shop, Alert)) == 1


def test_several_partitions_are_asked_for_in_one_query(shop):
    for key in (KEY, NEXT):
        shop.land(key, shop.orders(key))
        shop.ingest(key)
    with shop.ledger.transaction() as session:
        found = partitions.current_map(session, "shop", "inputs", [NEXT, KEY, "2024-01-03"])
        assert list(found) == [KEY, NEXT]
        assert partitions.accepted_keys(session, "shop", "inputs") == [KEY, NEXT]
        assert partitions.accepted_keys(session, "shop", "labels") == []
        assert partitions.current(session, "other", "inputs", KEY) is None


def test_what_cannot_be_received_is_said(shop):
    with pytest.raises(UnavailableError, match="nothing has landed for 2024-01-01 yet"):
        shop.ingest(KEY)
    with pytest.raises(PartitionKeyError, match="outside the calendar of shop"):
        shop.ingest("2023-12-31")
    with pytest.raises(PartitionKeyError, match="is not a date"):
        shop.ingest("../../etc")
    with pytest.raises(BadInputError, match="no partition version with id 77"):
        validate(shop.definition, 77, settings=shop.settings)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (None, "expectations.py is missing"),
        ("def labels(): return []", "there is no function inputs"),
        ("def inputs(): return 1/0", "raised ZeroDivisionError"),
        ("def inputs(): return ['x']", "must return a list of great_expectations expectations"),
        ("import nothing_like_it", "cannot be imported: ModuleNotFoundError"),
        ((
            "import great_expectations.expectations as gxe\n"
            "def inputs(): return [gxe.ExpectColumnValuesToNotBeNull(column='prize')]"
        ), "there is no column prize"),
    ],
)  # fmt: skip
def test_broken_expectations_are_the_models_fault_and_give_no_verdict(shop, source, says):
    path = shop.folder / "expectations.py"
    path.unlink() if source is None else path.write_text(source)
    shop.land(KEY, shop.orders(KEY))
    with pytest.raises(DefinitionError, match=says):
        shop.ingest(KEY)
    assert everything(shop, Verdict) == []
