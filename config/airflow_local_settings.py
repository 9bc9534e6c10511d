"""Loaded by every Airflow process at its start (this folder is on PYTHONPATH).

The scheduler of a LocalExecutor and a Celery worker fork their tasks: they import what tasks need once, beforehand.
Every other process (api-server, dag-processor, triggerer, commands) passes by here in no time.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence

__all__: list[str] = []  # Airflow copies public names of this module into its own settings

TASK_MODULES = (
    "airflow.dag_processing.bundles.local",
    "airflow.dag_processing.dagbag",
    "airflow.providers.common.compat.sdk",
    "airflow.providers.standard.decorators.python",
    "airflow.sdk.execution_time.supervisor",
    "airflow.sdk.execution_time.task_runner",
)
"""What Airflow itself imports in each task process."""


def forks_tasks(argv: Sequence[str], executor: str) -> bool:
    """Whether the process with this command line is one that task processes are forked from."""
    command = tuple(argv[1:3])
    if command[:1] == ("scheduler",):
        return "LocalExecutor" in executor
    return command == ("celery", "worker")


def _preload_where_tasks_are_forked() -> None:
    from airflow.configuration import conf

    if not forks_tasks(sys.argv, conf.get("core", "executor")):
        return
    from evergreen import preload

    # Airflow sets its logging up only after this file.
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    preload.log.addHandler(handler)
    preload.log.setLevel(logging.INFO)
    on_s3 = os.environ.get("EVERGREEN_STORE_URL", "").startswith("s3://")
    preload.preload((*preload.MODULES, *(preload.S3_MODULES if on_s3 else ()), *TASK_MODULES))
    preload.log.removeHandler(handler)


_preload_where_tasks_are_forked()
