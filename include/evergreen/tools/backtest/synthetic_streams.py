"""Streams whose drift is known: what a policy should do on them can be said beforehand.

Each row has two numeric inputs and a category, and a yes or no that follows from them by a logistic model. Rows of one
day share a shock that no input shows, as they do in practice, so that a bad day is no proof of a bad model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd

from evergreen.core.definition import ModelDefinition
from evergreen.core.names import PartitionKey
from evergreen.loop.training.examples import Examples
from evergreen.loop.training.losses import Floats
from evergreen.loop.training.model_matrix import model_frame
from evergreen.tools.backtest.landed_data import History, Partition

Kind = Literal["stationary", "abrupt", "gradual", "recurring", "labels", "inputs", "moving"]
KINDS: tuple[Kind, ...] = get_args(Kind)
START = "2024-01-01"
DAYS = 7
SHOCK = 0.25
"""Standard deviation of a day's common shock, in log odds"""
CATEGORIES = ("a", "b", "c")


@dataclass(frozen=True)
class Moment:
    """The world at one instant.

    Attributes:
        slopes: log odds for each unit of x and z.
        level: log odds if both are 0.
        centre: mean of x and of z.
    """

    slopes: tuple[float, float] = (1.2, 0.6)
    level: float = -1.2
    centre: tuple[float, float] = (0.0, 0.0)


def _abrupt(time: float) -> Moment:
    return Moment() if time < 0.5 else Moment(slopes=(0.3, -0.6), level=-0.6)


def _gradual(time: float) -> Moment:
    return Moment(slopes=(1.2 - 1.2 * time, 0.6 - 1.5 * time), level=-1.2 + 0.8 * time)


def _recurring(time: float) -> Moment:
    wave = float(np.sin(4 * np.pi * time))
    return Moment(slopes=(1.2, 0.6 - 0.9 * wave), level=-1.2 + 0.7 * wave)


def _labels(time: float) -> Moment:
    return Moment() if time < 0.5 else Moment(level=-0.3)


def _inputs(time: float) -> Moment:
    return Moment() if time < 0.5 else Moment(centre=(0.8, -0.5))


def _moving(time: float) -> Moment:
    turn = 2 * np.pi * time
    return Moment(slopes=(1.2 * float(np.cos(turn)), 1.2 * float(np.sin(turn))), level=-0.8)


WORLDS: dict[Kind, Callable[[float], Moment]] = {
    "stationary": lambda time: Moment(),
    "abrupt": _abrupt,
    "gradual": _gradual,
    "recurring": _recurring,
    "labels": _labels,
    "inputs": _inputs,
    "moving": _moving,
}
"""The world at a time from 0 (the stream's beginning) to 1 (its end)."""


def stream_definition(**sections: object) -> ModelDefinition:
    """The definition of the streams' model: the shipped defaults, one fast candidate; `sections` replace its parts."""
    columns = {"id": "string", "at": "timestamp", "x": "float", "z": "float", "c": "string"}
    parts: dict[str, object] = {
        "name": "stream",
        "title": "A stream whose drift is known",
        "owner": "evergreen",
        "task": "binary",
        "target": "y",
        "calendar": {"start": START},
        "feed": {
            "name": "stream",
            "entity": "id",
            "event_time": "at",
            "tables": {
                "inputs": {"columns": columns},
                "labels": {"columns": {"id": "string", "at": "timestamp", "y": "boolean"}},
            },
        },
        "features": {"numeric": ["x", "z"], "categorical": ["c"], "look_back": 0},
        "training": {"candidates": ["linear"], "trials": 1},
        "alerts": {"to": ["nobody@example.com"]},
    }
    return ModelDefinition.model_validate(parts | sections)


def stream(
    kind: Kind, seed: int, *, partitions: int = 60, rows: int = 1500, definition: ModelDefinition | None = None
) -> History:
    """A stream of weekly partitions, all labelled.

    Args:
        kind: stationary; abrupt (the concept changes half way); gradual (all along); recurring (two seasons);
            labels (only the share of positives changes, half way); inputs (only the inputs do); moving (the concept
            turns all the time, so that a model ages by the week).
        seed: the same seed gives the same rows.
        partitions: how many.
        rows: of each partition.
        definition: as `stream_definition` gives it, its default.
    """
    definition, rng = definition or stream_definition(), np.random.default_rng([seed, KINDS.index(kind)])
    days = pd.date_range(START, periods=partitions * DAYS, tz="UTC", unit="us")
    made = []
    for n in range(partitions):
        day = np.sort(rng.integers(0, DAYS, rows))
        frame, target = _rows(WORLDS[kind](n / partitions), day, rng)
        own = days[n * DAYS : (n + 1) * DAYS]
        frame.insert(0, "id", [f"{own[0]:%Y-%m-%d}-{row}" for row in range(rows)])
        frame.insert(1, "at", own[day])
        made.append(_partition(definition, PartitionKey(f"{own[0]:%Y-%m-%d}"), frame, target))
    return History(definition, tuple(made), {})


def _rows(world: Moment, day: np.ndarray, rng: np.random.Generator) -> tuple[pd.DataFrame, Floats]:
    x, z = (rng.normal(centre, 1.0, len(day)) for centre in world.centre)
    category = rng.choice(CATEGORIES, len(day), p=(0.5, 0.3, 0.2))
    shock = rng.normal(0.0, SHOCK, DAYS)[day]
    logit = world.level + world.slopes[0] * x + world.slopes[1] * z + 0.5 * (category == "b") + shock
    target = (rng.random(len(day)) < 1 / (1 + np.exp(-logit))).astype(np.float64)
    return pd.DataFrame({"x": x, "z": z, "c": category}), target


def _partition(definition: ModelDefinition, key: PartitionKey, frame: pd.DataFrame, target: Floats) -> Partition:
    examples = Examples(
        features=model_frame(frame, definition.features.numeric, definition.features.categorical),
        target=target,
        key=np.full(len(frame), key, dtype=object),
        cluster=np.asarray(frame["at"].dt.strftime("%Y-%m-%d"), dtype=object),
        entity=frame["id"].to_numpy(dtype=object),
        event_time=frame["at"],
        extra=frame[[]],
    )
    return Partition(key, frame, examples)
