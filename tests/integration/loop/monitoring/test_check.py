"""A check on real servers: what it sees, what it decides, and that it happens once."""

import io

import numpy as np
import pytest

from evergreen.core import text
from evergreen.core.ledger.tables import Alert, Decision, DriftCheck, PartitionVersion, Performance, Verdict
from evergreen.core.ledger.views import monitoring as monitoring_views
from evergreen.core.store import Store
from evergreen.errors import NotReadyError, UnavailableError
from evergreen.loop.monitoring.check import run
from evergreen.loop.monitoring.loss import estimated as estimated_loss
from evergreen.loop.monitoring.loss import realised
from evergreen.loop.monitoring.rivals.shadow_scores import losses_of_version, score_in_shadow
from evergreen.loop.scoring.score import score

pytestmark = pytest.mark.integration
RUN_URL = "http://127.0.0.1:9/log"


def check(shop, number):
    return run(shop.definition, shop.key(number), settings=shop.settings, run_url=RUN_URL)


def rows(shop, table):
    with shop.ledger.transaction() as session:
        return session.query(table).filter_by(model="orders").order_by(table.id).all()


def monitor_mails(shop):
    with shop.ledger.transaction() as session:
        found = session.query(Alert).filter(Alert.kind.in_(["drift", "harm", "age"])).order_by(Alert.created_at)
        return found.all()


def dearer(inputs, labels):
    inputs["price"] *= 1.6


def scrambled(inputs, labels):
    flipped = np.random.default_rng(0).random(len(labels)) < 0.35
    labels["returned"] = labels["returned"] ^ flipped


def test_a_quiet_week_asks_for_nothing_and_is_checked_once(shop, caplog):
    caplog.set_level("INFO", "evergreen.monitoring")
    shop.live(6)
    first = check(shop, 6)
    assert (first.kind, first.drifted_columns, first.loss) == ("no_action", [], None)
    assert first.reason.startswith("Nothing to do: the inputs are as they were")
    assert "No labels of this champion's predictions have landed yet." in caplog.text
    assert check(shop, 6) == first
    assert "was checked on this data before" in caplog.text
    assert len(rows(shop, DriftCheck)) == 1

    shop.live(7)
    second = check(shop, 7)
    assert second.kind == "no_action"
    assert second.as_of == shop.key(6)
    measured = rows(shop, Performance)
    assert [p.key for p in measured] == [shop.key(6)]
    assert second.loss == pytest.approx(measured[0].loss)
    assert measured[0].loss == pytest.approx(measured[0].metrics["expected_loss"], rel=0.15)
    assert sum(c["rows"] for c in measured[0].clusters) == measured[0].rows == 700
    assert {c["name"] for c in measured[0].clusters} <= set(shop.week(6)[0]["day"])
    assert monitor_mails(shop) == []


def in_cents(inputs, labels):
    inputs["price"] *= 100


def test_a_fault_of_the_feed_is_told_at_once_and_the_retrain_that_it_asks_for_is_not(shop):
    decided = []
    for number in range(6, 12):
        shop.live(number, in_cents if number >= 8 else None)
        decided.append(check(shop, number))
    assert [(d.kind, d.cause) for d in decided] == [
        ("no_action", None), ("no_action", None), ("alert", "drift"), ("retrain", "drift"), ("alert", "drift"),
        ("no_action", None),
    ]  # fmt: skip
    told_of = [d.evidence["told"] for d in rows(shop, Decision) if d.version is None]
    assert told_of == [[], [], ["fault"], [], ["cost"], []], "a cost is told once four estimates have met their labels"
    assert [d.cause_key for d in decided if d.kind == "retrain"] == [f"drift-v{shop.version}-1"]
    assert decided[2].drifted_columns == ["price"]
    assert decided[2].reason.startswith("Likely a fault of the feed: in one step")
    assert "price has drifted for 2 checks in a row" in decided[3].reason
    assert [d.key for d in rows(shop, Decision) if d.version is None] == [shop.key(n) for n in range(6, 12)]

    told = [mail for mail in monitor_mails(shop) if mail.kind == "drift"]
    assert [mail.key for mail in told] == [shop.key(8), shop.key(10)], "the fault and its cost, and not the retrain"
    costs = [rows_of_check(shop, number).results["outlook"]["costs"] for number in range(6, 12)]
    assert costs == [False, False, False, False, True, True], "the week after costs as well, and is not told again"
    outlook = rows_of_check(shop, 10).results["outlook"]
    cost = f"Brier score of {text.number(outlook['loss'])} estimated, {text.number(outlook['expected'])} at promotion"
    assert [mail.subject for mail in told] == [
        f"[evergreen] orders {shop.key(8)}: likely a fault of the feed: price",
        f"[evergreen] orders {shop.key(10)}: drift that may cost: {cost}",
    ]
    assert told[0].body["table"]["rows"][0][0] == "price"
    assert told[0].body["table"]["rows"][0][2].startswith("rose: median")
    assert float(told[0].body["table"]["rows"][0][1].split()[0]) > 0.05, "it moves the predictions"
    assert told[0].body["chart"]["x"][0] == "price"
    assert "Ask the producer of the feed what has happened to price" in told[0].body["next_steps"][0]
    assert told[0].body["links"]["log"] == RUN_URL
    assert told[0].body["links"]["report"] == decided[2].report_uri
    assert f"/models/orders/versions/{shop.version}" in told[0].body["links"]["model"]
    store = Store.from_settings(shop.settings)
    page = store.read(store.name(decided[2].report_uri)).decode()
    assert "<p class=headline>Likely a fault of the feed: price</p>" in page
    assert "Holm" in page
    results = rows_of_check(shop, 8).results
    assert [step["name"] for step in results["steps"]] == ["price"]
    assert results["impacts"][0]["name"] == "price"
    assert results["shapes"]["price"]["rows"] == 700


def test_drift_that_costs_nothing_is_on_record_and_sends_no_mail(shop, monkeypatch):
    learned = []
    fit = estimated_loss.LogisticRegression.fit
    monkeypatch.setattr(estimated_loss.LogisticRegression, "fit", lambda *given: learned.append(1) or fit(*given))
    for number in range(6, 10):
        shop.live(number, slightly_older if number >= 8 else None)
        learned.clear()
        check(shop, number)
        assert len(learned) == 1, "the holdout is learned once, however many inputs have drifted"
    assert rows_of_check(shop, 9).results["impacts"][0]["loss"] is not None
    assert rows_of_check(shop, 8).drifted
    assert [d.kind for d in rows(shop, Decision) if d.key == shop.key(9)] == ["retrain"]
    assert [mail for mail in monitor_mails(shop) if mail.kind == "drift"] == []


def slightly_older(inputs, labels):
    inputs["age"] += 5


def test_a_bad_week_is_said_first_though_nothing_is_done(shop):
    monitoring = shop.definition.monitoring.model_copy(update={"harm_alpha": 1e-12})
    shop.definition = shop.definition.model_copy(update={"monitoring": monitoring})
    for number in range(6, 9):
        shop.live(number, scrambled if number == 7 else None)
        last = check(shop, number)
    assert last.reason.startswith(
        f"A bad week: the realised Brier score of {shop.key(7)}, which version 1 predicted, was 0."
    )
    (mail,) = monitor_mails(shop)
    assert mail.kind == "harm"
    assert f": a bad week, {shop.key(7)}: Brier score 0." in mail.subject, "the mail is of the check, a week later"
    assert mail.body["headline"].startswith(f"Will an order be returned?: a bad week, {shop.key(7)}: Brier score 0.")
    assert rows_of_check(shop, 8).results["expectation"]["above"]
    assert "loss" in rows(shop, Decision)[-1].evidence["told"]


def test_a_bad_week_whose_labels_land_after_those_of_the_next_is_told_once(shop):
    monitoring = shop.definition.monitoring.model_copy(update={"harm_alpha": 1e-12})
    shop.definition = shop.definition.model_copy(update={"monitoring": monitoring})
    shop.live(6)
    check(shop, 6)
    inputs, late = shop.week(7)
    shop.accept("inputs", 7, inputs)
    shop.build(7)
    score(shop.definition, shop.key(7), settings=shop.settings)
    check(shop, 7)
    for number in (8, 9):
        shop.live(number)
        check(shop, number)
    assert rows_of_check(shop, 9).results["expectation"]["key"] == shop.key(8), "there are no labels of week 7 yet"
    scrambled(None, late)
    shop.accept("labels", 7, late)
    shop.live(10)
    found = check(shop, 10)
    judged = rows_of_check(shop, 10).results["expectation"]
    assert (judged["key"], judged["above"]) == (shop.key(7), True)
    assert found.reason.startswith(f"A bad week: the realised Brier score of {shop.key(7)}, which version 1 predicted")
    shop.live(11)
    check(shop, 11)
    assert rows_of_check(shop, 11).results["expectation"]["key"] == shop.key(10)
    assert [mail.key for mail in monitor_mails(shop) if mail.kind == "harm"] == [shop.key(10)]


def test_harm_on_labels_asks_for_a_retrain_and_names_the_concept(shop):
    decided = []
    for number in range(6, 13):
        shop.live(number, scrambled if number >= 7 else None)
        decided.append(check(shop, number))
        if decided[-1].kind == "retrain":
            break
    last = decided[-1]
    assert (last.kind, last.cause, last.cause_key) == ("retrain", "harm", f"harm-v{shop.version}-1")
    assert "the concept has changed" in last.reason
    assert monitor_mails(shop)[-1].body["chart"]["kind"] == "line"

    shop.train(as_of=len(decided) + 4, cause="harm")
    shop.live(6 + len(decided), scrambled)
    assert check(shop, 6 + len(decided)).kind != "retrain"


def test_a_backfilled_check_does_not_know_later_labels_and_restated_ones_are_checked_anew(shop):
    for number in (6, 7, 8):
        shop.live(number)
    early = check(shop, 6)
    assert early.loss is None
    assert [p.key for p in rows(shop, Performance)] == []
    first = check(shop, 8)
    _, labels = shop.week(7)
    scrambled(None, labels)
    shop.accept("labels", 7, labels)
    second = check(shop, 8)
    assert second.drift_check_id != first.drift_check_id
    assert second.loss > first.loss
    assert check(shop, 6) == early


def test_a_loss_on_labels_that_were_quarantined_later_does_not_count(shop):
    for number in (6, 7, 8):
        shop.live(number)
    before = check(shop, 8)
    _, labels = shop.week(7)
    scrambled(None, labels)
    shop.accept("labels", 7, labels)
    assert check(shop, 8).loss > before.loss
    with shop.ledger.transaction() as session:
        newest = session.query(Verdict).order_by(Verdict.id.desc()).first()
        session.add(
            Verdict(
                partition_version_id=newest.partition_version_id, suite_hash="stricter", outcome="quarantined",
                reason="scrambled", failures=[], rows_accepted=0, rows_rejected=newest.rows_accepted,
            )
        )  # fmt: skip
    assert check(shop, 8) == before, "the version before is current again, and was measured"
    with shop.ledger.transaction() as session:
        assert monitoring_views.losses(session, "orders")[-1].loss == before.loss


def test_a_loss_is_measured_anew_where_other_rows_of_the_same_labels_are_accepted(shop):
    def judged_anew(suite, frame):
        """As if a corrected rule had judged the same bytes: the rest of `frame` stays in quarantine."""
        with shop.ledger.transaction() as session:
            newest = session.query(PartitionVersion).filter_by(table="labels", key=shop.key(7)).one()
            uri = Store.from_settings(shop.settings).write(f"clean/orders/labels/{suite}.parquet", to_parquet(frame))
            session.add(
                Verdict(
                    partition_version_id=newest.id, suite_hash=suite, outcome="accepted", reason="", failures=[],
                    clean_uri=uri, rows_accepted=len(frame), rows_rejected=len(labels) - len(frame),
                )
            )  # fmt: skip

    def to_parquet(frame):
        sink = io.BytesIO()
        frame.to_parquet(sink, index=False)
        return sink.getvalue()

    for number in (6, 7, 8):
        shop.live(number)
    _, labels = shop.week(7)
    whole = check(shop, 8)
    shadow = losses_of_version(shop.definition, 1, [shop.key(7)], settings=shop.settings)
    assert shadow == {shop.key(7): pytest.approx(whole.loss)}
    judged_anew("keeps most", labels.head(len(labels) - 20))
    most = check(shop, 8)
    assert most.drift_check_id != whole.drift_check_id
    assert most.loss != whole.loss
    assert losses_of_version(shop.definition, 1, [shop.key(7)], settings=shop.settings) == {
        shop.key(7): pytest.approx(most.loss)
    }
    assert [(p.rows, p.labels_rows) for p in rows(shop, Performance) if p.key == shop.key(7)] == [
        (len(labels), ""), (len(labels) - 20, "keeps most"),
    ]  # fmt: skip
    judged_anew("keeps half", labels.head(len(labels) // 2))
    assert check(shop, 8).loss == most.loss, "half of the labels judge nobody: the newest complete ones go on counting"
    assert len([p for p in rows(shop, Performance) if p.key == shop.key(7)]) == 2
    judged_anew("keeps all", labels)
    assert check(shop, 8) == whole, "no row is kept out again: what was measured then counts, and the check was made"
    judged_anew("keeps all as well", labels)
    assert check(shop, 8) == whole
    with shop.ledger.transaction() as session:
        assert monitoring_views.losses(session, "orders")[-1].loss == whole.loss


def test_labels_that_cannot_be_measured_do_not_hold_up_newer_ones(shop, caplog):
    for number in (6, 7, 8):
        shop.live(number)
    good = shop.week(6)[1]
    broken = good.assign(returned=good["returned"].astype("int64"))
    broken.loc[0, "returned"] = 2
    shop.accept("labels", 6, broken)
    first = check(shop, 8)
    assert {p.key: p.loss for p in rows(shop, Performance)} == {shop.key(7): first.loss}
    assert "column returned: it was accepted as int64" in caplog.text
    assert "(2 is neither 0 nor 1)" in caplog.text
    said = f"Labels that are incomplete are left out: {shop.key(6)} (they cannot be counted now: the log says why)."
    store = Store.from_settings(shop.settings)
    assert said in store.read(store.name(first.report_uri)).decode()
    scored = score_in_shadow(shop.definition, [1], [shop.key(6), shop.key(7)], settings=shop.settings)
    assert list(scored) == [(1, shop.key(7))]

    shop.accept("labels", 6, good)
    second = check(shop, 8)
    assert second.drift_check_id != first.drift_check_id
    assert {p.key for p in rows(shop, Performance)} == {shop.key(6), shop.key(7)}
    shop.accept("labels", 7, shop.week(7)[1].assign(returned=2))
    assert check(shop, 8).drift_check_id != second.drift_check_id, "those measured before are compared"
    assert rows_of_check(shop, 8).results["labels"]["key"] == shop.key(6)


def test_a_store_that_does_not_answer_leaves_no_partition_out(shop, monkeypatch):
    def away(prediction, settings):
        raise UnavailableError("the store is away")

    for number in (6, 7):
        shop.live(number)
    monkeypatch.setattr(realised, "read_predictions", away)
    with pytest.raises(UnavailableError, match="the store is away"):
        check(shop, 7)


def estimated(shop, number):
    return rows_of_check(shop, number).results["estimate"]


def rows_of_check(shop, number):
    return [row for row in rows(shop, DriftCheck) if row.key == shop.key(number)][-1]


def test_the_loss_is_estimated_before_labels_and_a_changed_concept_goes_unseen(shop, caplog):
    caplog.set_level("INFO", "evergreen.monitoring")
    for number in range(6, 10):
        shop.live(number, scrambled if number == 8 else None)
        check(shop, number)
    assert "Estimated, before any label: a Brier score of" in caplog.text
    realised = {p.key: p.loss for p in rows(shop, Performance)}
    for number in (6, 7):
        found = estimated(shop, number)
        assert found["method"] == "CBPE"
        assert found["low"] <= realised[shop.key(number)] <= found["high"]
    assert estimated(shop, 8)["high"] < realised[shop.key(8)], "only labels tell that the concept has changed"
    assert all(d.kind != "retrain" for d in rows(shop, Decision) if d.key == shop.key(8)), "it never acts"


def test_a_rolling_reference_gets_used_to_what_lasts(shop):
    monitoring = shop.definition.monitoring.model_copy(update={"reference": "rolling", "reference_window": 2})
    shop.definition = shop.definition.model_copy(update={"monitoring": monitoring})
    found = []
    for number in range(6, 12):
        shop.live(number, dearer if number >= 8 else None)
        found.append((check(shop, number).drifted_columns, rows_of_check(shop, number)))
    columns = [columns for columns, _ in found]
    assert (columns[:3], columns[4:]) == ([[], [], ["price"]], [[], []]), "week 9 is between two worlds"
    assert found[4][1].reference == (
        f"the partitions before it: 2 from {shop.key(8)} through {shop.key(9)}, as version {shop.version} predicts them"
    )
    moved = found[2][1].results["prediction"]
    assert moved["drifted"], "predictions are the champion's on both sides"
    assert not found[4][1].results["prediction"]["drifted"]
    shop.accept("inputs", 9, shop.week(9)[0].assign(price=lambda frame: frame["price"] * 3))
    shop.build(9)
    assert check(shop, 10).drift_check_id != found[4][1].id, "another reference is another check"


def test_a_first_year_is_compared_with_the_training_data_and_says_why(shop):
    monitoring = shop.definition.monitoring.model_copy(update={"reference": "season"})
    shop.definition = shop.definition.model_copy(update={"monitoring": monitoring})
    shop.live(6)
    check(shop, 6)
    said = rows_of_check(shop, 6).reference
    assert said.startswith("what version 1 was made of")
    assert said.endswith("; 0 of the 8 partitions of a season reference have landed")


def test_a_partition_without_predictions_is_not_checked(shop):
    with pytest.raises(NotReadyError, match="no predictions to monitor"):
        check(shop, 6)


def test_of_a_large_partition_a_sample_is_read_with_its_own_predictions(shop, monkeypatch):
    from evergreen.loop.monitoring import evidence
    from evergreen.loop.monitoring.drift import detect
    from evergreen.loop.monitoring.load_rows import read
    from evergreen.loop.scoring.score import read_predictions

    monkeypatch.setattr(detect, "MAX_ROWS", 300)
    shop.live(6)
    with shop.ledger.transaction() as session:
        known = evidence.gather(session, shop.definition, shop.key(6))
    frames = read(shop.definition, known, shop.settings)
    assert (len(frames.current), frames.current_rows) == (300, 700)
    whole = read_predictions(known.prediction, shop.settings).set_index("order_id")["prediction"]
    assert frames.current["prediction"].tolist() == whole[frames.current["order_id"]].tolist()
