"""P5: what the DAG files cost to import with 1, 10, 50 and 100 models, over a bare `import airflow.sdk`.

Counted is the wall time in which one fresh process imports all DAG files, one after the other, reads every definition
and builds every DAG; nothing is warm but Python's bytecode files. Airflow's dag processor imports each file in a fork
of its own: `seconds_by_file` is each file with 100 models in a process of its own. Their sum is above the bar's value,
because each counts again what the files share, most of which a fork has from its parent. Not counted, here as there,
is what Airflow does with the DAGs afterwards, such as serialising them. Where other work holds the cores (see
`load_average`), the CPU seconds beside say what an idle machine would take.

python -m bench.performance.dag_import            writes bench/results/dag_import.json
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.lib.figures import PROJECT
from bench.lib.report import nothing_asked, write

BAR_SECONDS = 1.5
BAR_LINEAR = 1.5
REPEATS = 3
SIZES = (1, 10, 50, 100)
IMPORT = """
import sys, time, importlib.util
from airflow.sdk import DAG, task, Asset, CronPartitionTimetable, PartitionedAssetTimetable
begun = time.perf_counter(), time.process_time()
for path in sys.argv[1:]:
    spec = importlib.util.spec_from_file_location(path.rsplit('/', 1)[-1][:-3], path)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
print(time.perf_counter() - begun[0], time.process_time() - begun[1])
"""


def models(count: int, folder: Path) -> None:
    """`count` copies of the shipped model under names of their own."""
    shipped = PROJECT / "include" / "models" / "nyc_flights"
    text = (shipped / "model.yaml").read_text()
    for number in range(count):
        name = f"model_{number:03d}"
        copy = shutil.copytree(shipped, folder / name)
        (copy / "model.yaml").write_text(text.replace("name: nyc_flights", f"name: {name}", 1))


def seconds(folder: Path, files: list[Path]) -> tuple[float, float]:
    """Wall and CPU time to import the files in a fresh process, after airflow.sdk."""
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
    wall, cpu = map(float, done.stdout.split()[-2:])
    return wall, cpu


def main() -> None:
    """Measure and write the result."""
    nothing_asked(__doc__)
    files = sorted(f for f in (PROJECT / "dags").glob("*.py") if f.name != "wiring.py")
    measured: dict[int, float] = {}
    cpu: dict[int, float] = {}
    alone: dict[str, float] = {}
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            models(size, Path(folder))
            found = [seconds(Path(folder), files) for _ in range(REPEATS)]
            measured[size], cpu[size] = map(statistics.median, zip(*found, strict=True))
            if size == max(SIZES):
                alone = {file.name: seconds(Path(folder), [file])[0] for file in files}
    per_model = (measured[100] - measured[1]) / 99
    growth = (measured[100] - measured[50]) / 50 / ((measured[50] - measured[1]) / 49)
    write(
        "dag_import",
        bars={
            "P5": {"value": measured[100], "bar": BAR_SECONDS, "unit": "s", "reached": measured[100] <= BAR_SECONDS},
            "P5, linear": {
                "value": growth,
                "bar": BAR_LINEAR,
                "unit": "x: a model more beyond 50 over one below",
                "reached": growth <= BAR_LINEAR,
            },
        },
        measured={
            "seconds_by_models": measured,
            "cpu_seconds_by_models": cpu,
            "load_average": os.getloadavg()[0],
            "seconds_per_model": per_model,
            "seconds_by_file": alone,
            "repeats": REPEATS,
        },
    )


if __name__ == "__main__":
    main()
