"""What was predicted on request is compared with the batch and with the labels, once they are there."""

import json

import pytest

from evergreen.core.ledger.queries import online as records
from evergreen.core.ledger.views import history
from evergreen.loop.monitoring.check import run
from evergreen.loop.monitoring.online_agreement import measure_online
from evergreen.loop.online.answer import Online
from evergreen.loop.scoring.score import score
from evergreen.web.metrics import exposition

pytestmark = pytest.mark.integration


def ask(shop, frame, online=None):
    body = json.dumps({"rows": frame.to_dict("records")}, default=str).encode()
    return (online or Online(shop.settings)).answer(shop.definition, body)


def measured(shop):
    with shop.ledger.transaction() as session:
        return {row.key: row for row in records.performances(session, "orders")}


def measure(shop):
    return measure_online(shop.definition, settings=shop.settings)


def test_rows_sent_as_the_feed_lands_them_are_the_batchs(shop, caplog):
    caplog.set_level("INFO", "evergreen.monitoring")
    inputs, labels = shop.week(6)
    answer = ask(shop, inputs.head(40))
    assert measure(shop) == 0  # there is nothing yet to compare with
    shop.live(6)
    run(shop.definition, shop.key(6), settings=shop.settings)
    (found,) = measured(shop).values()
    assert (found.rows, found.compared, found.differing, found.labelled) == (40, 40, 0, 40)
    assert found.versions == [shop.version]
    truth = labels["returned"].head(40).to_numpy(float)
    given = [p["prediction"] for p in answer.predictions]
    assert found.loss == pytest.approx(((truth - given) ** 2).mean())
    assert "40 entities were predicted on request; 0 of 40 differ from the batch's" in caplog.text
    shop.live(7)
    run(shop.definition, shop.key(7), settings=shop.settings)
    run(shop.definition, shop.key(6), settings=shop.settings)
    (again,) = measured(shop).values()
    assert again.id == found.id, "nothing has changed, whichever partition is checked"


def test_labels_may_come_before_the_batch(shop):
    inputs, labels = shop.week(6)
    ask(shop, inputs.head(5))
    shop.accept("labels", 6, labels)
    assert measure(shop) == 1
    (found,) = measured(shop).values()
    assert (found.compared, found.labelled) == (0, 5)
    shop.accept("inputs", 6, inputs)
    shop.build(6)
    score(shop.definition, shop.key(6), settings=shop.settings)
    assert measure(shop) == 1
    (found,) = measured(shop).values()
    assert (found.compared, found.differing, found.labelled) == (5, 0, 5)


def test_other_values_than_the_feed_lands_are_seen(shop, caplog):
    inputs, _ = shop.week(6)
    changed = inputs.head(10).copy()
    changed.loc[:3, "price"] *= 3
    ask(shop, changed)
    shop.live(6)
    assert measure(shop) == 1
    found = measured(shop)[shop.key(6)]
    assert (found.compared, found.differing) == (10, 4)
    assert found.difference > 0.01
    assert "4 of 10 differ" in caplog.text
    told = exposition(shop.settings).decode()
    assert 'evergreen_online_differing_share{model="orders"} 0.4' in told
    assert f'evergreen_online_realised_loss{{model="orders"}} {found.loss}' in told
    with shop.ledger.transaction() as session:
        (line,) = history.online(session, "orders")
    assert (line.key, line.versions, line.differing) == (shop.key(6), (shop.version,), 4)


def test_the_newest_prediction_of_an_entity_counts(shop):
    inputs, _ = shop.week(6)
    online = Online(shop.settings)
    ask(shop, inputs.head(5).assign(price=1.0), online)
    shop.live(6)
    assert measure(shop) == 1
    assert measured(shop)[shop.key(6)].differing == 5
    ask(shop, inputs.head(5), online)
    assert measure(shop) == 1
    assert measured(shop)[shop.key(6)].differing == 0


def test_another_versions_batch_is_not_compared(shop):
    inputs, _ = shop.week(7)
    ask(shop, inputs.head(5))
    shop.live(6)
    promoted = shop.train(as_of=6, cause="operator")
    shop.live(7)
    measure(shop)
    found = measured(shop)[shop.key(7)]
    assert promoted != shop.version
    assert (found.rows, found.compared, found.difference, found.labelled) == (5, 0, None, 5)


def test_a_label_that_is_no_class_ends_no_check(shop, caplog):
    """As an expectation that was corrected since may have let through."""
    inputs, labels = shop.week(6)
    ask(shop, inputs.head(5))
    shop.live(6)
    shop.accept("labels", 6, labels.assign(returned=7))
    assert measure(shop) == 1
    assert "how many inputs have a label cannot be counted now" in caplog.text
    (found,) = measured(shop).values()
    assert (found.compared, found.labelled, found.loss) == (5, 0, None), "the batch counts, and these labels do not yet"
