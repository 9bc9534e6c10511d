"""A second release rolls out over a stack while the loop works: nothing is lost, nothing is done twice.

The second release has one more revision of the ledger's schema, whose columns its code writes, and another definition
of the model: one more feature, one more expectation, other training settings. Weeks land all the while. First its
migrations run, then the processes are replaced one after another; each is asked to end and finishes what it runs. More
weeks land, and a challenger is trained under the new definition. Then everything is audited (`evergreen verify`).

    python -m bench.resilience.upgrade [--shape cluster] [--weeks N]     writes bench/results/upgrade.json
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from bench.lib.report import write
from bench.resilience.rollout import release as releases
from bench.resilience.rollout.release import Release
from bench.resilience.rollout.stack import RollingStack
from evergreen.core.definition import ModelDefinition, load_definition
from evergreen.core.names import PartitionKey
from evergreen.settings import Settings
from evergreen.stack.airflow_client import AirflowApi
from evergreen.stack.config.home import Home
from evergreen.tools.demo.story import Story
from evergreen.tools.start.walk import STAGES

MODEL = "nyc_flights"
HISTORY = 6
AT_ONCE = 3
"""Weeks that may be on their way at once"""
PATIENCE = 600.0
"""Seconds for which a producer asks again while the api-server is replaced"""
MIGRATIONS = {"embedded": ("airflow-migrate", "ledger-migrate"), "cluster": ("init",)}
PROCESSES = {
    "embedded": ("api-server", "dag-processor", "triggerer", "scheduler"),
    "cluster": ("api-server", "dag-processor", "triggerer", "scheduler", "worker-default", "worker-training"),
}


class Producer(threading.Thread):
    """Lands week after week and starts their runs, `AT_ONCE` on their way at most, until it is told to stop."""

    def __init__(self, story: Story, keys: list[PartitionKey], least: int) -> None:
        super().__init__(name="producer")
        self.story, self.keys, self.least = story, keys, least
        self.landed: list[PartitionKey] = []
        self.failure: BaseException | None = None
        self._enough = threading.Event()

    def enough(self) -> None:
        """Land as many weeks as were asked for, and no more."""
        self._enough.set()

    def run(self) -> None:
        """Land; a failure is kept for the thread that joins."""
        try:
            while len(self.landed) < len(self.keys) and (len(self.landed) < self.least or not self._enough.is_set()):
                self.story.wait(self._too_many, "predicting", timeout=900)
                self._week(self.keys[len(self.landed)])
        except BaseException as failure:
            self.failure = failure
            raise

    def _too_many(self) -> list[PartitionKey]:
        from evergreen.core.ledger.tables import Prediction

        left = self.story._missing(Prediction, self.landed)
        return left if len(left) >= AT_ONCE else []

    def _week(self, key: PartitionKey) -> None:
        story = self.story
        labels = story.definition.partitions.shift(key, -story.definition.feed.label_delay)
        story.land([key])
        self.landed.append(key)
        for stage, wanted in (("ingest_inputs", key), ("ingest_labels", labels), ("monitor", key)):
            story.airflow.trigger(story.dag(stage), run_id=f"week__{wanted}", partition_key=wanted)


def client(rolling: RollingStack) -> AirflowApi:
    """A client of its own for each thread."""
    return AirflowApi(rolling.stack.urls["airflow"], *rolling.stack.airflow_login, patience=PATIENCE)


def tell(rolling: RollingStack, definition: ModelDefinition) -> Story:
    """The demo's way to drive the loop, without its words."""
    return Story(definition, Settings.from_env(), client(rolling), say=lambda words: None, advance=lambda count: None)


def roll_out(rolling: RollingStack, release: Release, shape: str, say: Any) -> list[dict[str, Any]]:
    """Migrate, then replace one process after another; what ran when each was asked to end."""
    done, airflow = [], client(rolling)
    say("migrating")
    rolling.migrate(release, MIGRATIONS[shape])
    for name in PROCESSES[shape]:
        say(f"replacing {name}")
        at_work = Counter(t["task_id"] for t in airflow.task_instances(state=["running"]))
        seconds = rolling.replace(name, release)
        done.append({"process": name, "seconds": round(seconds, 1), "tasks_running": dict(at_work)})
        say(f"{name}: {seconds:.0f} s, while {dict(at_work) or 'nothing'} ran")
    return done


def run_weeks(
    rolling: RollingStack, release: Release, keys: list[PartitionKey], shape: str, say: Any
) -> dict[str, Any]:
    """History and champion under the first release, weeks under both, a training under the second."""
    definition = load_definition(MODEL)
    story, history, rest = tell(rolling, definition), keys[:HISTORY], keys[HISTORY:]
    say("history")
    story.open()
    story.history(history)
    say("first champion")
    story.first_champion(history[-2])
    story.monitor(history[-1])
    producer = Producer(tell(rolling, definition), rest, least=AT_ONCE + 3)
    producer.start()
    story.wait(lambda: [] if len(producer.landed) > AT_ONCE else ["a week"], "landing")
    begun, processes = time.monotonic(), roll_out(rolling, release, shape, say)
    seconds, during = time.monotonic() - begun, len(producer.landed)
    producer.least = during + AT_ONCE + 1
    producer.enough()
    producer.join()
    if producer.failure:
        raise producer.failure
    say(f"training on {release.name}")
    reason = {"cause": "operator", "cause_key": "second", "reason": "The definition has changed."}
    last = definition.partitions.shift(producer.landed[-1], -definition.feed.label_delay)
    run_id = story.airflow.trigger(story.dag("train"), {**reason, "as_of": last}, run_id="second")
    trained = story.airflow.wait_for_run(story.dag("train"), run_id, timeout=900)["state"]
    story.airflow.wait_until_idle([story.dag(stage) for stage in STAGES], timeout=900, quiet=6)
    return {
        "weeks": [*history, *producer.landed],
        "weeks_landed_by_the_end_of_the_rollout": during,
        "rollout_seconds": round(seconds),
        "processes": processes,
        "training": trained,
    }


def ask(rolling: RollingStack, release: Release, *words: str) -> dict[str, Any]:
    """What a command of the release answers."""
    service = release.runs(rolling._known["scheduler"])
    env = {**service.env, "EVERGREEN_HOME": str(rolling.stack.home.root)}
    call = "from evergreen.cli import main; main()"
    argv = [sys.executable, "-c", call, *words, "--json", "--home", str(rolling.stack.home.root)]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    if not done.stdout.strip():
        raise SystemExit(f"evergreen {' '.join(words)} failed:\n{done.stderr[-4000:]}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def count(weeks: list[str]) -> dict[str, Any]:
    """What the ledger holds of them, by the release that wrote it."""
    query = """
        SELECT p."table", p.key, count(DISTINCT p.id) AS versions, count(v.id) AS verdicts,
               count(v.id) FILTER (WHERE v.outcome = 'accepted') AS accepted
        FROM partition_version p LEFT JOIN verdict v ON v.partition_version_id = p.id GROUP BY 1, 2 ORDER BY 1, 2
    """
    engine = sa.create_engine(Settings.from_env().ledger_url.get_secret_value())
    with engine.connect() as connection:
        found = {(row.table, row.key): row for row in connection.execute(sa.text(query))}
        written = {
            table: dict(map(tuple, connection.execute(sa.text(
                f"SELECT coalesce(written_by, 'first'), count(*) FROM {table} GROUP BY 1 ORDER BY 1"
            )).all()))
            for table in releases.WRITTEN_BY
        }  # fmt: skip
        served = connection.execute(sa.text("SELECT count(*) FROM deployment")).scalar_one()
        predicted = set(connection.execute(sa.text("SELECT DISTINCT key FROM prediction")).scalars())
    wanted = {("inputs", key) for key in weeks} | {("labels", key) for key in weeks[:-1]}
    lost = sorted(
        f"{table} of {key}" for table, key in wanted if not (found.get((table, key)) and found[table, key].accepted)
    )
    twice = sorted(f"{table} of {key}" for (table, key), row in found.items() if row.accepted > 1 or row.versions > 1)
    return {
        "lost": lost,
        "accepted_twice": twice,
        "rows_written_by_release": written,
        "deployments": served,
        "without_predictions": sorted(set(weeks[HISTORY:]) - predicted),
    }


def failed(rolling: RollingStack) -> tuple[list[str], list[str]]:
    """Runs that failed, and tasks that needed more than one try."""
    airflow = client(rolling)
    runs = [run for run in airflow.dag_runs() if run["dag_id"].startswith(f"{MODEL}.")]
    tasks = [task for task in airflow.task_instances() if task["dag_id"].startswith(f"{MODEL}.")]
    return (
        [f"{run['dag_id']} {run['dag_run_id']}" for run in runs if run["state"] != "success"],
        [f"{t['dag_id']} {t['dag_run_id']} {t['task_id']}: {t['try_number']}" for t in tasks if t["try_number"] > 1],
    )


def measure(options: argparse.Namespace, folder: Path, say: Any) -> dict[str, Any]:
    """One rollout; what happened."""
    first = releases.first(folder)
    second = releases.second(folder, MODEL)
    definition = load_definition(MODEL)
    calendar = definition.partitions
    start = calendar.key_of(definition.calendar.start)
    keys = calendar.keys(start, calendar.shift(start, options.weeks - 1))
    with RollingStack(Home(folder / "stack"), options.shape, first) as rolling:
        os.environ.update(rolling.stack.environment())
        told = run_weeks(rolling, second, keys, options.shape, say)
        runs, tries = failed(rolling)
        verified = ask(rolling, second, "verify", MODEL, "--settled", "0")
        at_work = ask(rolling, second, "history", MODEL)["definitions"]
        for one in verified["disagreements"]:
            say(f"DISAGREES  {one}")
        return {
            "topology": options.shape, **told, **count(told["weeks"]), "runs_not_successful": runs,
            "tasks_tried_more_than_once": tries, "compared": verified["compared"],
            "disagreements": verified["disagreements"], "definitions": at_work,
        }  # fmt: skip


def report(found: dict[str, Any]) -> None:
    """Write the result."""

    def none(values: list[Any], unit: str) -> dict[str, Any]:
        return {"value": len(values), "bar": 0, "unit": unit, "reached": not values}

    by = found["rows_written_by_release"]
    mixed = min(min(by[table].get("first", 0), by[table].get("second", 0)) for table in ("verdict", "snapshot"))
    write(
        "upgrade" if found["topology"] == "embedded" else "upgrade_cluster",
        bars={
            "audit": none(found["disagreements"], "disagreements"),
            "partitions lost": none(found["lost"], f"of {2 * len(found['weeks']) - 1}"),
            "partitions accepted twice": none(found["accepted_twice"], ""),
            "weeks without predictions": none(found["without_predictions"], ""),
            "runs that failed": none(found["runs_not_successful"], ""),
            "both releases worked": {
                "value": mixed, "bar": ">= 3", "unit": "verdicts and snapshots by each at least", "reached": mixed >= 3,
            },
        },
        measured=found,
    )  # fmt: skip


def main() -> None:
    """Roll out and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=tuple(PROCESSES), default="embedded")
    parser.add_argument("--weeks", type=int, default=40, help="at most")
    parser.add_argument("--keep", action="store_true", help="keep the stack's folder")
    options = parser.parse_args()
    logging.disable(logging.INFO)
    begun = time.monotonic()

    def say(words: str) -> None:
        print(f"{time.monotonic() - begun:6.0f} s  {words}", flush=True)

    folder = Path(tempfile.mkdtemp(prefix="evergreen-upgrade-"))
    folder.chmod(0o755)
    try:
        report(measure(options, folder, say))
    finally:
        if not options.keep:
            import shutil

            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
