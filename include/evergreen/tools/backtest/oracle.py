"""The best that could have been done, had all losses been known: what policies are measured against.

It trains when that pays and never goes back to a model that it has replaced. If a world returns, a policy that does
go back could cost less.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evergreen.core.names import PartitionKey
from evergreen.tools.backtest.challengers import Fits
from evergreen.tools.backtest.simulate import Champion, Replay, Step, Wish, served_keys

PRICES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Prices of a training at which policies are compared, in parts of what training each time saves in one partition."""


@dataclass(frozen=True)
class Losses:
    """Mean losses of the challengers a replay can choose from.

    Attributes:
        first: the first champion's `as_of`.
        keys: partitions served, oldest first.
        newest: for each of them, the newest challenger that can serve it; the first champion if there is none.
        table: mean loss by (as_of, key).
    """

    first: PartitionKey
    keys: tuple[PartitionKey, ...]
    newest: tuple[PartitionKey, ...]
    table: Mapping[tuple[PartitionKey, PartitionKey], float]

    @classmethod
    def of(cls, fits: Fits, start: PartitionKey | None = None) -> Losses:
        """Of all challengers of the history; raises as `served_keys`."""
        first, keys = served_keys(fits, start)
        definition = fits.history.definition
        newest = [first]
        for key in keys[1:]:
            made = definition.partitions.shift(key, -1 - definition.feed.label_delay)
            newest.append(made if made in fits.by_as_of and made > first else newest[-1])
        table = {
            (as_of, key): float(fits.losses(as_of, key).mean())
            for as_of in dict.fromkeys(newest)
            for key in keys
            if key > as_of
        }
        return cls(first, tuple(keys), tuple(newest), table)

    @property
    def unit(self) -> float:
        """What a new model for each partition saves over the first one in one partition (or costs), on average."""
        never = sum(self.table[self.first, key] for key in self.keys)
        every = sum(self.table[made, key] for made, key in zip(self.newest, self.keys, strict=True))
        return abs(never - every) / len(self.keys)


def oracle(losses: Losses, price: float) -> Replay:
    """The replay of least cost: dynamic programming over who serves each partition and when a training is paid for."""
    best: dict[PartitionKey, tuple[float, tuple[PartitionKey, ...]]] = {losses.first: (0.0, ())}
    for key, made in zip(losses.keys, losses.newest, strict=True):
        cheapest = min(best.values(), key=lambda item: item[0])
        options = {as_of: (cost, path) for as_of, (cost, path) in best.items()}
        if made not in options:
            options[made] = (cheapest[0] + price, cheapest[1])
        best = {a: (cost + losses.table[a, key], (*path, a)) for a, (cost, path) in options.items()}
    path = min(best.values(), key=lambda item: item[0])[1]
    return _as_replay(losses, path)


def _as_replay(losses: Losses, path: Sequence[PartitionKey]) -> Replay:
    steps, version = [], 1
    for place, (key, as_of) in enumerate(zip(losses.keys, path, strict=True)):
        leaves = place + 1 < len(path) and path[place + 1] != as_of
        wish = Wish("retrain", "oracle", "it will pay") if leaves else Wish()
        champion = Champion(as_of, key, version)
        ending = "promoted" if leaves else None
        steps.append(Step(key, champion, losses.table[as_of, key], wish, ending))  # type: ignore[arg-type]
        version += leaves
    return Replay("oracle", tuple(steps))


def excess(losses: Losses, replay: Replay, prices: Sequence[float] = PRICES) -> float | None:
    """Cost of `replay` over the oracle's, every training counted: the mean over `prices`.

    0 is the oracle; 1 is as far from it as never and always training are from each other over all partitions. None
    where these two cost the same.
    """
    unit = losses.unit
    if unit == 0:
        return None
    total = unit * len(losses.keys)
    found = [(replay.cost(p * unit) - oracle(losses, p * unit).cost(p * unit)) / total for p in prices]
    return float(np.mean(found))
