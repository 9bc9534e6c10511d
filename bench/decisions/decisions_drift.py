"""D3 and D4: how often the drift check alarms on permuted rows of real flights, and how often it finds what was put in.

Beside ours stand the usual tools, on the same rows: Evidently's default preset, and a plain test of each column.

python -m bench.decisions.decisions_drift [CHECKS]
    checks a cell (default 200); writes bench/results/decisions_drift.json
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from bench.lib.report import number_asked, write
from evergreen.core.definition import load_definition
from evergreen.loop.features.compute import compute
from evergreen.loop.features.look_back import history_of
from evergreen.loop.monitoring.drift import detect
from evergreen.tools.simulator.sources import rows

SEED = 20130107
MODEL = load_definition("nyc_flights")
REFERENCE, CURRENT = (1000, 5000, 20_000), (100, 300, 1000, 3000)
POWER_SIZES = (5000, 1000)
USUAL_CHECKS = 20
"""Of the usual tools, on the first draws of each cell: Evidently takes a second for each."""
Change = Callable[[pd.DataFrame, np.random.Generator], None]


def flights() -> pd.DataFrame:
    """Features of the year's weeks that have their full look-back, each built from what had landed before it."""
    calendar = MODEL.partitions
    keys = calendar.keys(str(MODEL.calendar.start), str(MODEL.calendar.end))
    inputs = {key: rows(MODEL, "inputs", key) for key in keys}
    labels = {key: rows(MODEL, "labels", key) for key in keys}
    built = []
    for key in keys[calendar.most_partitions(MODEL.features.look_back) + 1 :]:
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


def draw(
    data: pd.DataFrame, sizes: tuple[int, int], rng: np.random.Generator, change: Change | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Reference and current rows, dealt at random; the current ones changed or not."""
    drawn = data.iloc[rng.choice(len(data), sum(sizes), replace=False)]
    current = drawn.iloc[sizes[0] :].copy()
    if change is not None:
        change(current, rng)
    return drawn.iloc[: sizes[0]], current


def share(data: pd.DataFrame, sizes: tuple[int, int], checks: int, change: Change | None = None) -> float:
    """Share of `checks` of ours that find drift."""
    rng = np.random.default_rng([SEED, *sizes])
    return sum(detect.check(*draw(data, sizes, rng, change), MODEL).drifted for _ in range(checks)) / checks


# ---- what the usual tools say of the same rows


def evidently_preset(reference: pd.DataFrame, current: pd.DataFrame) -> tuple[bool, bool]:
    """Evidently's default preset: dataset drift (half of the columns), and whether some column drifts."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    features = MODEL.features
    columns = DataDefinition(numerical_columns=list(features.numeric), categorical_columns=list(features.categorical))
    now, before = (
        Dataset.from_pandas(frame[list(features.columns)], data_definition=columns) for frame in (current, reference)
    )
    found = Report([DataDriftPreset()]).run(now, before).dict()["metrics"]
    drifted = next(m["value"] for m in found if m["metric_name"].startswith("DriftedColumnsCount"))
    return bool(drifted["share"] >= 0.5), bool(drifted["count"] > 0)


def plain_tests(reference: pd.DataFrame, current: pd.DataFrame) -> bool:
    """A Kolmogorov-Smirnov or chi-square test of each column at 5 %, nulls dropped: some column differs."""
    from scipy.stats import chi2_contingency, ks_2samp

    for column in MODEL.features.numeric:
        if ks_2samp(reference[column].dropna(), current[column].dropna()).pvalue < 0.05:
            return True
    for column in MODEL.features.categorical:
        values = pd.concat([reference[column], current[column]], ignore_index=True)
        table = pd.crosstab(values, np.arange(len(values)) < len(reference))
        if len(table) > 1 and chi2_contingency(table).pvalue < 0.05:
            return True
    return False


def usual(data: pd.DataFrame, sizes: tuple[int, int], checks: int, change: Change | None = None) -> dict[str, float]:
    """Share of the first `checks` draws of `share` in which each usual tool finds drift."""
    rng, found = np.random.default_rng([SEED, *sizes]), []
    for _ in range(checks):
        pair = draw(data, sizes, rng, change)
        found.append((*evidently_preset(*pair), plain_tests(*pair)))
    names = ("Evidently preset, dataset", "Evidently preset, some column", "a test a column at 5 %")
    return dict(zip(names, (float(value) for value in np.mean(found, axis=0)), strict=True))


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
        result = detect.check(reference, current, MODEL)
        joint = bool(result.joint and result.joint.drifted)
        found.append((any(c.drifted for c in result.columns), joint, any(c.severity == "major" for c in result.inputs)))
    columns, joint_share, major = np.mean(found, axis=0)
    return {"weeks": len(found), "column": float(columns), "joint": float(joint_share), "major": float(major)}


def seconds_of_a_check(data: pd.DataFrame) -> float:
    """Median of five: 20,000 x 17 reference rows against the 6,000 that follow them."""
    rows, taken = data.iloc[:26_000], []
    for _ in range(5):
        started = time.perf_counter()
        detect.check(rows.iloc[:20_000], rows.iloc[20_000:], MODEL)
        taken.append(time.perf_counter() - started)
    return round(float(np.median(taken)), 2)


def main() -> None:
    """Measure and write the result."""
    warnings.filterwarnings("ignore", message="ks_2samp: Exact calculation unsuccessful")
    checks = int(number_asked("checks of each cell", 200, __doc__))
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
    beside = {f"{n}/{m}": usual(data, (n, m), USUAL_CHECKS) for n in REFERENCE for m in CURRENT}
    worst = {tool: max(cell[tool] for cell in beside.values()) for tool in beside["5000/1000"]}
    found = {name: usual(data, POWER_SIZES, USUAL_CHECKS, change) for name, change in changes.items()}
    bars: dict[str, dict[str, Any]] = {
        "D3 false alarms, worst cell": {"value": max(cells.values()), "bar": "<= 0.05", "usual": worst},
        **{f"D4 {name}": {"value": power[name], "bar": ">= 0.95", "usual": found[name]} for name in changes},
    }
    for name, bar in bars.items():
        bar["reached"] = bar["value"] <= 0.05 if name.startswith("D3") else bar["value"] >= 0.95
    write(
        "decisions_drift",
        bars=bars,
        measured={
            "false_alarms": cells, "power": power, "joint_scramble_found_at": small, "synthetic": unseen,
            "usual": {"false_alarms": beside, "checks": USUAL_CHECKS}, "real_weeks": weeks,
            "seconds_of_a_check": seconds, "checks": checks, "rows": len(data), "seed": SEED,
            "seconds": round(time.monotonic() - started),
        },
    )  # fmt: skip


if __name__ == "__main__":
    main()
