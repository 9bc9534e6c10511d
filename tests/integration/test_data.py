"""What the loop has on record, as frames: the rows that were accepted, built, predicted and measured."""

import pandas as pd
import pytest

from evergreen.core.ledger.tables import Decision
from evergreen.data import Model
from evergreen.errors import BadInputError, PartitionKeyError
from evergreen.loop.monitoring.check import run

pytestmark = pytest.mark.integration


@pytest.fixture
def model(shop):
    for number in (6, 7):
        shop.live(number)
    run(shop.definition, shop.key(7), settings=shop.settings)
    return Model("orders", settings=shop.settings.model_copy(update={"models_dir": shop.definition.folder.parent}))


def test_frames_hold_what_is_on_record(shop, model):
    key, entity = shop.key(6), shop.definition.feed.entity
    inputs, labels = shop.week(6)
    assert model.inputs(key)[entity].tolist() == inputs[entity].tolist()
    assert model.labels(key)[shop.definition.target].tolist() == labels[shop.definition.target].tolist()
    assert set(model.inputs()["partition"]) == {shop.key(number) for number in range(8)}

    features, predictions = model.features(key), model.predictions(key)
    assert list(features.columns[:1]) == ["partition"]
    assert set(shop.definition.features.columns) <= set(features.columns)
    assert features[entity].tolist() == predictions[entity].tolist()
    assert set(predictions["version"]) == {1}
    assert predictions["prediction"].between(0, 1).all()

    both = predictions.merge(model.labels(key), on=["partition", entity])
    brier = ((both["prediction"] - both[shop.definition.target].astype(float)) ** 2).mean()
    losses = model.losses()
    assert losses["partition"].tolist() == [key]
    assert losses["loss"].iloc[0] == pytest.approx(brier)

    champions = model.champions()
    assert champions[["version", "partition"]].values.tolist() == [[1, shop.key(6)]]
    assert isinstance(champions["since"].dtype, pd.DatetimeTZDtype)


def test_what_is_not_on_record_is_said(shop, model):
    with pytest.raises(BadInputError, match=r"orders has no predictions on record for .* there are: "):
        model.predictions(shop.key(2))
    with pytest.raises(PartitionKeyError):
        model.inputs("yesterday")
    with shop.ledger.transaction() as session:
        assert session.query(Decision).filter_by(kind="promote").count() == 1
