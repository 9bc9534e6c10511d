"""A life to write into a ledger, for tests of what shows it."""

import datetime as dt

from evergreen.core.ledger.outbox import owe
from evergreen.core.ledger.tables import (
    Comparison,
    Decision,
    Deployment,
    DriftCheck,
    LabelCoverage,
    OnlinePerformance,
    PartitionVersion,
    Performance,
    Prediction,
    Snapshot,
    TrainingRun,
    Verdict,
)
from evergreen.core.ledger.tables.upkeep import LateFeed

HOSTILE = "<script>alert(1)</script>"
KEYS = ["2013-02-25", "2013-03-04", "2013-03-11", "2013-03-18"]
SEEN = ["2013-02-04", "2013-02-11", "2013-02-18"]
"""What the champions were trained and judged on: losses on these would be in-sample"""
DAY = dt.datetime(2013, 3, 25, tzinfo=dt.UTC)
RESULT = "validation/nyc_flights/inputs/2013-03-25/aa-bb.json"
"""Where the quarantined partition's Great Expectations result would lie in the store"""


def live(session, definition, store_url):
    """Four partitions scored by two champions; one quarantine, refusal, retrain and owed mail; two late feeds."""
    report = f"{store_url}/reports/nyc_flights/2013-03-18/drift.html"
    for number, key in enumerate(KEYS):
        drifted = key == KEYS[-1]
        _scored(
            session, key, 1 if number < 2 else 2, 0.15 + number / 100, drifted=drifted,
            report_uri=report if drifted else None,
        )  # fmt: skip
    bad = f"column {HOSTILE} is missing"
    partition(session, "2013-03-25", "inputs", outcome="quarantined", reason=bad, results_uri=f"{store_url}/{RESULT}")
    partition(session, KEYS[0], "labels", version=2)
    for table, key in (("labels", KEYS[0]), ("inputs", "2013-04-01")):
        due = DAY - dt.timedelta(hours=8)
        session.add(
            LateFeed(
                model="nyc_flights", table=table, key=key, due_at=due, waiting_since=due - dt.timedelta(hours=1),
                grace_until=due + dt.timedelta(hours=6), missing=f"no {HOSTILE} yet", run_url="http://airflow/waits",
                told_at=due + dt.timedelta(hours=6),
            )
        )  # fmt: skip
    _training(session, 1, "first", "2013-02-18", "promoted")
    _training(session, 2, "drift", "2013-03-04", "promoted")
    _training(session, 3, "age", "2013-03-11", "refused")
    _deploy(session, 1, KEYS[0], "beats the base rate", DAY - dt.timedelta(days=20))
    _deploy(session, 2, KEYS[2], "beats version 1 by 8 %", DAY - dt.timedelta(days=6))
    _decision(session, "no_action", KEYS[1], None, "nothing moved")
    _decision(session, "retrain", KEYS[3], None, f"{HOSTILE} moved")
    _decision(session, "refuse", KEYS[3], 3, "not proven better")
    owe_drifts(session, definition, 1)
    session.add(
        OnlinePerformance(
            model="nyc_flights", key=KEYS[2], measured_hash="m", versions=[1, 2], rows=50, compared=40, differing=1,
            difference=0.125, labelled=30, loss=0.17,
        )
    )  # fmt: skip


def owe_drifts(session, definition, count):
    for number in range(count):
        owe(
            session, definition, kind="drift", key="2013-04-15", dedup_key=f"check:{number}",
            subject=f"drift {number}", body={"headline": f"Drift {number}.", "summary": "It moved."},
        )  # fmt: skip


def partition(session, key, table, version=1, outcome="accepted", reason="all 12 expectations hold", results_uri=None):
    part = PartitionVersion(
        model="nyc_flights", table=table, key=key, version=version, content_hash=f"{table}{key}{version}",
        landed_uri=f"file:///landing/{key}/{table}.parquet", raw_uri="file:///raw", bytes=100, rows=10, landed_at=DAY,
        run_url="http://airflow/dags/run",
    )  # fmt: skip
    session.add(part)
    session.flush()
    session.add(
        Verdict(
            partition_version_id=part.id, suite_hash="s1", outcome=outcome, reason=reason, failures=[],
            results_uri=results_uri, clean_uri=None, rows_accepted=10 if outcome == "accepted" else 0, rows_rejected=0,
            run_url="http://airflow/dags/run",
        )
    )  # fmt: skip
    return part


def _training(session, version, cause, as_of, state):
    run = TrainingRun(
        model="nyc_flights", cause=cause, cause_key=f"{cause}:{as_of}", reason=f"because of {cause}", state=state,
        as_of=as_of, dataset={"train_keys": SEEN[:2], "holdout_keys": SEEN[2:], "rows": 20, "snapshots": {}},
        dataset_hash=f"dataset{version}", git_commit="c0ffee", candidate="boosted", params={}, metrics={"brier": 0.14},
        mlflow_run_id=f"mlflow{version}", version=version, code_version="v1", code_hash="ch", lock_hash="lh", seed=7,
        finished_at=DAY, run_url="javascript:alert(1)",
    )  # fmt: skip
    session.add(run)
    session.flush()
    session.add(
        Comparison(
            model="nyc_flights", training_run_id=run.id, challenger_version=version,
            champion_version=version - 1 or None, keys=["2013-03-11"],
            verdict="superior" if state == "promoted" else "inconclusive",
            result={"delta": -0.0123456, "low": -0.02, "high": -0.001, "clusters": 14}, guards=[],
        )
    )  # fmt: skip
    return run


def _decision(session, kind, key, version, reason, by="policy"):
    decision = Decision(
        model="nyc_flights", kind=kind, key=key, dedup_key=f"{kind}:{key}:{version}", reason=reason,
        evidence={"delta": -0.0123456}, version=version, decided_by=by, run_url="http://airflow/dags/run",
    )  # fmt: skip
    session.add(decision)
    session.flush()
    return decision


def _deploy(session, version, from_key, reason, served_from):
    decision = _decision(session, "promote", from_key, version, reason, by="ada" if version == 2 else "policy")
    session.add(
        Deployment(
            model="nyc_flights", version=version, decision_id=decision.id, from_key=from_key, served_from=served_from
        )
    )


def _scored(session, key, version, loss, *, drifted, report_uri):
    inputs = partition(session, key, "inputs")
    labels = partition(session, key, "labels")
    snapshot = Snapshot(
        model="nyc_flights", key=key, version=1, build_hash=key, inputs_version_id=inputs.id, labels_used={},
        inputs_looked_back={}, labels_missing=[], code_hash="c", git_commit="c0ffee", dvc_path=f"{key}.parquet",
        dvc_hash=key, content_hash=key, rows=10, results_uri=None, run_url=None,
    )  # fmt: skip
    session.add(snapshot)
    session.add(
        LabelCoverage(
            model="nyc_flights", key=key, inputs_version_id=inputs.id, inputs_rows="all", labels_version_id=labels.id,
            labels_rows="all", target="late", inputs=10, labelled=9,
        )
    )  # fmt: skip
    session.flush()
    prediction = Prediction(
        model="nyc_flights", key=key, snapshot_id=snapshot.id, version=version, uri=f"file:///predictions/{key}",
        content_hash=key, rows=10, mean=0.2, created_at=DAY, run_url=None,
    )  # fmt: skip
    session.add(prediction)
    session.flush()
    session.add(
        Performance(
            model="nyc_flights", key=key, prediction_id=prediction.id, labels_version_id=labels.id, version=version,
            rows=10, loss=loss, clusters=[], metrics={},
        )
    )  # fmt: skip
    columns = [{"name": HOSTILE, "drifted": drifted}, {"name": "distance", "drifted": False}]
    session.add(
        DriftCheck(
            model="nyc_flights", key=key, input_hash=key, prediction_id=prediction.id, version=version,
            reference="the holdout", drifted=drifted, results={"columns": columns}, report_uri=report_uri,
            run_url="http://airflow/dags/run",
        )
    )  # fmt: skip
