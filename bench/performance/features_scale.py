"""P3: features for 10 M flights in weekly partitions, against one pyarrow read and write of the same bytes.

python -m bench.performance.features_scale [MILLIONS]
    (default 10; a quarter of an hour) writes bench/results/features_scale.json

The flights of 2013 are repeated, each time 51 weeks later, as accepted weekly partitions in a store: 10 M rows are some
1,550 partitions. Each is built as the task builds it: its inputs and the labelled partitions looked back on are read
from the store, `features.py` is run and held to its contract, and the result is written as Parquet. Expectations, the
ledger and publishing are not in it.

Two baselines, by `pyarrow.parquet` alone, of Arrow tables that never become pandas frames:
- each table of each partition read once, and the same features written once: the bar as it is worded;
- what each build reads, which is every partition some five times (once for itself, four times as history), and the
  same features written once.

Memory: the peak of one process after 10, 100 and all partitions, so at histories of these lengths; and, beside the
bar, of building one partition that looks back on 4, 10 and 100 partitions. Each measurement is a process of its own.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pyarrow.parquet as pq

from bench.lib.report import number_asked, write
from evergreen.core.definition import load_definition
from evergreen.core.definition.model import TableName
from evergreen.core.frames import to_parquet
from evergreen.core.ledger.tables import PartitionVersion, Verdict
from evergreen.core.names import PartitionKey
from evergreen.loop.features.build_plan import BuildPlan, Current, make_plan
from evergreen.loop.features.compute import compute, write_parquet
from evergreen.loop.features.look_back import read_history
from evergreen.loop.intake.accepted_rows import read_clean, read_clean_table
from evergreen.settings import Settings
from evergreen.tools.simulator import flights

MODEL = load_definition("nyc_flights")
TABLES: tuple[TableName, ...] = ("inputs", "labels")
YEAR_WEEKS, NEWEST = 51, "2013-12-23"
MARKS, LOOK_BACKS = (10, 100), (4, 10, 100)
LIMIT_GIB = 1.5e9 / 2**30


class World:
    """Accepted weekly partitions in a store below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        nowhere = "http://127.0.0.1:9"
        self.settings = Settings.model_validate(
            dict.fromkeys(("ledger_url", "landing_url", "features_git_url", "features_dvc_url"), nowhere)
            | {"mlflow_url": nowhere, "airflow_url": nowhere, "models_dir": MODEL.folder.parent}
            | {"store_url": (folder / "store").as_uri()}
        )

    def file(self, table: str, key: PartitionKey) -> Path:
        """Where the accepted rows are."""
        return self.folder / "store" / table / f"{key}.parquet"

    def features(self, key: PartitionKey) -> Path:
        """Where the features are written."""
        return self.folder / "features" / f"{key}.parquet"

    @property
    def keys(self) -> list[PartitionKey]:
        """Partitions, oldest first."""
        return sorted(PartitionKey(path.stem) for path in (self.folder / "store" / "inputs").iterdir())

    def current(self, table: str) -> dict[PartitionKey, Current]:
        """What the ledger would say of `table`: the current version of each partition and its verdict."""
        root = f"{self.settings.store_url}/{table}"
        return {
            key: (PartitionVersion(content_hash=key), Verdict(clean_uri=f"{root}/{key}.parquet")) for key in self.keys
        }

    def make(self, rows: int) -> None:
        """Write partitions until their inputs have `rows` rows."""
        for table in TABLES:
            (self.folder / "store" / table).mkdir(parents=True)
        (self.folder / "features").mkdir()
        first = MODEL.partitions.keys(MODEL.calendar.start.isoformat(), NEWEST)
        made = number = 0
        while made < rows:
            repeat, week = divmod(number, YEAR_WEEKS)
            period = MODEL.partitions.period(first[week])
            key = MODEL.partitions.shift(first[week], repeat * YEAR_WEEKS)
            for table in TABLES:
                frame = flights.rows(table, pd.Timestamp(period.start), pd.Timestamp(period.end))
                made += len(frame) if table == "inputs" else 0
                columns = MODEL.feed.tables[table].columns
                self.file(table, key).write_bytes(to_parquet(later(frame, repeat * YEAR_WEEKS), columns))
            number += 1


def later(frame: pd.DataFrame, weeks: int) -> pd.DataFrame:
    """The same flights, `weeks` weeks later, under the names they then have."""
    shift = dt.timedelta(weeks=weeks)
    days = frame["flight_id"].str[:10]
    moved = days.map({day: (dt.date.fromisoformat(day) + shift).isoformat() for day in days.unique()})
    changed = frame.assign(flight_id=moved + frame["flight_id"].str[10:])
    changed["scheduled_departure"] += shift
    return changed.assign(flight_date=moved) if "flight_date" in frame else changed


def plans(world: World, look_back: int | dt.timedelta = MODEL.features.look_back) -> list[BuildPlan]:
    """What each partition is built from."""
    model = MODEL.model_copy(update={"features": MODEL.features.model_copy(update={"look_back": look_back})})
    inputs, labels = world.current("inputs"), world.current("labels")
    return [make_plan(model, key, inputs, labels) for key in world.keys]


def build(world: World, plan: BuildPlan) -> int:
    """Build one partition as the task does; its rows."""
    history = read_history(
        MODEL, plan.history, lambda verdict, columns: read_clean_table(verdict, world.settings, columns)
    )
    frame = compute(MODEL, read_clean(plan.inputs[1], world.settings), history)
    write_parquet(MODEL, frame, world.features(plan.key))
    return len(frame)


def peak_mib() -> float:
    """Peak memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure_builds(world: World) -> dict[str, Any]:
    """Seconds of building every partition, and the peak at histories of `MARKS` and of all partitions."""
    todo = plans(world)
    build(world, todo[0])  # a worker is warm
    wall, cpu, rows, peaks = time.perf_counter(), time.process_time(), 0, {}
    for number, plan in enumerate(todo, 1):
        rows += build(world, plan)
        if number in MARKS or number == len(todo):
            peaks[number] = peak_mib()
    seconds = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    return {**seconds, "rows": rows, "partitions": len(todo), "peak_mib": peaks}


def measure_copies(world: World) -> dict[str, Any]:
    """Seconds of reading each table once and of writing the features that were built, by pyarrow alone."""
    found = dict.fromkeys(("wall", "cpu", "write_wall", "write_cpu"), 0.0)
    target = world.folder / "copy.parquet"
    for key in world.keys:
        wall, cpu = time.perf_counter(), time.process_time()
        for table in TABLES:
            pq.read_table(world.file(table, key))
        read_wall, read_cpu = time.perf_counter() - wall, time.process_time() - cpu
        features = pq.read_table(world.features(key))
        wall, cpu = time.perf_counter(), time.process_time()
        pq.write_table(features, target, compression="zstd")
        write_wall, write_cpu = time.perf_counter() - wall, time.process_time() - cpu
        found["wall"] += read_wall + write_wall
        found["cpu"] += read_cpu + write_cpu
        found["write_wall"] += write_wall
        found["write_cpu"] += write_cpu
    return found


def measure_reads(world: World) -> dict[str, Any]:
    """Seconds of reading, by pyarrow alone, every file that every build reads."""
    wall, cpu = time.perf_counter(), time.process_time()
    for plan in plans(world):
        pq.read_table(world.file("inputs", plan.key))
        for past in plan.history:
            for table in TABLES:
                pq.read_table(world.file(table, past.key))
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def measure_look_back(world: World, look_back: int) -> dict[str, Any]:
    """Peak of building the newest partition looking back on `look_back`."""
    plan = plans(world, look_back)[-1]
    build(world, plan)
    return {"peak_mib": peak_mib(), "partitions": len(plan.history)}


def in_own_process(what: str, folder: str, number: int = 0) -> dict[str, Any]:
    """One measurement in a process of its own."""
    command = [sys.executable, "-m", __spec__.name, f"--{what}", folder, str(number)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return cast("dict[str, Any]", json.loads(done.stdout.splitlines()[-1]))


def child(what: str, world: World, number: int) -> dict[str, Any]:
    """The measurement that a process was started for."""
    if what == "make":
        world.make(number)
        return {"mib": sum(path.stat().st_size for path in world.folder.rglob("*.parquet")) / 2**20}
    if what == "look-back":
        return measure_look_back(world, number)
    return {"builds": measure_builds, "copies": measure_copies, "reads": measure_reads}[what](world)


def main() -> None:
    """Measure and write the result."""
    rows = int(1e6 * number_asked("million rows", 10, __doc__))
    with tempfile.TemporaryDirectory() as folder:
        made = in_own_process("make", folder, rows)
        builds = in_own_process("builds", folder)
        copies, reads = in_own_process("copies", folder), in_own_process("reads", folder)
        looks = {count: in_own_process("look-back", folder, count) for count in LOOK_BACKS}
    once = {clock: builds[clock] / copies[clock] for clock in ("wall", "cpu")}
    each = {clock: builds[clock] / (reads[clock] + copies[f"write_{clock}"]) for clock in ("wall", "cpu")}
    peak = max(builds["peak_mib"].values()) / 1024
    bars = {
        "P3 wall, against one read of each table and one write": _at_most_three(once["wall"]),
        "P3 wall, against one read of what each build reads and one write": _at_most_three(each["wall"]),
        "P3 peak memory": {"value": peak, "unit": "GiB", "bar": "<= 1.40 (1.5 GB)", "reached": peak <= LIMIT_GIB},
    }
    measured = {
        "rows": builds["rows"], "partitions": builds["partitions"], "store_mib": made["mib"], "ratio_once": once,
        "ratio_each_build": each, "builds": builds, "copies": copies, "reads": reads, "look_back": looks,
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
    }  # fmt: skip
    write("features_scale", bars=bars, measured=measured)


def _at_most_three(ratio: float) -> dict[str, Any]:
    return {"value": ratio, "bar": "<= 3", "reached": ratio <= 3, "unit": "x"}


if __name__ == "__main__":
    if len(sys.argv) > 3:
        print(json.dumps(child(sys.argv[1][2:], World(Path(sys.argv[2])), int(sys.argv[3]))))
    else:
        main()
