"""P6: scoring one partition of 10 M rows against `predict_proba` alone on the same rows.

python -m bench.performance.scoring_scale [MILLIONS]   (default 10; ten minutes) writes bench/results/scoring_scale.json

Scoring is what the task does with a pulled features file: reading, converting, predicting, making the predictions'
Parquet file and publishing it in a store; transport from the feature remotes and the ledger's rows are not in it.
`predict_proba` alone is one call of the same pipeline on a frame that was read and converted before the clock
started. For the linear candidate, whose dense one-hot columns would take some 10 GB at once, and beside the one call
for the other, it is called on the slices that scoring uses: that is faster, so the stricter comparison.

The rows are the features of the flights of 2013, repeated with later times and other names. Each measurement is a
process of its own, warmed by 2,000 rows; ways take turns, and of each way the fastest run counts.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.lib.report import number_asked, write
from evergreen.core.definition import load_definition
from evergreen.core.definition.training import BuiltIn as Candidate
from evergreen.core.names import ObjectName
from evergreen.core.store import Store
from evergreen.core.store.objects import sha256
from evergreen.loop.features.compute import compute, write_parquet
from evergreen.loop.features.look_back import history_of
from evergreen.loop.scoring.predict_file import predict_file
from evergreen.loop.training.estimators.built_in import START
from evergreen.loop.training.examples import Examples
from evergreen.loop.training.learn import fit_pipeline
from evergreen.loop.training.model_files import CHUNK_ROWS, Predictor, freeze, thaw
from evergreen.loop.training.model_matrix import model_frame, target_values
from evergreen.loop.training.search import Trial
from evergreen.tools.simulator import flights

MODEL = load_definition("nyc_flights")
CANDIDATES: tuple[Candidate, ...] = ("boosted", "linear")
FIT_ROWS, WARM_ROWS, REPEATS, GROUP = 150_000, 2_000, 1, 3
YEAR = pd.Timedelta(weeks=52)
WAYS = ("score", "slices", "whole")


def make(folder: Path, rows: int) -> None:
    """A features file of `rows` rows, one of a tenth, and each candidate fitted on flights, below `folder`."""
    inputs, labels = flights.inputs()[list(MODEL.feed.tables["inputs"].columns)], flights.labels()
    past = history_of(MODEL, [(inputs.head(FIT_ROWS), labels.head(FIT_ROWS))])
    frame = compute(MODEL, inputs, past)
    write_parquet(MODEL, frame, folder / "year.parquet")
    year = pq.read_table(folder / "year.parquet")
    for name, size in (("large", rows), ("small", rows // 10), ("warm", WARM_ROWS)):
        repeat(year, folder / f"{name}.parquet", size)
    head = frame.head(FIT_ROWS)
    features = model_frame(head, MODEL.features.numeric, MODEL.features.categorical)
    names = np.full(FIT_ROWS, "", dtype=object)
    target = target_values(MODEL, labels[MODEL.target].head(FIT_ROWS))
    examples = Examples(features, target, names, names, names, head[MODEL.feed.event_time], head[[]])
    for candidate in CANDIDATES:
        trial = Trial(candidate, 0, START[candidate], 0.0, [])
        (folder / f"{candidate}.skops").write_bytes(freeze(fit_pipeline(MODEL, trial, examples)))


def repeat(year: pa.Table, path: Path, rows: int) -> None:
    """Write `rows` rows: `year` again and again, each time 52 weeks later and under other names."""
    entity, event_time = MODEL.feed.entity, MODEL.feed.event_time
    with pq.ParquetWriter(path, year.schema, compression="zstd") as writer:
        written, number = 0, 0
        while written < rows:
            group = []
            for _ in range(GROUP):  # row groups of a million rows, as `write_parquet` makes them
                ids = pc.binary_join_element_wise(year[entity], str(number), "-")
                times = pc.add(year[event_time], pa.scalar((number * YEAR).to_pytimedelta(), pa.duration("us")))
                changed = year.set_column(0, entity, ids).set_column(1, year.schema.field(1), times)
                group.append(changed)
                number += 1
            table = pa.concat_tables(group).slice(0, rows - written)
            writer.write_table(table)
            written += len(table)


def measure(way: str, folder: Path, candidate: Candidate, file: str) -> dict[str, Any]:
    """Seconds (wall and CPU) of one way of predicting `file`, and this process's peak memory in MiB."""
    trusted = MODEL.training.trusted_types
    predictor = Predictor(thaw((folder / f"{candidate}.skops").read_bytes(), trusted, what=candidate), 1)
    path = folder / f"{file}.parquet"
    prepare = scoring if way == "score" else partial(alone, whole=way == "whole")
    prepare(folder / "warm.parquet", predictor)()
    run = prepare(path, predictor)
    wall, cpu = time.perf_counter(), time.process_time()
    values = run()
    seconds = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {**seconds, "peak_mib": peak, "rows": len(values), "hash": sha256(values.tobytes())}


def scoring(path: Path, predictor: Predictor) -> Callable[[], Any]:
    """What the task does between the pulled file and the ledger's row."""

    def run() -> Any:
        predictions = predict_file(MODEL, predictor, path)
        Store((path.parent / "store").as_uri()).write(
            ObjectName(f"{path.stem}-{os.getpid()}.parquet"), predictions.parquet
        )
        sha256(predictions.parquet)
        return predictions.values

    return run


def alone(path: Path, predictor: Predictor, *, whole: bool) -> Callable[[], Any]:
    """`predict_proba` on the rows, read and converted before."""
    table = pq.read_table(path, columns=list(predictor.columns))
    frame = model_frame(table.to_pandas(), predictor.numeric, predictor.categorical)
    del table
    step = len(frame) if whole else CHUNK_ROWS
    parts = [frame.iloc[first : first + step] for first in range(0, len(frame), step)]
    return lambda: np.concatenate([predictor.pipeline.predict_proba(part)[:, 1] for part in parts])


def in_own_process(way: str, folder: Path, candidate: str, file: str) -> dict[str, Any]:
    """`measure` in a process of its own."""
    command = [sys.executable, "-m", __spec__.name, "--measure", way, str(folder), candidate, file]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    shutil.rmtree(folder / "store", ignore_errors=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure and write the result."""
    rows = int(1e6 * number_asked("million rows", 10, __doc__))
    bars: dict[str, dict[str, Any]] = {}
    runs: dict[str, dict[str, list[dict[str, Any]]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # A child's peak begins at what its parent held, so this process stays small.
        subprocess.run([sys.executable, "-m", __spec__.name, "--make", name, str(rows)], check=True)
        mib = round((folder / "large.parquet").stat().st_size / 2**20)
        for candidate in CANDIDATES:
            ways = [way for way in WAYS if way != "whole" or candidate == "boosted"]
            runs[candidate] = {way: [] for way in ways}
            for _ in range(REPEATS):
                for way in ways:
                    runs[candidate][way].append(in_own_process(way, folder, candidate, "large"))
        small = in_own_process("score", folder, "boosted", "small")
    ratios = {candidate: compare(found) for candidate, found in runs.items()}
    for label, value in (
        ("boosted, against one call", ratios["boosted"]["whole"]["wall"]),
        ("boosted, against calls on slices", ratios["boosted"]["slices"]["wall"]),
        ("linear, against calls on slices", ratios["linear"]["slices"]["wall"]),
    ):
        bars[f"P6 wall, {label}"] = {"value": value, "bar": "<= 1.3", "reached": value <= 1.3, "unit": "x"}
    peak = max(run["peak_mib"] for found in runs.values() for run in found["score"]) / 1024
    bars["P6 peak memory"] = {"value": peak, "unit": "GiB", "bar": "<= 1.86 (2 GB)", "reached": peak <= 2e9 / 2**30}
    measured = {
        "rows": rows, "file_mib": mib, "ratios": ratios, "runs": runs, "a_tenth_of_the_rows": small,
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
    }  # fmt: skip
    write("scoring_scale", bars=bars, measured=measured)


def compare(found: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Scoring over each baseline, wall and CPU, by the fastest runs: what else a machine does can only add to a run."""
    best = {way: {key: min(run[key] for run in runs) for key in ("wall", "cpu")} for way, runs in found.items()}
    equal = {way: runs[0]["hash"] == found["score"][0]["hash"] for way, runs in found.items()}
    return {
        way: {"wall": best["score"]["wall"] / b["wall"], "cpu": best["score"]["cpu"] / b["cpu"], "equal": equal[way]}
        for way, b in best.items()
        if way != "score"
    }


if __name__ == "__main__":
    if "--measure" in sys.argv:
        way, folder, candidate, file = sys.argv[-4:]
        print(json.dumps(measure(way, Path(folder), candidate, file)))  # type: ignore[arg-type]
    elif "--make" in sys.argv:
        make(Path(sys.argv[-2]), int(sys.argv[-1]))
    else:
        main()
