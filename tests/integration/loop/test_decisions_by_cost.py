"""Decisions by cost through the whole loop on real servers: a tuned threshold, choices, money, promotion, harm."""

import json

import numpy as np
import pytest
import yaml

from evergreen.core.definition import load_definition
from evergreen.core.ledger.queries import versions
from evergreen.core.ledger.tables import Decision, OnlinePrediction, Performance, Prediction
from evergreen.data import Model
from evergreen.loop.monitoring.check import run
from evergreen.loop.online.answer import Online
from evergreen.loop.scoring.score import read_predictions
from evergreen.loop.training.model_files import load
from evergreen.loop.training.tracking import client
from evergreen.operations.reproduce import reproduce

pytestmark = pytest.mark.integration
EUR = {"unit": "EUR", "costs": {"true_positive": -10, "false_positive": 4, "false_negative": 26}}
MATRIX = {
    "kept": {"swapped": 2, "returned": 4},
    "swapped": {"kept": 3, "returned": 1},
    "returned": {"kept": 20, "swapped": 10},
}


def decided(shop, decision, **more):
    """The shop, whose definition has a decision now."""
    file = shop.definition.folder / "model.yaml"
    raw = yaml.safe_load(file.read_text())
    raw["gate"] = raw.get("gate", {}) | {"loss": "cost", "slices": ["country"]}
    file.write_text(yaml.safe_dump(raw | {"decision": decision} | more))
    shop.definition = load_definition("orders", shop.definition.folder.parent)
    return shop


def rows(shop, table):
    with shop.ledger.transaction() as session:
        return session.query(table).filter_by(model="orders").order_by(table.id).all()


def ask(shop, number, name):
    body = json.dumps({"rows": shop.week(number)[0].head(30).to_dict("records")}, default=str).encode()
    return Online(shop.settings).answer(shop.definition, body, name)


def test_a_threshold_tuned_by_cost_chooses_is_charged_and_is_kept_with_its_version(untrained_shop, caplog):
    caplog.set_level("INFO", "evergreen")
    shop = decided(untrained_shop, EUR)
    shop.version = shop.train(as_of=5)
    with shop.ledger.transaction() as session:
        made = versions.run_of_version(session, "orders", shop.version)
        compared = versions.comparison_of(session, made.id)
    model = load(shop.definition, shop.version, settings=shop.settings)
    threshold = model.rule.threshold
    assert made.decision == model.rule.as_json()
    assert (made.decision["how"], made.decision["bayes"]) == ("tuned", pytest.approx(0.1))
    assert 0.05 < threshold < 0.2
    logged = client(shop.settings).get_run(made.mlflow_run_id).data
    assert float(logged.params["threshold"]) == threshold
    assert {"validation.decision.recall", "holdout.decision.money"} <= set(logged.metrics)
    assert "avoidable cost of the base rate" in compared.result["reason"]
    assert "EUR a row" in compared.result["reason"]
    judged = compared.result["decisions"]
    assert judged["challenger"]["avoidable"] < judged["champion"]["avoidable"]
    assert {part["value"] for part in judged["slices"]} == {"SE", "FI", "NO"}
    assert reproduce(shop.definition, shop.version, settings=shop.settings).reproduced

    shop.live(6)
    (written,) = [row for row in rows(shop, Prediction) if row.key == shop.key(6)]
    frame = read_predictions(written, shop.settings)
    assert list(frame.columns)[2:4] == ["prediction", "choice"]
    assert frame["choice"].tolist() == (frame["prediction"] >= threshold).tolist()
    models = shop.settings.model_copy(update={"models_dir": shop.definition.folder.parent})
    seen = Model("orders", settings=models).predictions(shop.key(6))
    assert seen["choice"].sum() == frame["choice"].sum() > 0
    first, again = ask(shop, 6, "one"), ask(shop, 6, "one")
    assert [row["choice"] for row in first.predictions] == frame["choice"].head(30).tolist()
    assert (again.repeated, again.predictions) == (True, first.predictions)
    assert [row.choice for row in rows(shop, OnlinePrediction)] == frame["choice"].head(30).tolist()

    run(shop.definition, shop.key(6), settings=shop.settings)
    shop.live(7)
    checked = run(shop.definition, shop.key(7), settings=shop.settings)
    (measured,) = rows(shop, Performance)
    came_to = measured.metrics["decision"]
    truth = shop.week(6)[1]["returned"].to_numpy()
    said = frame["choice"].to_numpy()
    assert (came_to["true_positive"], came_to["false_negative"]) == ((truth & said).sum(), (truth & ~said).sum())
    assert came_to["precision"] == pytest.approx((truth & said).sum() / said.sum())
    money = np.where(said, np.where(truth, -10, 4), np.where(truth, 26, 0)).sum()
    assert came_to["money"] == pytest.approx(money)
    assert checked.loss * measured.rows == pytest.approx(came_to["avoidable"])
    assert measured.loss == pytest.approx(measured.metrics["expected_loss"], rel=0.4)
    assert sum(part["rows"] for part in came_to["slices"]) == measured.rows
    (*_, last) = rows(shop, Decision)
    assert last.evidence["choices"] == came_to
    assert f"by version {shop.version}: of {came_to['positives']} positives among 700 rows" in caplog.text
    assert "avoidable cost (EUR a row)" in caplog.text


def test_several_classes_choose_by_least_expected_cost(class_shop):
    shop = decided(class_shop, {"unit": "EUR", "costs": MATRIX}, classes=["kept", "swapped", "returned"])
    shop.version = shop.train(as_of=5)
    shop.live(6)
    (written,) = [row for row in rows(shop, Prediction) if row.key == shop.key(6)]
    frame = read_predictions(written, shop.settings)
    shares = frame[["probability_kept", "probability_swapped", "probability_returned"]].to_numpy()
    cost = shares @ np.array([[0, 2, 4], [3, 0, 1], [20, 10, 0]])
    assert frame["choice"].tolist() == [shop.definition.classes[n] for n in cost.argmin(axis=1)]
    assert (frame["choice"] != frame["prediction"]).any()
    assert [row["choice"] for row in ask(shop, 6, "one").predictions] == frame["choice"].head(30).tolist()
    run(shop.definition, shop.key(6), settings=shop.settings)
    shop.live(7)
    run(shop.definition, shop.key(7), settings=shop.settings)
    (measured,) = rows(shop, Performance)
    came_to = measured.metrics["decision"]
    assert np.array(came_to["confusion"]).sum() == came_to["rows"] == measured.rows
    assert came_to["avoidable"] == pytest.approx(measured.loss * measured.rows)
