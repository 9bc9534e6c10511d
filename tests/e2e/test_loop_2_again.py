"""What was done is done again: cleared, restated, refused, rolled back, released from quarantine.

Follows `test_loop_1_life`.
"""

import pytest

from evergreen.core.ledger.queries import partitions, snapshots
from evergreen.core.ledger.tables import Decision, Deployment, DriftCheck, Prediction, Snapshot, TrainingRun
from evergreen.stack.embedded import caught_mails
from helpers.live_stack import BROKEN, KEYS, LATE, MODEL, command, counts, rows, wait_until

pytestmark = pytest.mark.e2e
HELD, STILL_HELD = "2013-03-04", "2013-03-11"


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
