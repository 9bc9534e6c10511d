"""The landing zone on a real S3 server: one listing finds what has landed, however many partitions there are."""

import pytest
import s3fs

from evergreen.core.store.objects import publish
from evergreen.core.store.s3 import S3
from evergreen.loop.intake.landing_zone import find_drop, list_feed
from evergreen.stack.config.home import Home
from evergreen.stack.control import Stack

pytestmark = pytest.mark.integration
TABLES = ("inputs", "labels")


@pytest.fixture
def landing(tmp_path, monkeypatch):
    """URL of an empty landing zone."""
    stack = Stack(Home(tmp_path / "s3"), shape="cluster", only=("s3", "buckets"))
    try:
        stack.start(tied=True)
        for name, value in stack.environment().items():
            monkeypatch.setenv(name, value)
        S3.clear_instance_cache()
        yield stack.environment()["EVERGREEN_LANDING_URL"]
    finally:
        stack.stop()
        S3.clear_instance_cache()


def land(landing, key, data=b"123"):
    publish(f"{landing}/orders/{key}/inputs.parquet", data)
    publish(f"{landing}/orders/{key}/_SUCCESS", b"")


def test_one_listing_finds_all_that_landed(landing, monkeypatch):
    assert list_feed(landing, "orders", TABLES) == {}
    keys = [f"2024-01-{day:02}" for day in range(1, 13)]
    for key in [*keys, "x y<b>", "2024-02-01/deep"]:
        land(landing, key)
    publish(f"{landing}/orders/README", b"read me")
    asked, lists = [], s3fs.S3FileSystem._lsdir

    async def counted(self, *given, **more):
        asked.append(given)
        return await lists(self, *given, **more)

    monkeypatch.setattr(s3fs.S3FileSystem, "_lsdir", counted)
    listed = list_feed(landing, "orders", TABLES)
    assert len(asked) == 1
    assert sorted(listed) == sorted([*keys, "2024-02-01", "README", "x y<b>"])
    assert [name for name in sorted(listed) if listed[name].drops] == [*keys, "x y<b>"]
    assert listed[keys[0]].drops["inputs"] == find_drop(landing, "orders", "inputs", keys[0])


def test_a_partition_landed_again_is_seen_at_once(landing):
    for data in (b"123", b"12345"):
        land(landing, "2024-01-01", data)
        assert list_feed(landing, "orders", TABLES)["2024-01-01"].drops["inputs"].size == len(data)


def test_part_files_and_a_delta_table_are_kept(landing, settings, tmp_path):
    import pyarrow as pa
    from deltalake import write_deltalake

    from evergreen.core.store import Store
    from evergreen.loop.intake.raw_parts import names_of
    from helpers.intake_fixtures import Shop

    ours = settings.model_copy(update={"landing_url": landing, "store_url": landing.replace("landing", "store")})
    shop, key = Shop(tmp_path / "models" / "shop", ours), "2024-01-01"
    for number, rows in enumerate((shop.orders(key).head(20), shop.orders(key).tail(30))):
        data = rows.to_parquet(index=False)
        publish(f"{landing}/orders/{key}/inputs/part-{number}.parquet", data)
    publish(f"{landing}/orders/{key}/inputs/_SUCCESS", b"")
    found = shop.ingest(key)
    assert (found.outcome, found.rows) == ("accepted", 50), found.reason
    store = Store.from_settings(ours)
    listed = [name for name in store.sizes("raw") if name.endswith(".parts.json")]
    assert sorted(store.sizes("raw")) == sorted([*listed, *names_of(store, listed[0])])
    table = pa.Table.from_pandas(shop.orders("2024-01-02", rows=7), preserve_index=False)
    write_deltalake(f"{landing}/orders/2024-01-02/inputs", table, storage_options={"AWS_ALLOW_HTTP": "true"})
    publish(f"{landing}/orders/2024-01-02/_SUCCESS", b"")
    found = shop.ingest("2024-01-02")
    assert (found.outcome, found.rows) == ("accepted", 7), found.reason


def test_a_file_that_fails_while_it_is_written_does_not_appear(landing):
    from evergreen.core.store.objects import published

    def fail_after(size):
        with published(f"{landing}/orders/half") as file:
            file.write(b"x" * size)
            raise RuntimeError

    for size in (10, 12 << 20):
        with pytest.raises(RuntimeError):
            fail_after(size)
    with published(f"{landing}/orders/whole") as file:
        file.write(b"x" * (12 << 20))
    found = S3().find(f"{landing}/orders", detail=True)
    assert {path.rpartition("/")[2]: about["size"] for path, about in found.items()} == {"whole": 12 << 20}
