"""Folders of part files, Delta and Iceberg tables, from the landing zone to a verdict."""

import json
import os
import shutil
from pathlib import Path
from urllib.parse import urlparse

import pandas as pd
import pyarrow as pa
import pytest
from sqlalchemy import select

from evergreen.core.ledger.tables import PartitionVersion
from evergreen.core.store import Store
from evergreen.errors import UnavailableError
from evergreen.loop.intake import drop_content
from evergreen.loop.intake import receive as receiving
from evergreen.loop.intake.accepted_rows import read_clean
from evergreen.loop.intake.raw_parts import names_of
from evergreen.loop.intake.receive import receive
from helpers.drops import write_parts

pytestmark = pytest.mark.integration
KEY = "2024-01-01"


def place(shop, table="inputs"):
    return Path(urlparse(shop.file(KEY, table)).path).parent / table


def versions(shop):
    with shop.ledger.transaction() as session:
        return session.scalars(select(PartitionVersion).order_by(PartitionVersion.id)).all()


def clean(shop, outcome):
    from evergreen.core.ledger.tables import Verdict

    with shop.ledger.transaction() as session:
        return read_clean(session.get_one(Verdict, outcome.verdict_id), shop.settings)


def halves(shop):
    orders = shop.orders(KEY)
    return [orders.head(20), orders.tail(30)[orders.columns[::-1]].astype({"items": "int32"})]


def test_part_files_are_kept_each_and_accepted_together(shop):
    write_parts(place(shop), halves(shop))
    found = shop.ingest(KEY)
    assert (found.outcome, found.rows, found.version) == ("accepted", 50, 1)
    pd.testing.assert_frame_equal(clean(shop, found), shop.orders(KEY), check_dtype=False)
    version = versions(shop)[0]
    store = Store.from_settings(shop.settings)
    listed = json.loads(store.read(store.name(version.raw_uri)))["parts"]
    kept = [store.read(name) for name in names_of(store, store.name(version.raw_uri))]
    assert kept == [(place(shop) / part["name"]).read_bytes() for part in listed]
    assert version.bytes == sum(len(data) for data in kept)


def test_the_same_files_are_the_same_version_and_another_file_is_the_next(shop):
    write_parts(place(shop), halves(shop))
    shop.ingest(KEY)
    os.utime(place(shop) / "_SUCCESS")
    assert shop.ingest(KEY).new is False
    first, second = halves(shop)
    write_parts(place(shop), [first, second.assign(price=1.0)])
    assert shop.ingest(KEY).version == 2
    assert len(versions(shop)) == 2


def test_a_copy_that_is_cut_off_is_none_and_the_next_try_finishes_it(shop, monkeypatch):
    write_parts(place(shop), halves(shop))
    real = receiving.chunks_of

    def dies(uri):
        if uri.endswith("00001.parquet"):
            raise UnavailableError("the network is gone")
        return real(uri)

    with monkeypatch.context() as patch:
        patch.setattr(receiving, "chunks_of", dies)
        with pytest.raises(UnavailableError, match="network"):
            receive(shop.definition, "inputs", KEY, settings=shop.settings)
    assert versions(shop) == []
    assert not [name for name in Store.from_settings(shop.settings).sizes("raw") if name.endswith(".json")]
    assert shop.ingest(KEY).outcome == "accepted"


def test_a_file_that_changes_between_checksum_and_copy_is_not_kept(shop, monkeypatch):
    write_parts(place(shop), halves(shop))
    real = receiving.describe_parts

    def overtaken(drop):
        found = real(drop)
        data = bytearray((place(shop) / found[0]["name"]).read_bytes())
        data[50] ^= 1
        (place(shop) / found[0]["name"]).write_bytes(data)
        return found

    monkeypatch.setattr(receiving, "describe_parts", overtaken)
    with pytest.raises(UnavailableError, match="changed while it was read"):
        receive(shop.definition, "inputs", KEY, settings=shop.settings)
    assert versions(shop) == []


def test_copying_holds_a_little_at_a_time(shop, monkeypatch):
    monkeypatch.setattr(drop_content, "CHUNK", 1000)
    seen = []

    def watched(uri):
        for data in drop_content.chunks_of(uri):
            seen.append(len(data))
            yield data

    monkeypatch.setattr(receiving, "chunks_of", watched)
    write_parts(place(shop), halves(shop))
    shop.ingest(KEY)
    assert max(seen) == 1000
    assert len(seen) > 5


def test_a_refusal_names_the_part(shop):
    first, second = halves(shop)
    write_parts(place(shop), [first, second.assign(price=500.0)])
    found = shop.ingest(KEY)
    assert found.outcome == "quarantined"
    assert "of part-00001.parquet" in found.reason


def test_what_the_audit_says_of_a_lost_part(shop, monkeypatch):
    import datetime as dt

    from evergreen.operations.audit import files, ledger_rows, partitions

    def said():
        rows = ledger_rows.read(shop.settings.ledger_url.get_secret_value(), "shop")
        landed = files.landed(shop.definition, shop.settings.landing_url, dt.datetime.now(dt.UTC))
        return [one.what for one in partitions.check(rows, landed)]

    write_parts(place(shop), halves(shop))
    assert "the ledger has never received it" in said()[0]
    shop.ingest(KEY)
    assert said() == []
    (place(shop) / "part-00000.parquet").write_bytes(b"PAR1 other")
    os.utime(place(shop) / "_SUCCESS")
    assert "holds other bytes than version 1" in said()[0]
    shutil.rmtree(place(shop))
    store = Store.from_settings(shop.settings)
    lost = names_of(store, store.name(versions(shop)[0].raw_uri))[1]
    Path(store.path(lost)).write_bytes(b"other")
    assert "part-00001.parquet" in said()[0]
    Path(store.path(lost)).unlink()
    assert "part-00001.parquet" in said()[0]


def said_by_audit(shop):
    import datetime as dt

    from evergreen.operations.audit import files, ledger_rows, partitions

    rows = ledger_rows.read(shop.settings.ledger_url.get_secret_value(), "shop")
    landed = files.landed(shop.definition, shop.settings.landing_url, dt.datetime.now(dt.UTC))
    return [one.what for one in partitions.check(rows, landed)]


@pytest.mark.parametrize("damaged", [b"", b"{", b"[]", b'{"format": "parquet", "parts": [1]}'])
def test_a_damaged_list_of_parts_does_not_end_the_audit(shop, damaged):
    from sqlalchemy import update

    from evergreen.core.store.objects import sha256

    write_parts(place(shop), halves(shop))
    shop.ingest(KEY)
    store = Store.from_settings(shop.settings)
    listed = versions(shop)[0].raw_uri
    Path(store.path(store.name(listed))).write_bytes(damaged)
    assert ["does not have the SHA-256" in one for one in said_by_audit(shop)] == [True]
    with shop.ledger.transaction() as session:
        session.execute(update(PartitionVersion).values(content_hash=sha256(damaged)))
    assert said_by_audit(shop) == [f"{listed} is no list of part files"]


def test_the_audit_sees_a_folder_that_has_replaced_a_file(shop):
    file = place(shop).parent / "inputs.parquet"
    file.parent.mkdir(parents=True)
    shop.orders(KEY).to_parquet(file)
    (file.parent / "_SUCCESS").write_bytes(b"")
    shop.ingest(KEY)
    assert said_by_audit(shop) == []
    file.unlink()
    write_parts(place(shop), halves(shop))
    (said,) = said_by_audit(shop)
    assert "inputs holds other bytes than version 1" in said
    assert shop.ingest(KEY).version == 2
    assert said_by_audit(shop) == []


def test_personal_columns_of_part_files_become_tokens(shop, monkeypatch):
    from pydantic import SecretStr

    from evergreen.core.definition.load import read_definition

    text = (shop.folder / "model.yaml").read_text().replace("  tables:", "  personal: [country]\n  tables:")
    (shop.folder / "model.yaml").write_text(text)
    shop.definition = read_definition(shop.folder / "model.yaml")
    shop.settings = shop.settings.model_copy(update={"pseudonym_key": SecretStr("k" * 32)})
    write_parts(place(shop), halves(shop))
    found = shop.ingest(KEY)
    assert found.outcome == "accepted", found.reason
    assert set(clean(shop, found)["country"].str.len()) == {32}
    store = Store.from_settings(shop.settings)
    assert [".tokens.parquet" in name for name in store.sizes("raw")] == [True]


def delta(shop, frame, **how):
    from deltalake import write_deltalake

    write_deltalake(str(place(shop)), pa.Table.from_pandas(frame, preserve_index=False), **how)
    (place(shop).parent / "_SUCCESS").write_bytes(b"")


def test_a_delta_table_is_read_at_its_version(shop):
    from deltalake import DeltaTable

    delta(shop, shop.orders(KEY, rows=10, price=1.0))
    delta(shop, shop.orders(KEY, rows=4), mode="overwrite")
    DeltaTable(str(place(shop))).delete(f"order_id = '{KEY}-3'")
    os.utime(place(shop).parent / "_SUCCESS")
    found = shop.ingest(KEY)
    assert (found.outcome, found.rows) == ("accepted", 3), found.reason
    source = versions(shop)[0].source
    assert (source["format"], source["version"]) == ("delta", "2")
    os.utime(place(shop).parent / "_SUCCESS")
    assert shop.ingest(KEY).new is False
    delta(shop, shop.orders(KEY, rows=6), mode="overwrite")
    assert (shop.ingest(KEY).rows, versions(shop)[1].source["version"]) == (6, "3")


def test_a_copy_of_a_delta_table_that_was_collected_is_written_again(shop):
    delta(shop, shop.orders(KEY))
    shop.ingest(KEY)
    raw = versions(shop)[0].raw_uri
    store = Store.from_settings(shop.settings)
    Path(store.path(store.name(raw))).unlink()
    os.utime(place(shop).parent / "_SUCCESS")
    assert receive(shop.definition, "inputs", KEY, settings=shop.settings).new is False
    assert store.exists(store.name(raw))


def test_a_column_that_a_delta_log_renames_keeps_its_values(shop):
    """`to_pyarrow_table` of deltalake 1.6 gives null for it."""
    delta(shop, shop.orders(KEY, rows=5))
    log = place(shop) / "_delta_log" / f"{0:020}.json"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    for line in lines:
        if "protocol" in line:
            line["protocol"] = {"minReaderVersion": 2, "minWriterVersion": 5}
        if "metaData" in line:
            schema = json.loads(line["metaData"]["schemaString"])
            for number, field in enumerate(schema["fields"]):
                own = field["name"]
                field["metadata"] = {"delta.columnMapping.id": number + 1, "delta.columnMapping.physicalName": own}
                field["name"] = {"price": "total"}.get(own, own)
            line["metaData"]["schemaString"] = json.dumps(schema)
            line["metaData"]["configuration"] = {"delta.columnMapping.mode": "name"}
    log.write_text("\n".join(map(json.dumps, lines)))
    text = (shop.folder / "model.yaml").read_text()
    text = text.replace("price: float", "total: float").replace("[price]", "[total]")
    (shop.folder / "model.yaml").write_text(text)
    (shop.folder / "expectations.py").write_text("def inputs():\n    return []\n\n\ndef labels():\n    return []\n")
    from evergreen.core.definition.load import read_definition

    shop.definition = read_definition(shop.folder / "model.yaml")
    os.utime(place(shop).parent / "_SUCCESS")
    found = shop.ingest(KEY)
    assert found.outcome == "accepted", found.reason
    assert clean(shop, found)["total"].tolist() == [9.5] * 5


def test_a_delta_table_with_a_lost_file_is_quarantined_in_words(shop):
    delta(shop, shop.orders(KEY, rows=5))
    next(place(shop).glob("*.parquet")).unlink()
    found = shop.ingest(KEY)
    assert found.outcome == "quarantined"
    assert "the delta table cannot be read by its own library" in found.reason
    assert shop.ingest(KEY).new is False


def test_an_iceberg_table_is_read_at_its_snapshot(shop, tmp_path):
    from pyiceberg.catalog.memory import InMemoryCatalog

    catalog = InMemoryCatalog("local", warehouse=tmp_path.as_uri())
    catalog.create_namespace("shop")
    orders = shop.orders(KEY, rows=8).astype({"ordered_at": "datetime64[us, UTC]"})
    rows = pa.Table.from_pandas(orders, preserve_index=False)
    place(shop).mkdir(parents=True)
    table = catalog.create_table("shop.inputs", rows.schema, location=place(shop).as_uri())
    table.append(rows)
    table.overwrite(rows.slice(0, 3))
    (place(shop).parent / "_SUCCESS").write_bytes(b"")
    found = shop.ingest(KEY)
    assert (found.outcome, found.rows) == ("accepted", 3), found.reason
    source = versions(shop)[0].source
    assert source == {
        "format": "iceberg",
        "table": str(table.metadata.table_uuid),
        "version": str(table.current_snapshot().snapshot_id),
    }
    table.append(rows.slice(3, 2))
    os.utime(place(shop).parent / "_SUCCESS")
    assert shop.ingest(KEY).rows == 5
