"""Which faults come when: drawn from a seed, so that a run can be told again."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

KINDS = {"kill": 64, "stop": 8, "slow": 7, "cut": 8, "duplicate": 9, "disk": 4, "clock": 8}
"""Weights. `stop` is SIGSTOP and, later, SIGCONT; `slow` is both, many times a second; `cut` is a network that loses
every packet from and to a server; `disk` fills the disk of the stack's folder for a while; `clock` sets the time."""
USUAL = frozenset(KINDS) - {"clock"}
"""Kinds if none are named: a clock can be set only if every process was started for it"""
LASTS = {"stop": (10.0, 60.0), "slow": (20.0, 60.0), "cut": (10.0, 60.0), "disk": (5.0, 20.0), "clock": (10.0, 60.0)}
"""Seconds that a fault of a kind lasts, at least and at most"""
PAUSE_SECONDS = (5.0, 25.0)
ROOT_SHARE = 0.6
"""How often a service's main process is hit, and not one of its children."""


@dataclass(frozen=True)
class Targets:
    """What there is to hit in a shape of the stack.

    Attributes:
        killed: services, and `task` and `supervisor`, with weights.
        stopped: services that may stand still, or crawl, for a while.
        cut: services whose network may be cut.
    """

    killed: Mapping[str, int]
    stopped: tuple[str, ...]
    cut: tuple[str, ...]


_AIRFLOW = ("scheduler", "dag-processor", "triggerer", "api-server")
_SERVERS = ("mlflow", "postgres")
_CLUSTER = ("mailpit", "redis", "s3", "features-git", "worker-default", "worker-training")
TARGETS = {
    "embedded": Targets(
        {**dict.fromkeys((*_AIRFLOW, *_SERVERS, "mail"), 10), "task": 25, "supervisor": 4},
        ("scheduler", "triggerer", "api-server", "mail", *_SERVERS),
        ("api-server", "mail", *_SERVERS),
    ),
    "cluster": Targets(
        {**dict.fromkeys((*_AIRFLOW, *_SERVERS, *_CLUSTER), 10), "task": 35, "supervisor": 5},
        ("scheduler", "triggerer", "api-server", *_SERVERS, *_CLUSTER),
        ("api-server", "mailpit", "redis", "s3", "features-git", *_SERVERS),
    ),
}


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        pause: seconds to wait before it.
        kind: one of `KINDS`.
        target: the service or `task`; empty for kinds that have none.
        at_root: whether the service's main process is meant; else one of its children, if it has any.
        seconds: how long it lasts.
        draw: picks one of what is there at that moment, from [0, 1).
    """

    pause: float
    kind: str
    target: str
    at_root: bool
    seconds: float
    draw: float

    @property
    def name(self) -> str:
        """What is counted."""
        return f"{self.kind} {self.target}".strip()


def faults(seed: int, shape: str, kinds: frozenset[str] = USUAL) -> Iterator[Fault]:
    """Faults without end; the same seed gives the same ones."""
    rng, targets = random.Random(seed), TARGETS[shape]
    weights = {kind: weight for kind, weight in KINDS.items() if kind in kinds}
    while True:
        kind = rng.choices(list(weights), list(weights.values()))[0]
        target = ""
        if kind == "kill":
            target = rng.choices(list(targets.killed), list(targets.killed.values()))[0]
        elif kind in ("stop", "slow"):
            target = rng.choice(targets.stopped)
        elif kind == "cut":
            target = rng.choice(targets.cut)
        pause, at_root = rng.uniform(*PAUSE_SECONDS), rng.random() < ROOT_SHARE
        yield Fault(pause, kind, target, at_root, rng.uniform(*LASTS.get(kind, (0.0, 0.0))), rng.random())
