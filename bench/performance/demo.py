"""P2: `make demo` on a clean clone with package caches warm, to its final summary.

python -m bench.performance.demo        clones HEAD into a temporary folder, writes bench/results/demo.json
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from pathlib import Path

from bench.lib.figures import PROJECT
from bench.lib.report import nothing_asked, write

BAR_SECONDS = 360


def main() -> None:
    """Measure and write the result."""
    nothing_asked(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        clone, summary = Path(folder) / "clone", Path(folder) / "summary.json"
        subprocess.run(["git", "clone", "-q", str(PROJECT), str(clone)], check=True)
        begun = time.perf_counter()
        subprocess.run(["make", "demo", f"ARGS=--exit --json {summary}"], cwd=clone, check=True)
        seconds = time.perf_counter() - begun
        told = json.loads(summary.read_text())
    counts = {name: len(told[name]) for name in ("weeks", "quarantined", "drift_checks", "retrains", "promotions")}
    write(
        "demo",
        bars={"P2": {"value": seconds, "bar": BAR_SECONDS, "unit": "s", "reached": seconds <= BAR_SECONDS}},
        measured={"demo_seconds": told["wall_seconds"], "mails": len(told["mails"]), **counts},
    )


if __name__ == "__main__":
    main()
