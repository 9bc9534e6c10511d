"""The loop on a live Airflow: ledger, registry, store, DVC remote and mails agree, whatever happens to a partition.

The tests of the files `test_loop_*` tell one story in their order, on one stack.
"""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from evergreen.core.ledger.queries import partitions
from evergreen.core.ledger.tables import (
    Alert,
    Decision,
    Deployment,
    DriftCheck,
    PartitionVersion,
    Performance,
    Prediction,
    Snapshot,
    TrainingRun,
    Verdict,
)
from evergreen.core.store import Store
from evergreen.loop.intake.accepted_rows import read_clean
from evergreen.loop.scoring.score import read_predictions
from evergreen.stack.embedded import caught_mails
from helpers.live_stack import BROKEN, KEYS, LATE, MODEL, alias, answer_form, ask_online, rows, rows_by_time, wait_until
from helpers.notebook import run_notebook

pytestmark = pytest.mark.e2e


def test_backfills_drive_the_chain(story, ledger, settings):
    story.history(KEYS)
    for table, keys in (("inputs", KEYS), ("labels", KEYS[:-1])):
        with ledger.transaction() as session:
            assert partitions.accepted_keys(session, MODEL, table) == keys
    built = rows(ledger, Snapshot)
    assert sorted(s.key for s in built) == KEYS
    assert all(s.labels_missing == [] for s in built), "a build went ahead without labels that were on their way"
    looked_back = {s.key: sorted(s.labels_used) for s in built}
    assert looked_back["2013-02-11"] == ["2013-01-07", "2013-01-14", "2013-01-21", "2013-01-28"]


def test_snapshots_are_readable_from_their_remotes_alone(ledger, settings, definition):
    from evergreen.core.feature_repository.snapshots import read_frame

    for snapshot in rows(ledger, Snapshot)[:2]:
        frame = read_frame(settings, snapshot.git_commit, snapshot.dvc_path, dvc_hash=snapshot.dvc_hash)
        assert len(frame) == snapshot.rows
        assert set(definition.features.columns) <= set(frame.columns)


@pytest.fixture
def asks_a_person(models_dir, request):
    """Whether promotions wait for a person meanwhile: the compose file's image has models of its own."""
    path = models_dir / MODEL / "model.yaml"
    text = path.read_text()
    path.write_text(text.replace("gate:\n", "gate:\n  approval: always\n"))
    yield request.config.getoption("--shape") == "embedded"
    path.write_text(text)


def test_where_nobody_answers_in_time_the_challenger_is_refused(story, stack, ledger, asks_a_person):
    if not asks_a_person:
        pytest.skip("the image's models ask nobody")
    conf = {"cause": "first", "cause_key": "unanswered", "reason": "There is no champion yet.", "as_of": KEYS[-2]}
    run_id = stack.airflow.trigger(story.dag("train"), conf, run_id="unanswered")
    assert stack.airflow.wait_for_run(story.dag("train"), run_id)["state"] == "success"
    (run,) = rows(ledger, TrainingRun)
    (decision,) = rows(ledger, Decision)
    assert (run.state, decision.kind, decision.decided_by) == ("refused", "refuse", "nobody in time")
    assert not rows(ledger, Deployment)


def test_a_champion_is_trained_and_promoted_by_a_person(story, stack, ledger, settings, asks_a_person):
    with ThreadPoolExecutor(1) as pool:
        training = pool.submit(story.first_champion, KEYS[-2])
        if asks_a_person:
            asked = answer_form(stack, story.dag("train"), "first", "Promote")
            assert "Brier score" in asked["body"], "the form holds the evidence"
            mail = rows_by_time(ledger, Alert, Alert.kind == "approval")[-1]
            assert mail.sent_at is not None
            assert "/tasks/approve" in mail.body["links"]["form"]
        training.result()
    run = rows(ledger, TrainingRun)[-1]
    assert run.state == "promoted", run
    assert not set(run.dataset["train_keys"]) & set(run.dataset["holdout_keys"])
    (deployment,) = rows(ledger, Deployment)
    assert deployment.version == run.version
    (decision,) = rows(ledger, Decision, Decision.kind == "promote")
    assert deployment.decision_id == decision.id
    assert (decision.decided_by == "policy") != asks_a_person
    assert alias(settings) == run.version


def test_the_partition_that_waited_for_a_champion_is_scored(story, ledger, settings):
    wait_until(lambda: rows(ledger, Prediction), "predictions")
    (prediction,) = rows(ledger, Prediction)
    assert prediction.key == KEYS[-1]
    store = Store.from_settings(settings)
    assert store.exists(store.name(prediction.uri))


def test_a_late_partition_waits_without_a_worker(story, stack, ledger):
    dag, run_id = story.dag("ingest_inputs"), f"week__{LATE}"
    stack.airflow.trigger(dag, run_id=run_id, partition_key=LATE)
    states = lambda: {t["task_id"]: t["state"] for t in stack.airflow.task_instances(dag, run_id)}  # noqa: E731
    wait_until(lambda: states()["wait_for_drop"] == "deferred", "the sensor")
    story.week(LATE)
    assert stack.airflow.wait_for_run(dag, run_id)["state"] == "success"
    (sensor,) = [t for t in stack.airflow.task_instances(dag, run_id) if t["task_id"] == "wait_for_drop"]
    log = stack.airflow.task_log(dag, run_id, "wait_for_drop", sensor["try_number"])
    assert f"inputs of {LATE} has landed:" in log


def test_it_was_monitored_and_reported(story, ledger, settings, stack):
    assert stack.airflow.wait_for_run(story.dag("monitor"), f"week__{LATE}")["state"] == "success"
    checks = rows(ledger, DriftCheck)
    assert [c.key for c in checks] == [LATE]
    store = Store.from_settings(settings)
    assert store.exists(store.name(checks[0].report_uri))
    assert [p.key for p in rows(ledger, Performance)] == [KEYS[-1]]
    decided = rows(ledger, Decision, Decision.key == LATE)
    assert len(decided) == 1
    assert len(decided[0].reason.split()) > 5


def test_the_notebook_runs_from_top_to_bottom(stack, ledger):
    found = run_notebook("records-in-pandas.ipynb")
    assert found["losses"]["partition"].tolist() == [KEYS[-1]]
    assert found["losses"]["loss"].iloc[0] == pytest.approx(found["rows"]["loss"].mean())


def test_a_request_gets_the_prediction_that_the_batch_gave(stack, ledger, settings):
    (batch,) = rows(ledger, Prediction, Prediction.key == LATE)
    with ledger.transaction() as session:
        _, verdict = partitions.current(session, MODEL, "inputs", LATE)
    asked = read_clean(verdict, settings).sample(200, random_state=1)
    given = ask_online(stack, asked, **{"Idempotency-Key": "two-hundred"})
    made = read_predictions(batch, settings).set_index("flight_id")["prediction"]
    assert (given["version"], given["missing"]) == (batch.version, [])
    assert [p["prediction"] for p in given["predictions"]] == pytest.approx(made[asked["flight_id"]], abs=1e-12)
    assert ask_online(stack, asked, **{"Idempotency-Key": "two-hundred"})["repeated"]


def test_a_truncated_partition_is_quarantined_and_comes_back(story, stack, ledger):
    story.broken_week = BROKEN
    story.week(BROKEN)
    versions = rows(ledger, PartitionVersion, PartitionVersion.key == BROKEN, PartitionVersion.table == "inputs")
    outcomes = [rows(ledger, Verdict, Verdict.partition_version_id == v.id)[-1] for v in versions]
    assert [(v.version, o.outcome) for v, o in zip(versions, outcomes, strict=True)] == [
        (1, "quarantined"),
        (2, "accepted"),
    ]
    assert "Traceback" not in outcomes[0].reason
    assert len(rows(ledger, Snapshot, Snapshot.key == BROKEN)) == 1
    log = stack.airflow.task_log(story.dag("ingest_inputs"), f"week__{BROKEN}", "validate")
    assert outcomes[0].reason in log


def test_every_mail_that_was_owed_arrived_once(ledger, stack):
    wait_until(lambda: all(a.sent_at for a in rows_by_time(ledger, Alert)), "the outbox")
    owed = Counter(a.subject for a in rows_by_time(ledger, Alert))
    got = Counter(m.subject for m in caught_mails.read_all(stack.home.mail))
    assert got == owed
    assert any("quarantine" in a.kind for a in rows_by_time(ledger, Alert))
