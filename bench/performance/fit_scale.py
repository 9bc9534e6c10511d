"""P12: a training with a LightGBM of the team's own on 1 M rows x 30 columns, against LightGBM's own fit.

python -m bench.performance.fit_scale [MILLIONS]   (default 1; some minutes) writes bench/results/fit_scale.json

Fitting is what the task does between the rows that it has read and MLflow: checking the candidate, tuning it, the
fit on the older rows, the fit on all, its file, and loading that again. LightGBM alone fits the chosen parameters on
the same rows, on as many threads (one); the bar is that time, times the trials. Each way is a process of its own; the
ways take turns, and of each the fastest run counts. Memory is the process's peak above what it held before the rows
were read, over the size of the frame.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.lib.report import number_asked, write
from evergreen.core.definition.model import ModelDefinition
from evergreen.loop.training.estimators.check import check_saved, freeze_or_refuse
from evergreen.loop.training.examples import Examples
from evergreen.loop.training.learn import learn
from evergreen.loop.training.search import Trial

COLUMNS, WEEKS, TRIALS, REPEATS = 30, 16, 4, 2
FIXED: dict[str, Any] = {
    "n_estimators": 60,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
    "n_jobs": 1,
}
CANDIDATE = f"""
from evergreen.candidates import Float, Integer, candidate

@candidate("own", space={{"num_leaves": Integer(8, 63, log=True), "learning_rate": Float(0.03, 0.2, log=True)}})
def own(given, num_leaves, learning_rate):
    from lightgbm import LGBMClassifier

    return LGBMClassifier(num_leaves=num_leaves, learning_rate=learning_rate, random_state=given.seed, **{FIXED!r})
"""


def definition(folder: Path) -> ModelDefinition:
    """A model of so many numeric features whose one candidate is the team's."""
    names = [f"x{number}" for number in range(COLUMNS)]
    table = {"id": "string", "at": "timestamp"}
    raw = {
        "name": "wide", "title": "Wide", "owner": "bench", "task": "binary", "target": "y", "folder": folder,
        "calendar": {"start": "2024-01-01"},
        "feed": {"name": "wide", "entity": "id", "event_time": "at", "tables": {
            "inputs": {"columns": {**table, **dict.fromkeys(names, "float")}},
            "labels": {"columns": {**table, "y": "boolean"}},
        }},
        "features": {"numeric": names},
        "training": {"candidates": ["own"], "search": {"method": "tpe", "trials": TRIALS}},
        "alerts": {"to": ["bench@example.com"]},
    }  # fmt: skip
    return ModelDefinition.model_validate(raw)


def make(folder: Path, rows: int) -> None:
    """The rows, as arrays in `folder`: a tenth of the numbers is null."""
    rng = np.random.default_rng(12)
    values = rng.normal(size=(COLUMNS, rows))
    signal = values[0] + values[1] * values[2] + np.sin(2 * values[3]) - 0.5
    target = (rng.random(rows) < 1 / (1 + np.exp(-signal))).astype(np.float64)
    values[rng.random(values.shape) < 0.1] = np.nan
    np.save(folder / "values.npy", values)
    np.save(folder / "target.npy", target)
    (folder / "candidates.py").write_text(CANDIDATE)


def read(folder: Path) -> tuple[pd.DataFrame, np.ndarray[Any, np.dtype[np.float64]]]:
    """The frame that an estimator is given, and the target."""
    values = np.load(folder / "values.npy")
    return pd.DataFrame(values.T, columns=[f"x{n}" for n in range(COLUMNS)], copy=False), np.load(folder / "target.npy")


def training(folder: Path) -> dict[str, Any]:
    """Seconds and memory of the training."""
    rule = definition(folder)
    import lightgbm  # noqa: F401 - not to be paid for by what is measured
    import skops.io  # noqa: F401

    held = peak()
    frame, target = read(folder)
    weeks = pd.date_range("2024-01-01", periods=WEEKS, freq="7D", tz="UTC", unit="us")
    place = np.arange(len(frame)) * WEEKS // len(frame)
    names = np.array([week.strftime("%Y-%m-%d") for week in weeks], dtype=object)[place]
    rows = Examples(frame, target, names, names, names, pd.Series(weeks[place]), pd.DataFrame(index=frame.index))
    begun = time.perf_counter()
    learned = learn(rule, rows)
    data = freeze_or_refuse("own", learned.model)
    check_saved(rule, "own", learned.model, data, learned.validation.features.head(200))
    seconds = time.perf_counter() - begun
    size = int(frame.memory_usage(index=False).sum())
    trials: list[Trial] = learned.trials
    return {
        "seconds": seconds, "frame_mib": size / 2**20, "peak_mib": peak(), "held_before_mib": held,
        "peak_over_frame": (peak() - held) * 2**20 / size, "params": learned.best.params, "trials": len(trials),
    }  # fmt: skip


def alone(folder: Path, params: dict[str, Any]) -> dict[str, Any]:
    """Seconds of LightGBM's own fit of these parameters."""
    from lightgbm import LGBMClassifier

    held = peak()
    frame, target = read(folder)
    begun = time.perf_counter()
    LGBMClassifier(**params, random_state=20130107, **FIXED).fit(frame, target.astype(np.int64))
    seconds = time.perf_counter() - begun
    size = int(frame.memory_usage(index=False).sum())
    return {"seconds": seconds, "peak_over_frame": (peak() - held) * 2**20 / size}


def peak() -> float:
    """Peak memory of the process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def in_own_process(*arguments: str) -> dict[str, Any]:
    """What `--measure` prints in a process of its own."""
    command = [sys.executable, "-m", __spec__.name, "--measure", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure and write the result."""
    rows = int(1e6 * number_asked("million rows", 1, __doc__))
    ours, theirs = list[dict[str, Any]](), list[dict[str, Any]]()
    with tempfile.TemporaryDirectory() as name:
        subprocess.run([sys.executable, "-m", __spec__.name, "--make", name, str(rows)], check=True)
        for _ in range(REPEATS):
            ours.append(in_own_process("training", name))
            theirs.append(in_own_process("alone", name, json.dumps(ours[0]["params"])))
    best, fit = min(run["seconds"] for run in ours), min(run["seconds"] for run in theirs)
    ratio = best / (fit * ours[0]["trials"])
    memory = max(run["peak_over_frame"] for run in ours)
    bars = {
        "P12 wall, an own LightGBM": {
            "value": ratio,
            "unit": "x its own fits",
            "bar": "<= 1.3",
            "reached": ratio <= 1.3,
        },
        "P12 peak memory": {"value": memory, "unit": "x the frame", "bar": "<= 3", "reached": memory <= 3},
    }
    measured = {
        "rows": rows, "columns": COLUMNS, "trials": TRIALS, "seconds": best, "one_fit_alone": fit,
        "over_one_fit": best / fit,
        "runs": {"training": ours, "alone": theirs},
    }  # fmt: skip
    write("fit_scale", bars=bars, measured=measured)


if __name__ == "__main__":
    if "--measure" in sys.argv:
        way, folder, *more = sys.argv[sys.argv.index("--measure") + 1 :]
        found = training(Path(folder)) if way == "training" else alone(Path(folder), json.loads(more[0]))
        print(json.dumps(found))
    elif "--make" in sys.argv:
        make(Path(sys.argv[-2]), int(sys.argv[-1]))
    else:
        main()
