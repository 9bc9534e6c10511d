"""The DAG bag, parsed as Airflow parses it: in a process of its own where the models differ."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from evergreen.definition.load import models_dir

PROJECT = Path(__file__).parents[2]
PARSE = """
import json, sys
from pathlib import Path
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1])
print("\\n" + json.dumps([sorted(bag.dags), {Path(f).name: e for f, e in bag.import_errors.items()}]))
"""


def airflow_environment(home: Path) -> dict[str, str]:
    paths = [str(PROJECT / part) for part in ("include", "plugins", "dags")]
    return {
        **os.environ,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        "PYTHONPATH": os.pathsep.join(paths),
    }


@pytest.fixture(scope="session")
def dagbag(tmp_path_factory):
    for name, value in airflow_environment(tmp_path_factory.mktemp("airflow")).items():
        os.environ.setdefault(name, value)
    sys.path[:0] = [str(PROJECT / "dags"), str(PROJECT / "plugins")]
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(str(PROJECT / "dags"))


@pytest.fixture
def models_copy(tmp_path):
    return Path(shutil.copytree(models_dir(), tmp_path / "models"))


@pytest.fixture
def parse_dags(tmp_path):
    """Parse the DAG files over a folder of models; returns the DAG ids and the import errors by file name."""

    def parse(models: Path) -> tuple[list[str], dict[str, str]]:
        env = airflow_environment(tmp_path / "airflow") | {"EVERGREEN_MODELS_DIR": str(models)}
        done = subprocess.run(
            [sys.executable, "-c", PARSE, str(PROJECT / "dags")], env=env, capture_output=True, text=True, check=True
        )
        dag_ids, errors = json.loads(done.stdout.splitlines()[-1])
        return dag_ids, errors

    return parse
