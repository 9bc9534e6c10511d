"""Predictions on request: by the champion, from the batch's own features, on record before they are given."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from pydantic import SecretStr

from evergreen.core.definition.sections import OnlineSection
from evergreen.core.ledger.tables import OnlinePrediction, OnlineRequest, Prediction
from evergreen.errors import BadInputError, NotReadyError, RefusedError, SettingsError
from evergreen.loop.online.answer import Online
from evergreen.loop.scoring.score import read_predictions

pytestmark = pytest.mark.integration


def body(frame):
    return json.dumps({"rows": frame.to_dict("records")}, default=str).encode()


def test_a_row_gets_the_prediction_that_its_partition_gives_it(shop):
    online = Online(shop.settings)
    inputs, _ = shop.week(6)
    answer = online.answer(shop.definition, body(inputs.head(50)))
    assert (answer.model, answer.version, answer.repeated) == ("orders", shop.version, False)
    assert [p["order_id"] for p in answer.predictions] == [f"6-{n}" for n in range(50)]
    assert {p["partition"] for p in answer.predictions} == {shop.key(6)}

    scored = shop.live(6)
    with shop.ledger.transaction() as session:
        batch = read_predictions(session.get_one(Prediction, scored.prediction_id), shop.settings)
    online_values = [p["prediction"] for p in answer.predictions]
    np.testing.assert_allclose(online_values, batch["prediction"].head(50), rtol=1e-12)


def test_what_was_predicted_is_on_record(shop):
    inputs, _ = shop.week(6)
    answer = Online(shop.settings).answer(shop.definition, body(inputs.head(2)), "order-7")
    with shop.ledger.transaction() as session:
        (request,) = session.query(OnlineRequest).all()
        rows = session.query(OnlinePrediction).order_by(OnlinePrediction.id).all()
    assert (request.name, request.version, request.rows) == ("order-7", shop.version, 2)
    assert request.built_from == {shop.key(6): {"labels": {}, "inputs": {}, "context": None, "missing": []}}
    assert [(row.entity, row.key) for row in rows] == [("6-0", shop.key(6)), ("6-1", shop.key(6))]
    assert [row.prediction for row in rows] == [p["prediction"] for p in answer.predictions]
    assert rows[0].inputs["price"] == inputs["price"][0]
    assert rows[0].event_time == inputs["ordered_at"][0]


def test_the_same_request_again_gets_the_same_answer_and_one_record(shop):
    online = Online(shop.settings)
    inputs, _ = shop.week(6)
    asked = body(inputs.head(3))
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: online.answer(shop.definition, asked, "twice"), range(4)))
    assert len({answer.predictions[0]["prediction"] for answer in answers}) == 1
    assert [answer.repeated for answer in answers].count(False) == 1
    with shop.ledger.transaction() as session:
        assert session.query(OnlineRequest).count() == 1
        assert session.query(OnlinePrediction).count() == 3
    with pytest.raises(RefusedError, match="another request was answered under the name twice"):
        online.answer(shop.definition, body(inputs.head(2)), "twice")


def test_a_promotion_counts_from_the_next_request_on(shop):
    online = Online(shop.settings)
    shop.live(6)
    shop.live(7)
    inputs, _ = shop.week(8)
    before = online.answer(shop.definition, body(inputs.head(1)))
    promoted = shop.train(as_of=7, cause="operator")
    after = online.answer(shop.definition, body(inputs.head(1)))
    assert (before.version, after.version) == (shop.version, promoted)
    assert after.predictions[0]["prediction"] != before.predictions[0]["prediction"]


def test_what_cannot_be_predicted_is_said(shop):
    online = Online(shop.settings)
    inputs, _ = shop.week(5)
    with pytest.raises(BadInputError, match="rows of 2024-02-05 lie before 2024-02-12"):
        online.answer(shop.definition, body(inputs.head(1)))
    with shop.ledger.transaction() as session:
        assert session.query(OnlineRequest).count() == 0


def test_without_a_champion_there_is_nothing_to_predict_with(young_shop):
    inputs, _ = young_shop.week(11)
    with pytest.raises(NotReadyError, match="orders has no champion yet"):
        Online(young_shop.settings).answer(young_shop.definition, body(inputs.head(1)))


def test_values_of_persons_are_tokens_before_they_are_kept(shop):
    feed = shop.definition.feed.model_copy(update={"personal": ("order_id", "country")})
    definition = shop.definition.model_copy(update={"feed": feed})
    settings = shop.settings.model_copy(update={"pseudonym_key": SecretStr("a key of this test, long enough")})
    inputs, _ = shop.week(6)
    answer = Online(settings).answer(definition, body(inputs.head(2)))
    assert [p["order_id"] for p in answer.predictions] == ["6-0", "6-1"], "the caller gets its own names back"
    with shop.ledger.transaction() as session:
        rows = session.query(OnlinePrediction).all()
    kept = json.dumps([[row.entity, row.inputs] for row in rows])
    assert "6-0" not in kept
    assert not any(country in kept for country in ("SE", "FI", "NO"))
    assert all(len(row.entity) == 32 for row in rows)
    with pytest.raises(SettingsError, match="EVERGREEN_PSEUDONYM_KEY is not set"):
        Online(shop.settings).answer(definition, body(inputs.head(2)))


def test_rows_of_a_landed_partition_stand_among_their_own(shop):
    """`features.py` counts among the rows that it gets: with the partition's context a request counts as the batch."""
    (shop.definition.folder / "features.py").write_text(
        "def build(inputs, history):\n"
        "    found = inputs.drop(columns='day')\n"
        "    found['age'] = inputs.groupby('country')['age'].transform('count').astype(float)\n"
        "    return found\n"
    )
    shop.train(as_of=5, cause="operator")  # a version goes on being fed by the code that it was made from
    inputs, _ = shop.week(6)
    scored = shop.live(6)
    with shop.ledger.transaction() as session:
        batch = read_predictions(session.get_one(Prediction, scored.prediction_id), shop.settings)["prediction"]
    online = Online(shop.settings)
    alone = online.answer(shop.definition, body(inputs.iloc[[5, 3]]))
    among = shop.definition.model_copy(update={"online": OnlineSection(context="partition")})
    given = online.answer(among, body(inputs.iloc[[5, 3]]))
    np.testing.assert_allclose([p["prediction"] for p in given.predictions], batch[[5, 3]], rtol=1e-12)
    assert abs(alone.predictions[0]["prediction"] - batch[5]) > 0.001
    with shop.ledger.transaction() as session:
        requests = session.query(OnlineRequest).order_by(OnlineRequest.id).all()
    contexts = [request.built_from[shop.key(6)]["context"] for request in requests]
    assert contexts[0] is None
    assert contexts[1] is not None
