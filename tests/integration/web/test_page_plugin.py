"""The plugin runs in every process of Airflow, so it must cost none of them anything."""

import os
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[3]
PROGRAM = """
import sys
import airflow.plugins_manager
before = set(sys.modules)
import pages
print(sorted(set(sys.modules) - before))
(app,) = pages.EvergreenPages.fastapi_apps
assert app["url_prefix"] == "/evergreen"
"""


def test_the_plugin_imports_nothing_before_the_first_request(tmp_path):
    env = {**os.environ, "AIRFLOW_HOME": str(tmp_path), "PYTHONPATH": str(PROJECT / "plugins")}
    answer = subprocess.run([sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines()[-1] == "['pages']"
