"""A small shop whose orders walk through the whole loop, stage by stage, on real servers."""

import datetime as dt
import os
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evergreen.core.definition.load import read_definition
from evergreen.core.ledger import Ledger
from evergreen.core.ledger.tables import PartitionVersion, Verdict
from evergreen.core.store import Store
from evergreen.core.store.objects import sha256
from evergreen.loop.intake.labels.coverage import review
from evergreen.loop.training.model_files import _cache
from evergreen.settings import Settings
from helpers import class_orders, incumbent_orders, orders_model
from helpers.kept import (
    NOWHERE,
    Kept,
    MlflowState,
    Place,
    copy_database,
    database,
    mlflow_login,
    settings_values,
    superuser_url,
)

SLOW = (
    "stack/test_roles", "stack/test_whole_stack", "loop/intake/test_flights", "loop/intake/test_comparisons",
    "stack/test_lifecycle", "loop/champion/test_champion_change", "loop/monitoring/test_check",
    "operations/audit/test_audit", "core/feature_repository/test_snapshots", "tools/propose/test_flights",
    "loop/monitoring/test_rivals", "web/test_prometheus", "core/ledger/test_roles",
)  # fmt: skip
"""Files that take a minute or more, the longest first"""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Let workers begin with the slow files: begun last, one would leave the other worker with nothing to do."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        place = {f"tests/integration/{name}.py": number for number, name in enumerate(SLOW)}
        items.sort(key=lambda item: place.get(item.location[0], len(SLOW)))


class Shop:
    """Weeks of orders. `week` hands out rows; a test changes them before it accepts them."""

    def __init__(self, folder, settings, world=orders_model):
        self.settings, self.world = settings, world
        self.definition = read_definition(folder / "model.yaml")
        self.ledger = Ledger.from_settings(settings)
        self.version = None

    def key(self, number):
        return self.definition.partitions.shift("2024-01-01", number)

    def week(self, number):
        """Inputs and labels of a week."""
        return self.world.week(number, self.key(number))

    def accept(self, table, number, frame):
        """What intake leaves of a landed partition: its accepted rows, and a version in the ledger."""
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), sink)
        data, key = sink.getvalue().to_pybytes(), self.key(number)
        uri = Store.from_settings(self.settings).write(f"clean/orders/{table}/{key}/{sha256(data)[:16]}.parquet", data)
        with self.ledger.transaction() as session:
            earlier = session.query(PartitionVersion).filter_by(model="orders", table=table, key=key).count()
            version = PartitionVersion(
                model="orders", table=table, key=key, version=earlier + 1, content_hash=sha256(data), landed_uri=uri,
                raw_uri=uri, bytes=len(data), rows=len(frame), landed_at=dt.datetime.now(dt.UTC),
            )  # fmt: skip
            session.add(version)
            session.flush()
            session.add(
                Verdict(
                    partition_version_id=version.id, suite_hash="shop", outcome="accepted", reason="", failures=[],
                    clean_uri=uri, rows_accepted=len(frame), rows_rejected=0,
                )
            )  # fmt: skip
        review(self.definition, settings=self.settings)

    def build(self, number):
        from evergreen.loop.features.build import build

        return build(self.definition, self.key(number), settings=self.settings)

    def train(self, as_of, cause="first"):
        """Train on labels through week `as_of` and promote what comes out."""
        from evergreen.loop.champion.evaluate import evaluate
        from evergreen.loop.champion.promotion import promote
        from evergreen.loop.training.assemble import assemble
        from evergreen.loop.training.fit import fit

        run = assemble(
            self.definition, cause=cause, cause_key=f"{cause}-{as_of}", reason="a test asks for it",
            as_of=self.key(as_of), settings=self.settings,
        ).training_run_id  # fmt: skip
        fit(self.definition, run, settings=self.settings)
        evaluate(self.definition, run, settings=self.settings)
        return promote(self.definition, run, settings=self.settings, decided_by="a test").version

    def lose_file(self, version):
        """The model's file goes from under MLflow; the registry still names the version."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        from evergreen.loop.training.tracking import client

        place = client(self.settings).get_model_version_download_uri("orders", str(version))
        get_artifact_repository(place, tracking_uri=self.settings.mlflow_url).delete_artifacts("model.skops")
        _cache.clear()

    def live(self, number, change=None):
        """A week goes by: inputs, features, predictions, and the labels of the week before."""
        from evergreen.loop.scoring.score import score

        inputs, labels = self.week(number)
        if change is not None:
            change(inputs, labels)
        self.accept("inputs", number, inputs)
        self.accept("labels", number, labels)
        self.build(number)
        return score(self.definition, self.key(number), settings=self.settings)


@pytest.fixture
def kept(request):
    """The kept shop that the test asks for, as it was made. Other fixtures may be called `shop`: they keep nothing."""
    asked = [name for name in ("kept_shop", "kept_young_shop") if name in request.fixturenames]
    if not asked:
        return None
    found = request.getfixturevalue(asked[0])
    found.restore()
    return found


@pytest.fixture
def young_shop(kept_young_shop, kept, settings):
    """Ten weeks of orders with labels and features, and no champion yet: it needs no MLflow."""
    return Shop(kept.place.models / "orders", settings)


@pytest.fixture
def shop(kept_shop, kept, mlflow_uri, settings):
    """Six weeks of orders with labels, and a champion trained on them that serves from the seventh week on."""
    shop = Shop(kept.place.models / "orders", settings)
    shop.version = 1
    return shop


@pytest.fixture
def young_shop_at(tmp_path):
    """Makes a young shop where settings say."""
    return lambda settings: _with_weeks(tmp_path / "models" / "orders", settings, 10)


@pytest.fixture
def class_shop(tmp_path, mlflow_uri, settings):
    """Six weeks of orders that end in one of three ways, with labels and features, and no champion yet."""
    _empty_registry(settings)
    return _with_weeks(tmp_path / "models" / "orders", settings, 6, class_orders)


@pytest.fixture
def empty_shop(tmp_path, mlflow_uri, settings):
    """Makes a shop of a definition and a `features.py` of the test's own, to which nothing has landed."""

    def make(definition, features):
        _empty_registry(settings)
        folder = tmp_path / "models" / "orders"
        orders_model.write_model(folder, definition)
        (folder / "features.py").write_text(features)
        return Shop(folder, settings)

    return make


@pytest.fixture
def incumbent_shop_of(tmp_path, mlflow_uri, settings):
    """Makes a shop of some weeks with labels, features and an incumbent's predictions, and no champion yet."""

    def make(weeks, change=lambda inputs, labels: None):
        _empty_registry(settings)
        return _with_weeks(tmp_path / "models" / "orders", settings, weeks, incumbent_orders, change)

    return make


@pytest.fixture
def untrained_shop(tmp_path, mlflow_uri, settings):
    """Six weeks of orders with labels and features, a registry, and no champion yet."""
    _empty_registry(settings)
    return _with_weeks(tmp_path / "models" / "orders", settings, 6)


@pytest.fixture(scope="session")
def kept_young_shop(postgres_url, _ledger_template, tmp_path_factory):
    """The young shop, made once."""
    with _making(postgres_url, _ledger_template, tmp_path_factory.mktemp("young"), {}) as (settings, kept):
        _with_weeks(kept.place.models / "orders", settings, 10)
    return kept


@pytest.fixture(scope="session")
def kept_shop(postgres_url, _ledger_template, mlflow_stack, tmp_path_factory):
    """The shop with its champion, made once."""
    root, server = tmp_path_factory.mktemp("shop"), superuser_url(mlflow_stack)
    with _making(postgres_url, _ledger_template, root, mlflow_login(mlflow_stack)) as (settings, kept):
        _empty_registry(settings)
        shop = _with_weeks(kept.place.models / "orders", settings, 6)
        assert shop.train(as_of=5) == 1
        kept.mlflow = MlflowState(database(server, "mlflow"), mlflow_stack.home.mlflow, root / "artifacts")
    return kept


@contextmanager
def _making(postgres_url, template, root, login):
    """Settings of a place to make something in; what has been made at the end is kept."""
    name, place = f"kept_{root.name}", Place.create(root / "place")
    place.create_git()
    copy_database(postgres_url, name, template)
    values = settings_values(database(postgres_url, name), place, login.get("MLFLOW_TRACKING_URI", NOWHERE)) | login
    kept = Kept(place, root / "copy", name, None, _cache.clear)
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in values.items():
            patch.setenv(variable, value)
        yield Settings.from_env(values), kept
    kept.save()


def _with_weeks(folder, settings, weeks, world=orders_model, change=lambda inputs, labels: None):
    orders_model.write_model(folder, world.DEFINITION)
    shop = Shop(folder, settings, world)
    for number in range(weeks):
        inputs, labels = shop.week(number)
        change(inputs, labels)
        shop.accept("inputs", number, inputs)
        shop.accept("labels", number, labels)
        shop.build(number)
    return shop


def _empty_registry(settings):
    """Versions begin at 1 again: other tests of this process have used the same MLflow server."""
    from evergreen.loop.training.tracking import client

    _cache.clear()
    registry = client(settings)
    for model in registry.search_registered_models():
        registry.delete_registered_model(model.name)
