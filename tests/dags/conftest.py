"""The DAG bag, parsed as Airflow parses it: in a process of its own if the models differ."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from evergreen.core.definition.load import models_dir

PROJECT = Path(__file__).parents[2]
PARSE = """
import json, os, sys
from pathlib import Path
from airflow.dag_processing.dagbag import DagBag
found = {}
for models in sys.argv[2:]:
    os.environ["EVERGREEN_MODELS_DIR"] = models
    bag = DagBag(sys.argv[1])
    found[models] = sorted(bag.dags), {Path(f).name: e for f, e in bag.import_errors.items()}
print("\\n" + json.dumps(found))
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
    from airflow import plugins_manager, settings
    from airflow.dag_processing.dagbag import DagBag

    # Another test of this process may have imported Airflow, which then has looked for plugins elsewhere.
    settings.PLUGINS_FOLDER = str(PROJECT / "plugins")
    for part in vars(plugins_manager).values():
        getattr(part, "cache_clear", lambda: None)()
    # Later it would put another copy of each plugin into sys.modules than the DAGs import.
    plugins_manager.ensure_plugins_loaded()
    return DagBag(str(PROJECT / "dags"))


@pytest.fixture(scope="session")
def other_models(tmp_path_factory):
    """Twice the shipped models: with another one, `second`, and with one that cannot be read, `broken`."""
    shipped = (models_dir() / "nyc_flights" / "model.yaml").read_text()
    added = {
        "second": shipped.replace("name: nyc_flights", "name: second", 1),
        "broken": "name: broken\ntaks: binary\n",
    }
    folders = {}
    for name, text in added.items():
        folders[name] = Path(shutil.copytree(models_dir(), tmp_path_factory.mktemp(name) / "models"))
        (folders[name] / name).mkdir()
        (folders[name] / name / "model.yaml").write_text(text)
    return folders


@pytest.fixture(scope="session")
def other_dags(other_models, tmp_path_factory):
    """The DAG ids that Airflow finds over each of `other_models`, and the import errors by file name."""
    env = airflow_environment(tmp_path_factory.mktemp("other-airflow"))
    command = [sys.executable, "-c", PARSE, str(PROJECT / "dags"), *map(str, other_models.values())]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    return {name: found[str(folder)] for name, folder in other_models.items()}
