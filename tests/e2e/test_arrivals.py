"""Feeds that are late, and drops that nobody asked for, on a live Airflow."""

import datetime as dt
import os
import time
from pathlib import Path

import pytest
from sqlalchemy import select, update

from evergreen.core.definition import load_definition
from evergreen.core.ledger.tables import Alert, PartitionVersion, Snapshot, Verdict
from evergreen.stack.embedded import caught_mails
from evergreen.tools.simulator.land import land
from helpers.live_stack import rows, rows_by_time, wait_until

pytestmark = pytest.mark.e2e
MODEL = "nyc_flights"
LATE, HISTORY, STUCK = "2013-01-14", "2013-01-07", "2013-01-21"
DAGS = [f"{MODEL}.{stage}" for stage in ("ingest_inputs", "ingest_labels", "features")]
HOUSEKEEPING = "evergreen.housekeeping"


@pytest.fixture(scope="module")
def stack(impatient_stack):
    """A live stack whose model has a grace period of two seconds."""
    assert load_definition(MODEL).feed.grace.total_seconds() == 2
    impatient_stack.airflow.wait_until_dags_parsed([*DAGS, HOUSEKEEPING])
    impatient_stack.airflow.unpause(DAGS)
    yield impatient_stack
    impatient_stack.airflow.unpause([*DAGS, HOUSEKEEPING], paused=True)  # other files count what is done


def late_mails(ledger):
    return rows_by_time(ledger, Alert, Alert.kind == "late_feed")


def built(ledger):
    return {snapshot.key for snapshot in rows(ledger, Snapshot)}


def keep_house(stack, **conf):
    """Run the housekeeping; the state of each of its tasks."""
    run_id = stack.airflow.trigger(HOUSEKEEPING, conf)
    stack.airflow.wait_for_run(HOUSEKEEPING, run_id)
    found = stack.airflow.task_instances(HOUSEKEEPING, run_id)
    assert not [t for t in found if t["state"] == "failed"], found
    return run_id, [t["task_id"] for t in found if t["state"] == "success"]


def test_a_late_feed_is_told_once_and_once_more_when_it_comes(stack, settings, ledger):
    dag, run_id = DAGS[0], "late"
    stack.airflow.trigger(dag, run_id=run_id, partition_key=LATE)
    wait_until(lambda: late_mails(ledger), "the mail about the late feed")
    time.sleep(12)  # two more looks
    (mail,) = late_mails(ledger)
    facts = dict(mail.body["facts"])
    assert facts["Missing"].startswith(f"nothing has landed for {LATE} yet")
    began = stack.airflow.dag_run(dag, run_id)["start_date"]
    assert facts["Waited for since"][:19] == began[:19].replace("T", " ")
    assert f"/dags/{dag}/runs/{run_id}/tasks/wait_for_drop" in mail.body["links"]["log"]
    states = {t["task_id"]: t["state"] for t in stack.airflow.task_instances(dag, run_id)}
    assert states["wait_for_drop"] == "deferred", "it waits on"

    land(load_definition(MODEL), [LATE], landing_url=settings.landing_url)
    assert stack.airflow.wait_for_run(dag, run_id)["state"] == "success"
    _, arrived = late_mails(ledger)
    assert arrived.subject == f"[evergreen] nyc_flights {LATE}: late inputs have arrived and are accepted"
    (sensor,) = [t for t in stack.airflow.task_instances(dag, run_id) if t["task_id"] == "wait_for_drop"]
    log = stack.airflow.task_log(dag, run_id, "wait_for_drop", sensor["try_number"])
    for said in ("were due at 2013-01-21 00:00:00 UTC", "inputs are late: nothing has landed", "has landed: file://"):
        assert said in log


def test_history_is_found_and_brought_in(stack, settings, ledger):
    """Nobody triggers a run for it: it has lain there for hours."""
    stack.airflow.unpause([HOUSEKEEPING])
    stack.airflow.wait_until_idle([HOUSEKEEPING, *DAGS])
    land(load_definition(MODEL), [HISTORY], landing_url=settings.landing_url)
    folder = Path(settings.landing_url.removeprefix("file://")) / "nyc_flights"
    (folder / "2013-01-08").mkdir()
    (folder / "2013-01-08" / "inputs.parquet").write_bytes(b"x")
    hours_ago = time.time() - 8 * 3600
    for file in (*(folder / HISTORY).iterdir(), *(folder / "2013-01-08").iterdir()):
        os.utime(file, (hours_ago, hours_ago))

    run_id, done = keep_house(stack, dry_run=True)
    assert "bring_in" not in done
    assert f"inputs of {HISTORY} landed at" in stack.airflow.task_log(HOUSEKEEPING, run_id, "find_drops")
    _, done = keep_house(stack)
    assert done.count("bring_in") == 2, "inputs and labels"
    wait_until(lambda: HISTORY in built(ledger), "features of what was found")
    (run,) = [r for r in stack.airflow.dag_runs(DAGS[0]) if r["dag_run_id"].startswith(f"arrived__{HISTORY}__")]
    assert f"inputs of {HISTORY} landed at" in run["note"]
    stack.airflow.wait_until_idle(DAGS)
    _, done = keep_house(stack)
    assert "bring_in" not in done, "it was brought in"
    subjects = [mail.subject for mail in caught_mails.read_all(stack.home.mail)]
    assert subjects.count("[evergreen] nyc_flights: a name in the landing zone is no partition") == 1
    assert len([subject for subject in subjects if "late" in subject]) == 2


def test_what_is_stuck_is_started_again(stack, settings, ledger):
    """A consumer that is paused when its event comes never sees it."""
    stack.airflow.unpause([DAGS[2]], paused=True)
    land(load_definition(MODEL), [STUCK], landing_url=settings.landing_url)
    run_id = stack.airflow.trigger(DAGS[0], run_id="stuck", partition_key=STUCK)
    assert stack.airflow.wait_for_run(DAGS[0], run_id)["state"] == "success"
    stack.airflow.unpause([DAGS[2]])
    _, done = keep_house(stack)
    assert "restart" not in done, "it may still come by itself"
    assert STUCK not in built(ledger)
    hours_ago = dt.datetime.now(dt.UTC) - dt.timedelta(hours=8)
    with ledger.transaction() as session:
        ours = select(PartitionVersion.id).where(PartitionVersion.key == STUCK)
        session.execute(update(Verdict).where(Verdict.partition_version_id.in_(ours)).values(decided_at=hours_ago))
    _, done = keep_house(stack)
    assert done.count("restart") == 1
    wait_until(lambda: STUCK in built(ledger), "features of what was stuck")
    stack.airflow.wait_until_idle(DAGS)
    _, done = keep_house(stack)
    assert "restart" not in done
