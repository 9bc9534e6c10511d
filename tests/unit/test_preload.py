"""Which processes preload, and that preloading is safe to fork from."""

import subprocess
import sys

import pytest

from evergreen.stack.config.home import PROJECT

sys.path.insert(0, str(PROJECT / "config"))
PRELOAD = """
import json, sys
from evergreen.preload import preload
took = preload(["json", "evergreen_no_such_module", "fsspec"])
assert set(took) == {"json", "evergreen_no_such_module", "fsspec"} and "fsspec" in sys.modules
"""


@pytest.fixture(scope="module")
def forks_tasks():
    from airflow_local_settings import forks_tasks

    return forks_tasks


@pytest.mark.xdist_group("airflow")
@pytest.mark.parametrize(
    ("argv", "executor", "expected"),
    [
        (["airflow", "scheduler", "--skip-serve-logs"], "LocalExecutor", True),
        (["airflow", "scheduler"], "CeleryExecutor", False),
        (["airflow", "scheduler"], "LocalExecutor,CeleryExecutor", True),
        (["airflow", "celery", "worker"], "CeleryExecutor", True),
        (["airflow", "celery", "flower"], "CeleryExecutor", False),
        (["airflow", "dag-processor"], "LocalExecutor", False),
        (["airflow", "api-server"], "LocalExecutor", False),
        (["airflow", "triggerer"], "LocalExecutor", False),
        (["pytest"], "LocalExecutor", False),
        ([], "LocalExecutor", False),
    ],
)
def test_only_a_process_that_tasks_are_forked_from_preloads(forks_tasks, argv, executor, expected):
    assert forks_tasks(argv, executor) is expected


def test_a_module_that_does_not_import_is_said_and_left_to_the_tasks():
    done = subprocess.run([sys.executable, "-c", PRELOAD], capture_output=True, text=True, check=True)
    assert "evergreen_no_such_module could not be preloaded" in done.stderr
