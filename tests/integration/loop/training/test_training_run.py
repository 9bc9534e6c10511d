"""A training run on real servers: dataset by ids, everything in MLflow, once for each cause, and found after a kill."""

import json

import mlflow.artifacts
import numpy as np
import pytest
from mlflow import MlflowClient
from sqlalchemy import select

from evergreen.core.ledger.queries import versions
from evergreen.core.ledger.tables import TrainingRun
from evergreen.errors import BadInputError, NotReadyError, PartitionKeyError, RefusedError, UnavailableError
from evergreen.loop.training.assemble import assemble
from evergreen.loop.training.fit import fit
from evergreen.loop.training.model_files import content_hash, load
from evergreen.loop.training.tracking import Registry, client, run_name

pytestmark = pytest.mark.integration


def ask(shop, cause_key, as_of=5):
    return assemble(
        shop.definition, cause="operator", cause_key=cause_key, reason="a test asks for it",
        as_of=shop.key(as_of), settings=shop.settings,
    )  # fmt: skip


def test_a_run_leaves_everything_about_the_model_in_mlflow(shop):
    with shop.ledger.transaction() as session:
        run = session.scalars(select(TrainingRun)).one()
    tracking, registry = client(shop.settings), Registry(shop.settings, "orders")
    logged = tracking.get_run(run.mlflow_run_id)
    assert tracking.get_experiment(logged.info.experiment_id).name == "evergreen/orders"
    assert logged.info.status == "FINISHED"

    tags = logged.data.tags
    assert tags["evergreen.training_run_id"] == str(run.id)
    assert tags["evergreen.dataset_hash"] == run.dataset_hash
    assert tags["evergreen.snapshot_commit"] == run.git_commit
    assert tags["evergreen.code_hash"] == run.code_hash
    assert tags["evergreen.lock_hash"] == run.lock_hash
    assert {"evergreen.cause", "evergreen.seed", "evergreen.code_version"} <= set(tags)
    assert {"validation.brier", "validation.roc_auc", "importance.price", "holdout.brier"} <= set(logged.data.metrics)
    assert len(tracking.get_metric_history(run.mlflow_run_id, "calibration.observed")) == 10
    figures = {file.path for file in tracking.list_artifacts(run.mlflow_run_id, "figures")}
    assert {"figures/calibration.png", "figures/discrimination.png", "figures/tuning.png"} <= figures

    (dataset,) = logged.inputs.dataset_inputs
    source = json.loads(dataset.dataset.source)
    assert source["train_keys"] == [shop.key(n) for n in range(4)]
    assert source["commit"] == run.git_commit

    version = registry.version_of_run(run)
    assert int(version.version) == run.version == registry.alias("champion") == registry.alias("challenger") == 1
    assert "Trained on 2,800 rows of 4 partitions" in version.description
    assert "Decision" in version.description
    assert version.tags["evergreen.decision"] == "promote"


def test_the_registered_model_is_a_plain_mlflow_model_with_signature_and_pinned_requirements(shop, tmp_path):
    folder = mlflow.artifacts.download_artifacts(
        "models:/orders/1", dst_path=str(tmp_path), tracking_uri=shop.settings.mlflow_url
    )
    model = mlflow.models.Model.load(folder)
    assert model.signature.inputs.input_names() == ["price", "age", "country"]
    requirements = (tmp_path / "requirements.txt").read_text()
    assert "scikit-learn==1.9" in requirements
    assert "skops==" in requirements
    assert (tmp_path / "model.skops").is_file()
    assert not list(tmp_path.glob("*.pkl"))


def test_a_run_that_failed_says_so_until_it_is_carried_on(shop, monkeypatch):
    from evergreen.core.ledger.views import history
    from evergreen.loop.training.record_failure import record_failure

    def state():
        with shop.ledger.transaction() as session:
            return [(line.state, line.finished_at is not None) for line in history.trainings(session, "orders")]

    run = ask(shop, "doomed").training_run_id
    nowhere = shop.settings.model_copy(update={"mlflow_url": "http://127.0.0.1:9"})
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        with pytest.raises(UnavailableError):
            fit(shop.definition, run, settings=nowhere)
    assert state() == [("promoted", True), ("assembled", False)]
    assert record_failure("orders", "doomed", settings=shop.settings)
    assert state()[1] == ("failed", True)
    fit(shop.definition, run, settings=shop.settings)
    assert state()[1] == ("trained", True)
    assert record_failure("orders", "doomed", settings=shop.settings)
    assert fit(shop.definition, run, settings=shop.settings).reused
    assert state()[1] == ("trained", True)
    assert not record_failure("orders", "no such cause", settings=shop.settings)


def test_what_was_decided_did_not_fail(shop):
    from evergreen.loop.training.record_failure import record_failure

    with shop.ledger.transaction() as session:
        cause_key = session.scalars(select(TrainingRun)).one().cause_key
    assert not record_failure("orders", cause_key, settings=shop.settings)


def test_one_cause_makes_one_run_and_one_version(shop, caplog):
    caplog.set_level("INFO", "evergreen.training")
    first = ask(shop, "by-hand")
    assert ask(shop, "by-hand") == first
    assert "is training run 2 already (assembled)" in caplog.text
    assert first.train_keys == [shop.key(n) for n in range(4)]
    assert first.holdout_keys == [shop.key(4), shop.key(5)]

    made = fit(shop.definition, first.training_run_id, settings=shop.settings)
    again = fit(shop.definition, first.training_run_id, settings=shop.settings)
    assert (made.version, made.reused, again.version, again.reused) == (2, False, 2, True)
    assert again.metrics == made.metrics


def test_the_same_snapshots_give_the_same_model_bit_for_bit(shop):
    runs = [ask(shop, name) for name in ("one", "two")]
    assert runs[0].dataset_hash == runs[1].dataset_hash
    versions = [fit(shop.definition, run.training_run_id, settings=shop.settings).version for run in runs]
    registry = Registry(shop.settings, "orders")
    hashes = [registry.client.get_model_version("orders", str(v)).tags["evergreen.model_hash"] for v in versions]
    assert versions == [2, 3]
    assert hashes[0] == hashes[1]
    inputs, _ = shop.week(9)
    first, second = (load(shop.definition, v, settings=shop.settings).predict(inputs) for v in versions)
    assert first.tobytes() == second.tobytes()


def test_a_run_killed_after_registering_finds_its_version(shop, tmp_path):
    run = ask(shop, "killed-late")
    made = fit(shop.definition, run.training_run_id, settings=shop.settings)
    with shop.ledger.transaction() as session:
        row = versions.training_run(session, "orders", run.training_run_id)
        row.state, row.version, row.mlflow_run_id, row.metrics, row.params, row.candidate = "assembled", *[None] * 5
    found = fit(shop.definition, run.training_run_id, settings=shop.settings)
    assert (found.version, found.reused, found.candidate) == (made.version, True, made.candidate)
    for name, value in made.metrics.items():
        assert found.metrics[name] == pytest.approx(value, rel=1e-12)
    registry = Registry(shop.settings, "orders")
    data = registry.download(made.version, "model.skops", tmp_path).read_bytes()
    assert registry.version_of_run(row).tags["evergreen.model_hash"] == content_hash(data)


def test_a_run_killed_before_registering_starts_over_and_marks_what_was_left(shop):
    run = ask(shop, "killed-early")
    tracking = client(shop.settings)
    experiment = tracking.get_experiment_by_name("evergreen/orders").experiment_id
    with shop.ledger.transaction() as session:
        name = run_name(versions.training_run(session, "orders", run.training_run_id))
    left = tracking.create_run(experiment, tags={"evergreen.training_run": name})
    made = fit(shop.definition, run.training_run_id, settings=shop.settings)
    assert not made.reused
    assert tracking.get_run(left.info.run_id).info.status == "KILLED"


def test_a_version_that_the_server_registered_twice_is_one_version(shop, monkeypatch, caplog):
    """It died between registering and answering, so MLflow's client asked again."""
    once = MlflowClient.create_model_version

    def asked_again(self, *args, **kwargs):
        once(self, *args, **kwargs)
        return once(self, *args, **kwargs)

    monkeypatch.setattr(MlflowClient, "create_model_version", asked_again)
    run = ask(shop, "answer-lost")
    made = fit(shop.definition, run.training_run_id, settings=shop.settings)
    registry = Registry(shop.settings, "orders")
    with shop.ledger.transaction() as session:
        row = versions.training_run(session, "orders", run.training_run_id)
    registered = [int(v.version) for v in registry.client.search_model_versions("name = 'orders'")]
    assert row.version == made.version == max(registered)
    assert sorted(registered) == [shop.version, made.version]
    assert registry.alias("challenger") == made.version
    assert "registered version 2 again as 3; deleted" in caplog.text


def test_labels_after_as_of_are_not_used(shop):
    run = ask(shop, "earlier", as_of=4)
    assert run.holdout_keys == [shop.key(3), shop.key(4)]
    assert run.train_keys == [shop.key(0), shop.key(1), shop.key(2)]
    with pytest.raises(NotReadyError, match=r"3 have features and labels .* 4 partitions"):
        ask(shop, "too-early", as_of=2)


def test_a_run_is_as_of_the_newest_labels_that_it_uses(shop):
    run = ask(shop, "next-week", as_of=9)
    assert run.holdout_keys == [shop.key(4), shop.key(5)]
    with shop.ledger.transaction() as session:
        assert session.get_one(TrainingRun, run.training_run_id).as_of == shop.key(5)
    with pytest.raises(PartitionKeyError, match=r"as_of 2023-12-25 lies outside the calendar of orders \(2024-"):
        ask(shop, "before-the-start", as_of=-1)
    with pytest.raises(PartitionKeyError, match="did you mean 2024-01-01"):
        assemble(
            shop.definition, cause="operator", cause_key="x", reason="a test", as_of="2024-01-02",
            settings=shop.settings,
        )  # fmt: skip


def test_what_is_not_there_is_named(shop, monkeypatch):
    with pytest.raises(BadInputError, match="no version 99 of orders"):
        load(shop.definition, 99, settings=shop.settings)
    shop.lose_file(1)
    with pytest.raises(BadInputError, match=r"has version 1 of orders, and its file model\.skops is gone"):
        load(shop.definition, 1, settings=shop.settings)
    with pytest.raises(BadInputError, match="orders has no training run 99"):
        fit(shop.definition, 99, settings=shop.settings)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    gone = shop.settings.model_copy(update={"mlflow_url": "http://127.0.0.1:9"})
    run = ask(shop, "mlflow-down")
    with pytest.raises(UnavailableError, match=r"MLflow at http://127.0.0.1:9 did not"):
        fit(shop.definition, run.training_run_id, settings=gone)


def test_an_untrusted_type_is_refused_by_name(shop):
    from evergreen.core.definition import ModelDefinition

    training = shop.definition.training.model_copy(update={"candidates": ("boosted",)})
    boosted: ModelDefinition = shop.definition.model_copy(update={"training": training})
    run = ask(shop, "boosted")
    version = fit(boosted, run.training_run_id, settings=shop.settings).version
    strict = boosted.model_copy(update={"training": training.model_copy(update={"trusted_types": ()})})
    with pytest.raises(RefusedError, match=r"version \d+ was not loaded.*TreePredictor"):
        load(strict, version, settings=shop.settings)
    assert np.isfinite(load(boosted, version, settings=shop.settings).predict(shop.week(9)[0])).all()
