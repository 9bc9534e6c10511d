"""D3 and D4: how often the drift check alarms on permuted rows of real flights, and how often it finds what was put in.

python bench/decisions_drift.py [CHECKS]     checks a cell (default 200); writes bench/results/decisions_drift.json
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd

from evergreen.definition import load_definition
from evergreen.features.compute import compute
from evergreen.features.history import join
from evergreen.intake.sources import rows
from evergreen.monitoring import drift
from report import write

SEED = 20130107
MODEL = load_definition("nyc_flights")
REFERENCE, CURRENT = (1000, 5000, 20_000), (100, 300, 1000, 3000)
POWER_SIZES = (5000, 1000)
Change = Callable[[pd.DataFrame, np.random.Generator], None]


def flights() -> pd.DataFrame:
    """Features of the year's weeks that have their full look-back, each built from what had landed before it."""
    calendar = MODEL.partitions
    keys = calendar.keys(str(MODEL.calendar.start), str(MODEL.calendar.end))
    inputs = {key: rows(MODEL, "inputs", key) for key in keys}
    joined = {key: join(inputs[key], rows(MODEL, "labels", key), MODEL.feed.entity) for key in keys}
    built = []
    for key in keys[MODEL.features.look_back + 1 :]:
        past = calendar.look_back(key, MODEL.features.look_back, MODEL.feed.label_delay)
        built.append(compute(MODEL, inputs[key], pd.concat([joined[k] for k in past], ignore_index=True)))
    return pd.concat(built, ignore_index=True)


def shift(column: str, sd: float) -> Change:
    """`column` rises by half of its standard deviation."""

    def change(frame: pd.DataFrame, rng: np.random.Generator) -> None:
        frame[column] += 0.5 * sd

    return change


def nulls(frame: pd.DataFrame, rng: np.random.Generator) -> None:
    """30 % of one column's values go missing."""
    frame.loc[rng.random(len(frame)) < 0.3, "distance"] = np.nan


def new_category(frame: pd.DataFrame, rng: np.random.Generator) -> None:
    """5 % of rows have a carrier that nobody has seen."""
    frame.loc[rng.random(len(frame)) < 0.05, "carrier"] = "ZZ"


def scramble(frame: pd.DataFrame, rng: np.random.Generator) -> None:
    """Each column is shuffled by itself: no margin changes, every dependence goes."""
    for column in MODEL.features.columns:
        frame[column] = rng.permutation(frame[column].to_numpy())


def check(data: pd.DataFrame, sizes: tuple[int, int], rng: np.random.Generator, change: Change | None = None) -> bool:
    """Whether a check of permuted rows, changed or not, finds drift."""
    drawn = data.iloc[rng.choice(len(data), sum(sizes), replace=False)]
    current = drawn.iloc[sizes[0] :].copy()
    if change is not None:
        change(current, rng)
    return drift.check(drawn.iloc[: sizes[0]], current, MODEL).drifted


def share(data: pd.DataFrame, sizes: tuple[int, int], checks: int, change: Change | None = None) -> float:
    """Share of `checks` that find drift."""
    rng = np.random.default_rng([SEED, *sizes])
    return sum(check(data, sizes, rng, change) for _ in range(checks)) / checks


def main() -> None:
    """Measure and write the result."""
    warnings.filterwarnings("ignore", message="ks_2samp: Exact calculation unsuccessful")
    checks = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    data, started = flights(), time.monotonic()
    cells = {f"{n}/{m}": share(data, (n, m), checks) for n in REFERENCE for m in CURRENT}
    changes = {f"{c} +0.5 sd": shift(c, float(data[c].std())) for c in ("temperature", "distance", "humidity")}
    changes |= {"30 % nulls": nulls, "new category at 5 %": new_category, "joint scramble": scramble}
    power = {name: share(data, POWER_SIZES, checks, change) for name, change in changes.items()}
    bars = {
        "D3 false alarms, worst cell": {"value": max(cells.values()), "bar": "<= 0.05"},
        **{f"D4 {name}": {"value": value, "bar": ">= 0.95"} for name, value in power.items()},
    }
    for name, bar in bars.items():
        bar["reached"] = bar["value"] <= 0.05 if name.startswith("D3") else bar["value"] >= 0.95
    write(
        "decisions_drift",
        bars=bars,
        measured={
            "false_alarms": cells, "power": power, "checks": checks, "rows": len(data), "seed": SEED,
            "seconds": round(time.monotonic() - started),
        },
    )  # fmt: skip


if __name__ == "__main__":
    main()
