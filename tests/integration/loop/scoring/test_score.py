"""Predictions are written once for each snapshot, whole, by the champion."""

import numpy as np
import pytest

from evergreen.core.ledger.tables import Prediction
from evergreen.errors import NotReadyError
from evergreen.loop.scoring.score import read_predictions, score

pytestmark = pytest.mark.integration


def test_a_partition_is_predicted_once_by_the_champion_and_again_when_it_is_rebuilt(shop, caplog):
    caplog.set_level("INFO", "evergreen.scoring")
    first = shop.live(6)
    assert (first.version, first.rows, first.reused) == (shop.version, 700, False)
    assert f"champion version {shop.version} predicted 700 rows" in caplog.text

    again = score(shop.definition, shop.key(6), settings=shop.settings)
    assert again.reused
    assert again.prediction_id == first.prediction_id

    with shop.ledger.transaction() as session:
        row = session.get_one(Prediction, first.prediction_id)
    written = read_predictions(row, shop.settings)
    assert written.columns.tolist() == ["order_id", "ordered_at", "prediction"]
    assert written["order_id"].tolist() == [f"6-{n}" for n in range(700)]
    assert written["prediction"].between(0, 1).all()
    assert written["prediction"].mean() == pytest.approx(first.mean)
    inputs, labels = shop.week(6)
    assert np.corrcoef(written["prediction"], labels["returned"])[0, 1] > 0.2

    shop.accept("inputs", 6, inputs.assign(price=inputs["price"] * 2))
    shop.build(6)
    restated = score(shop.definition, shop.key(6), settings=shop.settings)
    assert not restated.reused
    assert restated.prediction_id != first.prediction_id
    assert restated.mean > first.mean


def test_what_cannot_be_scored_yet_is_skipped_with_its_reason(shop):
    with pytest.raises(NotReadyError, match="no features of 2024-02-12 yet"):
        score(shop.definition, shop.key(6), settings=shop.settings)
    with pytest.raises(NotReadyError, match="lies before 2024-02-12, the first partition the first champion"):
        score(shop.definition, shop.key(5), settings=shop.settings)
