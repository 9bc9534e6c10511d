"""Personal values end at the landing zone: nothing that is kept, told or mailed holds one."""

import dataclasses
import json
import logging
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sqlalchemy import select

from evergreen.core.definition.load import read_definition
from evergreen.core.ledger.tables import Alert, PartitionVersion
from evergreen.errors import SettingsError
from evergreen.loop.intake.pseudonyms import token
from evergreen.settings import Settings

pytestmark = pytest.mark.integration
KEY = "a key of more than twenty-four characters"
DAY, NEXT = "2024-01-01", "2024-01-02"
NAME = "Ada Lovelace"


@pytest.fixture
def private(shop):
    """The small model, whose orders are personal, with a key."""
    declare(shop)
    use_key(shop, KEY)
    return shop


def declare(shop):
    file = shop.folder / "model.yaml"
    file.write_text(file.read_text().replace("  entity: order_id", "  entity: order_id\n  personal: [order_id]"))
    shop.definition = read_definition(file)


def use_key(shop, key):
    values = {name: getattr(shop.settings, name) for name in Settings.model_fields}
    shop.settings = Settings(**{**values, "pseudonym_key": key})


def everything_kept(shop):
    """Every byte of the store, every row of the ledger that quotes the file."""
    folder = Path(urlsplit(shop.settings.store_url).path)
    objects = b"".join(file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file())
    with shop.ledger.transaction() as session:
        mails = [json.dumps([alert.subject, alert.body]) for alert in session.scalars(select(Alert))]
    return objects.decode("latin-1") + "".join(mails)


def test_what_is_kept_told_and_mailed_holds_tokens(private, caplog):
    caplog.set_level(logging.DEBUG)
    orders = private.orders(DAY, rows=3, order_id=[NAME, "Grace Hopper", NAME], email="ada@example.com")
    private.land(DAY, orders)
    verdict = private.ingest(DAY)
    assert verdict.outcome == "quarantined"
    assert token(KEY.encode(), "orders", NAME) in verdict.reason
    told = everything_kept(private) + caplog.text + json.dumps(dataclasses.asdict(verdict), default=str)
    assert not any(word in told for word in ("Ada", "Lovelace", "Hopper", "ada@example"))

    labels = private.orders(NEXT, rows=2, order_id=[NAME, "x"])[["order_id", "ordered_at"]].assign(returned=True)
    private.land(NEXT, labels, "labels")
    assert private.ingest(NEXT, "labels").outcome == "accepted"
    again = private.ingest(NEXT, "labels")
    assert (again.version, again.new) == (1, False), "the same file was taken for another one"


def test_a_file_that_is_no_table_is_not_copied_and_not_quoted(private):
    private.land(DAY, f"order_id,price\n{NAME}\n".encode(), suffix="csv")
    verdict = private.ingest(DAY)
    assert verdict.outcome == "quarantined"
    assert "nothing of it was kept or is quoted: it is where it landed" in verdict.reason
    assert "Lovelace" not in everything_kept(private) + str(verdict)
    with private.ledger.transaction() as session:
        assert session.scalar(select(PartitionVersion.raw_uri)).startswith(private.settings.landing_url)


def test_a_missing_or_changed_key_is_said_before_anything_is_copied(private):
    private.land(DAY, private.orders(DAY))
    for key, said in ((None, "EVERGREEN_PSEUDONYM_KEY is not set"), ("short", "has 5 characters, fewer than 24")):
        use_key(private, key)
        with pytest.raises(SettingsError, match=said):
            private.ingest(DAY)
    assert everything_kept(private) == ""
    use_key(private, KEY)
    assert private.ingest(DAY).outcome == "accepted"

    use_key(private, KEY[::-1])
    private.land(NEXT, private.orders(NEXT))
    with pytest.raises(SettingsError, match="is not the key that the tokens of shop were made with"):
        private.ingest(NEXT)
    assert KEY not in everything_kept(private)


def test_a_column_declared_later_is_replaced_when_its_old_copy_is_judged_again(shop):
    shop.land(DAY, shop.orders(DAY, rows=2, order_id=[NAME, "x"]))
    first = shop.ingest(DAY)
    assert first.outcome == "accepted"
    declare(shop)
    use_key(shop, KEY)
    from evergreen.loop.intake.validate import validate

    anew = validate(shop.definition, first.partition_version_id, settings=shop.settings)
    assert (anew.outcome, anew.new) == ("accepted", True)
    clean = Path(urlsplit(anew.clean_uri).path).read_bytes()
    assert NAME.encode() not in clean
    assert token(KEY.encode(), "orders", NAME).encode() in clean
