"""P5: what the DAG files cost to import with 1, 10, 50 and 100 models, over a bare `import airflow.sdk`.

python bench/dag_import.py            writes bench/results/dag_import.json
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from report import PROJECT, write

BAR_SECONDS = 1.5
REPEATS = 3
SIZES = (1, 10, 50, 100)
IMPORT = """
import sys, time, importlib.util
from airflow.sdk import DAG, task, Asset, CronPartitionTimetable, PartitionedAssetTimetable
begun = time.perf_counter()
for path in sys.argv[1:]:
    spec = importlib.util.spec_from_file_location(path.rsplit('/', 1)[-1][:-3], path)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
print(time.perf_counter() - begun)
"""


def models(count: int, folder: Path) -> None:
    """`count` copies of the shipped model under names of their own."""
    shipped = PROJECT / "include" / "models" / "nyc_flights"
    text = (shipped / "model.yaml").read_text()
    for number in range(count):
        name = f"model_{number:03d}"
        copy = shutil.copytree(shipped, folder / name)
        (copy / "model.yaml").write_text(text.replace("name: nyc_flights", f"name: {name}", 1))


def seconds(folder: Path, files: list[Path]) -> float:
    """Time to import all DAG files in a fresh process, after airflow.sdk."""
    paths = [str(PROJECT / part) for part in ("include", "plugins", "dags")]
    env = {
        **os.environ,
        "EVERGREEN_MODELS_DIR": str(folder),
        "PYTHONPATH": os.pathsep.join(paths),
        "AIRFLOW_HOME": str(folder / ".airflow"),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
    }
    done = subprocess.run(
        [sys.executable, "-c", IMPORT, *map(str, files)], env=env, capture_output=True, text=True, check=True
    )
    return float(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure and write the result."""
    files = sorted(f for f in (PROJECT / "dags").glob("*.py") if f.name != "wiring.py")
    measured: dict[int, float] = {}
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            models(size, Path(folder))
            measured[size] = statistics.median(seconds(Path(folder), files) for _ in range(REPEATS))
    per_model = (measured[100] - measured[1]) / 99
    write(
        "dag_import",
        bars={"P5": {"value": measured[100], "bar": BAR_SECONDS, "unit": "s", "reached": measured[100] <= BAR_SECONDS}},
        measured={"seconds_by_models": measured, "seconds_per_model": per_model, "repeats": REPEATS},
    )


if __name__ == "__main__":
    main()
