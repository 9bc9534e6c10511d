"""Start of every container that runs Airflow or a task: `entrypoint.py COMMAND ...`.

Turns `airflow_settings.yaml` into `AIRFLOW_CONN_*` and `AIRFLOW_VAR_*`, as the embedded stack does, then becomes the
command. A variable that the file names and nobody set ends the container with one line that says which.
"""

from __future__ import annotations

import os
import sys

from evergreen.errors import SettingsError
from evergreen.settings import Settings
from evergreen.stack.config import airflow_settings
from evergreen.stack.config.home import PROJECT


def main(command: list[str]) -> None:
    """Become `command`; its environment holds Airflow's connections and variables too."""
    if not command:
        sys.exit("entrypoint.py: no command was given; docker-compose.yaml has one for each service.")
    try:
        Settings.from_env()
        added = airflow_settings.load(PROJECT / "airflow_settings.yaml", os.environ).environment()
    except SettingsError as error:
        sys.exit(f"{error}")
    os.execvpe(command[0], command, os.environ | added)  # noqa: S606 -- replaces this process; no shell is involved


if __name__ == "__main__":
    main(sys.argv[1:])
