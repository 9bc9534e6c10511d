"""The whole way of reference tables: versions land before, between and after partitions; a model is made again."""

import datetime as dt
import json
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from sqlalchemy import text

from evergreen.core.ledger.queries.partitions import current
from evergreen.core.ledger.tables import Collection, ReferenceVersion, Snapshot
from evergreen.core.store import Store
from evergreen.loop.features.stale import stale_keys
from evergreen.loop.intake.references.bring_in import bring_in
from evergreen.loop.online.answer import Online
from evergreen.operations.audit.audit import audit
from evergreen.operations.reproduce import reproduce
from evergreen.operations.retention.inventory import list_beside, read
from helpers import orders_model
from helpers.reference_fixtures import land_reference

pytestmark = pytest.mark.integration
DEFINITION = orders_model.DEFINITION.replace(
    "features: {look_back: 0, numeric: [price, age], categorical: [country]}",
    """  references:
    prices:
      columns: {country: string, valid_from: timestamp, list_price: float}
      key: country
      valid_from: valid_from
features:
  look_back: P14D
  history: [country, returned]
  recent_inputs: 2
  recent_columns: [country]
  numeric: [price, age, rebate, recent_orders]
  categorical: [country]""",
)
FEATURES = """
from evergreen.features import as_of


def build(inputs, history, recent, references):
    rows = as_of(inputs, references["prices"], by="country", at="ordered_at", valid_from="valid_from",
                 columns=["list_price"])
    orders = recent.groupby("country").size()
    return rows.assign(
        rebate=rows["list_price"] - rows["price"],
        recent_orders=rows["country"].map(orders).fillna(0).astype("float64"),
    )
"""


def prices(level: float, since: str = "2023-01-01") -> pd.DataFrame:
    times = pd.to_datetime([since] * 3, utc=True).astype("datetime64[us, UTC]")
    return pd.DataFrame(
        {"country": ["SE", "FI", "NO"], "valid_from": times, "list_price": [level, level + 1, level + 2]}
    )


@pytest.fixture
def shop(empty_shop):
    return empty_shop(DEFINITION, FEATURES)


def bring(shop, stamp: str, frame: pd.DataFrame) -> str:
    land_reference(shop.settings, "prices", stamp, frame, feed="orders")
    (done,) = bring_in(shop.definition, settings=shop.settings)
    return done.outcome


def read_by(shop) -> dict[str, str | None]:
    """Stamp of the prices that the newest snapshot of each partition was built from."""
    with shop.ledger.transaction() as session:
        stamps = {row.id: row.stamp for row in session.query(ReferenceVersion)}
        built = session.query(Snapshot).order_by(Snapshot.id).all()
        return {row.key: stamps.get(row.references_used["prices"]) for row in built}


def found_by_audit(shop) -> list[str]:
    done = audit(shop.definition, settings=shop.settings, now=dt.datetime.now(dt.UTC))
    return [f"{d.about}: {d.what}" for d in done.disagreements if d.area in ("references", "features")]


def mend(shop) -> list[str]:
    stale = stale_keys(shop.definition, settings=shop.settings)
    for key in stale:
        shop.build(next(n for n in range(20) if shop.key(n) == key))
    return stale


def test_versions_land_and_a_model_is_made_again(shop):
    assert bring(shop, "2023-12-31", prices(20)) == "accepted"
    for number in range(6):
        inputs, labels = shop.week(number)
        shop.accept("inputs", number, inputs)
        shop.accept("labels", number, labels)
        shop.build(number)
    assert shop.train(as_of=5) == 1
    assert bring(shop, shop.key(7), prices(30, f"{shop.key(7)}T12:00")) == "accepted"
    assert stale_keys(shop.definition, settings=shop.settings) == [], "nothing that is built began later"
    for number in (6, 7, 8):
        scored = shop.live(number)
    assert list(read_by(shop).values()) == ["2023-12-31"] * 7 + [shop.key(7)] * 2

    # A request gets what the batch got.
    rows = shop.week(8)[0].head(3)
    asked = json.dumps({"rows": rows.to_dict("records")}, default=str).encode()
    answered = Online(shop.settings).answer(shop.definition, asked)
    batch = pq.read_table(scored.uri.removeprefix("file://")).to_pandas().set_index("order_id")["prediction"]
    assert [p["prediction"] for p in answered.predictions] == batch[rows["order_id"]].tolist()

    # A version that lands late is built in, where it was known; then a partition is restated.
    assert bring(shop, shop.key(5), prices(25)) == "accepted"
    assert mend(shop) == [shop.key(5), shop.key(6)]
    inputs, _ = shop.week(6)
    shop.accept("inputs", 6, inputs.iloc[:-1])
    assert mend(shop) == [shop.key(6), shop.key(7), shop.key(8)]
    assert list(read_by(shop).values()) == ["2023-12-31"] * 5 + [shop.key(5)] * 2 + [shop.key(7)] * 2
    assert found_by_audit(shop) == []

    made = reproduce(shop.definition, 1, settings=shop.settings)
    assert made.reproduced, made.reason

    with shop.ledger.transaction() as session:
        facts = read(session, shop.definition, shop.settings, list_beside(shop.definition, shop.settings))
    assert "references/" not in repr(facts), "retention does not know them, and so collects none"

    _audit_finds_what_is_done_by_hand(shop)


def _audit_finds_what_is_done_by_hand(shop):
    with shop.ledger.transaction() as session:
        early, late = session.query(ReferenceVersion).order_by(ReferenceVersion.id).limit(2).all()
        session.execute(
            text("UPDATE snapshot SET references_used = jsonb_build_object('prices', :late) WHERE key = :key"),
            {"late": late.id, "key": shop.key(0)},
        )
    (said, other) = found_by_audit(shop)
    assert "which was not known and accepted when 2024-01-01 began" in said
    assert "it should have been built from reference prices of 2023-12-31" in other
    with shop.ledger.transaction() as session:
        _, verdict = current(session, "orders", "inputs", shop.key(0))
        gone = {"name": verdict.clean_uri, "done_at": dt.datetime.now(dt.UTC), "asked_by": "policy", "rule": "a test"}
        session.add(Collection(model="orders", kind="clean", key=shop.key(0), rows=1, **gone))
    assert not [words for words in found_by_audit(shop) if "should have been built" in words], "nothing to build from"
    with shop.ledger.transaction() as session:
        session.execute(text("DELETE FROM collection"))
        session.execute(
            text("UPDATE snapshot SET references_used = jsonb_build_object('prices', :early) WHERE key = :key"),
            {"early": early.id, "key": shop.key(0)},
        )
    store = Store.from_settings(shop.settings)
    raw = Path(store.uri(store.name(early.raw_uri)).removeprefix("file://"))
    data = raw.read_bytes()
    raw.chmod(0o600)
    raw.write_bytes(data[:-1] + b"!")
    assert "does not have the SHA-256" in found_by_audit(shop)[0]
    raw.unlink()
    assert "is not there" in found_by_audit(shop)[0]
    raw.write_bytes(data)
    land_reference(shop.settings, "prices", "2024-06-01", prices(40), feed="orders")
    assert "the ledger has never received it" in found_by_audit(shop)[0]
