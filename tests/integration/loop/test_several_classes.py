"""Three classes through the whole loop on real servers: features, training, champion, scores, checks, promotion."""

import json

import numpy as np
import pandas as pd
import pytest

from evergreen.core.ledger.queries import online as records
from evergreen.core.ledger.queries import versions
from evergreen.core.ledger.tables import Decision, DriftCheck, OnlinePrediction, Performance, TrainingRun
from evergreen.loop.champion.evaluate import evaluate
from evergreen.loop.champion.promotion import promote
from evergreen.loop.monitoring.check import run
from evergreen.loop.monitoring.online_agreement import measure_online
from evergreen.loop.online.answer import Online
from evergreen.loop.scoring.score import read_predictions
from evergreen.loop.training.assemble import assemble
from evergreen.loop.training.fit import fit
from evergreen.loop.training.model_files import load
from evergreen.loop.training.tracking import client
from evergreen.operations.reproduce import reproduce
from helpers.class_orders import CLASSES

pytestmark = pytest.mark.integration


def check(shop, number):
    return run(shop.definition, shop.key(number), settings=shop.settings, run_url="http://127.0.0.1:9/log")


def rows(shop, table):
    with shop.ledger.transaction() as session:
        return session.query(table).filter_by(model="orders").order_by(table.id).all()


def predictions(shop, number):
    from evergreen.core.ledger.tables import Prediction

    (made,) = [row for row in rows(shop, Prediction) if row.key == shop.key(number)]
    return made, read_predictions(made, shop.settings)


def turned(inputs, labels):
    """Another world: what was returned is kept, what was kept is swapped."""
    labels["outcome"] = labels["outcome"].map({"returned": "kept", "kept": "swapped", "swapped": "returned"})


def with_a_new_class(inputs, labels):
    labels.loc[labels.index % 5 == 0, "outcome"] = "lost"


def test_several_classes_go_through_the_loop(class_shop, caplog):
    caplog.set_level("INFO", "evergreen")
    shop = class_shop
    shop.version = shop.train(as_of=5)
    with shop.ledger.transaction() as session:
        made = versions.run_of_version(session, "orders", shop.version)
        comparison = versions.comparison_of(session, made.id)
    assert comparison.verdict == "superior", "better than the shares of the classes"
    states = {guard["name"]: guard["state"] for guard in comparison.guards}
    assert states == dict.fromkeys(("slices", "calibration", "fairness", "latency", "size", "signature"), "passed")
    assert "of 3 classes, each against the rest" in str(comparison.guards)
    assert any("positive rate of " in str(guard["detail"]) for guard in comparison.guards)
    assert 0 < made.metrics["validation.recall_macro"] <= 1
    assert set(made.metrics) >= {f"validation.class.{name}.precision" for name in CLASSES}
    figures = {file.path for file in client(shop.settings).list_artifacts(made.mlflow_run_id, "figures")}
    assert figures >= {"figures/confusion.png", "figures/confusion.json", "figures/calibration.png"}
    assert load(shop.definition, shop.version, settings=shop.settings).classes == CLASSES
    assert reproduce(shop.definition, shop.version, settings=shop.settings).reproduced

    inputs, _ = shop.week(6)
    asked = Online(shop.settings).answer(
        shop.definition, json.dumps({"rows": inputs.head(40).to_dict("records")}, default=str).encode(), "one"
    )
    shop.live(6)
    written, frame = predictions(shop, 6)
    shares = [f"probability_{name}" for name in CLASSES]
    assert list(frame.columns) == ["order_id", "ordered_at", "prediction", *shares]
    assert np.allclose(frame[shares].sum(axis=1), 1)
    best = frame[shares].to_numpy().argmax(axis=1)
    assert frame["prediction"].tolist() == [CLASSES[n] for n in best]
    assert written.mean == pytest.approx(frame[shares].max(axis=1).mean())

    assert [answer["prediction"] for answer in asked.predictions] == frame["prediction"].head(40).tolist()
    assert asked.predictions[0]["probabilities"] == {
        name: pytest.approx(frame[f"probability_{name}"][0], abs=1e-9) for name in CLASSES
    }
    again = Online(shop.settings).answer(
        shop.definition, json.dumps({"rows": inputs.head(40).to_dict("records")}, default=str).encode(), "one"
    )
    assert (again.repeated, again.predictions) == (True, asked.predictions)
    assert [row.probabilities[0][0] for row in rows(shop, OnlinePrediction)[:1]] == ["kept"]

    quiet = check(shop, 6)
    assert (quiet.kind, quiet.drifted_columns) == ("no_action", [])
    with shop.ledger.transaction() as session:
        (agreed,) = records.performances(session, "orders")
    assert (agreed.rows, agreed.compared, agreed.differing, agreed.labelled) == (40, 40, 0, 40)
    shop.live(7)
    second = check(shop, 7)
    assert second.kind == "no_action"
    (measured,) = rows(shop, Performance)
    assert second.loss == measured.loss == pytest.approx(measured.metrics["expected_loss"], rel=0.1)
    assert measured.metrics["predicted share kept"] == pytest.approx(measured.metrics["share kept"], abs=0.06)
    assert "Estimated, before any label: a Brier score of" in caplog.text

    decided = [second]
    for number in range(8, 13):
        shop.live(number, turned)
        decided.append(check(shop, number))
        if decided[-1].kind == "retrain":
            break
    assert (decided[-1].kind, decided[-1].cause) == ("retrain", "harm")
    last = 7 + len(decided) - 1
    shop.accept("labels", last, shop.week(last)[1].pipe(lambda labels: (turned(None, labels), labels)[1]))
    training = assemble(
        shop.definition, cause="harm", cause_key=decided[-1].cause_key, reason="harm", as_of=decided[-1].as_of,
        settings=shop.settings,
    ).training_run_id  # fmt: skip
    fit(shop.definition, training, settings=shop.settings)
    said = evaluate(shop.definition, training, settings=shop.settings)
    assert said.outcome == "promote", said.reason
    assert promote(shop.definition, training, settings=shop.settings, decided_by="a test").version == 2
    assert [d.kind for d in rows(shop, Decision) if d.kind == "promote"] == ["promote", "promote"]


def test_a_class_that_nobody_knows_is_said_and_the_next_training_learns_it(class_shop, caplog):
    shop = class_shop
    shop.version = shop.train(as_of=5)
    shop.live(6, with_a_new_class)
    check(shop, 6)
    shop.live(7, with_a_new_class)
    caplog.set_level("INFO", "evergreen")
    seen = check(shop, 7)
    assert "140 of 700 labels" in caplog.text
    assert "lost" in caplog.text
    (measured,) = rows(shop, Performance)
    assert measured.metrics["unseen_class"] == pytest.approx(0.2)
    assert seen.loss == measured.loss > measured.metrics["expected_loss"]
    online = Online(shop.settings)
    online.answer(
        shop.definition, json.dumps({"rows": shop.week(7)[0].head(10).to_dict("records")}, default=str).encode()
    )
    assert measure_online(shop.definition, settings=shop.settings) == 1
    shop.live(8, with_a_new_class)
    shop.live(9, with_a_new_class)
    training = assemble(
        shop.definition, cause="operator", cause_key="new class", reason="a new class", as_of=shop.key(9),
        settings=shop.settings,
    ).training_run_id  # fmt: skip
    fit(shop.definition, training, settings=shop.settings)
    said = evaluate(shop.definition, training, settings=shop.settings)
    (made,) = [found for found in rows(shop, TrainingRun) if found.id == training]
    challenger = load(shop.definition, made.version, settings=shop.settings)
    assert challenger.classes == ("kept", "lost", "returned", "swapped")
    assert said.outcome == "promote", said.reason
    promote(shop.definition, training, settings=shop.settings, decided_by="a test")
    shop.live(10, with_a_new_class)
    _, frame = predictions(shop, 10)
    assert isinstance(frame, pd.DataFrame)
    assert "probability_lost" in frame
    check(shop, 10)
    shop.live(11)
    check(shop, 11)
    assert "classes" not in rows(shop, DriftCheck)[-1].results, "the version that serves now knows all of them"
