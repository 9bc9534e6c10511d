"""Labels that land early and one-sided, on real servers: nobody is judged by them, and somebody is told."""

from pathlib import Path
from urllib.parse import urlparse

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import delete, select

from evergreen.core.ledger.queries import labels as coverages
from evergreen.core.ledger.tables import (
    Alert,
    Collection,
    Deployment,
    Incident,
    LabelBias,
    LabelCoverage,
    LabelHold,
    Occurrence,
    Performance,
    Prediction,
    Snapshot,
    TrainingRun,
)
from evergreen.core.ledger.views.labels import coverages as coverage_lines
from evergreen.errors import NotReadyError
from evergreen.loop.intake.labels.coverage import review
from evergreen.loop.monitoring import label_bias
from evergreen.loop.monitoring.check import run
from evergreen.loop.scoring.score import read_predictions
from evergreen.loop.training.assemble import assemble
from evergreen.operations.audit import labels as audit
from evergreen.operations.audit import ledger_rows

pytestmark = pytest.mark.integration


def early(labels, seed):
    """Half of the returned orders and a tenth of the kept ones."""
    draw = np.random.default_rng(seed).random(len(labels))
    return labels[np.where(labels["returned"], draw < 0.5, draw < 0.1)]


def check(shop, number):
    return run(shop.definition, shop.key(number), settings=shop.settings)


def all_of(shop, table, **wanted):
    with shop.ledger.transaction() as session:
        return list(session.scalars(select(table).filter_by(model="orders", **wanted).order_by(table.id)))


def mails(shop):
    with shop.ledger.transaction() as session:
        return list(session.scalars(select(Alert).where(Alert.kind == "labels").order_by(Alert.created_at)))


def live(shop, number, labels_of_week):
    """Inputs of a week are scored, and the labels of the week before land."""
    from evergreen.loop.scoring.score import score

    shop.accept("inputs", number, shop.week(number)[0])
    shop.build(number)
    scored = score(shop.definition, shop.key(number), settings=shop.settings)
    shop.accept("labels", number - 1, labels_of_week(number - 1))
    return scored


def disagreements(shop):
    rows = ledger_rows.read(shop.settings.ledger_url.get_secret_value(), "orders")
    return list(audit.check(shop.definition, rows))


def test_early_labels_judge_nobody_are_told_once_and_count_when_they_are_complete(shop):
    def as_they_land(n):
        return shop.week(n)[1] if n < 7 else early(shop.week(n)[1], n)

    decided = []
    for number in range(6, 12):
        live(shop, number, as_they_land)
        decided.append(check(shop, number))
    assert [d.kind for d in decided] == ["no_action"] * 6
    assert [p.key for p in all_of(shop, Performance)] == [shop.key(6)]
    assert len(all_of(shop, Deployment)) == 1

    scored = all_of(shop, Deployment)[0].version, read_predictions(_predictions(shop, 11), shop.settings)
    assert scored[0] == shop.version
    assert abs(scored[1]["prediction"].mean() - shop.week(11)[1]["returned"].mean()) < 0.1

    (mail,) = mails(shop)
    assert (
        mail.subject
        == f"[evergreen] orders {shop.key(7)}: labels are incomplete and one-sided, nothing is learned from them"
    )
    assert "at least 95 % are needed" in mail.body["summary"]
    assert "differ from those that have none in prediction" in mail.body["summary"]
    assert [bias.look for bias in all_of(shop, LabelBias)] == [1, 2, 3, 4]
    assert [bias.one_sided for bias in all_of(shop, LabelBias)][:3] == [True] * 3, "a later look needs more proof"
    with shop.ledger.transaction() as session:
        lines = {line.key: line for line in coverage_lines(session, "orders")}
        assert [hold.key for hold in coverages.open_holds(session, "orders")] == [shop.key(n) for n in range(7, 11)]
    assert lines[shop.key(6)].coverage == 1.0
    assert lines[shop.key(6)].held_since is None
    assert lines[shop.key(7)].coverage < 0.4
    assert lines[shop.key(7)].held_since is not None
    assert disagreements(shop) == []

    for number in range(7, 11):
        shop.accept("labels", number, shop.week(number)[1])
    after = check(shop, 11)
    assert [p.key for p in all_of(shop, Performance)] == [shop.key(n) for n in range(6, 11)]
    assert (after.kind, after.cause) == ("retrain", "age"), "what was due meanwhile follows"
    assert [m.subject for m in mails(shop)][1:] == ["[evergreen] orders: all clear: labels are incomplete"]
    assert {row[3] for row in mails(shop)[1].body["table"]["rows"]} == {"complete: they count"}
    assert check(shop, 11) == after
    assert len(mails(shop)) == 2
    assert disagreements(shop) == []


def _predictions(shop, number):
    from evergreen.core.ledger.queries import decisions

    with shop.ledger.transaction() as session:
        return decisions.current_predictions(session, "orders")[shop.key(number)]


def begin(shop, cause_key):
    return assemble(
        shop.definition, cause="first", cause_key=cause_key, reason="a test asks for it", settings=shop.settings
    )


def test_a_first_training_uses_the_complete_partitions(young_shop):
    for number in (8, 9):
        young_shop.accept("labels", number, early(young_shop.week(number)[1], number))
    made = begin(young_shop, "first")
    assert made.holdout_keys == [young_shop.key(6), young_shop.key(7)]
    (row,) = all_of(young_shop, TrainingRun)
    assert row.as_of == young_shop.key(7)
    assert row.dataset["label_coverage"][young_shop.key(7)] == {"inputs": 700, "labelled": 700, "needed": 0.95}
    assert disagreements(young_shop) == []
    (mail,) = mails(young_shop)
    assert [line[0] for line in mail.body["table"]["rows"]] == [young_shop.key(8)]
    assert [met.key for met in all_of(young_shop, Occurrence)] == [young_shop.key(8), young_shop.key(9)]

    for number in range(8):
        young_shop.accept("labels", number, early(young_shop.week(number)[1], number))
    with pytest.raises(NotReadyError, match=r"The labels of 10 more \(2024-01-01 to 2024-03-04\) are incomplete"):
        begin(young_shop, "second")


def test_the_first_whole_partition_after_them_ends_it_and_what_stays_held_back_is_named(young_shop):
    for number in (8, 9):
        young_shop.accept("labels", number, early(young_shop.week(number)[1], number))
    young_shop.accept("labels", 9, young_shop.week(9)[1])
    assert len(mails(young_shop)) == 1, "none after them has come, and one is left"
    young_shop.accept("inputs", 10, young_shop.week(10)[0])
    young_shop.accept("labels", 10, young_shop.week(10)[1])
    clear = mails(young_shop)[1]
    assert clear.subject == "[evergreen] orders: all clear: labels are incomplete"
    assert f"{young_shop.key(10)} came through well after them" in clear.body["summary"]
    assert {row[0]: row[3] for row in clear.body["table"]["rows"]} == {
        young_shop.key(8): "not resolved",
        young_shop.key(9): "complete: they count",
    }
    young_shop.accept("labels", 8, young_shop.week(8)[1])
    assert all(met.resolved_at for met in all_of(young_shop, Occurrence))
    assert len(mails(young_shop)) == 2

    young_shop.accept("labels", 8, early(young_shop.week(8)[1], 8))
    assert mails(young_shop)[2].subject.startswith(f"[evergreen] orders {young_shop.key(8)}: again: labels are")
    assert [incident.closed_at is None for incident in all_of(young_shop, Incident)] == [False, True]


def test_a_notice_about_one_sided_labels_is_no_incident_and_is_not_repeated_near_by(young_shop):
    for number in (5, 7, 0):
        called_one_sided(young_shop, number)
    subjects = [mail.subject for mail in mails(young_shop)]
    assert subjects == [f"[evergreen] orders {young_shop.key(n)}: labels are one-sided" for n in (5, 0)]
    assert all_of(young_shop, Incident) == []


def called_one_sided(shop, number):
    """As if the monitor had tested a week."""
    key = shop.key(number)
    with shop.ledger.transaction() as session:
        (snapshot,) = session.scalars(select(Snapshot).where(Snapshot.key == key))
        prediction = Prediction(
            model="orders", key=key, snapshot_id=snapshot.id, version=1, uri="file:///none", content_hash="", rows=700,
            mean=0.3,
        )  # fmt: skip
        session.add(prediction)
        session.flush()
        coverage = coverages.current_coverages(session, "orders")[key]
        session.add(
            LabelBias(
                model="orders", key=key, coverage_id=coverage.id, prediction_id=prediction.id, version=1, look=1,
                alpha=0.01, one_sided=True, columns=[], sentence="the rows that have a label differ",
            )
        )  # fmt: skip
    review(shop.definition, settings=shop.settings)


def test_the_audit_finds_a_training_that_used_labels_which_were_held_back(young_shop):
    made = begin(young_shop, "first")
    young_shop.accept("labels", 9, early(young_shop.week(9)[1], 9))
    with young_shop.ledger.transaction() as session:
        run_ = session.get_one(TrainingRun, made.training_run_id)
        found = run_.dataset["label_coverage"][young_shop.key(9)]
        run_.dataset = run_.dataset | {
            "label_coverage": run_.dataset["label_coverage"] | {young_shop.key(9): found | {"labelled": 200}}
        }
    (said,) = disagreements(young_shop)
    assert "where 200 of 700 inputs had a label" in said.what


def as_early(shop, numbers):
    for number in numbers:
        live(shop, number, lambda n: early(shop.week(n)[1], n) if n > 5 else shop.week(n)[1])


def looks(shop):
    return [(bias.key, bias.look) for bias in all_of(shop, LabelBias)]


def test_after_an_upgrade_the_past_takes_nothing_from_the_next_tests(shop, monkeypatch):
    as_early(shop, range(6, 10))
    with shop.ledger.transaction() as session:
        for table in (LabelHold, LabelCoverage):
            session.execute(delete(table))
    review(shop.definition, settings=shop.settings)
    as_early(shop, [10])
    check(shop, 10)
    assert looks(shop) == [(shop.key(9), 1)]
    assert all_of(shop, LabelBias)[0].alpha == shop.definition.monitoring.share_alpha / 2

    read = []
    monkeypatch.setattr(label_bias, "_read", lambda *given: read.append(given))
    as_early(shop, [11])
    for _ in range(2):
        check(shop, 11)
    assert looks(shop) == [(shop.key(9), 1), (shop.key(10), 0)], "too few rows are no test"
    assert len(read) == 1, "and are not read again"


def test_a_partition_that_cannot_be_compared_stops_no_check(shop, caplog):
    as_early(shop, range(6, 10))
    collected, odd = _predictions(shop, 6).uri, _predictions(shop, 7).uri
    with shop.ledger.transaction() as session:
        session.add(
            Collection(
                model="orders", name=collected, kind="predictions", key=shop.key(6), rule="keep", asked_by="policy",
                rows=1,
            )
        )  # fmt: skip
    _file(collected).unlink()
    frame = pd.read_parquet(_file(odd))
    frame.loc[1, "order_id"] = frame.loc[0, "order_id"]
    frame.to_parquet(_file(odd))
    check(shop, 9)
    assert looks(shop) == [(shop.key(8), 1)]
    warned = [line for line in caplog.messages if "cannot be tested" in line]
    assert [line[:10] for line in warned] == [shop.key(7)]


def _file(uri):
    return Path(urlparse(uri).path)
