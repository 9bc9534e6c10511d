"""Bad rows beside accepted ones, on a real ledger and store: both are kept, counted and shown."""

import json

import pandas as pd
import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from evergreen.cli import app
from evergreen.core.ledger.queries import partitions
from evergreen.core.ledger.tables import Alert, Verdict
from evergreen.core.ledger.views import history
from evergreen.core.store import Store
from evergreen.loop.intake.accepted_rows import read_clean
from evergreen.loop.intake.revalidate import find, validate_again

pytestmark = pytest.mark.integration
KEY = "2024-01-01"


def everything(shop, table):
    with shop.ledger.transaction() as session:
        return session.scalars(select(table).order_by(table.id)).all()


def current(shop):
    with shop.ledger.transaction() as session:
        return partitions.current(session, "shop", "inputs", KEY)


@pytest.fixture
def sifted(shop):
    """A partition of 50 rows, two of which are bad, if as many may be."""
    shop.allow_bad_rows(0.04)
    shop.land(KEY, shop.orders(KEY, price=[5000.0, *[9.5] * 48, -1.0]))
    return shop.ingest(KEY)


def test_both_parts_are_kept_and_counted(shop, sifted):
    assert (sifted.outcome, sifted.rows, sifted.rows_rejected) == ("accepted", 48, 2)
    partition, verdict = current(shop)
    assert (partition.rows, verdict.rows_accepted, verdict.rows_rejected) == (50, 48, 2)
    assert len(read_clean(verdict, shop.settings)) == 48
    store = Store.from_settings(shop.settings)
    assert store.name(sifted.rejected_uri).startswith(f"quarantine/shop/inputs/{KEY}/")
    with store.fs.open(store.path(store.name(sifted.rejected_uri)), "rb") as file:
        rejected = pd.read_parquet(file)
    assert rejected["price"].tolist() == [5000.0, -1.0]
    assert rejected["evergreen_row"].tolist() == [0, 49]
    assert set(rejected["evergreen_reason"]) == {"price: values lie outside 0 to 100"}


def test_it_is_a_warning_and_no_mail(shop, sifted, caplog):
    assert everything(shop, Alert) == []
    assert [failure["severity"] for failure in sifted.failures] == ["critical"]
    assert "2 of 50 (4.0 %) rows put into quarantine: price: 2 of 50" in sifted.reason


def test_more_bad_rows_quarantine_the_partition(shop):
    shop.allow_bad_rows(0.03)
    shop.land(KEY, shop.orders(KEY, price=[5000.0, *[9.5] * 48, -1.0]))
    result = shop.ingest(KEY)
    assert (result.outcome, result.rows, result.rows_rejected, result.rejected_uri) == ("quarantined", 0, 50, None)
    assert len(everything(shop, Alert)) == 1


def test_a_corrected_share_gives_another_verdict_out_of_quarantine(shop):
    shop.land(KEY, shop.orders(KEY, price=[5000.0, *[9.5] * 49]))
    assert shop.ingest(KEY).outcome == "quarantined"
    shop.allow_bad_rows(0.04)
    assert find(shop.definition, settings=shop.settings) == [{"table": "inputs", "key": KEY}]
    again = validate_again(shop.definition, "inputs", KEY, asked_by="Ada", why=None, settings=shop.settings)
    assert (again.outcome, again.rows, again.rows_rejected) == ("accepted", 49, 1)


def test_other_rows_have_another_name(shop, sifted):
    """What is built from a partition is built again when rows of it come out of quarantine."""
    few = partitions.rows_hash(current(shop))
    shop.allow_prices_up_to(10_000)
    assert shop.ingest(KEY).rows == 49
    more = partitions.rows_hash(current(shop))
    assert len({few, more, current(shop)[0].content_hash}) == 3
    assert [v.rows_rejected for v in everything(shop, Verdict)] == [2, 1]


def test_the_life_shows_it(shop, sifted):
    with shop.ledger.transaction() as session:
        (line,) = history.quarantines(session, "shop")
        (table,) = history.tables(session, "shop")
    assert (line.outcome, line.rows_accepted, line.rows_rejected) == ("accepted", 48, 2)
    assert line.rejected_uri == sifted.rejected_uri
    assert (table.accepted, table.quarantined, table.rows, table.rows_rejected) == (1, 0, 48, 2)


def test_a_producer_sees_it_before_it_lands(shop, tmp_path, monkeypatch):
    monkeypatch.setenv("EVERGREEN_MODELS_DIR", str(shop.folder.parent))
    shop.allow_bad_rows(0.04)
    drop = tmp_path / "drops" / KEY
    drop.mkdir(parents=True)
    shop.orders(KEY, price=[5000.0, *[9.5] * 49]).to_parquet(drop / "inputs.parquet", index=False)
    answer = CliRunner().invoke(app, ["check", "shop", str(drop), "--json"])
    assert answer.exit_code == 0, answer.output
    (check,) = json.loads(answer.stdout)["tables"]
    assert (check["accepted"], check["rows"], check["rows_rejected"]) == (True, 50, 1)
    said = CliRunner(env={"COLUMNS": "250"}).invoke(app, ["check", "shop", str(drop)])
    assert "1 of 50 (2.0 %) rows put into quarantine: price" in said.output
