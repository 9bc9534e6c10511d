"""A year of weekly partitions through the production shape: Celery, Redis and S3, two workers that share nothing.

The services are those of docker-compose.yaml, as `evergreen up --shape cluster` starts them. A year is backfilled, with
the trainings that monitoring asks for; then every table, file, alias and mail is compared (`evergreen verify`), and
Airflow is asked which worker did what.

    python -m bench.performance.year_cluster [WEEKS]       writes bench/results/year_cluster.json
"""

from __future__ import annotations

import datetime as dt
import logging
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from bench.lib.report import number_asked, write
from bench.performance.year import first_weeks, through_airflow
from evergreen.cli.verify import read_runs
from evergreen.core.definition import load_definition
from evergreen.operations.audit.audit import audit
from evergreen.settings import Settings
from evergreen.stack.config.home import Home
from evergreen.stack.control import Stack

MODEL = "nyc_flights"


def main() -> None:
    """Measure and write the result."""
    logging.disable(logging.INFO)
    weeks = int(number_asked("weeks", 51, __doc__))
    definition = load_definition(MODEL)
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Home(Path(folder)), shape="cluster")
        stack.start(tied=True)
        try:
            took = through_airflow(definition, first_weeks(definition, weeks), stack)
            stack.airflow.wait_until_idle([dag["dag_id"] for dag in stack.airflow.dags()], quiet=20, timeout=1800)
            found = audit(
                definition,
                settings=Settings.from_env(),
                now=dt.datetime.now(dt.UTC),
                mail_folder=stack.home.mail,
                airflow=read_runs(stack.airflow, MODEL),
            )
            tasks = stack.airflow.task_instances()
        finally:
            stack.stop()
    disagreements = [f"{d.area}: {d.about}: {d.what}" for d in found.disagreements]
    write(
        "year_cluster",
        bars={
            "disagreements after a year on the cluster": {
                "value": len(disagreements),
                "bar": 0,
                "unit": f"({found_in_words(tasks)})",
                "reached": not disagreements and len(queues(tasks)) > 1,
            }
        },
        measured={
            "weeks": weeks,
            "seconds": took.seconds,
            "trainings": took.trainings,
            "compared": found.compared,
            "disagreements": disagreements,
            "tasks_by_queue": queues(tasks),
            "tasks_by_state": dict(Counter(str(task["state"]) for task in tasks)),
        },
    )


def queues(tasks: list[dict[str, Any]]) -> dict[str, int]:
    """Tasks of the model that succeeded, by the queue whose worker ran them."""
    done = (t for t in tasks if t["state"] == "success" and t["dag_id"].startswith(f"{MODEL}.") and t["hostname"])
    return dict(Counter(str(task["queue"]) for task in done))


def found_in_words(tasks: list[dict[str, Any]]) -> str:
    """Which worker did how much."""
    return ", ".join(f"{count} tasks by the worker of {queue}" for queue, count in sorted(queues(tasks).items()))


if __name__ == "__main__":
    main()
