"""An experiment on landed weeks, written to a real MLflow, beside a champion that stays as it is."""

import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from evergreen.core.ledger.queries import versions
from evergreen.core.ledger.tables import Decision, TrainingRun
from evergreen.loop.training.tracking import client
from evergreen.tools.experiment.run import experiment
from evergreen.tools.experiment.tracking import log
from evergreen.tools.experiment.variant import make_variant

pytestmark = pytest.mark.integration
WEEKS = 9


@pytest.fixture
def landed(shop):
    root = Path(urlsplit(shop.settings.landing_url).path) / shop.definition.feed.name
    for number in range(WEEKS):
        place = root / shop.key(number)
        place.mkdir(parents=True)
        for name, frame in zip(("inputs", "labels"), shop.week(number), strict=True):
            frame.to_parquet(place / f"{name}.parquet", index=False)
        (place / "_SUCCESS").touch()
    return shop.settings.landing_url


def test_an_experiment_is_on_record_and_touches_no_champion(shop, landed, tmp_path):
    variant = make_variant(shop.definition, tmp_path / "variant", settings={"training.candidates": ["boosted"]})
    result = experiment(shop.definition, variant, landed, rounds=2, cache=tmp_path / "cache")
    assert len(result.rounds) == 2
    assert result.rounds[-1].as_of == shop.key(WEEKS - 1)
    assert all(part.rows for part in result.rounds)
    page = log(result, variant, settings=shop.settings, decided_by="a test")

    mlflow = client(shop.settings)
    run = mlflow.get_run(page.rpartition("/")[2])
    assert mlflow.get_experiment(run.info.experiment_id).name == "evergreen/orders.experiments"
    assert run.info.status == "FINISHED"
    assert run.data.params["change_1"].startswith("training.candidates: ")
    assert run.data.metrics["relative"] == pytest.approx(result.comparison.relative)
    assert len(mlflow.get_metric_history(run.info.run_id, "round.variant_loss")) == 2
    file = mlflow.download_artifacts(run.info.run_id, "result.json", str(tmp_path))
    assert json.loads(Path(file).read_text())["verdict"] == result.comparison.verdict
    names = {item.path for item in mlflow.list_artifacts(run.info.run_id)}
    assert names == {"result.json", "variant.diff", "rounds.png"}

    assert len(mlflow.search_model_versions("name = 'orders'")) == 1
    with shop.ledger.transaction() as session:
        assert versions.current_deployment(session, "orders").version == 1
        assert session.query(TrainingRun).count() == 1
        assert session.query(Decision).filter(Decision.kind != "promote").count() == 0
