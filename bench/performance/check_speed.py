"""P11: `evergreen check` of one drop and of 300 tables, against the release 2791bc2, side by side in one run.

Both judge the same files: a week of the flights by the expectations that each release ships, and 150 days, inputs and
labels, by one file of expectations for both. The old code is taken from the history and runs on the libraries that are
installed here, so that what differs is the code. The two take turns; the median of the ratios counts.

python -m bench.performance.check_speed [RUNS]      writes bench/results/check_speed.json
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from bench.lib.figures import PROJECT
from bench.lib.report import number_asked, write

BEFORE = "2791bc2"
WEEK, FIRST_DAY, LAST_DAY, DAYS = "2013-03-04", "2013-01-07", "2013-06-05", 150
ONE, MANY = 0.35, 0.3
START = "from evergreen.cli import main; main()"
RULES = """
import great_expectations.expectations as gxe
from {comparisons} import Categories, MatchesInputs, Nulls, Numbers, PeriodCovered, RowCount

TEXTS = {{"carrier": "^[0-9A-Z]{{2}}$", "origin": "^[A-Z]{{3}}$", "destination": "^[A-Z]{{3}}$"}}
NUMBERS = {{"scheduled_hour": (0, 23), "scheduled_minutes": (10, 1200), "distance": (10, 6000),
           "temperature": (-40, 130), "humidity": (0, 100), "wind_speed": (0, 150), "visibility": (0, 50)}}


def inputs():
    return [
        *(gxe.ExpectColumnValuesToMatchRegex(column=name, regex=said) for name, said in TEXTS.items()),
        *(gxe.ExpectColumnValuesToNotBeNull(column=name, mostly=0.5) for name in (*TEXTS, *NUMBERS)),
        *(gxe.ExpectColumnValuesToBeBetween(column=n, min_value=a, max_value=b) for n, (a, b) in NUMBERS.items()),
        RowCount(), PeriodCovered(), Nulls(), Numbers(columns=["distance"]), Categories(columns=["carrier", "origin"]),
    ]


def labels():
    return [
        gxe.ExpectColumnMeanToBeBetween(column="late", min_value=0, max_value=1),
        gxe.ExpectColumnValuesToBeBetween(column="arrival_delay", min_value=-180, max_value=2880),
        RowCount(), Nulls(), Categories(columns=["late"]), MatchesInputs(),
    ]


def features():
    return []
"""


@dataclass(frozen=True)
class Code:
    """One release and its models: the flights by week as it ships them, and `days`."""

    include: Path
    models: Path

    def environment(self) -> dict[str, str]:
        """Of a process that runs it."""
        return {**os.environ, "PYTHONPATH": str(self.include), "EVERGREEN_MODELS_DIR": str(self.models)}

    def check(self, model: str, folder: Path) -> tuple[float, float]:
        """Seconds by the clock, and of processors; the tables have to be accepted."""
        before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        command = [sys.executable, "-c", START, "check", model, str(folder)]
        done = subprocess.run(command, env=self.environment(), capture_output=True, text=True, check=False)
        wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            raise SystemExit(f"{self.include}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def release(root: Path, models: Path, comparisons: str) -> Code:
    """The release at `root`, with the model `days` beside its own."""
    shutil.copytree(root / "include" / "models" / "nyc_flights", models / "nyc_flights")
    shutil.copytree(models / "nyc_flights", models / "days")
    said = (models / "days" / "model.yaml").read_text()
    for old, new in (
        (r"^name: nyc_flights", "name: days"),
        (r"period: week", "period: day"),
        (r"end: \S+", f"end: {LAST_DAY}"),
        (r"^  name: nyc_flights", "  name: days"),
    ):
        said = re.sub(old, new, said, count=1, flags=re.MULTILINE)
    (models / "days" / "model.yaml").write_text(said)
    (models / "days" / "expectations.py").write_text(RULES.format(comparisons=comparisons))
    return Code(root / "include", models)


def before(folder: Path) -> Path:
    """The old release, unpacked."""
    packed = subprocess.run(["git", "archive", BEFORE, "include"], cwd=PROJECT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def land(code: Code, model: str, first: str, last: str, folder: Path) -> Path:
    """What is checked: the folder of the feed."""
    command = [sys.executable, "-c", START, "feed", "land", model, "--from", first, "--through", last]
    command += ["--to", str(folder), "--with-labels"]
    subprocess.run(command, env=code.environment(), check=True, capture_output=True)
    return folder / model


def main() -> None:
    """Measure and write the result."""
    runs = int(number_asked("runs of each", 3, __doc__))
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        now = release(PROJECT, place / "models", "evergreen.expectations")
        old = release(before(place / "before"), place / "models-before", "evergreen.intake.comparisons")
        asked = {
            "one": ("nyc_flights", land(now, "nyc_flights", WEEK, WEEK, place / "landing") / WEEK),
            "many": ("days", land(now, "days", FIRST_DAY, LAST_DAY, place / "landing")),
        }
        tables = len(list((place / "landing" / "days").glob("*/*.parquet")))
        found: dict[str, list[dict[str, tuple[float, float]]]] = {}
        for what, (model, folder) in asked.items():
            for code in (now, old):  # not counted: bytecode is written, files are read from the disk
                code.check(model, asked["one"][1] if what == "one" else folder)
            found[what] = [{"now": now.check(model, folder), "before": old.check(model, folder)} for _ in range(runs)]
            print(what, found[what], flush=True)
    _write(found, tables)


def _write(found: dict[str, list[dict[str, tuple[float, float]]]], tables: int) -> None:
    ratios = {
        (what, number): statistics.median(run["now"][number] / run["before"][number] for run in runs)
        for what, runs in found.items()
        for number in (0, 1)
    }
    titles = {"one": ("P11 check of one drop", ONE), "many": (f"P11 check of {tables} tables", MANY)}
    bars = {
        f"{title}, wall over {BEFORE}": {
            "value": ratios[what, 0], "bar": f"<= {most}", "unit": "x", "reached": ratios[what, 0] <= most,
        }
        for what, (title, most) in titles.items()
    }  # fmt: skip
    measured = {
        what: {
            "seconds": [{code: run[code][0] for code in run} for run in runs],
            "processor_seconds": [{code: run[code][1] for code in run} for run in runs],
            "processor_ratio": ratios[what, 1],
        }
        for what, runs in found.items()
    }
    write("check_speed", bars=bars, measured={"tables": tables, "days": DAYS, **measured})


if __name__ == "__main__":
    main()
