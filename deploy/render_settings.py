"""Write `airflow_settings.yaml` with its references filled in, for the Astro CLI, which reads the file as it stands.

`python deploy/render_settings.py FILE` takes the values from the environment and writes FILE, mode 600: it holds
passwords.
"""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

from ruamel.yaml import YAML

from evergreen.errors import SettingsError
from evergreen.stack.config import airflow_settings
from evergreen.stack.config.credentials import write_private
from evergreen.stack.config.home import PROJECT


def main(target: Path) -> None:
    """Render the file of this checkout."""
    settings = airflow_settings.load(PROJECT / "airflow_settings.yaml", os.environ)
    text = io.StringIO()
    YAML(typ="safe").dump({"airflow": settings.model_dump(mode="json", exclude_none=True)}, text)
    write_private(target, text.getvalue())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} FILE")
    try:
        main(Path(sys.argv[1]))
    except SettingsError as error:
        sys.exit(f"{error}")
