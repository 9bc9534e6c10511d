"""What is kept and collected, made again, and said in logs, once the loop has had a life.

Follows `test_loop_2_again`.
"""

import re
from collections import Counter

import pytest

from evergreen.core.ledger.tables import Collection, DriftCheck, TrainingRun
from evergreen.core.store import Store
from helpers.live_stack import MODEL, age, alias, command, counts, kept, predictions_hash, remote_logs, rows

pytestmark = pytest.mark.e2e
RETENTION = "evergreen.retention"


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
