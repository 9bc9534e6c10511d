"""Import the heavy libraries once, in the process that task processes are forked from.

A task is a fork of the scheduler (LocalExecutor) or of a Celery worker, so what its parent has imported costs it
nothing. If each task imports these libraries again, this takes longer than the work on a week of data. Imports only: a
thread, a pool or a connection would not survive the fork.
"""

from __future__ import annotations

import gc
import importlib
import logging
import threading
import time
import warnings
from collections.abc import Sequence

log = logging.getLogger("evergreen.preload")

MODULES: tuple[str, ...] = (
    "pandas",
    "pyarrow.parquet",
    "scipy.stats",
    "sklearn.calibration",
    "sklearn.compose",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "sklearn.pipeline",
    "skops.io",
    "optuna",
    "great_expectations",
    "great_expectations.expectations",
    "mlflow",
    "mlflow.sklearn",
    "evidently",
    "evidently.presets",
    "dvc.repo",
    # What dvc.repo.Repo imports when it is first used: a second for each task that builds or reads features.
    *(
        f"dvc.repo.{part}"
        for part in ("artifacts", "brancher", "datasets", "index", "metrics", "params", "plots", "stage")
    ),
    "dvc.cachemgr",
    "dvc.data_cloud",
    "dvc.fs.dvc",
    "dvc.repo.worktree",
    "dvc.rwlock",
    "dvc.scm",
    "dvc_data.index.checkout",
    "dvc_data.index.fetch",
    "dvc_data.index.push",
    "networkx",
    "zc.lockfile",
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
    "sqlalchemy.orm",
    "psycopg2",
    "fsspec",
    "jinja2",
)

S3_MODULES: tuple[str, ...] = ("evergreen.core.store.s3", "aiobotocore.session")
"""What tasks import on top if the store is on S3."""


def preload(modules: Sequence[str] = MODULES) -> dict[str, float]:
    """Import the modules and put them out of the garbage collector's sight, so that forks share their memory.

    A module that does not import is logged and left to the task that needs it, which can say it better.

    Returns:
        Seconds that each import took.
    """
    threads = threading.active_count()
    seconds: dict[str, float] = {}
    for module in modules:
        begun = time.perf_counter()
        try:
            with warnings.catch_warnings():
                # skops looks at every attribute of every module, Airflow's deprecated ones too: a thousand warnings.
                warnings.simplefilter("ignore")
                importlib.import_module(module)
        except Exception as err:
            log.warning("%s could not be preloaded, tasks will import it themselves: %r", module, err)
        seconds[module] = round(time.perf_counter() - begun, 2)
    gc.collect()
    gc.freeze()
    slow = ", ".join(f"{name} {took:.1f}" for name, took in seconds.items() if took >= 0.5)
    log.info("preloaded %d modules in %.1f s (%s)", len(seconds), sum(seconds.values()), slow)
    if threading.active_count() > threads:
        names = ", ".join(thread.name for thread in threading.enumerate())
        log.warning("preloading started threads, which forked tasks will lack: %s", names)
    return seconds
