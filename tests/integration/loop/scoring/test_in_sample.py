"""In-sample never counts: a partition that a version was made of is predicted and measured by one that was not."""

import datetime as dt

import pytest

from evergreen.core.definition.load import read_definition
from evergreen.core.ledger.queries import decisions, seen
from evergreen.core.ledger.tables import Deployment, Performance, Prediction, Snapshot
from evergreen.core.ledger.views import monitoring as monitoring_views
from evergreen.errors import NotReadyError
from evergreen.loop.monitoring.check import run
from evergreen.loop.monitoring.loss.realised import measure
from evergreen.loop.scoring.score import score
from evergreen.operations.audit import ledger_rows, predictions
from evergreen.operations.housekeeping.stuck_partitions import find, read_state

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
        assert {line.key: line.version for line in monitoring_views.losses(session, "orders")}[shop.key(8)] == 1
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
        assert monitoring_views.losses(session, "orders")[-1].loss == honest.loss


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


CENTS = """
def build(inputs, history):
    return inputs.drop(columns="day").assign(price=inputs["price"] * 100)
"""


def stuck(shop, number):
    """What housekeeping and the audit say of a week's predictions, long after."""
    later = dt.datetime.now(dt.UTC) + dt.timedelta(days=2)
    with shop.ledger.transaction() as session:
        found = find(shop.definition, read_state(session, shop.definition), now=later)
    rows = ledger_rows.read(shop.settings.ledger_url.get_secret_value(), "orders")
    told = [one.what for one in predictions._all_scored(rows, predictions.by(rows.predictions, "snapshot_id"))
            if one.about == shop.key(number)]  # fmt: skip
    return [one.what for one in found if one.step == "score" and one.key == shop.key(number)], told


def test_what_is_restated_is_predicted_by_the_code_of_the_version_that_had_not_seen_it(shop):
    for number in range(6, 10):
        shop.live(number)
    (shop.definition.folder / "features.py").write_text(CENTS)
    shop.definition = read_definition(shop.definition.folder / "model.yaml")
    shop.train(as_of=8, cause="operator")
    force(shop, 2)
    restated(shop, 8)
    assert [len(said) for said in stuck(shop, 8)] == [1, 1]
    again = score(shop.definition, shop.key(8), settings=shop.settings)
    assert (again.version, again.reused) == (1, False)
    with shop.ledger.transaction() as session:
        read = session.get_one(Snapshot, session.get_one(Prediction, again.prediction_id).snapshot_id)
        newest = session.query(Snapshot).filter_by(key=shop.key(8)).order_by(Snapshot.id).all()
        assert read.inputs_version_id == newest[-1].inputs_version_id, "of the rows that landed last"
        assert read.code_hash == newest[0].code_hash != newest[-2].code_hash
    assert stuck(shop, 8) == ([], [])
    once_more = score(shop.definition, shop.key(8), settings=shop.settings)
    assert (once_more.prediction_id, once_more.reused) == (again.prediction_id, True)
