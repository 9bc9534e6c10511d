"""D1 to D7 in one file: the bars of decisions_promotion, decisions_drift and decisions_policy.

python -m bench.decisions.decisions
    writes bench/results/decisions.json; runs first what was not measured at this commit
python -m bench.decisions.decisions merge   only puts together what was measured, whenever that was
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from typing import Any

from bench.lib.figures import PROJECT, RESULTS
from bench.lib.report import write

PARTS = {"decisions_promotion": ("D1", "D2"), "decisions_drift": ("D3", "D4"), "decisions_policy": ("D5", "D6", "D7")}


def main() -> None:
    """Measure what is missing, and write all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("merge", nargs="?", choices=("merge",), help="measure nothing")
    merely = parser.parse_args().merge is not None
    bars: dict[str, Any] = {}
    sources: dict[str, Any] = {}
    for name, wanted in PARTS.items():
        if not merely and _commit(name) != _head():
            subprocess.run([sys.executable, "-m", f"bench.decisions.{name}"], cwd=PROJECT, check=True)
        found = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
        sources[name] = {"commit": found["commit"], "at": found["at"]}
        bars |= {bar: _gathered(bar, found["bars"]) for bar in wanted}
    write("decisions", bars=bars, measured={"sources": sources})


def _gathered(bar: str, found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """All parts of one bar; its value is that of the worst part: reached or not, the one with least to spare."""
    parts = {name: part for name, part in found.items() if name.split()[0] == bar}
    worst = min(parts, key=lambda name: (parts[name]["reached"], _reserve(parts[name])))
    usual: dict[str, Any] = parts[worst].get("usual") or next(
        (p["usual"] for p in parts.values() if p.get("usual")), {}
    )
    return {
        "value": parts[worst]["value"],
        "bar": parts[worst]["bar"],
        "reached": all(part["reached"] for part in parts.values()),
        "worst": worst,
        "usual": usual,
        "parts": parts,
    }


def _reserve(part: dict[str, Any]) -> float:
    """By how much the bar is held; negative if it is not."""
    sign, limit = str(part["bar"]).split()[:2]
    spare = float(limit) - float(part["value"])
    return spare if sign == "<=" else -spare


def _commit(name: str) -> str:
    path = RESULTS / f"{name}.json"
    return str(json.loads(path.read_text(encoding="utf-8"))["commit"]) if path.is_file() else ""


def _head() -> str:
    found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=PROJECT, capture_output=True, text=True, check=True)
    return found.stdout.strip()


if __name__ == "__main__":
    main()
