"""Retention on the store and the DVC remote: crash-safe, never too much, on a disk and on S3."""

import datetime as dt
import os
from pathlib import Path

import pytest
from sqlalchemy import select

from evergreen.core.definition.sections import RetentionSection
from evergreen.core.feature_repository.snapshots import read_frame
from evergreen.core.ledger.queries import collected
from evergreen.core.ledger.tables import Collection, PartitionVersion, Snapshot, Verdict
from evergreen.core.store import Store, layout
from evergreen.core.store.objects import sha256
from evergreen.core.store.s3 import S3
from evergreen.errors import CollectedError, NotReadyError, UnavailableError
from evergreen.loop.features.stale import stale_keys
from evergreen.loop.intake.accepted_rows import read_clean
from evergreen.loop.intake.validation.gather_past import profile_name
from evergreen.loop.training.assemble import assemble
from evergreen.operations.retention import remove
from evergreen.operations.retention.collect import collect

pytestmark = pytest.mark.integration
LEAST = RetentionSection(keep_partitions=1, keep_quarantined=1)
LATER = dt.timedelta(days=30)


def gc(shop, policy=LEAST):
    definition = shop.definition.model_copy(update={"retention": policy})
    return collect(definition, settings=shop.settings, now=dt.datetime.now(dt.UTC) + LATER, dry_run=False)


def rows(shop, table):
    with shop.ledger.transaction() as session:
        return list(session.scalars(select(table).order_by(table.id)))


def readable(shop):
    """Weeks whose features and accepted rows can be read."""
    found = []
    for number, snapshot in enumerate(rows(shop, Snapshot)[:10]):
        verdicts = [v for v in rows(shop, Verdict) if f"/{snapshot.key}/" in (v.clean_uri or "")]
        try:
            read_frame(shop.settings, snapshot.git_commit, snapshot.dvc_path, dvc_hash=snapshot.dvc_hash)
            assert all(len(read_clean(v, shop.settings)) for v in verdicts)
        except CollectedError:
            continue
        found.append(number)
    return found


def test_what_the_next_training_reads_stays_and_nothing_else_of_it(young_shop):
    shop = young_shop
    found = gc(shop)
    # six weeks are trained and judged on; a week's features look back on none, its labels land a week later
    assert {(g.kind, g.objects, g.oldest, g.newest) for g in found.groups} == {
        ("features", 4, shop.key(0), shop.key(3)), ("raw", 6, shop.key(0), shop.key(2)),
    }  # fmt: skip
    assert readable(shop) == [4, 5, 6, 7, 8, 9]
    chosen = assemble(
        shop.definition, cause="first", cause_key="first", reason="a test asks for it", settings=shop.settings
    )
    assert (chosen.train_keys[0], chosen.holdout_keys[-1]) == (shop.key(4), shop.key(9))
    with pytest.raises(NotReadyError, match="not enough labelled partitions"):
        assemble(
            shop.definition, cause="operator", cause_key="old", reason="a test asks for it", as_of=shop.key(6),
            settings=shop.settings,
        )  # fmt: skip
    shop.accept("inputs", 5, shop.week(5)[0].iloc[:-1])
    assert stale_keys(shop.definition, settings=shop.settings) == [shop.key(5)]
    assert gc(shop, None).policy is None


def test_an_interrupted_collection_is_finished_by_the_next_one(young_shop, monkeypatch):
    """Killed between the removal from the DVC remote and the row that says so."""
    shop, taken = young_shop, remove._remove_features

    def die(marks, settings):
        taken(marks, settings)
        if any(mark.kind == "features" for mark in marks):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(remove, "_remove_features", die)
        with pytest.raises(KeyboardInterrupt):
            gc(shop)
    left = [row for row in rows(shop, Collection) if row.done_at is None]
    assert [row.kind for row in left].count("features") == 4
    with shop.ledger.transaction() as session:
        assert {row.name for row in left} <= collected.gone(session, "orders")
    found = gc(shop)
    assert (found.objects, found.unfinished, found.removed) == (0, len(left), len(left))
    assert all(row.done_at for row in rows(shop, Collection))
    assert readable(shop) == [4, 5, 6, 7, 8, 9]


def test_a_place_that_does_not_answer_keeps_no_other_from_being_cleared(young_shop, tmp_path):
    shop = young_shop
    remote = Path(shop.settings.features_dvc_url)
    definition = shop.definition.model_copy(update={"retention": LEAST})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evergreen.operations.retention.collect.finish", lambda *_, **__: 0)
        gc(shop)
    remote.rename(tmp_path / "away")  # as where a disk is not mounted
    with pytest.raises(UnavailableError, match="DVC remote"):
        remove.finish(definition.name, settings=shop.settings)
    assert {row.kind for row in rows(shop, Collection) if row.done_at is None} == {"features"}
    (tmp_path / "away").rename(remote)
    assert remove.finish(definition.name, settings=shop.settings) == 4


def test_what_is_named_anew_before_it_is_removed_stays(young_shop, monkeypatch):
    """The same features are built again between the plan and the removal."""
    shop = young_shop
    with monkeypatch.context() as patch:
        patch.setattr("evergreen.operations.retention.collect.finish", lambda *_, **__: 0)
        gc(shop)
    old = rows(shop, Snapshot)[0]
    with shop.ledger.transaction() as session:
        again = {c.name: getattr(old, c.name) for c in Snapshot.__table__.columns if c.name not in ("id", "created_at")}
        session.add(Snapshot(**{**again, "version": 2}))
    remove.finish("orders", settings=shop.settings)
    assert len(read_frame(shop.settings, old.git_commit, old.dvc_path)) == old.rows
    with shop.ledger.transaction() as session:
        assert old.dvc_hash not in collected.gone(session, "orders")
    assert gc(shop).objects == 1, "both rows are old by then"
    with pytest.raises(CollectedError):
        read_frame(shop.settings, old.git_commit, old.dvc_path)


def test_another_models_features_of_the_same_bytes_stay(young_shop):
    shop = young_shop
    old = rows(shop, Snapshot)[0]
    with shop.ledger.transaction() as session:
        again = {c.name: getattr(old, c.name) for c in Snapshot.__table__.columns if c.name not in ("id", "created_at")}
        session.add(Snapshot(**{**again, "model": "another"}))
    gc(shop)
    assert len(read_frame(shop.settings, old.git_commit, old.dvc_path)) == old.rows


def test_quarantine_goes_only_where_it_was_landed_again_and_the_landing_zone_never(young_shop):
    shop, store = young_shop, Store.from_settings(young_shop.settings)
    drop = Path(shop.settings.landing_url.removeprefix("file://")) / "orders" / "inputs.csv"
    drop.parent.mkdir()
    drop.write_bytes(b"too large to be copied")

    def quarantined(key, version, raw=None):
        # It is named by all that its verdict rests on, which is more than the suite.
        sample = layout.quarantine("orders", "inputs", key, sha256(f"{key}{version}".encode()), "sample-evidence.json")
        samples.append(store.write(sample, b"{}"))
        raw = raw or store.write(f"raw/orders/inputs/{key}/bad{version}.csv", b"bad")
        with shop.ledger.transaction() as session:
            row = PartitionVersion(
                model="orders", table="inputs", key=key, version=version, landed_uri=raw, raw_uri=raw, bytes=3,
                content_hash=sha256(f"{key}{version}".encode()), rows=None, landed_at=dt.datetime.now(dt.UTC),
            )  # fmt: skip
            session.add(row)
            session.flush()
            session.add(
                Verdict(
                    partition_version_id=row.id, suite_hash="suite1234", outcome="quarantined", reason="bad",
                    failures=[], clean_uri=None, rows_accepted=0, rows_rejected=0,
                )
            )  # fmt: skip
        return raw

    samples = []
    held = quarantined(shop.key(0), 2)
    landed_again = [quarantined(shop.key(1), version) for version in (2, 3)]
    for version in (4, 5):
        quarantined(shop.key(1), version, drop.as_uri())
    gc(shop)
    assert [store.exists(store.name(uri)) for uri in (held, *landed_again)] == [True, False, False]
    assert [store.exists(store.name(uri)) for uri in samples] == [True, False, False, False, True]
    assert drop.read_bytes() == b"too large to be copied"
    assert {row.kind for row in rows(shop, Collection)} == {"raw", "features", "quarantined"}


def test_what_was_written_beside_rows_that_go_goes_with_them_and_is_not_needed_by_a_comparison(young_shop):
    shop, store = young_shop, Store.from_settings(young_shop.settings)
    shop.accept("inputs", 9, shop.week(9)[0].iloc[:-1])
    shop.accept("inputs", 0, shop.week(0)[0].iloc[:-1])
    profiles = {}
    with shop.ledger.transaction() as session:
        for part, verdict in session.execute(select(PartitionVersion, Verdict).join(Verdict)).tuples():
            if part.table == "inputs":
                name = profile_name(part, verdict.suite_hash)
                profiles[part.key, part.version] = store.write(name, b"{}")
    gc(shop)
    there = {place for place, uri in profiles.items() if store.exists(store.name(uri))}
    assert profiles.keys() - there == {(shop.key(0), 1)}, "rows that were replaced; others may be compared with"
    (row,) = [row for row in rows(shop, Collection) if row.kind == "profile"]
    assert (row.name, row.rule, row.done_at is None) == (profiles[shop.key(0), 1], "keep_partitions: 1", False)

    store.write(store.name(row.name), b"{}")  # the same bytes landed once more, and were replaced again
    assert gc(shop).removed == 1
    assert not store.exists(store.name(row.name))


def test_what_killed_writers_left_goes_after_a_day_whatever_the_policy_says(young_shop):
    shop = young_shop
    folder = Path(shop.settings.store_url.removeprefix("file://"))
    names = [f"{place}/.half.parquet.{'a' * 32}" for place in ("clean/orders/inputs/2024-01-01", "clean/others/inputs")]
    names += [f"reports/orders/2024-01-01/.drift.html.{'b' * 32}", f"reports/orders/.kept.{'a' * 31}"]
    old, others, young, another_name = (folder / name for name in names)
    for path in (old, others, young, another_name):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
        past = (dt.datetime.now(dt.UTC) - dt.timedelta(hours=23 if path == young else 25)).timestamp()
        os.utime(path, (past, past))
    options = {"settings": shop.settings, "now": dt.datetime.now(dt.UTC)}
    said = collect(shop.definition, **options)
    assert [(g.kind, g.objects, g.bytes, g.rule) for g in said.groups] == [("scratch", 1, 4, "no writer for a day")]
    assert old.exists()
    done = collect(shop.definition, **options, dry_run=False)
    assert (done.groups, done.removed) == (said.groups, 1)
    assert [path.exists() for path in (old, others, young, another_name)] == [False, True, True, True]


@pytest.fixture
def on_s3(tmp_path_factory, monkeypatch, ledger_url):
    """Store and DVC remote on S3, in the environment from which the fixtures of the shop read them."""
    from evergreen.stack.config.home import Home
    from evergreen.stack.control import Stack

    stack = Stack(Home(tmp_path_factory.mktemp("s3")), shape="cluster", only=("s3", "buckets"))
    try:
        stack.start(tied=True)
        for name, value in stack.environment().items():
            if name.startswith("AWS_"):
                monkeypatch.setenv(name, value)
        S3.clear_instance_cache()
        yield stack.environment()
    finally:
        stack.stop()
        S3.clear_instance_cache()


def test_on_s3_the_same_goes(on_s3, settings, young_shop_at, monkeypatch):
    urls = {name: on_s3[f"EVERGREEN_{name.upper()}"] for name in ("store_url", "landing_url", "features_dvc_url")}
    for name, url in urls.items():
        monkeypatch.setenv(f"EVERGREEN_{name.upper()}", url)
    shop = young_shop_at(settings.model_copy(update=urls))
    store = Store.from_settings(shop.settings)
    before = len(store.sizes("clean/orders"))
    found = gc(shop)
    assert found.removed == found.objects == 10
    assert all(group.bytes for group in found.groups)
    assert len(store.sizes("clean/orders")) == before - 6
    assert readable(shop) == [4, 5, 6, 7, 8, 9]
