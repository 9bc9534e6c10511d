"""A stream followed through the loop once, with all that a check would weigh at each partition; kept on disk.

Following is slow (challengers are trained, each partition is compared with the reference), counting mails is not.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.lib import broken
from bench.lib.broken import Good
from bench.lib.streams import challengers, first_champion
from evergreen.core.definition import ModelDefinition
from evergreen.core.names import PartitionKey
from evergreen.loop.monitoring import policy
from evergreen.loop.monitoring.drift import detect
from evergreen.loop.monitoring.drift.detect import DriftResult
from evergreen.loop.monitoring.loss.estimated import Estimate, estimate_loss
from evergreen.loop.monitoring.loss.harm_test import Cluster
from evergreen.loop.monitoring.telling.shapes import Shapes, shapes_of
from evergreen.stack.config.home import Home
from evergreen.tools.backtest.landed_data import History
from evergreen.tools.backtest.policies import Evergreen, clusters_of, compared, past_checks, reference
from evergreen.tools.backtest.simulate import Now, Replay, Step, Wish, simulate

YEAR = {"week": 52, "day": 365, "month": 12}
SEED = 22
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Planted:
    """A fault put into one partition, and what the check's tests say of it."""

    kind: str
    columns: tuple[str, ...]
    drifted: tuple[str, ...]
    worth: Mapping[str, float]
    shapes: Shapes
    estimate: Estimate | None


@dataclass(frozen=True)
class Checked:
    """One partition as a check sees it."""

    key: PartitionKey
    version: int
    signals: policy.Signals
    past: tuple[policy.PastCheck, ...]
    drifted: tuple[str, ...]
    worth: Mapping[str, float]
    """Design effect by column"""
    estimate: Estimate | None
    holdout: tuple[Cluster, ...]
    """Of the champion"""
    clusters: tuple[Cluster, ...]
    """Of the partition itself: its labels come later"""
    labels_through: PartitionKey
    planted: tuple[Planted, ...] = ()


@dataclass(frozen=True)
class Followed:
    """A stream's year."""

    definition: ModelDefinition
    checks: tuple[Checked, ...]
    steps: tuple[Step, ...]
    shapes: Mapping[PartitionKey, Shapes]
    """Of each partition, those before the first champion too"""


@dataclass
class _Follower(Evergreen):
    """The monitor, which writes down what it sees."""

    faults: int = 4
    seen: list[Checked] = field(default_factory=list)
    when: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Kinds of faults to plant, by partition"""

    def decide(self, now: Now) -> Wish:
        wish = super().decide(now)
        definition, made = now.fits.history.definition, now.fits.by_as_of[now.champion.as_of]
        partition, found = now.fits.history[now.key], self._found(now)
        frame = partition.features.assign(prediction=made.predictions[now.key])
        self.seen.append(
            Checked(
                key=now.key,
                version=now.champion.version,
                signals=self.signals(now),
                past=tuple(past_checks(now)),
                drifted=found.drifted_columns,
                worth={c.name: c.design_effect for c in found.columns},
                estimate=_estimate(now, frame),
                holdout=clusters_of(now.fits, now.champion.as_of, made.holdout_keys),
                clusters=clusters_of(now.fits, now.champion.as_of, [now.key]),
                labels_through=now.labels_through,
                planted=tuple(p for kind in self.when.get(now.key, ()) if (p := _plant(now, definition, kind))),
            )
        )
        return wish

    def _found(self, now: Now) -> DriftResult:
        pair = (now.champion.as_of, now.key)
        if pair not in self._results:
            self._results[pair] = detect.check(compared(now), now.fits.history[now.key].features, _definition(now))
        return self._results[pair]

    def _drifted(self, now: Now) -> dict[str, float]:
        return self._found(now).drifted_effects

    _results: dict[tuple[str, str], DriftResult] = field(default_factory=dict)


def _definition(now: Now) -> ModelDefinition:
    return now.fits.history.definition


def _estimate(now: Now, frame: pd.DataFrame) -> Estimate | None:
    whole = reference(now.fits, now.champion.as_of)
    return estimate_loss(_definition(now), whole[whole["part"] == "holdout"], frame)


FAULTS = {"unit": broken.thousandfold, "join": broken.join_lost, "frozen": broken.frozen, "nulls": broken.missing}


def _plant(now: Now, definition: ModelDefinition, kind: str) -> Planted | None:
    """A fault of this kind in the partition `now`; None if it has no column that can break so."""
    frame, features = now.fits.history[now.key].features, definition.features
    dice = np.random.default_rng([SEED, sum(now.key.encode()), *kind.encode()])
    if kind == "scale":
        name = str(dice.choice(features.numeric))
        made: pd.DataFrame | None = frame.assign(**{name: frame[name].astype("float64") * 1.8 + 32})
    else:
        made = FAULTS[kind](Good(frame, features.numeric, features.categorical, {}, frame), dice)
    if made is None:
        return None
    made = made.astype(dict.fromkeys(features.numeric, "float64"))
    changed = tuple(name for name in features.columns if not made[name].equals(frame[name]))
    found = detect.check(compared(now), made, definition)
    worth = {c.name: c.design_effect for c in found.columns}
    return Planted(kind, changed, found.drifted_columns, worth, shapes_of(made, definition), None)


def follow(name: str, make: Any, faults: int) -> Followed:
    """The year of the stream `name`, which `make` makes; from disk, if the same code has followed it before."""
    file = Home.find().root / "replay" / "mails" / f"{_code()}-{faults}-{name.replace(' ', '_')}.pickle"
    if file.is_file():
        return pickle.loads(file.read_bytes())  # type: ignore[no-any-return]  # written below
    history: History = make()
    history = _a_year(history)
    first = first_champion(history)
    served = [p.key for p in history if p.key > first]
    dice, when = np.random.default_rng(SEED), dict[str, tuple[str, ...]]()
    for kind in ("unit", "scale", *list(FAULTS)[1:]):
        wanted = max(1, faults // 2) if kind in ("unit", "scale") else faults
        for key in dice.choice(served[2:], size=min(wanted, len(served) - 2), replace=False):
            when[str(key)] = (*when.get(str(key), ()), kind)
    follower = _Follower(faults=faults, when=when)
    replay: Replay = simulate(challengers(history), follower, start=first)
    shapes = {p.key: shapes_of(p.features, history.definition) for p in history}
    found = Followed(history.definition, tuple(follower.seen), replay.steps, shapes)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(pickle.dumps(found))
    return found


def _a_year(history: History) -> History:
    """The history until a year after the first champion."""
    first = first_champion(history)
    after = [p for p in history if p.key > first]
    kept = after[: YEAR[history.definition.calendar.period]]
    return replace(history, partitions=tuple(p for p in history if p.key <= kept[-1].key))


def _code() -> str:
    """Of what a stream is followed by. What tells is not part of it, nor is the policy: only whom it tells may change.

    Remove the folder after a change of what the policy does.
    """
    folders = ("loop/monitoring/drift", "loop/monitoring/loss", "loop/monitoring/rivals", "loop/champion/evaluation")
    files = [p for folder in folders for p in sorted((ROOT / "include/evergreen" / folder).rglob("*.py"))]
    files += [ROOT / "include/evergreen/loop/monitoring/telling/shapes.py", Path(broken.__file__), Path(__file__)]
    files += [Path(__file__).with_name("streams.py"), *sorted((ROOT / "include/evergreen/loop/training").rglob("*.py"))]
    files += sorted((ROOT / "include/evergreen/tools/backtest").glob("*.py"))
    return hashlib.sha256(b"".join(p.read_bytes() for p in files)).hexdigest()[:12]
