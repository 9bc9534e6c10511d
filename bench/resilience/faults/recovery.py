"""After the faults: the system's own housekeeping, then a person who clears what was reported as failed."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from functools import partial

from bench.resilience.faults.replay import Replay, again
from evergreen.operations.housekeeping.stuck_partitions import mend
from evergreen.operations.housekeeping.unscheduled_drops import discover

LATER = dt.timedelta(hours=3, minutes=10)
"""How far its clock is set forward, beyond the feed's grace period: it leaves what is younger alone."""
ROUNDS = 6


@dataclass
class Recovered:
    """What it took until nothing was left to do."""

    by_housekeeping: list[str] = field(default_factory=list)
    """Runs that it started"""
    by_a_person: list[str] = field(default_factory=list)
    """Failed runs that were cleared, as the mail about them says"""


def recover(replay: Replay) -> Recovered:
    """Wait until all is idle, and mend until nothing is left to mend."""
    found = Recovered()
    for number in range(ROUNDS):
        replay.wait_until_idle()
        started = _housekeep(replay, dt.datetime.now(dt.UTC) + replay.definition.feed.grace + LATER)
        found.by_housekeeping += started
        cleared = [] if started else _clear_failed(replay)
        found.by_a_person += cleared
        if not started and not cleared:
            break
        replay.say(f"round {number + 1}: housekeeping started {started}, a person cleared {cleared}")
    _run_housekeeping(replay)
    return found


def _housekeep(replay: Replay, now: dt.datetime) -> list[str]:
    """Start what housekeeping finds to be brought in or stuck, as its DAG would."""
    found = again(partial(discover, replay.definition, settings=replay.settings, now=now))
    wanted = [(f"ingest_{arrival.table}", arrival.run_id, arrival.key) for arrival in found]
    stuck = again(partial(mend, replay.definition, settings=replay.settings, now=now))
    wanted += [(step.step, step.run_id, step.key) for step in stuck]
    for stage, run_id, key in wanted:
        again(partial(replay.airflow.trigger, replay.dag(stage), {"partition_key": key}, run_id=run_id))
    return [f"{stage} {run_id}" for stage, run_id, _ in wanted]


def _clear_failed(replay: Replay) -> list[str]:
    """Clear the failed tasks of failed runs; a rollback that was refused (one version only) stays refused."""
    failed = [
        run
        for run in again(lambda: replay.airflow.dag_runs(state="failed"))
        if run["dag_id"].startswith(f"{replay.definition.name}.") and not run["dag_id"].endswith(".rollback")
    ]
    for run in failed:
        tasks = again(partial(replay.airflow.task_instances, run["dag_id"], run["dag_run_id"]))
        broken = [task["task_id"] for task in tasks if task["state"] in ("failed", "upstream_failed")]
        again(partial(replay.airflow.clear, run["dag_id"], run["dag_run_id"], broken))
    return [f"{run['dag_id']} {run['dag_run_id']}" for run in failed]


def _run_housekeeping(replay: Replay) -> None:
    """Its own run: owed mails, aliases."""
    run_id = f"after-the-faults-{dt.datetime.now(dt.UTC):%H%M%S}"
    again(lambda: replay.airflow.trigger("evergreen.housekeeping", run_id=run_id))
    again(lambda: replay.airflow.wait_for_run("evergreen.housekeeping", run_id, timeout=600))
