"""The loop on a live Airflow: ledger, registry, store, DVC remote and mails agree, whatever happens to a partition.

The tests of this file tell one story in their order.
"""

import re
import subprocess
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from evergreen.core.ledger.queries import partitions, snapshots
from evergreen.core.ledger.tables import (
    Alert,
    Collection,
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
from evergreen.stack.process import processes
from helpers.grafana_queries import EMPTY_WHEN_HEALTHY, ask, blank
from helpers.live_stack import (
    age,
    alias,
    answer_form,
    ask_online,
    command,
    counts,
    kept,
    predictions_hash,
    remote_logs,
    rows,
    rows_by_time,
    wait_until,
)  # fmt: skip
from helpers.notebook import run_notebook

pytestmark = pytest.mark.e2e
MODEL = "nyc_flights"
KEYS = ["2013-01-07", "2013-01-14", "2013-01-21", "2013-01-28", "2013-02-04", "2013-02-11"]
LATE, BROKEN = "2013-02-18", "2013-02-25"
HELD, STILL_HELD = "2013-03-04", "2013-03-11"
RETENTION = "evergreen.retention"


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


def test_rerunning_everything_changes_nothing(story, stack, ledger):
    before = counts(ledger)
    for stage in ("ingest_inputs", "ingest_labels", "features", "score", "monitor", "train"):
        dag = story.dag(stage)
        for run in stack.airflow.dag_runs(dag)[-2:]:
            if run["state"] == "success":
                stack.airflow.clear(dag, run["dag_run_id"])
    stack.airflow.wait_until_idle([story.dag(s) for s in ("ingest_inputs", "features", "score", "monitor", "train")])
    assert counts(ledger) == before


def test_a_restated_partition_is_rebuilt_from_there(story, stack, ledger, definition, settings):
    import pandas as pd
    from fsspec import open as open_uri

    from evergreen.core.frames import to_parquet
    from evergreen.core.store.objects import publish
    from evergreen.loop.intake.landing_zone import SUCCESS, find_drop

    restated, later = KEYS[-1], BROKEN
    drop = find_drop(settings.landing_url, definition.feed.name, "inputs", restated)
    with open_uri(drop.uri, "rb") as file:
        frame = pd.read_parquet(file)
    frame.loc[frame.index[:50], "temperature"] = 55.5
    publish(drop.uri, to_parquet(frame, definition.feed.tables["inputs"].columns))
    publish(f"{drop.uri.rpartition('/')[0]}/{SUCCESS}", b"")

    stack.airflow.trigger(story.dag("ingest_inputs"), run_id=f"restated__{restated}", partition_key=restated)
    for key in (restated, later):
        wait_until(lambda key=key: len(rows(ledger, Prediction, Prediction.key == key)) == 2, "second predictions")
    with ledger.transaction() as session:
        part, _ = partitions.current(session, MODEL, "inputs", restated)
        built = {key: snapshots.current(session, MODEL, key) for key in (restated, later, LATE)}
    assert part.version == 2
    assert built[restated].inputs_version_id == part.id
    assert {key: snapshot.version for key, snapshot in built.items()} == {restated: 2, later: 2, LATE: 1}
    newest = {p.key: p.snapshot_id for p in rows(ledger, Prediction)}
    assert [newest[key] for key in (restated, later)] == [built[key].id for key in (restated, later)]


def test_a_retrain_without_enough_labels_says_so_and_leaves_everything_alone(story, stack, ledger):
    before = counts(ledger)
    conf = {"cause": "operator", "reason": "a test asks too early", "as_of": KEYS[0]}
    run_id = stack.airflow.trigger(story.dag("train"), conf, run_id="too-early")
    assert stack.airflow.wait_for_run(story.dag("train"), run_id)["state"] == "success"
    states = {t["task_id"]: t["state"] for t in stack.airflow.task_instances(story.dag("train"), run_id)}
    assert set(states.values()) == {"skipped"}, states
    assert "labelled partition" in stack.airflow.task_log(story.dag("train"), run_id, "assemble")
    assert counts(ledger) == before


def test_a_person_promotes_a_challenger_and_rolls_back_by_the_form(story, stack, ledger, definition, settings):
    from evergreen.loop.champion.promotion import promote
    from evergreen.loop.training.tracking import CHAMPION, Registry

    registry = Registry(settings, MODEL)
    first = registry.alias(CHAMPION)
    conf = {"cause": "operator", "cause_key": "by-hand", "reason": "a test asks for another model", "as_of": LATE}
    run_id = stack.airflow.trigger(story.dag("train"), conf, run_id="by-hand")
    assert stack.airflow.wait_for_run(story.dag("train"), run_id)["state"] == "success"
    run = rows(ledger, TrainingRun)[-1]
    assert (run.version, run.cause_key) == (first + 1, "by-hand")
    if run.state == "refused":
        promote(definition, run.id, settings=settings, decided_by="Ada", why="to try the way back")
    assert registry.alias(CHAMPION) == run.version

    why = {"why": "Its predictions look absurd"}
    back = stack.airflow.trigger(story.dag("rollback"), why, run_id="back")
    assert stack.airflow.wait_for_run(story.dag("rollback"), back)["state"] == "success"
    assert registry.alias(CHAMPION) == first
    assert [d.version for d in rows(ledger, Deployment)] == [first, run.version, first]
    decision = rows(ledger, Decision)[-1]
    assert (decision.kind, decision.version, decision.decided_by) == ("rollback", first, "admin")
    told = f"rolled back to version {first}"
    wait_until(lambda: any(told in mail.subject for mail in caught_mails.read_all(stack.home.mail)), "the mail")

    before = counts(ledger)
    stack.airflow.clear(story.dag("rollback"), back)
    stack.airflow.wait_until_idle([story.dag("rollback")])
    assert counts(ledger) == before


def test_what_is_in_quarantine_is_validated_again_and_flows_on(story, stack, ledger):
    airflow, dag = stack.airflow, story.dag("replay_quarantine")
    for key in (HELD, STILL_HELD):
        story._land_broken(key)
    monitored = airflow.trigger(story.dag("monitor"), run_id=f"week__{HELD}", partition_key=HELD)
    story.land([HELD])
    airflow.trigger(story.dag("ingest_labels"), run_id=f"week__{BROKEN}", partition_key=BROKEN)

    form = {"table": "inputs", "partitions": [HELD, STILL_HELD], "why": "The producer landed it again"}
    run_id = airflow.trigger(dag, form, run_id="out-of-quarantine")
    assert airflow.wait_for_run(dag, run_id)["state"] == "failed", "one of the two is still in quarantine"
    tasks = {t["rendered_map_index"] or t["task_id"]: t for t in airflow.task_instances(dag, run_id)}
    assert {name: task["state"] for name, task in tasks.items()} == {
        "find": "success",
        f"inputs {HELD}": "success",
        f"inputs {STILL_HELD}": "failed",
        "release_inputs": "success",
        "release_labels": "skipped",
        "all_released": "upstream_failed",
    }
    failed = tasks[f"inputs {STILL_HELD}"]
    assert "cut off" in airflow.task_log(dag, run_id, "validate", failed["try_number"], failed["map_index"])

    wait_until(lambda: rows(ledger, Prediction, Prediction.key == HELD), "its predictions")
    assert airflow.wait_for_run(story.dag("monitor"), monitored)["state"] == "success"
    assert rows(ledger, DriftCheck, DriftCheck.key == HELD)
    assert not rows(ledger, Snapshot, Snapshot.key == STILL_HELD)
    with ledger.transaction() as session:
        part, verdict = partitions.current(session, MODEL, "inputs", HELD)
    assert (part.version, verdict.asked_by, verdict.why) == (2, "admin", form["why"])

    chain = [story.dag(s) for s in ("features", "score", "monitor", "train", "replay_quarantine")]
    airflow.wait_until_idle(chain)
    before = counts(ledger)
    airflow.clear(dag, run_id)
    airflow.wait_until_idle(chain)
    assert counts(ledger) == before


def test_the_command_releases_what_is_left(story, stack, ledger):
    def replay():
        code, said = command(stack, "replay-quarantine", MODEL, "--all")
        return code, [(p["key"], p["version"], p["outcome"]) for p in said["partitions"]]

    assert replay() == (3, [(STILL_HELD, 1, "quarantined")])
    story.land([STILL_HELD])
    assert replay() == (0, [(STILL_HELD, 2, "accepted")])
    wait_until(lambda: rows(ledger, Snapshot, Snapshot.key == STILL_HELD), "its features")


@pytest.fixture
def keeps_little(models_dir, request):
    """A model that keeps as little as can be, meanwhile."""
    if request.config.getoption("--shape") != "embedded":
        pytest.skip("the image's models keep everything")
    path = models_dir / MODEL / "model.yaml"
    text = path.read_text()
    fields = ("partitions", "quarantined", "predictions", "validations", "reports", "models")
    path.write_text(text + "".join(["\nretention:\n", *(f"  keep_{field}: 1\n" for field in fields)]))
    yield
    path.write_text(text)


def collect(stack, run_id, **conf):
    """What a run of the retention did, and its log."""
    stack.airflow.trigger(RETENTION, conf, run_id=run_id)
    assert stack.airflow.wait_for_run(RETENTION, run_id)["state"] == "success"
    (task,) = stack.airflow.task_instances(RETENTION, run_id)
    assert task["rendered_map_index"] == MODEL
    return stack.airflow.task_log(RETENTION, run_id, "collect", map_index=0)


def audited(stack):
    """What `evergreen verify` says."""
    _, found = command(stack, "verify", MODEL, "--settled", "0")
    return {(one["area"], one["about"], one["what"]) for one in found["disagreements"] + found["in_progress"]}


def test_retention_collects_what_it_said_and_no_more(story, stack, ledger, settings, keeps_little):
    idle = [dag["dag_id"] for dag in stack.airflow.dags()]
    stack.airflow.unpause(["evergreen.housekeeping"], paused=True)  # it would find all that is aged to be stuck
    stack.airflow.unpause([RETENTION])  # Airflow starts last Sunday's run at once: all is young, and nothing goes
    stack.airflow.wait_until_idle(idle, quiet=6)
    assert not rows(ledger, Collection)
    age(ledger, 30)
    disagreed = audited(stack)  # what was aged, and what earlier tests left undone
    before, counted = kept(settings), counts(ledger)
    said = collect(stack, "only-say", dry_run=True)
    assert "a dry run: nothing was removed" in said
    assert [now ^ then for now, then in zip(kept(settings), before, strict=True)] == [set(), set()]
    assert counts(ledger) == counted

    done = collect(stack, "for-good")
    collected = {row.name: row for row in rows(ledger, Collection)}
    for kind, objects in Counter(row.kind for row in collected.values()).items():
        assert f"{objects} x {kind}" in said
    assert all(row.done_at for row in collected.values())
    assert f"{len(collected)} objects removed" in done
    store = Store.from_settings(settings)
    gone = {store.name(row.name) for row in collected.values() if row.kind not in ("features", "model")}
    first, *_, by_hand = rows(ledger, TrainingRun, TrainingRun.version.is_not(None))
    assert f"{MODEL} version {first.version}" in collected, "it never served"
    after = kept(settings)
    assert before[0] - after[0] == gone | {f"reference/{MODEL}/version={first.version}.parquet"} & before[0]
    assert not after[0] - before[0]
    assert before[1] - after[1] == {first.version}
    assert {alias(settings), by_hand.version} <= after[1]
    newest = max(check.key for check in rows(ledger, DriftCheck))
    reports = {store.name(check.report_uri) for check in rows(ledger, DriftCheck)}
    assert {name for name in reports if newest in name} == reports & after[0] != reports
    assert counts(ledger) == {**counted, "collection": len(collected)}

    assert f"{MODEL}: 0 objects removed" in collect(stack, "once-more")
    assert audited(stack) == disagreed


def test_the_champion_is_made_again_bit_for_bit(story, stack, ledger, settings, definition):
    """Also after the collection."""
    from mlflow.tracking import MlflowClient

    dag, champion = story.dag("reproduce"), alias(settings)
    stack.airflow.wait_until_idle([d["dag_id"] for d in stack.airflow.dags()], quiet=6)  # what was released flows on
    before = kept(settings)
    stack.airflow.unpause([dag])
    run_id = stack.airflow.trigger(dag, {"version": champion}, run_id="again")
    assert stack.airflow.wait_for_run(dag, run_id)["state"] == "success"
    found = stack.airflow.xcom(dag, run_id, "reproduce")
    (run,) = rows(ledger, TrainingRun, TrainingRun.version == champion)
    tags = MlflowClient(settings.mlflow_url).get_model_version(MODEL, str(champion)).tags
    assert (found["dataset"], found["model"]) == (run.dataset_hash, tags["evergreen.model_hash"])
    assert found["predictions"] == predictions_hash(definition, run, settings)
    log = stack.airflow.task_log(dag, run_id, "reproduce")
    assert re.search("reproduced: dataset .*, each equal bit for bit", log)
    assert [now ^ then for now, then in zip(kept(settings), before, strict=True)] == [set(), set()], "what was written"


def test_task_logs_read_like_a_report(story, stack):
    """No library chatter, no traceback; the outcome in words."""
    for stage, task in (("ingest_inputs", "validate"), ("features", "build"), ("monitor", "check"), ("train", "fit")):
        dag = story.dag(stage)
        run = next(r for r in stack.airflow.dag_runs(dag) if r["state"] == "success")
        log = stack.airflow.task_log(dag, run["dag_run_id"], task)
        body = log.split("::endgroup::")[2] if log.count("::endgroup::") > 2 else log
        lines = [line for line in body.splitlines() if line.strip() and not line.startswith("::")]
        assert 1 <= len(lines) <= 60, log
        assert not any(word in body for word in ("Traceback", "Warning", "UserWarning", "ephemeral")), log


def test_no_secret_is_in_a_log_or_on_a_command_line(stack):
    import psutil

    # Addresses, with which a deployment's file ends, and the name that a key of S3 has are no secrets.
    known = ("EVERGREEN_", "S3_ACCESS_KEY")
    lines = [line for line in stack.home.secrets.open() if "=" in line and not line.startswith(known)]
    secrets = [s for s in (line.split("=", 1)[1].strip("'\"\n") for line in lines) if len(s) >= 12]
    assert len(secrets) > 5
    commands = [" ".join(p.info["cmdline"] or []) for p in psutil.process_iter(["cmdline"])]
    texts = [f.read_text(errors="replace") for f in stack.home.root.rglob("*.log") if f.is_file()]
    texts += remote_logs(stack.environment())
    assert len(texts) > 40
    for secret in secrets:
        assert not any(secret in text for text in (*commands, *texts)), "a secret leaked"


@pytest.mark.shape("cluster")
def test_both_workers_worked_for_the_model(stack):
    ran = {(t["queue"], t["dag_id"], t["task_id"]) for t in stack.airflow.task_instances() if t["state"] == "success"}
    assert {task for queue, _, task in ran if queue == "training"} == {"fit", "compare", "reproduce"}
    assert {"validate", "build", "score", "check", "conclude"} <= {task for queue, _, task in ran if queue == "default"}
    for queue in ("default", "training"):
        log = stack.home.log_of(f"worker-{queue}").read_text()
        assert re.search(r"preloaded \d+ modules", log)
        assert "threads, which forked tasks will lack" not in log


@pytest.mark.shape("cluster")
def test_workers_keep_nothing(stack):
    """What a worker's folder holds is no other's business, and none of it is the loop's once its tasks have ended."""

    def kept(name):
        files = [f.relative_to(stack.home.part(name)) for f in stack.home.part(name).rglob("*") if f.is_file()]
        return {str(f) for f in files if f.parts[0] not in (".cache", ".config")} - {"airflow.cfg"}

    for name in ("worker-default", "worker-training"):
        wait_until(lambda name=name: not kept(name), f"an empty folder of {name}")


@pytest.mark.shape("cluster")
def test_reports_and_pages_are_read_from_s3(stack, ledger, settings):
    import httpx

    check = rows(ledger, DriftCheck)[-1]
    assert check.report_uri.startswith("s3://evergreen/store/")
    headers = {"Authorization": f"Bearer {stack.airflow._access_token(False)}"}
    with httpx.Client(base_url=f"{stack.urls['airflow']}/evergreen", headers=headers, trust_env=False) as pages:
        assert LATE in pages.get(f"/models/{MODEL}").raise_for_status().text
        report = check.report_uri.rpartition("/")[2]
        assert pages.get(f"/reports/{MODEL}/{check.key}/{report}").raise_for_status().content
        assert pages.get("/models/unheard_of").status_code == httpx.codes.NOT_FOUND


@pytest.mark.shape("cluster")
def test_every_health_check_of_the_compose_file_passes(stack):
    from evergreen.stack.config import credentials

    made = stack.shape.services(stack.home, stack.status().ports, credentials.load(stack.home.secrets))
    checked = [s for s in made if s.check]
    assert len(checked) == 15 - len(stack.shape.left_out().keys() - {"grafana"})
    for service in checked:
        env = {**service.env, processes.SERVICE_MARKER: service.name}
        subprocess.run(service.check, env=env, cwd=service.folder, check=True, timeout=60, capture_output=True)


@pytest.mark.shape("cluster")
def test_prometheus_reaches_all_and_every_panel_has_an_answer(stack):
    if "prometheus" not in stack.urls:
        pytest.skip(f"left out of the stack: {stack.shape.left_out()}")
    at = stack.urls["prometheus"]
    targets = {"evergreen", "online", "airflow", "prometheus"} | {"alertmanager"} & stack.urls.keys()
    wait_until(lambda: {s["metric"]["job"] for s in ask(at, "up == 1")} >= targets, "all targets")
    # Rates need two samples; what a quiet minute leaves empty comes with the next task.
    wait_until(lambda: blank(at) <= EMPTY_WHEN_HEALTHY.keys(), "an answer to each panel")
    tasks = {s["metric"]["dag_id"] for s in ask(at, "airflow_task_duration_count")}
    assert {f"{MODEL}.score", f"{MODEL}.monitor", f"{MODEL}.train"} <= tasks


@pytest.mark.shape("cluster")
def test_a_worker_killed_mid_task_is_replaced_and_another_try_ends_the_work(story, stack, ledger):
    made = [r.version for r in rows(ledger, TrainingRun) if r.version is not None]
    conf = {"cause": "operator", "cause_key": "killed", "reason": "a test kills its worker", "as_of": BROKEN}
    run_id = stack.airflow.trigger(story.dag("train"), conf, run_id="killed")
    fit = lambda: next(t for t in stack.airflow.task_instances(story.dag("train"), run_id) if t["task_id"] == "fit")  # noqa: E731
    wait_until(lambda: fit()["state"] == "running", "the fit")
    time.sleep(2)
    state = stack.status()
    for process in processes.tree(state.services["worker-training"].process.process()):
        process.kill()
    assert stack.airflow.wait_for_run(story.dag("train"), run_id, timeout=540)["state"] == "success"
    assert fit()["try_number"] == 2
    assert stack.status().services["worker-training"].restarts == 1
    assert [(r.cause_key, r.version) for r in rows(ledger, TrainingRun)][-1] == ("killed", made[-1] + 1)
    assert [r.version for r in rows(ledger, TrainingRun) if r.version is not None] == [*made, made[-1] + 1]
