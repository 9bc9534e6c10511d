"""In-sample never counts: a partition that a version was made of is predicted and measured by one that was not."""

import pytest

from evergreen.core.ledger.queries import decisions, seen
from evergreen.core.ledger.tables import Deployment, Performance, Prediction
from evergreen.core.ledger.views import history
from evergreen.errors import NotReadyError
from evergreen.loop.monitoring.check import run
from evergreen.loop.monitoring.loss.realised import measure
from evergreen.loop.scoring.score import score

pytestmark = pytest.mark.integration


def restated(shop, number):
    """The week lands again with other prices, and its features are built again."""
    inputs, _ = shop.week(number)
    shop.accept("inputs", number, inputs.assign(price=inputs["price"] * 1.01))
    shop.build(number)


@pytest.fixture
def followed(shop):
    """Version 1 has served four weeks; version 2, trained and judged on them, serves from the next week on."""
    for number in range(6, 10):
        shop.live(number)
    with shop.ledger.transaction() as session:
        decision = session.query(Deployment).one().decision_id
    assert decision
    shop.train(as_of=8, cause="operator")
    force(shop, 2)
    return shop


def force(shop, version):
    """`version` serves, whatever the gate says: as if a person had promoted it."""
    from evergreen.core.ledger.queries import versions

    with shop.ledger.transaction() as session:
        if versions.current_deployment(session, "orders").version == version:
            return
        decision = decisions.record(
            session, model="orders", kind="promote", key=shop.key(8), dedup_key=f"test:{version}", reason="a test",
            evidence={}, version=version, decided_by="a test",
        )  # fmt: skip
        session.add(Deployment(model="orders", version=version, decision_id=decision.id, from_key=shop.key(10)))


def test_a_restated_partition_is_predicted_and_measured_by_a_version_that_had_not_seen_it(followed, caplog):
    caplog.set_level("INFO", "evergreen.scoring")
    shop = followed
    with shop.ledger.transaction() as session:
        assert [seen.has_seen(session, "orders", 2, shop.key(n)) for n in (2, 8, 9)] == [False, True, False]
    assert shop.live(10).version == 2
    restated(shop, 8)
    again = score(shop.definition, shop.key(8), settings=shop.settings)
    assert (again.version, again.reused) == (1, False)
    assert "version 1, which had not seen it, predicts it" in caplog.text
    measure(shop.definition, settings=shop.settings, up_to_key=shop.key(9))
    with shop.ledger.transaction() as session:
        newest = session.query(Prediction).filter_by(key=shop.key(8)).order_by(Prediction.id.desc()).first()
        assert {p.prediction_id for p in session.query(Performance).filter_by(key=shop.key(8))} >= {newest.id}
        assert {line.key: line.version for line in history.losses(session, "orders")}[shop.key(8)] == 1
    restated(shop, 9)
    assert score(shop.definition, shop.key(9), settings=shop.settings).version == 2, "it has not seen this one"
    assert run(shop.definition, shop.key(8), settings=shop.settings).reason.endswith("has replaced version 1 since.")


def test_a_loss_that_was_measured_in_sample_before_counts_nowhere(followed):
    shop = followed
    measure(shop.definition, settings=shop.settings, up_to_key=shop.key(8))
    with shop.ledger.transaction() as session:
        honest = decisions.measured(session, "orders")[shop.key(8)]
        session.add(
            Performance(
                model="orders", key=shop.key(8), prediction_id=honest.prediction_id, version=2, rows=700, loss=0.001,
                labels_version_id=honest.labels_version_id, labels_rows="an earlier release", clusters=[], metrics={},
            )
        )  # fmt: skip
    with shop.ledger.transaction() as session:
        assert decisions.measured(session, "orders")[shop.key(8)].version == 1
        assert history.losses(session, "orders")[-1].loss == honest.loss


def test_predictions_of_an_earlier_release_by_a_version_that_had_seen_the_partition_are_not_measured(followed):
    shop = followed
    with shop.ledger.transaction() as session:
        session.query(Prediction).filter_by(key=shop.key(8)).update({"version": 2})
    done, left = measure(shop.definition, settings=shop.settings, up_to_key=shop.key(8))
    assert shop.key(8) not in {one.key for one in done}
    assert left == []


def test_it_is_said_if_every_version_has_seen_the_partition(followed):
    shop = followed
    with shop.ledger.transaction() as session:
        session.query(Deployment).filter_by(version=1).update({"version": 2})
    restated(shop, 8)
    with pytest.raises(NotReadyError, match="so was every version that has served"):
        score(shop.definition, shop.key(8), settings=shop.settings)
