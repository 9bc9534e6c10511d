"""Owe a mail for a task that failed for good."""

from __future__ import annotations

import logging

from evergreen.definition import list_models, load_definition
from evergreen.errors import QuarantinedError
from evergreen.ledger import Ledger
from evergreen.ledger.outbox import owe
from evergreen.settings import Settings

log = logging.getLogger("evergreen.alerts")


def owe_task_failure(
    *, dag_id: str, task_id: str, run_id: str, key: str | None, error: BaseException | None, run_url: str
) -> None:
    """Owe the mail `task_failure`, once for each failed run of a task.

    A quarantined partition has its own mail already; a DAG that belongs to no model reports to every model's people.
    """
    if isinstance(error, QuarantinedError):
        return
    model = dag_id.split(".", 1)[0]
    names = [model] if model in list_models() else list_models()
    ledger = Ledger.from_settings(Settings.from_env())
    for name in names:
        with ledger.transaction() as session:
            owe(
                session,
                load_definition(name),
                kind="task_failure",
                key=key,
                dedup_key=f"task_failure:{name}:{dag_id}:{task_id}:{run_id}",
                subject=f"{dag_id}.{task_id} failed" + (f" for {key}" if key else ""),
                body=_body(dag_id, task_id, run_id, key, error, run_url),
            )


def _body(
    dag_id: str, task_id: str, run_id: str, key: str | None, error: BaseException | None, run_url: str
) -> dict[str, object]:
    message = str(error) if error else "the task's process ended without a message (killed, or out of memory)"
    return {
        "headline": f"Task {task_id} of {dag_id} failed and will not be retried.",
        "summary": message,
        "facts": [
            ["DAG", dag_id],
            ["Task", task_id],
            ["Partition", key or "none"],
            ["Run", run_id],
            ["Error", type(error).__name__ if error else "unknown"],
        ],
        "table": None,
        "chart": None,
        "next_steps": [
            "Read the end of the task's log: the last lines say what was wrong and what to do.",
            "When it is mended, clear the task in the grid: it carries on from what is there already.",
        ],
        "links": {"log": run_url},
    }
