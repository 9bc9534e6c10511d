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
from evergreen.features.history import history_of
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
    labels = {key: rows(MODEL, "labels", key) for key in keys}
    built = []
    for key in keys[MODEL.features.look_back + 1 :]:
        past = calendar.look_back(key, MODEL.features.look_back, MODEL.feed.label_delay)
        built.append(compute(MODEL, inputs[key], history_of(MODEL, ((inputs[k], labels[k]) for k in past))))
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


def scramble_one(frame: pd.DataFrame, rng: np.random.Generator) -> None:
    """One column is shuffled by itself."""
    frame["departures_in_hour"] = rng.permutation(frame["departures_in_hour"].to_numpy())


def decouple(frame: pd.DataFrame, rng: np.random.Generator) -> None:
    """Two columns that belong together move apart: humidity and visibility keep all their ties but those to each other.

    Done by shuffling visibility within bins of every tenth of pressure, so that it keeps what pressure says about it.
    """
    bins = frame["pressure"].rank(pct=True).mul(10).round().fillna(-1)
    for index in frame.groupby(bins).groups.values():
        frame.loc[index, "visibility"] = rng.permutation(frame.loc[index, "visibility"].to_numpy())


def synthetic(rows: int, rng: np.random.Generator, *, strength: float = 0.35) -> pd.DataFrame:
    """Rows of the flights' columns that are not flights: one hidden factor behind all of them, skewed, tied and null.

    With `strength` 0.35 any two columns correlate by about 0.1: weak, but all of them.
    """
    factor = rng.normal(size=(rows, 1))
    noise = rng.normal(size=(rows, len(MODEL.features.columns)))
    latent = pd.DataFrame(strength * factor + np.sqrt(1 - strength**2) * noise, columns=list(MODEL.features.columns))
    for place, column in enumerate(MODEL.features.numeric):
        values = latent[column]
        latent[column] = (values, np.exp(values), values.round(), values.where(rng.random(rows) > 0.1))[place % 4]
    for column in MODEL.features.categorical:
        latent[column] = pd.cut(latent[column], [-np.inf, -1, -0.2, 0.3, 1.2, np.inf], labels=list("ABCDE")).astype(str)
    return latent


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


def share_of_weeks(data: pd.DataFrame, weeks: int = 8, change: Change | None = None) -> dict[str, float]:
    """Real weeks, changed or not, against the `weeks` before: how many show a column's drift, how many joint drift."""
    rng = np.random.default_rng(SEED)
    week = data[MODEL.feed.event_time].dt.tz_localize(None).dt.to_period("W-SUN")
    known = sorted(week.unique())
    found = []
    for place in range(weeks, len(known)):
        reference, current = data[week.isin(known[place - weeks : place])], data[week == known[place]].copy()
        if change is not None:
            change(current, rng)
        result = drift.check(reference, current, MODEL)
        joint = bool(result.joint and result.joint.drifted)
        found.append((any(c.drifted for c in result.columns), joint, any(c.severity == "major" for c in result.inputs)))
    columns, joint_share, major = np.mean(found, axis=0)
    return {"weeks": len(found), "column": float(columns), "joint": float(joint_share), "major": float(major)}


def seconds_of_a_check(data: pd.DataFrame) -> float:
    """Median of five: 20,000 x 17 reference rows against the 6,000 that follow them."""
    rows, taken = data.iloc[:26_000], []
    for _ in range(5):
        started = time.perf_counter()
        drift.check(rows.iloc[:20_000], rows.iloc[20_000:], MODEL)
        taken.append(time.perf_counter() - started)
    return round(float(np.median(taken)), 2)


def main() -> None:
    """Measure and write the result."""
    warnings.filterwarnings("ignore", message="ks_2samp: Exact calculation unsuccessful")
    checks = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    data, started = flights(), time.monotonic()
    made_up = synthetic(100_000, np.random.default_rng(SEED))
    changes = {f"{c} +0.5 sd": shift(c, float(data[c].std())) for c in ("temperature", "distance", "humidity")}
    changes |= {"30 % nulls": nulls, "new category at 5 %": new_category, "joint scramble": scramble}
    power = {name: share(data, POWER_SIZES, checks, change) for name, change in changes.items()}
    partly = {"one column shuffled": scramble_one, "two columns decoupled": decouple}
    power |= {name: share(data, POWER_SIZES, checks, change) for name, change in partly.items()}
    small = {f"{n}/{m}": share(data, (n, m), checks, scramble) for n, m in ((1000, 100), (5000, 300))}
    unseen = {
        "false alarms 5000/1000": share(made_up, POWER_SIZES, checks),
        "false alarms 1000/300": share(made_up, (1000, 300), checks),
        "joint scramble 5000/1000": share(made_up, POWER_SIZES, checks, scramble),
    }
    weeks = {"as they were": share_of_weeks(data)}
    weeks |= {name: share_of_weeks(data, change=put) for name, put in {"scrambled": scramble, **partly}.items()}
    seconds = seconds_of_a_check(data)
    cells = {f"{n}/{m}": share(data, (n, m), checks) for n in REFERENCE for m in CURRENT}
    bars = {
        "D3 false alarms, worst cell": {"value": max(cells.values()), "bar": "<= 0.05"},
        **{f"D4 {name}": {"value": power[name], "bar": ">= 0.95"} for name in changes},
    }
    for name, bar in bars.items():
        bar["reached"] = bar["value"] <= 0.05 if name.startswith("D3") else bar["value"] >= 0.95
    write(
        "decisions_drift",
        bars=bars,
        measured={
            "false_alarms": cells, "power": power, "joint_scramble_found_at": small, "synthetic": unseen,
            "real_weeks": weeks, "seconds_of_a_check": seconds, "checks": checks, "rows": len(data), "seed": SEED,
            "seconds": round(time.monotonic() - started),
        },
    )  # fmt: skip


if __name__ == "__main__":
    main()
