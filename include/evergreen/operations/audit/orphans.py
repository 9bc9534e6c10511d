"""What nothing should leave behind: half-written files, and tasks of runs that have ended."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from evergreen.operations.audit.disagreement import Disagreement
from evergreen.operations.audit.files import Entry
from evergreen.operations.audit.ledger_rows import Rows

SCRATCH = re.compile(r"(^|/)\.[^/]+\.[0-9a-f]{32}$")
"""A file that is written beside its name and renamed when it is whole."""
UNFINISHED = frozenset(
    {"scheduled", "queued", "running", "restarting", "deferred", "up_for_retry", "up_for_reschedule"}
)
QUARANTINES = frozenset({"validate", "build", "bring_in"})
"""Tasks whose failure is told by the mail of the quarantine"""


def check_files(entries: Iterable[Entry]) -> Iterator[Disagreement]:
    """Files that a writer began and never finished."""
    for entry in entries:
        if SCRATCH.search(entry.path):
            what = "a writer was killed before it had finished this file"
            fix = (
                "Whoever was writing it has written it anew, or will. Delete it; in the store `evergreen gc MODEL "
                "--yes`, or the DAG evergreen.retention, does so once it is a day old."
            )
            yield Disagreement("leftovers", entry.uri, what, fix, entry.modified)


def check_runs(
    rows: Rows, model: str, runs: Iterable[Mapping[str, Any]], tasks: Iterable[Mapping[str, Any]]
) -> Iterator[Disagreement]:
    """Tasks that are unfinished though their run has ended, and tasks that failed for good without a mail.

    Args:
        rows: the ledger's.
        model: its name.
        runs: DAG runs as Airflow's REST API gives them.
        tasks: task instances as it gives them.
    """
    ended = {(run["dag_id"], run["dag_run_id"]): run for run in runs if run["state"] in ("success", "failed")}
    told = [row["dedup_key"] for row in rows.alerts if row["model"] == model]
    names = rows.told_together
    told += names
    together = [met for met in rows.occurrences if met["name"] in names]
    quarantined = {row["key"] for row in (*rows.alerts, *together) if row["kind"] == "quarantine"}
    for task in tasks:
        where = (task["dag_id"], task["dag_run_id"])
        if where not in ended or not task["dag_id"].startswith(f"{model}."):
            continue
        about, since = " ".join((*where, task["task_id"])), _instant(ended[where].get("end_date"))
        if task["state"] in UNFINISHED:
            what = f"it is {task['state']}, and its run has ended ({ended[where]['state']})"
            yield Disagreement("runs", about, what, "Clear the task, or mark it as failed, in Airflow.", since)
        mail = f"{model}:task_failure:{task['dag_id']}:{task['dag_run_id']}:{task['task_id']}:"
        key = ended[where].get("partition_key") or (ended[where].get("conf") or {}).get("partition_key")
        excused = task["task_id"] in QUARANTINES and (key in quarantined or task["map_index"] >= 0)
        if task["state"] == "failed" and not excused and not any(name.startswith(mail) for name in told):
            what = "it has failed for good, and no mail says so"
            yield Disagreement("runs", about, what, "Read its log, remove the cause, and clear it in Airflow.", since)


def _instant(text: str | None) -> dt.datetime | None:
    return dt.datetime.fromisoformat(text) if text else None
